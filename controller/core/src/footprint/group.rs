//! Hosts that a pin keeps apart from the other hosts of their VPC.

use std::{collections::BTreeSet, net::Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};
use serde::Serialize;

use super::{Footprint, Host};

/// Hosts of a VPC whose tokens may be used from the same public addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Group {
    /// Its number, which its statement is named by and which it keeps while it lasts; the group that
    /// takes what no other selects has 0.
    pub number: u32,
    /// Prefixes of the primary private addresses that select its tokens; none for the last group.
    pub private: BTreeSet<Ipv4Net>,
    /// Public prefixes that its tokens may be used from.
    pub public: BTreeSet<IpNet>,
}

impl Group {
    fn selects(&self, address: Ipv4Addr) -> bool {
        // The prefixes are disjoint: the one that can hold the address is the last that begins
        // before it.
        let before = ..=Ipv4Net::from(address);
        self.private
            .range(before)
            .next_back()
            .is_some_and(|net| net.contains(&address))
    }
}

impl Footprint {
    /// The group of `host`; none where its VPC is not divided.
    pub fn group_of(&self, host: &Host) -> Option<&Group> {
        let groups = self.groups.get(&host.vpc)?;
        let own = |group: &&Group| host.primary_ipv4.is_some_and(|ip| group.selects(ip));
        groups.iter().find(own).or_else(|| groups.last())
    }

    /// The public prefixes that tokens of `host` may be used from: those of its group, or of its
    /// whole VPC where that is not divided. None where nothing is known of the VPC.
    pub fn public_of(&self, host: &Host) -> Option<&BTreeSet<IpNet>> {
        match self.group_of(host) {
            Some(group) => Some(&group.public),
            None => self.egress.get(&host.vpc),
        }
    }

    /// The same hosts, with no VPC divided.
    #[must_use]
    pub fn undivided(&self) -> Self {
        Self {
            groups: [].into(),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_selects_what_its_prefixes_hold() {
        let group = Group {
            private: ["10.0.1.0/24", "10.0.3.7/32", "10.0.3.9/32"]
                .map(|net| net.parse().unwrap())
                .into(),
            ..Group::default()
        };
        for (address, selected) in [
            ("10.0.0.255", false),
            ("10.0.1.0", true),
            ("10.0.1.255", true),
            ("10.0.2.0", false),
            ("10.0.3.7", true),
            ("10.0.3.8", false),
            ("10.0.3.9", true),
        ] {
            assert_eq!(
                group.selects(address.parse().unwrap()),
                selected,
                "{address}"
            );
        }
    }
}
