//! The keys above one, and all that they spawned.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    str::FromStr,
};

use jiff::Timestamp;
use serde::Serialize;
use thiserror::Error;

use super::{Homes, Lineage, Parent, Place, Seen, Shared, Tally, Use, Verdict, Who};
use crate::cloudtrail::{How, is_instance, is_key};

/// What is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A key, by its id.
    Key(String),
    /// All keys of an instance.
    Instance(String),
    /// All keys of a user, a role, or a session.
    Arn(String),
}

/// A text that names nothing that can be traced.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is no access key id (AKIA…, ASIA…), no instance (i-…) and no ARN (arn:…)")]
pub struct TargetError(String);

/// What is known of a lineage.
#[derive(Debug, Serialize)]
pub struct Trace {
    /// What was asked about.
    pub target: String,
    /// The keys that this names.
    pub matched: usize,
    /// The keys of the lineage: each before those that it spawned, depth first.
    pub nodes: Vec<Node>,
}

/// A key in its lineage.
#[derive(Debug, Serialize)]
pub struct Node {
    /// Its id.
    pub key: Shared,
    /// Whether it is what was asked about.
    pub is_target: bool,
    /// How far below the first key it is.
    pub depth: usize,
    /// What is above it.
    pub above: Above,
    /// How it was made.
    pub how: How,
    /// Whose it is.
    pub who: Who,
    /// ARN of the session that it was made for.
    pub session: Option<Shared>,
    /// When it was made; `creationDate` where the call that made it is not in the trail.
    pub issued: Option<Timestamp>,
    /// Where it was asked for.
    pub issued_to: Option<Place>,
    /// `eventID` of the call that made it.
    pub issued_by_event: Option<Shared>,
    /// The MFA device that was used.
    pub mfa: Option<Shared>,
    /// When it ends.
    pub ends: Ends,
    /// Whether it may still be good.
    pub is_live: bool,
    /// All of its uses.
    #[serde(rename = "use")]
    pub total: Use,
    /// Of those, calls that a service made on its behalf.
    pub by_service: u64,
    /// From where it was used, in order.
    pub places: Tally<Place>,
    /// What is home of these and what is away, in the same order, seen from the instance that the
    /// lineage began at; empty where that is not known.
    pub verdicts: BTreeMap<String, Verdict>,
    /// What used it, by its own word.
    pub agents: Tally<Shared>,
    /// The services that it called.
    pub services: Tally<Shared>,
}

/// What is above a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", content = "id", rename_all = "kebab-case")]
pub enum Above {
    /// The key that asked for it.
    Key(Shared),
    /// A key of the same principal that was exchanged for a sign-in to the console shortly before.
    /// CloudTrail does not link the two: it may have been another one.
    LikelyKey(Shared),
    /// EC2 delivered it to this instance.
    Instance(Shared),
    /// A service asked for it.
    Service(Shared),
    /// An identity provider vouched for who asked for it.
    Provider(Shared),
    /// It belongs to this user, or to the account itself.
    Owner(Shared),
    /// A principal of another account, whose trail is not here.
    Elsewhere(Shared),
    /// The call that made it is not in the trail.
    Missing,
}

/// When a key ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", content = "at", rename_all = "kebab-case")]
pub enum Ends {
    /// Not by itself.
    Never,
    /// Then: the call that made it says so.
    At(Timestamp),
    /// Then or earlier: as long as such a key can last.
    AtTheLatest(Timestamp),
    /// The trail does not tell.
    Unknown,
}

/// The lineage of `target`: from the first key that is known, all that came of it. None where the
/// trail shows no such key.
pub fn trace(
    lineage: Lineage,
    target: &Target,
    homes: Option<&Homes>,
    now: Timestamp,
) -> Option<Trace> {
    let matched: BTreeSet<Shared> = lineage
        .keys
        .iter()
        .filter(|(key, seen)| target.names(key, seen))
        .map(|(key, _)| key.clone())
        .collect();
    if matched.is_empty() {
        return None;
    }
    let links = Links::of(&lineage);
    let tops: BTreeSet<_> = matched
        .iter()
        .map(|key| links.top(key))
        .map(|top| (lineage.order(&top), top))
        .collect();
    let mut keys = lineage.keys;
    let mut nodes = Vec::new();
    // Deep chains are possible: no recursion.
    let mut todo: Vec<(Shared, usize, Option<Shared>)> = tops
        .into_iter()
        .rev()
        .map(|(_, top)| (top, 0, None))
        .collect();
    while let Some((key, depth, home)) = todo.pop() {
        // A key that is gone from the table is in the tree already.
        let Some(seen) = keys.remove(&key) else {
            continue;
        };
        let node = Node::new(&key, *seen, &links, depth, &matched, now);
        let home = match &node.above {
            Above::Instance(instance) => Some(instance.clone()),
            _ => home,
        };
        for child in links.children(&key).rev() {
            todo.push((child.clone(), depth + 1, home.clone()));
        }
        nodes.push(node.judged(home.as_deref(), homes));
    }
    Some(Trace {
        target: target.to_string(),
        matched: matched.len(),
        nodes,
    })
}

/// Which key came of which.
pub(super) struct Links {
    parents: HashMap<Shared, Link>,
    children: HashMap<Shared, Vec<Shared>>,
}

#[derive(Clone)]
struct Link {
    parent: Shared,
    is_likely_only: bool,
}

impl Links {
    pub(super) fn of(lineage: &Lineage) -> Self {
        let mut parents = HashMap::new();
        let mut link = |child: &Shared, parent: &Shared, is_likely_only| {
            let parent = parent.clone();
            parents.entry(child.clone()).or_insert(Link {
                parent,
                is_likely_only,
            });
        };
        for (key, seen) in &lineage.keys {
            if let Some(Parent::Key(parent)) = seen.born.as_ref().map(|born| &born.parent) {
                link(key, parent, false);
            }
        }
        let mut across: Vec<_> = lineage.across.values().collect();
        across.sort_by(|a, b| (&a.caller, &a.child).cmp(&(&b.caller, &b.child)));
        for halves in across {
            if let (Some(caller), Some(child)) = (&halves.caller, &halves.child) {
                link(child, caller, false);
            }
        }
        for (child, parent) in console_sessions(lineage) {
            link(child, parent, true);
        }
        let mut children: HashMap<Shared, Vec<Shared>> = HashMap::new();
        for (child, link) in &parents {
            let siblings = children.entry(link.parent.clone()).or_default();
            siblings.push(child.clone());
        }
        for siblings in children.values_mut() {
            siblings.sort_by_cached_key(|key| (lineage.order(key), key.clone()));
        }
        Self { parents, children }
    }

    pub(super) fn top(&self, key: &Shared) -> Shared {
        let mut top = key;
        let mut passed = BTreeSet::from([key]);
        while let Some(link) = self.parents.get(top) {
            // Nothing that AWS writes goes round in a circle; a file can say anything.
            if !passed.insert(&link.parent) {
                break;
            }
            top = &link.parent;
        }
        top.clone()
    }

    /// The key that asked for `key`.
    pub(super) fn parent(&self, key: &str) -> Option<&Shared> {
        self.parents.get(key).map(|link| &link.parent)
    }

    fn children(&self, key: &str) -> impl DoubleEndedIterator<Item = &Shared> {
        self.children.get(key).into_iter().flatten()
    }
}

/// Console sessions, each with the key of the same principal that was last exchanged for a sign-in
/// before the session's first use.
fn console_sessions(lineage: &Lineage) -> Vec<(&Shared, &Shared)> {
    let mut exchanged: HashMap<&str, Vec<(Timestamp, &Shared)>> = HashMap::new();
    for (key, seen) in &lineage.keys {
        if let (Some(at), Some(principal)) = (seen.signed_in, &seen.who.principal_id) {
            exchanged.entry(principal).or_default().push((at, key));
        }
    }
    let sessions = lineage.keys.iter().filter(|(_, seen)| seen.hints.console);
    sessions
        .filter_map(|(key, seen)| {
            let first = seen.total.first?;
            let keys = exchanged.get(seen.who.principal_id.as_deref()?)?;
            let before = keys.iter().filter(|(at, by)| *at <= first && **by != *key);
            let (_, parent) = before.max()?;
            Some((key, *parent))
        })
        .collect()
}

impl Lineage {
    /// Siblings stand in the order in which they were made.
    fn order(&self, key: &str) -> Option<Timestamp> {
        let seen = self.keys.get(key)?;
        seen.issued().or(seen.total.first)
    }
}

impl Seen {
    pub(super) fn issued(&self) -> Option<Timestamp> {
        self.born.as_ref().and_then(|born| born.at).or(self.created)
    }

    /// The instance that it was delivered to.
    pub(super) fn instance(&self) -> Option<&str> {
        let principal = self.who.principal_id.as_deref();
        let used = principal.and_then(|principal| Some(principal.split_once(':')?.1));
        let born = self.born.as_ref().and_then(|born| born.session.as_deref());
        let made = born.and_then(|session| Some(session.rsplit_once('/')?.1));
        used.or(made).filter(|name| is_instance(name))
    }

    fn above(&self, key: &Shared, how: How, links: &Links) -> Above {
        if let Some(link) = links.parents.get(key) {
            let parent = link.parent.clone();
            return if link.is_likely_only {
                Above::LikelyKey(parent)
            } else {
                Above::Key(parent)
            };
        }
        if how == How::Ec2
            && let Some(instance) = self.instance()
        {
            return Above::Instance(instance.into());
        }
        let born = self.born.as_ref().map(|born| &born.parent);
        match (born, how) {
            (Some(Parent::Service(service)), _) => Above::Service(service.clone()),
            (Some(Parent::Provider(provider)), _) => Above::Provider(provider.clone()),
            (Some(Parent::Caller(caller)), _) => Above::Elsewhere(caller.clone()),
            (_, How::LongLived) => match self.who.arn.clone() {
                Some(owner) => Above::Owner(owner),
                None => Above::Missing,
            },
            _ => Above::Missing,
        }
    }
}

impl Node {
    fn new(
        key: &Shared,
        seen: Seen,
        links: &Links,
        depth: usize,
        matched: &BTreeSet<Shared>,
        now: Timestamp,
    ) -> Self {
        let how = seen.how(key);
        let ends = seen.ends(key, how);
        let above = seen.above(key, how, links);
        let issued = seen.issued();
        let mut who = seen.who;
        let born = seen.born;
        let born = born.as_ref();
        who.role = who.role.or_else(|| born?.role.clone());
        who.source_identity = who
            .source_identity
            .or_else(|| born?.source_identity.clone());
        let mut node = Self {
            key: key.clone(),
            is_target: matched.contains(key),
            depth,
            above,
            how,
            session: born.and_then(|born| born.session.clone()),
            issued,
            issued_to: born.and_then(|born| born.from.clone()),
            issued_by_event: born.and_then(|born| born.event.clone()),
            mfa: born.and_then(|born| born.mfa.clone()),
            ends,
            is_live: ends.is_after(now),
            total: seen.total,
            by_service: seen.by_service,
            places: seen.places,
            verdicts: BTreeMap::new(),
            agents: seen.agents,
            services: seen.services,
            who,
        };
        node.places.sort();
        node.agents.sort();
        node.services.sort();
        node
    }

    fn judged(mut self, instance: Option<&str>, homes: Option<&Homes>) -> Self {
        if let (Some(instance), Some(homes)) = (instance, homes) {
            let places = self.places.by_calls().into_iter();
            self.verdicts = places
                .filter_map(|(place, _)| {
                    let verdict = homes.judge(instance, place)?;
                    Some((place.to_string(), verdict))
                })
                .collect();
        }
        self
    }

    /// The key above it, if there is one.
    pub fn parent(&self) -> Option<&Shared> {
        match &self.above {
            Above::Key(parent) | Above::LikelyKey(parent) => Some(parent),
            _ => None,
        }
    }
}

impl Ends {
    /// Whether it may be good at `now`.
    pub fn is_after(self, now: Timestamp) -> bool {
        match self {
            Ends::Never | Ends::Unknown => true,
            Ends::At(at) | Ends::AtTheLatest(at) => at > now,
        }
    }
}

impl Target {
    fn names(&self, key: &str, seen: &Seen) -> bool {
        let born = seen.born.as_ref();
        match self {
            Target::Key(wanted) => *key == **wanted,
            Target::Instance(wanted) => {
                seen.how(key) == How::Ec2 && seen.instance() == Some(wanted)
            }
            Target::Arn(arn) => [
                seen.who.arn.as_deref(),
                seen.who.role.as_deref(),
                born.and_then(|born| born.role.as_deref()),
                born.and_then(|born| born.session.as_deref()),
            ]
            .contains(&Some(arn)),
        }
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let instance = text
            .strip_prefix("arn:")
            .and_then(|_| Some(text.rsplit_once(":instance/")?.1))
            .unwrap_or(text);
        if is_instance(instance) {
            Ok(Target::Instance(instance.to_owned()))
        } else if text.starts_with("arn:") {
            Ok(Target::Arn(text.to_owned()))
        } else if is_key(text) {
            Ok(Target::Key(text.to_owned()))
        } else {
            Err(TargetError(text.to_owned()))
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Target::Key(text) | Target::Instance(text) | Target::Arn(text)) = self;
        f.write_str(text)
    }
}
