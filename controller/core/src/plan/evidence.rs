//! What records tell. It informs and decides nothing (invariant 3).

use std::collections::{BTreeMap, BTreeSet, HashSet};

use credpin_ledger::Record;
use jiff::Timestamp;

use super::{Coverage, RolePlan};
use crate::{
    estate::Estate,
    id::{InstanceId, RoleName},
};

/// Records, sorted by role.
pub(super) struct Evidence<'a> {
    by_role: BTreeMap<&'a str, Seen<'a>>,
    /// Roles and instances of tokens that have not expired.
    live: BTreeSet<(&'a str, &'a str)>,
}

#[derive(Default)]
struct Seen<'a> {
    hosts: BTreeSet<&'a str>,
    live_tokens: BTreeSet<&'a str>,
}

impl<'a> Evidence<'a> {
    pub(super) fn new(records: &'a [Record], now: Timestamp) -> Self {
        let mut by_role: BTreeMap<&str, Seen<'_>> = BTreeMap::new();
        let mut live = BTreeSet::new();
        for record in records {
            let (role, instance) = (record.role.as_str(), record.host.instance_id.as_str());
            let seen = by_role.entry(role).or_default();
            seen.hosts.insert(instance);
            if record.expires > now {
                seen.live_tokens.insert(&record.access_key_id);
                live.insert((role, instance));
            }
        }
        Self { by_role, live }
    }

    pub(super) fn of(&self, role: &RoleName) -> Coverage {
        self.by_role
            .get(role.as_str())
            .map_or_else(Coverage::default, |seen| Coverage {
                recorded_hosts: seen.hosts.len(),
                live_tokens: seen.live_tokens.len(),
            })
    }

    /// Live tokens on record where EC2 knows of none: a forged record, a region that was not looked
    /// at, or an instance whose profile was swapped under way.
    pub(super) fn contradictions(
        &self,
        estate: &Estate,
        roles: &[RolePlan],
    ) -> impl Iterator<Item = String> {
        // Most runs have records of some hosts: those are looked for, and not all.
        let of_record: HashSet<&str> = self.live.iter().map(|(_, instance)| *instance).collect();
        let is_of_record = |instance: &InstanceId| of_record.contains(instance.as_str());
        let instances = estate.instances().map(|(_, instance)| &instance.id);
        let known: BTreeSet<&str> = instances
            .filter(|id| !of_record.is_empty() && is_of_record(id))
            .map(InstanceId::as_str)
            .collect();
        let of_roles: BTreeSet<(&str, &str)> = roles
            .iter()
            .filter(|_| !of_record.is_empty())
            .flat_map(|role| {
                let hosts = role.footprint.hosts.iter();
                let hosts = hosts.filter(|host| is_of_record(&host.instance));
                hosts.map(|host| (role.role.as_str(), host.instance.as_str()))
            })
            .collect();
        self.live
            .iter()
            .filter(move |token| !of_roles.contains(*token))
            .map(move |(role, instance)| {
                if known.contains(instance) {
                    format!(
                        "{instance} has live tokens of {role} on record, and has another role now"
                    )
                } else {
                    format!(
                        "{instance} has live tokens of {role} on record, and EC2 does not show it"
                    )
                }
            })
    }
}
