//! Where sessions of roles come from that other accounts of the same job have.
//!
//! An account is planned for by itself. What it has to know of the others is this and no more: for each role
//! that instances have, where its sessions are. It is gathered of all accounts first.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::{Chains, HostsOf};
use crate::{
    egress::Unknown,
    estate::Estate,
    footprint::{self, LaunchGap},
    id::{Arn, RoleName, VpcId},
    settings::Settings,
};

/// Roles that instances have, of the accounts that were seen whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Elsewhere {
    /// By their account and name.
    roles: BTreeMap<(String, RoleName), Places>,
    /// VPCs that are there, be there hosts in them or not.
    vpcs: BTreeSet<VpcId>,
}

/// Where sessions of a role come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Places {
    pub(crate) arn: Arn,
    pub(crate) public: BTreeSet<IpNet>,
    pub(crate) vpcs: BTreeSet<VpcId>,
    pub(crate) unknown: BTreeSet<Unknown>,
    pub(crate) launch_gaps: BTreeSet<LaunchGap>,
}

impl Elsewhere {
    /// What one account has for the others. A role that somebody may assume of whom it is not known where he calls
    /// from is left out, and of an account that was not seen whole all are: whom these may assume is held.
    pub fn of(estate: &Estate, settings: &Settings) -> Self {
        if !estate.gaps.is_empty() {
            return Self::default();
        }
        let (footprints, _) = footprint::of_roles(estate, settings, &BTreeMap::new());
        let chains = Chains::new(estate, settings, &footprints);
        let mut hosts = HostsOf::new();
        let mut roles = BTreeMap::new();
        for (name, footprint) in &footprints {
            let role = &estate.roles[name];
            let mut callers = chains.callers(role, &mut hosts);
            if !callers.strangers.is_empty() || !callers.absent.is_empty() {
                continue;
            }
            callers.add(name, footprint, [].into());
            let places = Places {
                arn: role.arn.clone(),
                public: callers.public,
                vpcs: callers.vpcs,
                unknown: callers.unknown,
                launch_gaps: callers.launch_gaps,
            };
            roles.insert((role.arn.account().to_owned(), name.clone()), places);
        }
        let regions = estate.regions.values();
        let subnets = regions.flat_map(|region| region.subnets.values());
        Self {
            roles,
            vpcs: subnets.map(|subnet| subnet.vpc.clone()).collect(),
        }
    }

    /// Takes in what another account has.
    pub fn merge(&mut self, other: Self) {
        self.roles.extend(other.roles);
        self.vpcs.extend(other.vpcs);
    }

    /// Of the role that a trust policy calls `principal`, if it is one of these.
    pub(crate) fn places(&self, principal: &str) -> Option<&Places> {
        let arn: Arn = principal.parse().ok()?;
        let name = super::role_of(&arn)?;
        let places = self.roles.get(&(arn.account().to_owned(), name))?;
        // A role's name is one in its account, and its path has to be right all the same.
        let is_session = arn.resource().starts_with("assumed-role/");
        (is_session || places.arn == arn).then_some(places)
    }

    /// Whether a VPC is there.
    pub(crate) fn has_vpc(&self, vpc: &str) -> bool {
        self.vpcs.iter().any(|known| known.as_str() == vpc)
    }
}
