//! The names of a role's policies, and the way back from a name to its role.

use std::iter;

use super::POLICY_PATH;
use crate::{
    estate::Role,
    id::{Arn, PolicyName, RoleName},
};

/// Policies that a pin can have at most; how many it may have is the operator's to say.
pub const MOST_POLICIES: usize = 9;

/// The name of the first policy of a role's pin.
pub fn policy_name(role: &RoleName) -> PolicyName {
    numbered("credpin", role)
}

/// The names of the policies of a role's pin in their order: `credpin-ROLE`, `credpin2-ROLE`, and so
/// on. The number stands before the role's name, because behind it would be another role's: a role
/// `web-2` beside `web` is common.
pub fn policy_names(role: &RoleName) -> impl Iterator<Item = PolicyName> {
    let further = (2..=MOST_POLICIES).map(|number| numbered(&format!("credpin{number}"), role));
    iter::once(policy_name(role)).chain(further)
}

fn numbered(prefix: &str, role: &RoleName) -> PolicyName {
    format!("{prefix}-{role}")
        .parse()
        .expect("a role's name with a prefix is a policy's name: same letters, at most 73 of 128")
}

/// The role whose pin has a policy of this name; none where it is no name of ours.
pub fn role_of(policy: &PolicyName) -> Option<RoleName> {
    let (prefix, role) = policy.as_str().split_once('-')?;
    let number = prefix.strip_prefix("credpin")?;
    let ours = number.is_empty() || (2..=MOST_POLICIES).any(|known| known.to_string() == number);
    if ours { role.parse().ok() } else { None }
}

/// The ARN of a policy of a role's pin.
pub fn policy_arn(role: &Role, policy: &PolicyName) -> Arn {
    let (partition, account) = (role.arn.partition(), role.arn.account());
    format!("arn:{partition}:iam::{account}:policy{POLICY_PATH}{policy}")
        .parse()
        .expect("it has the parts of an ARN")
}

/// The value of [`super::ROLE_TAG`]: the role's name, with `/` for the comma that tag values cannot
/// hold and names of roles cannot have.
pub fn role_tag(role: &RoleName) -> String {
    role.as_str().replace(',', "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_name_leads_back_to_its_role_and_to_no_other() {
        for role in ["web", "web-2", "2-web", "credpin-web", "credpin2-web", "-"] {
            let role: RoleName = role.parse().unwrap();
            let names: Vec<PolicyName> = policy_names(&role).collect();
            assert_eq!(names.len(), MOST_POLICIES);
            assert_eq!(names[0], policy_name(&role));
            for name in names {
                assert_eq!(role_of(&name), Some(role.clone()), "{name}");
            }
        }
        for name in [
            "web",
            "credpin",
            "credpin1-web",
            "credpin02-web",
            "credpin10-web",
            "credpin-",
        ] {
            assert_eq!(role_of(&name.parse().unwrap()), None, "{name}");
        }
    }
}
