//! The inventory as it is shown: a row for each token, and what they come to.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

use credpin_ledger::ImdsVersion;
use jiff::Timestamp;
use serde::Serialize;

use super::{Asker, Pins, Sighting, Token, TokenId, Use};
use crate::settings::Glob;

/// A token, with all that is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// `ASIA…`
    pub access_key_id: String,
    /// Its account; nothing where CloudTrail alone knows it and does not say.
    pub account: Option<String>,
    /// The host's region, if a record says.
    pub region: Option<String>,
    /// The role's name.
    pub role: Option<String>,
    /// The instance that it was delivered to.
    pub instance: Option<String>,
    /// When it was issued.
    pub issued: Option<Timestamp>,
    /// When it expires. Where no record says, the latest that it can last to.
    pub expires: Option<Timestamp>,
    /// Whether it is good now; one of which no record is known may be, and counts as if it were.
    pub live: bool,
    /// Whether its role has a pin in force; nothing where that is not known.
    pub pinned: Option<bool>,
    /// By which versions of IMDS it was handed out, as records and CloudTrail say.
    pub imds_versions: BTreeSet<ImdsVersion>,
    /// Whether a host recorded it. One that did not was issued around the proxy.
    pub recorded: bool,
    /// Who asked for it.
    pub consumers: Vec<Asker>,
    /// Whether more did.
    pub more_consumers: bool,
    /// Its last use in CloudTrail.
    pub last_seen: Option<Use>,
    /// Who else recorded the same key: one of them does not tell the truth.
    pub also_recorded_by: Vec<String>,
}

/// Which tokens are shown.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of roles that one of these fits; of all where there is none.
    pub roles: Vec<Glob>,
    /// Of instances that one of these fits.
    pub instances: Vec<Glob>,
    /// Those that are good now.
    pub live: bool,
    /// Those whose role has no pin in force, or is not known to have one.
    pub unpinned: bool,
    /// Those that were handed out by IMDSv1.
    pub imdsv1: bool,
}

/// What rows come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Tokens.
    pub tokens: usize,
    /// Those that are good now.
    pub live: usize,
    /// Instances that have them.
    pub instances: usize,
    /// Roles that they are of.
    pub roles: usize,
    /// Tokens whose role has no pin in force.
    pub unpinned: usize,
    /// Tokens of whose role that is not known.
    pub pin_unknown: usize,
    /// Tokens that were handed out by IMDSv1.
    pub imdsv1: usize,
    /// Tokens that no host recorded.
    pub unrecorded: usize,
    /// Tokens that several hosts say they have.
    pub contested: usize,
}

/// Every token of records and of CloudTrail, in no order: [`Row::in_order`] has one for people.
pub fn rows(
    tokens: BTreeMap<TokenId, Token>,
    sightings: &BTreeMap<String, Sighting>,
    pins: &Pins,
    now: Timestamp,
) -> impl Iterator<Item = Row> {
    let contested = contested(&tokens);
    let unrecorded: Vec<_> = sightings
        .iter()
        .filter(|(key, _)| !is_recorded(&tokens, key))
        .collect();
    let unrecorded = unrecorded
        .into_iter()
        .map(move |(key, sighting)| Row::seen_only(key, sighting, pins, now));
    let recorded = tokens.into_iter().map(move |(id, token)| {
        let sighting = sightings.get(&id.access_key_id);
        let hosts = contested.get(&id.access_key_id);
        Row::recorded(id, token, sighting, hosts, pins, now)
    });
    recorded.chain(unrecorded)
}

/// The hosts of each key that several say they have.
fn contested(tokens: &BTreeMap<TokenId, Token>) -> BTreeMap<String, BTreeSet<String>> {
    let mut contested = BTreeMap::<String, BTreeSet<String>>::new();
    // In the order of keys, so that those of one are neighbours.
    for (one, next) in tokens.keys().zip(tokens.keys().skip(1)) {
        if one.access_key_id == next.access_key_id && one.instance != next.instance {
            let hosts = contested.entry(one.access_key_id.clone()).or_default();
            hosts.extend([one.instance.clone(), next.instance.clone()]);
        }
    }
    contested
}

fn is_recorded(tokens: &BTreeMap<TokenId, Token>, key: &str) -> bool {
    let first = TokenId {
        access_key_id: key.to_owned(),
        account: String::new(),
        instance: String::new(),
        role: String::new(),
    };
    let next = tokens.range(first..).next();
    next.is_some_and(|(id, _)| id.access_key_id == key)
}

impl Row {
    fn recorded(
        id: TokenId,
        token: Token,
        sighting: Option<&Sighting>,
        hosts: Option<&BTreeSet<String>>,
        pins: &Pins,
        now: Timestamp,
    ) -> Self {
        let ends = token.ends();
        let mut imds_versions: BTreeSet<_> =
            token.consumers.iter().map(|asker| asker.imds).collect();
        imds_versions.extend(sighting.into_iter().flat_map(Sighting::versions));
        let others = hosts.into_iter().flatten();
        let others = others.filter(|host| **host != id.instance).cloned();
        Self {
            pinned: pins.of(&id.account, &id.role),
            also_recorded_by: others.collect(),
            access_key_id: id.access_key_id,
            account: Some(id.account),
            region: Some(token.region),
            role: Some(id.role),
            instance: Some(id.instance),
            issued: Some(token.issued),
            expires: Some(ends),
            live: ends > now,
            imds_versions,
            recorded: true,
            consumers: token.consumers,
            more_consumers: token.more,
            last_seen: sighting.and_then(|sighting| sighting.last.clone()),
        }
    }

    fn seen_only(key: &str, sighting: &Sighting, pins: &Pins, now: Timestamp) -> Self {
        let ends = sighting.ends();
        let role = sighting.account.as_deref().zip(sighting.role.as_deref());
        Self {
            access_key_id: key.to_owned(),
            account: sighting.account.clone(),
            region: None,
            role: sighting.role.clone(),
            instance: sighting.instance.clone(),
            issued: sighting.issued,
            expires: ends,
            live: ends.is_none_or(|ends| ends > now),
            pinned: role.and_then(|(account, role)| pins.of(account, role)),
            imds_versions: sighting.versions().collect(),
            recorded: false,
            consumers: Vec::new(),
            more_consumers: false,
            last_seen: sighting.last.clone(),
            also_recorded_by: Vec::new(),
        }
    }

    /// The order of role, instance and time.
    pub fn in_order(&self, other: &Self) -> Ordering {
        fn order(row: &Row) -> impl Ord + '_ {
            (&row.role, &row.instance, row.issued, &row.access_key_id)
        }
        order(self).cmp(&order(other))
    }
}

impl Sighting {
    fn versions(&self) -> impl Iterator<Item = ImdsVersion> {
        let v1 = self.imds_v1.then_some(ImdsVersion::V1);
        v1.into_iter()
            .chain(self.imds_v2.then_some(ImdsVersion::V2))
    }
}

impl Filter {
    /// Whether a token is shown.
    pub fn shows(&self, row: &Row) -> bool {
        let fits = |patterns: &[Glob], name: &Option<String>| {
            let name = name.as_deref().unwrap_or_default();
            patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(name))
        };
        fits(&self.roles, &row.role)
            && fits(&self.instances, &row.instance)
            && (!self.live || row.live)
            && (!self.unpinned || row.pinned != Some(true))
            && (!self.imdsv1 || row.imds_versions.contains(&ImdsVersion::V1))
    }
}

impl Summary {
    /// What these rows come to.
    pub fn of(rows: &[Row]) -> Self {
        let count = |is: fn(&&Row) -> bool| rows.iter().filter(is).count();
        let distinct = |name: fn(&Row) -> (Option<&str>, Option<&str>)| {
            let names: BTreeSet<_> = rows.iter().map(name).collect();
            names.len()
        };
        Self {
            tokens: rows.len(),
            live: count(|row| row.live),
            instances: distinct(|row| (row.account.as_deref(), row.instance.as_deref())),
            roles: distinct(|row| (row.account.as_deref(), row.role.as_deref())),
            unpinned: count(|row| row.pinned == Some(false)),
            pin_unknown: count(|row| row.pinned.is_none()),
            imdsv1: count(|row| row.imds_versions.contains(&ImdsVersion::V1)),
            unrecorded: count(|row| !row.recorded),
            contested: count(|row| !row.also_recorded_by.is_empty()),
        }
    }
}
