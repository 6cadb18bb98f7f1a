//! What is worked out once for all instances of a region.

use std::collections::BTreeSet;

use ipnet::{IpNet, Ipv4Net};
use rayon::prelude::*;

use super::{Host, SharedSet, host::ipv6_of};
use crate::{
    egress::{Egress, Unknown, Ways},
    estate::{Instance, Region, Subnet},
    hashed::HashMap,
    id::{Arn, RegionName, SubnetId, VpcId},
    settings::Settings,
};

/// A region, with its instances sorted.
pub(super) struct OfRegion<'a> {
    pub(super) name: &'a RegionName,
    pub(super) egress: EgressOf<'a>,
    /// By the number of the role that they have.
    pub(super) by_role: Vec<Vec<&'a Instance>>,
    /// Those that have none.
    pub(super) others: Vec<Host>,
}

impl<'a> OfRegion<'a> {
    pub(super) fn new(
        name: &'a RegionName,
        region: &'a Region,
        settings: &Settings,
        by_profile: &HashMap<&Arn, usize>,
        roles: usize,
    ) -> Self {
        let egress = EgressOf::new(region, settings);
        let role_of = |instance: &Instance| by_profile.get(instance.profile.as_ref()?).copied();
        let instances = region.instances.par_iter();
        let found: Vec<_> = instances.map(|(_, it)| (it, role_of(it))).collect();
        let mut by_role = vec![Vec::new(); roles];
        let mut others = Vec::new();
        for (instance, role) in found {
            match role {
                Some(role) => by_role[role].push(instance),
                None => others.push(instance),
            }
        }
        let others = others.into_par_iter();
        let others = others.map(|instance| Host::new(name, instance, &egress));
        Self {
            name,
            by_role,
            others: others.collect(),
            egress,
        }
    }
}

/// The egress of every subnet of a region, each worked out once.
pub(super) struct EgressOf<'a> {
    subnets: HashMap<&'a SubnetId, OfSubnet>,
    by_vpc: HashMap<&'a VpcId, Vec<&'a Subnet>>,
    /// Of a subnet that the region did not show.
    nowhere: OfSubnet,
}

/// What hosts of a subnet have in common.
pub(super) struct OfSubnet {
    pub(super) egress: Egress,
    /// What they leave by, for all of them.
    pub(super) shared: SharedSet<IpNet>,
    /// Where else at endpoints they can be seen.
    pub(super) nat_private: SharedSet<Ipv4Net>,
}

impl<'a> EgressOf<'a> {
    pub(super) fn new(region: &'a Region, settings: &Settings) -> Self {
        let ways = Ways::new(region);
        let subnets = region.subnets.par_iter();
        let subnets = subnets.map(|(id, _)| (id, OfSubnet::of(ways.of_subnet(id, settings))));
        let subnets: Vec<(&SubnetId, OfSubnet)> = subnets.collect();
        let mut by_vpc: HashMap<&VpcId, Vec<&Subnet>> = HashMap::default();
        for subnet in region.subnets.values() {
            by_vpc.entry(&subnet.vpc).or_default().push(subnet);
        }
        Self {
            subnets: subnets.into_iter().collect(),
            by_vpc,
            nowhere: OfSubnet::of(Egress::default()),
        }
    }

    /// The subnets of a VPC, in the order of their ids.
    pub(super) fn subnets_of(&self, vpc: &VpcId) -> impl Iterator<Item = &'a Subnet> {
        self.by_vpc.get(vpc).into_iter().flatten().copied()
    }

    pub(super) fn of(&self, subnet: &SubnetId) -> &Egress {
        &self.of_subnet(subnet).egress
    }

    pub(super) fn of_subnet(&self, subnet: &SubnetId) -> &OfSubnet {
        self.subnets.get(subnet).unwrap_or(&self.nowhere)
    }

    /// What cannot be told about a subnet that hosts are in: one that an instance names and the region
    /// did not show is unknown, and not empty.
    pub(super) fn unknown(&self, subnet: &SubnetId) -> BTreeSet<Unknown> {
        match self.subnets.get(subnet) {
            Some(known) => known.egress.unknown.clone(),
            None => [Unknown::not_seen(subnet)].into(),
        }
    }

    /// What lists have for the ways out of a host.
    pub(super) fn listed(&self, host: &Host, instance: &Instance) -> impl Iterator<Item = IpNet> {
        let arms = instance.interfaces.iter().map(|arm| self.of(&arm.subnet));
        host.public.iter().map(move |net| {
            let mut listed = arms.clone().map(|arm| arm.listed(*net));
            listed.find(|whole| whole != net).unwrap_or(*net)
        })
    }
}

impl OfSubnet {
    fn of(egress: Egress) -> Self {
        let translators = egress.nat_private.iter().copied();
        Self {
            shared: egress.shared.clone().into(),
            nat_private: translators.map(Ipv4Net::from).collect(),
            egress,
        }
    }

    /// Whether all that tells `instance`, which is in the subnet, from other hosts of it is its primary
    /// private address. Of a million hosts nearly all are so, and what follows is told once for all of them.
    pub(super) fn is_common(&self, instance: &Instance) -> bool {
        let ([arm], Some(primary)) = (instance.interfaces.as_slice(), instance.primary_ipv4) else {
            return false;
        };
        let [address] = arm.ipv4.as_slice() else {
            return false;
        };
        address.private == primary
            && arm.subnet == instance.subnet
            && arm.vpc == instance.vpc
            && arm.ipv4_prefixes.is_empty()
            && ipv6_of(arm).next().is_none()
            && !self.egress.own_v4
    }
}
