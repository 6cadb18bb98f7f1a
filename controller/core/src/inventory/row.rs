//! The inventory as it is shown: a row for each token, and what they come to.

use std::collections::{BTreeMap, BTreeSet};

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
    pub consumers: BTreeSet<Asker>,
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

/// Every token of records and of CloudTrail, in the order of role, instance and time.
pub fn rows(
    tokens: &BTreeMap<TokenId, Token>,
    sightings: &BTreeMap<String, Sighting>,
    pins: &Pins,
    now: Timestamp,
) -> Vec<Row> {
    let mut claims: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for id in tokens.keys() {
        let claims = claims.entry(&id.access_key_id).or_default();
        claims.push(&id.instance);
    }
    let recorded = tokens.iter().map(|(id, token)| {
        let sighting = sightings.get(&id.access_key_id);
        let claims = &claims[&*id.access_key_id];
        Row::recorded(id, token, sighting, claims, pins, now)
    });
    let seen_only = sightings
        .iter()
        .filter(|(key, _)| !claims.contains_key(key.as_str()))
        .map(|(key, sighting)| Row::seen_only(key, sighting, pins, now));
    let mut rows: Vec<Row> = recorded.chain(seen_only).collect();
    rows.sort_by(|a, b| a.order().cmp(&b.order()));
    rows
}

impl Row {
    fn recorded(
        id: &TokenId,
        token: &Token,
        sighting: Option<&Sighting>,
        claims: &[&str],
        pins: &Pins,
        now: Timestamp,
    ) -> Self {
        let mut imds_versions: BTreeSet<_> =
            token.consumers.iter().map(|asker| asker.imds).collect();
        imds_versions.extend(sighting.into_iter().flat_map(Sighting::versions));
        let mut others: Vec<String> = claims.iter().map(|id| (*id).to_owned()).collect();
        others.retain(|other| *other != id.instance);
        others.dedup();
        Self {
            access_key_id: id.access_key_id.clone(),
            account: Some(id.account.clone()),
            region: Some(token.region.clone()),
            role: Some(id.role.clone()),
            instance: Some(id.instance.clone()),
            issued: Some(token.issued),
            expires: Some(token.ends()),
            live: token.ends() > now,
            pinned: pins.of(&id.account, &id.role),
            imds_versions,
            recorded: true,
            consumers: token.consumers.clone(),
            more_consumers: token.more,
            last_seen: sighting.and_then(|sighting| sighting.last.clone()),
            also_recorded_by: others,
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
            consumers: BTreeSet::new(),
            more_consumers: false,
            last_seen: sighting.last.clone(),
            also_recorded_by: Vec::new(),
        }
    }

    fn order(&self) -> (&Option<String>, &Option<String>, &Option<Timestamp>, &str) {
        (
            &self.role,
            &self.instance,
            &self.issued,
            &self.access_key_id,
        )
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
