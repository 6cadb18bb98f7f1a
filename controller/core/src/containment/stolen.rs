//! Whose a key is, and as what it is stolen.

use std::collections::{BTreeSet, HashMap};

use super::{Facts, Whose, Why};
use crate::{
    cloudtrail::How,
    cut::{On, Principal, Stolen},
    id::{AccountId, Arn, SessionName},
    lineage::{Above, Node, Trace},
};

/// What of its role's or user's a key is.
enum Kind {
    LongLived,
    Token,
    Federation,
    Session(SessionName),
}

/// Each key with the one that it came of, where that is known; in the order of the trace.
pub fn with_parents(trace: &Trace) -> impl Iterator<Item = (&Node, Option<&Node>)> {
    let by_key: HashMap<&str, &Node> = trace.nodes.iter().map(|node| (&*node.key, node)).collect();
    trace.nodes.iter().map(move |node| {
        let parent = node.parent().and_then(|key| by_key.get(&**key));
        (node, parent.copied())
    })
}

/// The roles and users that cuts of these keys could be put on: IAM has to be asked about those of
/// its own account.
pub fn whose(trace: &Trace) -> BTreeSet<Whose> {
    let kinds = with_parents(trace).filter_map(|(node, parent)| kind(node, parent).ok());
    kinds.map(|(whose, _)| whose).collect()
}

/// What is stolen with a key, so that [`cuts`](crate::cut::cuts) finds its cuts; none where it is gone
/// with its role or user.
pub fn stolen(node: &Node, parent: Option<&Node>, facts: &Facts) -> Result<Option<Stolen>, Why> {
    let (whose, kind) = kind(node, parent)?;
    if whose.account != facts.account {
        return Err(Why::Elsewhere(whose.account));
    }
    let principal = match facts.principals.get(&whose.on) {
        Some(Some(principal)) => principal.clone(),
        Some(None) => return Ok(None),
        None => return Err(Why::Unknown),
    };
    Ok(Some(match (principal, kind) {
        (Principal::User(user), Kind::LongLived) => Stolen::LongLivedKey {
            user,
            key: node.key.parse().map_err(|_| Why::Unknown)?,
        },
        (Principal::User(user), Kind::Federation) => Stolen::Federation(user),
        (Principal::User(user), _) => Stolen::UserSession(user),
        (Principal::Role(role), Kind::Session(name)) => {
            reserved(&role.arn)?;
            if is_of_an_earlier_role(node, role.id.as_str()) {
                return Ok(None);
            }
            match name.as_str().parse() {
                Ok(instance) if node.how == How::Ec2 => Stolen::Instance {
                    role,
                    instance,
                    isolate: false,
                },
                _ => Stolen::RoleSession {
                    role,
                    session: Some(name),
                    parent: None,
                },
            }
        }
        (Principal::Role(_), _) => return Err(Why::Unknown),
    }))
}

/// Who asked for a key, where that is a role or user of IAM's account.
pub fn asked_by(parent: &Node, facts: &Facts) -> Option<Principal> {
    // A token's own user is in its records: no grandparent is needed.
    let (whose, _) = kind(parent, None).ok()?;
    let is_here = whose.account == facts.account;
    let known = facts.principals.get(&whose.on).filter(|_| is_here)?;
    known.clone()
}

fn kind(node: &Node, parent: Option<&Node>) -> Result<(Whose, Kind), Why> {
    if node.how == How::AssumeRoot || is_root(node) {
        return Err(Why::Root);
    }
    let arn = node.who.arn.as_deref();
    match node.how {
        How::LongLived => {
            let owner = arn.or(node.session.as_deref()).and_then(user);
            Ok((owner.ok_or(Why::Unknown)?, Kind::LongLived))
        }
        How::SessionToken | How::SessionTokenWithMfa | How::FederationToken => {
            let kind = match node.how {
                How::FederationToken => Kind::Federation,
                _ => Kind::Token,
            };
            if let Some(own) = node.who.user.as_deref().or(arn).and_then(user) {
                return Ok((own, kind));
            }
            // Before it is used, only the key that asked for it tells.
            let parent = parent.ok_or(Why::Unknown)?;
            if is_root(parent) {
                return Err(Why::Root);
            }
            let owner = parent.who.arn.as_deref().and_then(user);
            Ok((owner.ok_or(Why::Unknown)?, kind))
        }
        // A console session is a user's or a role's.
        _ => match arn.and_then(user) {
            Some(owner) => Ok((owner, Kind::Token)),
            None => session(node),
        },
    }
}

fn session(node: &Node) -> Result<(Whose, Kind), Why> {
    let role = node.who.role.as_deref().ok_or(Why::Unknown)?;
    let role: Arn = role.parse().map_err(|_| Why::Unknown)?;
    reserved(&role)?;
    let used = node.who.principal_id.as_deref();
    let used = used.and_then(|id| Some(id.split_once(':')?.1));
    let made = node.session.as_deref();
    let made = made.and_then(|arn| Some(arn.rsplit_once('/')?.1));
    let name = used.or(made).ok_or(Why::Unknown)?;
    let whose = named(&role, "role/").ok_or(Why::Unknown)?;
    let name = name.parse().map_err(|_| Why::Unknown)?;
    Ok((whose, Kind::Session(name)))
}

fn is_root(node: &Node) -> bool {
    let is_kind = node.who.kind.as_deref() == Some("Root");
    let owner = match &node.above {
        Above::Owner(owner) => Some(owner),
        _ => None,
    };
    let arn = node.who.arn.as_ref().or(owner);
    is_kind || arn.is_some_and(|arn| arn.ends_with(":root"))
}

/// Whether IAM takes policies on a role. AWS keeps some for itself (IAM API Reference,
/// `UnmodifiableEntity`).
pub fn reserved(role: &Arn) -> Result<(), Why> {
    let resource = role.resource();
    if resource.starts_with("role/aws-reserved/") {
        Err(Why::IdentityCenter)
    } else if resource.starts_with("role/aws-service-role/") {
        Err(Why::ServiceLinked)
    } else {
        Ok(())
    }
}

/// Whether the key is of a role that had this one's name before it, and went with it.
fn is_of_an_earlier_role(node: &Node, id: &str) -> bool {
    let used = node.who.principal_id.as_deref();
    let role = used.and_then(|used| used.split(':').next());
    role.is_some_and(|role| role.starts_with("AROA") && role != id)
}

fn user(arn: &str) -> Option<Whose> {
    named(&arn.parse().ok()?, "user/")
}

/// Paths are left out: not every record has them, and names are unique without.
fn named(arn: &Arn, kind: &str) -> Option<Whose> {
    let account: AccountId = arn.account().parse().ok()?;
    let path = arn.resource().strip_prefix(kind)?;
    let name = path.rsplit('/').next()?;
    let on = match kind {
        "role/" => On::Role(name.parse().ok()?),
        _ => On::User(name.parse().ok()?),
    };
    Some(Whose { account, on })
}
