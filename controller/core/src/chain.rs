//! Roles that can be assumed with a fleet's tokens, by their trust policies.
//!
//! A session made by `AssumeRole` carries none of the keys that EC2 gives its credentials (IAM User
//! Guide, "AWS global condition context keys"), so the pin of the instances' role does not follow it: whoever
//! holds a token at home can take it further, unless the role that he assumes is pinned by itself. What that
//! pin has to admit is told by its [`Callers`].
//!
//! Who may assume a role is what its trust policy says *and*, where that names a whole
//! account, what the policies of those who ask say. These are not looked at: what is found here may be
//! more than can be done, and is never less.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::{
    estate::{Estate, Role},
    id::{Arn, RoleName},
};

mod callers;
mod elsewhere;

pub use callers::{Callers, Stated, Stranger, StrangerKind};
pub(crate) use callers::{Chains, HostsOf, is_ec2};
pub use elsewhere::Elsewhere;

/// A role that sessions of others may become.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Chained {
    /// The role.
    pub role: RoleName,
    /// Who may assume it.
    pub by: Assumers,
}

/// Who may assume a role.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Assumers {
    /// Roles of the account that its trust policy names.
    pub roles: BTreeSet<RoleName>,
    /// Whether everybody of the account may to whom a policy gives that.
    pub account: bool,
    /// Whether anybody may, of whatever account.
    pub anybody: bool,
    /// Others: users, principals of other accounts, and those whom identity providers vouch for.
    pub others: BTreeSet<String>,
    /// Services. EC2 is one where instances can have the role.
    pub services: BTreeSet<String>,
}

/// Every role that sessions of the `fleet`'s roles may become, one after the other, in the order of their
/// names.
pub fn chained<'a>(estate: &Estate, fleet: impl IntoIterator<Item = &'a RoleName>) -> Vec<Chained> {
    let by_id = by_id(estate);
    let mut rest: Vec<Chained> = estate
        .roles
        .values()
        .map(|role| Chained {
            role: role.name.clone(),
            by: assumers(role, estate, &by_id),
        })
        .collect();
    let mut holders: BTreeSet<RoleName> = fleet.into_iter().cloned().collect();
    let mut found = Vec::new();
    // With no session there is none to go on from.
    while !holders.is_empty() {
        let leads_to = |chained: &Chained| {
            chained.by.account || chained.by.anybody || !chained.by.roles.is_disjoint(&holders)
        };
        let (next, others): (Vec<_>, Vec<_>) = rest.into_iter().partition(leads_to);
        if next.is_empty() {
            break;
        }
        rest = others;
        holders.extend(next.iter().map(|chained| chained.role.clone()));
        found.extend(next);
    }
    found.sort_by(|one, other| one.role.cmp(&other.role));
    found
}

/// What trust policies call a role whose name they do not have.
fn by_id(estate: &Estate) -> BTreeMap<&str, &RoleName> {
    let roles = estate.roles.values();
    roles.map(|role| (role.id.as_str(), &role.name)).collect()
}

fn assumers(role: &Role, estate: &Estate, by_id: &BTreeMap<&str, &RoleName>) -> Assumers {
    let account = role.arn.account();
    let mut by = Assumers {
        others: role.trusted_providers.clone(),
        services: role.trusted_services.clone(),
        ..Assumers::default()
    };
    for principal in &role.trusted {
        let arn: Option<Arn> = principal.parse().ok();
        let own = arn.filter(|arn| arn.account() == account);
        let named = match &own {
            Some(arn) => role_of(arn).filter(|name| estate.roles.contains_key(name)),
            // What AWS makes of a principal when it saves a policy ("Principal", IAM User Guide).
            None => by_id.get(principal.as_str()).map(|name| (*name).clone()),
        };
        if principal == "*" {
            by.anybody = true;
        } else if principal == account || own.is_some_and(|arn| arn.resource() == "root") {
            by.account = true;
        } else if let Some(name) = named {
            by.roles.insert(name);
        } else {
            by.others.insert(principal.clone());
        }
    }
    by
}

/// The role of `role/PATH/NAME`, or of the session `assumed-role/NAME/SESSION`.
fn role_of(arn: &Arn) -> Option<RoleName> {
    let (kind, rest) = arn.resource().split_once('/')?;
    let name = match kind {
        "role" => rest.rsplit('/').next(),
        "assumed-role" => rest.split('/').next(),
        _ => None,
    };
    name?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estate(roles: &[(&str, &[&str])]) -> Estate {
        let roles = roles.iter().map(|(name, trusted)| {
            let role = Role {
                name: name.parse().unwrap(),
                id: format!("AROA{}", name.to_uppercase()),
                arn: format!("arn:aws:iam::111122223333:role/team/{name}")
                    .parse()
                    .unwrap(),
                path: "/team/".into(),
                tags: BTreeMap::new(),
                trusted: trusted.iter().map(|&principal| principal.into()).collect(),
                trusted_services: BTreeSet::new(),
                trusted_providers: BTreeSet::new(),
                last_used: None,
                profiles: BTreeSet::new(),
                attached: BTreeSet::new(),
            };
            (role.name.clone(), role)
        });
        Estate {
            roles: roles.collect(),
            ..Estate::default()
        }
    }

    fn names(estate: &Estate, fleet: &[&str]) -> Vec<String> {
        let fleet: Vec<RoleName> = fleet.iter().map(|name| name.parse().unwrap()).collect();
        let found = chained(estate, &fleet).into_iter();
        found.map(|chained| chained.role.to_string()).collect()
    }

    #[test]
    fn roles_are_found_along_the_chain_and_none_beside_it() {
        let estate = estate(&[
            ("web", &[]),
            ("deploy", &["arn:aws:iam::111122223333:role/team/web"]),
            (
                "admin",
                &["arn:aws:sts::111122223333:assumed-role/deploy/ci"],
            ),
            ("last", &["AROAADMIN"]),
            ("lambda-only", &["arn:aws:iam::111122223333:role/lambda"]),
            ("lambda", &[]),
            ("theirs", &["arn:aws:iam::999988887777:root"]),
        ]);
        assert_eq!(names(&estate, &["web"]), ["admin", "deploy", "last"]);
        assert_eq!(names(&estate, &["lambda"]), ["lambda-only"]);
        assert_eq!(names(&estate, &[]), [""; 0]);
    }

    #[test]
    fn a_whole_account_and_anybody_are_told_apart_from_those_that_are_named() {
        let estate = estate(&[
            ("web", &[]),
            ("by-id", &["111122223333"]),
            ("by-root", &["arn:aws:iam::111122223333:root"]),
            ("open", &["*"]),
            (
                "mixed",
                &[
                    "arn:aws:iam::111122223333:role/team/web",
                    "arn:aws:iam::111122223333:user/alice",
                    "arn:aws:iam::999988887777:role/web",
                    "arn:aws:iam::111122223333:role/gone",
                ],
            ),
        ]);
        let fleet: [RoleName; 1] = ["web".parse().unwrap()];
        let found = chained(&estate, &fleet);
        let by = |name: &str| &found.iter().find(|it| it.role.as_str() == name).unwrap().by;
        assert!(by("by-id").account && by("by-root").account && !by("mixed").account);
        assert!(by("open").anybody && !by("open").account);
        assert_eq!(by("mixed").roles, fleet.clone().into());
        // Among them one of another account that is named as ours is.
        assert_eq!(by("mixed").others.len(), 3, "{:?}", by("mixed"));
    }

    #[test]
    fn a_chain_that_leads_back_ends() {
        let web = "arn:aws:iam::111122223333:role/team/web";
        let back = "arn:aws:iam::111122223333:role/team/back";
        let estate = estate(&[("web", &[back, web]), ("back", &[web])]);
        assert_eq!(names(&estate, &["web"]), ["back", "web"]);
    }
}
