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
    let Ok(policy) = serde_json::from_str::<Value>(policy) else {
        return [ANYBODY.to_owned()].into();
    };
    one_or_many(&policy["Statement"])
        .filter(|statement| statement["Effect"] == "Allow" && lets_assume(statement))
        .flat_map(principals)
        .collect()
}

/// Whether a statement covers `sts:AssumeRole`. What is written in another way than as a list of
/// actions may.
fn lets_assume(statement: &Value) -> bool {
    let mut actions = one_or_many(&statement["Action"]).peekable();
    actions.peek().is_none()
        || actions.any(|action| {
            let action = action.as_str().unwrap_or(ANYBODY).to_ascii_lowercase();
            action == "sts:assumerole" || action.contains(['*', '?'])
        })
}

fn principals(statement: &Value) -> Vec<String> {
    match &statement["Principal"] {
        Value::Object(kinds) => kinds
            .get("AWS")
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
}
