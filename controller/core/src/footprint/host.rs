//! A live instance, with where its calls can come from.

use std::{collections::BTreeSet, net::Ipv4Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use super::{
    SharedSet,
    region::{EgressOf, OfSubnet},
};
use crate::{
    egress,
    estate::{Instance, Interface},
    id::{InstanceId, RegionName, VpcId},
};

/// A live instance, with every position that its calls can come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// The instance.
    pub instance: InstanceId,
    /// Its region.
    pub region: RegionName,
    /// `aws:Ec2InstanceSourceVpc` of its credentials.
    pub vpc: VpcId,
    /// `aws:Ec2InstanceSourcePrivateIPv4` of its credentials.
    pub primary_ipv4: Option<Ipv4Addr>,
    /// Public prefixes it leaves from (`aws:SourceIp`), of both families.
    pub public: SharedSet<IpNet>,
    /// Its private IPv4 positions at endpoints but for the primary address (`aws:VpcSourceIp`).
    pub more_private_ipv4: SharedSet<Ipv4Net>,
    /// Its IPv6 positions at endpoints (`aws:VpcSourceIp`).
    pub private_ipv6: BTreeSet<Ipv6Net>,
}

impl Host {
    /// Its private positions at endpoints, of both families.
    pub fn private(&self) -> impl Iterator<Item = IpNet> {
        let primary = self.primary_ipv4.map(Ipv4Net::from);
        let v4 = primary
            .into_iter()
            .chain(self.more_private_ipv4.iter().copied());
        v4.map(IpNet::V4)
            .chain(self.private_ipv6.iter().copied().map(IpNet::V6))
    }

    pub(super) fn new(region: &RegionName, instance: &Instance, egress: &EgressOf<'_>) -> Self {
        let home = egress.of_subnet(&instance.subnet);
        if home.is_common(instance) {
            Self::common(region, instance, home)
        } else {
            Self::special(region, instance, egress)
        }
    }

    /// One that [`OfSubnet::is_common`].
    pub(super) fn common(region: &RegionName, instance: &Instance, home: &OfSubnet) -> Self {
        Self {
            instance: instance.id.clone(),
            region: region.clone(),
            vpc: instance.vpc.clone(),
            primary_ipv4: instance.primary_ipv4,
            public: home.shared.clone(),
            more_private_ipv4: home.nat_private.clone(),
            private_ipv6: BTreeSet::new(),
        }
    }

    pub(super) fn special(region: &RegionName, instance: &Instance, egress: &EgressOf<'_>) -> Self {
        let mut public = BTreeSet::new();
        let mut more_private_ipv4 = BTreeSet::new();
        let mut private_ipv6 = BTreeSet::new();
        for interface in &instance.interfaces {
            let egress = egress.of(&interface.subnet);
            public.extend(&egress.shared);
            if egress.own_v4 {
                let own = egress::public_ipv4(interface);
                public.extend(own.map(|address| IpNet::V4(address.into())));
            }
            if egress.own_v6 {
                public.extend(ipv6_of(interface).map(IpNet::V6));
            }
            let translators = egress.nat_private.iter().copied().map(Ipv4Net::from);
            let own = more_private_ipv4_of(interface, instance);
            more_private_ipv4.extend(own.chain(translators));
            private_ipv6.extend(ipv6_of(interface));
        }
        Self {
            instance: instance.id.clone(),
            region: region.clone(),
            vpc: instance.vpc.clone(),
            primary_ipv4: instance.primary_ipv4,
            public: public.into(),
            more_private_ipv4: more_private_ipv4.into(),
            private_ipv6,
        }
    }
}

/// IPv6 addresses of an interface, and prefixes delegated to it.
pub(super) fn ipv6_of(interface: &Interface) -> impl Iterator<Item = Ipv6Net> {
    let addresses = interface.ipv6.iter().copied().map(Ipv6Net::from);
    addresses.chain(interface.ipv6_prefixes.iter().copied())
}

/// Private IPv4 addresses of an interface and prefixes delegated to it, but for the address that the
/// credentials of `instance` name.
pub(super) fn more_private_ipv4_of(
    interface: &Interface,
    instance: &Instance,
) -> impl Iterator<Item = Ipv4Net> {
    let addresses = interface.ipv4.iter().map(|pair| pair.private);
    addresses
        .filter(|address| Some(*address) != instance.primary_ipv4)
        .map(Ipv4Net::from)
        .chain(interface.ipv4_prefixes.iter().copied())
}
