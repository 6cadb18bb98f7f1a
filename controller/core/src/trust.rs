//! Who may assume a role, by its trust policy.

use std::collections::BTreeSet;

use serde_json::Value;

/// Anybody: what a trust policy that cannot be read is taken for.
const ANYBODY: &str = "*";

/// The AWS principals that `policy` lets assume the role: ARNs, account ids, `*`. Conditions are
/// taken to hold, so that nobody is left out who may.
pub fn trusted(policy: Option<&str>) -> BTreeSet<String> {
    let Some(policy) = policy else {
        return BTreeSet::new();
    };
    principals(policy, "AWS", &["sts:assumerole"])
}

/// The services that `policy` lets assume the role, as `ec2.amazonaws.com`.
pub fn trusted_services(policy: Option<&str>) -> BTreeSet<String> {
    let named = policy.map(|policy| principals(policy, "Service", &["sts:assumerole"]));
    // Anybody is one of the others.
    let mut named = named.unwrap_or_default();
    named.remove(ANYBODY);
    named
}

/// The identity providers whose users `policy` lets assume the role, by ARN or by a host's name. A policy
/// that is not there may name any.
pub fn trusted_providers(policy: Option<&str>) -> BTreeSet<String> {
    let by = ["sts:assumerolewithsaml", "sts:assumerolewithwebidentity"];
    let Some(policy) = policy else {
        return [ANYBODY.to_owned()].into();
    };
    let mut providers = principals(policy, "Federated", &by);
    let anybody = principals(policy, "AWS", &by);
    providers.extend(anybody.into_iter().filter(|principal| principal == ANYBODY));
    providers
}

/// The principals of a kind that some statement allows one of these actions.
fn principals(policy: &str, kind: &str, by: &[&str]) -> BTreeSet<String> {
    let Ok(policy) = serde_json::from_str::<Value>(policy) else {
        return [ANYBODY.to_owned()].into();
    };
    one_or_many(&policy["Statement"])
        .filter(|statement| statement["Effect"] == "Allow" && lets(statement, by))
        .flat_map(|statement| principals_of(statement, kind))
        .collect()
}

/// Whether a statement covers one of these actions. What is written in another way than as a list of
/// actions may.
fn lets(statement: &Value, by: &[&str]) -> bool {
    let mut actions = one_or_many(&statement["Action"]).peekable();
    actions.peek().is_none()
        || actions.any(|action| {
            let action = action.as_str().unwrap_or(ANYBODY).to_ascii_lowercase();
            by.contains(&action.as_str()) || action.contains(['*', '?'])
        })
}

fn principals_of(statement: &Value, kind: &str) -> Vec<String> {
    match &statement["Principal"] {
        Value::Object(kinds) => kinds
            .get(kind)
            .into_iter()
            .flat_map(one_or_many)
            .filter_map(|principal| principal.as_str().map(str::to_owned))
            .collect(),
        Value::Null if statement["NotPrincipal"].is_null() => Vec::new(),
        _ => vec![ANYBODY.to_owned()],
    }
}

/// IAM takes a single value bare or as a list of one.
fn one_or_many(value: &Value) -> impl Iterator<Item = &Value> {
    let many = value.as_array().map(Vec::as_slice);
    let one = (!value.is_null() && many.is_none()).then_some(value);
    many.unwrap_or_default().iter().chain(one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_may_assume_a_role_are_found_however_it_is_written() {
        let of = |statement: &str| {
            let policy = format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#);
            trusted(Some(&policy)).into_iter().collect::<Vec<_>>()
        };
        let service = r#"{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}"#;
        assert_eq!(of(service), [""; 0]);
        for (principal, action, found) in [
            (
                r#"{"AWS":"111122223333"}"#,
                r#""sts:AssumeRole""#,
                &["111122223333"][..],
            ),
            (
                r#"{"AWS":["a","b"],"Service":"x"}"#,
                r#"["sts:TagSession","STS:assumerole"]"#,
                &["a", "b"],
            ),
            (r#""*""#, r#""sts:*""#, &["*"]),
            (r#"{"AWS":"a"}"#, r#""sts:AssumeRoleWithSAML""#, &[]),
        ] {
            let statement =
                format!(r#"[{{"Effect":"Allow","Principal":{principal},"Action":{action}}}]"#);
            assert_eq!(of(&statement), found, "{statement}");
            let denied = statement.replace("Allow", "Deny");
            assert_eq!(of(&denied), [""; 0], "{denied}");
        }
        assert_eq!(
            of(r#"{"Effect":"Allow","NotPrincipal":{"AWS":"a"},"Action":"sts:AssumeRole"}"#),
            ["*"]
        );
        assert_eq!(trusted(Some("{")), ["*".to_owned()].into());
        assert_eq!(trusted(None), [].into());
    }

    #[test]
    fn services_and_identity_providers_are_found_beside_the_principals_of_accounts() {
        let policy = r#"{"Version":"2012-10-17","Statement":[
            {"Effect":"Allow","Principal":{"Service":["ec2.amazonaws.com","lambda.amazonaws.com"],"AWS":"a"},"Action":"sts:AssumeRole"},
            {"Effect":"Allow","Principal":{"Federated":"idp"},"Action":"sts:AssumeRoleWithWebIdentity"},
            {"Effect":"Allow","Principal":{"Federated":"gone"},"Action":"sts:TagSession"},
            {"Effect":"Deny","Principal":{"Service":"ecs.amazonaws.com"},"Action":"sts:*"}]}"#;
        let texts = |found: BTreeSet<String>| found.into_iter().collect::<Vec<_>>();
        assert_eq!(texts(trusted(Some(policy))), ["a"]);
        assert_eq!(
            texts(trusted_services(Some(policy))),
            ["ec2.amazonaws.com", "lambda.amazonaws.com"]
        );
        assert_eq!(texts(trusted_providers(Some(policy))), ["idp"]);
        let anybody = policy.replace(r#"{"Federated":"idp"}"#, r#""*""#);
        assert_eq!(texts(trusted_providers(Some(&anybody))), ["*"]);
        // What was not seen may name anybody.
        assert_eq!(texts(trusted_providers(None)), ["*"]);
        assert_eq!(texts(trusted_services(Some("{"))), [""; 0]);
    }
}
