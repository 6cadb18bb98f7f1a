//! Where the tokens of a role may be used from: its hosts, each with the positions that AWS can see
//! it at, by VPC, and how the hosts of a VPC can be told apart.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use rayon::prelude::*;
use serde::Serialize;

use crate::{
    egress::{self, Answer, Egress, Reason, Unknown, Ways},
    estate::{Estate, Instance, InstanceState, Interface, Role},
    hashed::HashMap,
    id::{Arn, NatId, RegionName, RoleName, SubnetId, VpcId},
    settings::Settings,
};

mod cell;
mod group;
mod host;
mod region;
mod shared_set;

pub use cell::Cell;
pub use group::Group;
pub use host::Host;
pub use shared_set::SharedSet;

use host::{ipv6_of, more_private_ipv4_of};
use region::{EgressOf, OfRegion, OfSubnet};

/// Where tokens of a role may be used from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Footprint {
    /// The role.
    #[serde(skip)]
    pub role: Option<Arn>,
    /// Its live instances.
    pub hosts: Vec<Host>,
    /// By VPC: the public prefixes that its hosts leave from, or would from another subnet of it.
    pub egress: BTreeMap<VpcId, BTreeSet<IpNet>>,
    /// Subnets that hosts of the role may be launched in.
    #[serde(skip)]
    pub launches: Vec<Launch>,
    /// By VPC: what can be told of a token by the private address of its host.
    #[serde(skip)]
    pub cells: BTreeMap<VpcId, Vec<Cell>>,
    /// By VPC: hosts that are kept apart from each other, where the plan does that; see
    /// [`crate::pin::fit()`]. The last group of a VPC takes what no other selects.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<VpcId, Vec<Group>>,
    /// Private IPv4 positions that are no host's primary address.
    pub more_private_ipv4: BTreeSet<Ipv4Net>,
    /// IPv6 positions at endpoints.
    pub private_ipv6: BTreeSet<Ipv6Net>,
    /// What could not be told about subnets that its hosts are in.
    pub unknown: BTreeSet<Unknown>,
    /// Why a host launched now would be denied until the next run.
    pub launch_gaps: BTreeSet<LaunchGap>,
}

/// A subnet of a VPC that the role has hosts in, and what a host there leaves by at the least.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// Its id.
    pub subnet: SubnetId,
    /// Its region.
    pub region: RegionName,
    /// Its VPC.
    pub vpc: VpcId,
    /// Its IPv4 prefix.
    pub ipv4: Option<Ipv4Net>,
    /// What every host in it leaves by, whatever addresses it has.
    pub public: BTreeSet<IpNet>,
    /// Where else at endpoints a host may be: the subnet's prefixes, where lists have those.
    pub private: BTreeSet<IpNet>,
}

/// A way for a host to start at a position that its role's pin does not know yet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LaunchGap {
    /// A new host there leaves by a public IPv4 address of its own.
    OwnPublicIpv4(SubnetId),
    /// A new host there has an IPv6 address of its own.
    OwnIpv6(SubnetId),
    /// Hosts there have several private addresses, which are listed one by one.
    SeveralAddresses(SubnetId),
    /// The gateway takes further addresses as it grows.
    GrowingNat(NatId),
    /// No host is there yet, and where it would leave cannot be told.
    UnknownEgress(Unknown),
}

/// The footprint of every role that has a live instance, and the hosts that have no role. `kept` are
/// VPCs that a role's pin in force has a group for: one whose last host is gone stays in while it is
/// there, so that hosts that come back (a nightly shutdown, an auto scaling group at zero) are not shut
/// out.
pub fn of_roles(
    estate: &Estate,
    settings: &Settings,
    kept: &BTreeMap<&RoleName, BTreeSet<VpcId>>,
) -> (BTreeMap<RoleName, Footprint>, Vec<Host>) {
    // By their numbers, which are quicker to find them by than their names.
    let roles: Vec<&Role> = estate.roles.values().collect();
    let numbered = roles.iter().enumerate();
    let by_profile: HashMap<&Arn, usize> = numbered
        .flat_map(|(number, role)| role.profiles.iter().map(move |profile| (profile, number)))
        .collect();
    let regions: Vec<OfRegion<'_>> = estate
        .regions
        .par_iter()
        .map(|(name, region)| OfRegion::new(name, region, settings, &by_profile, roles.len()))
        .collect();
    let with_hosts = roles.into_par_iter().enumerate();
    let has_hosts = |of: &OfRegion<'_>, role: usize| !of.by_role[role].is_empty();
    let with_hosts = with_hosts.filter(|(role, _)| regions.iter().any(|of| has_hosts(of, *role)));
    let footprints = with_hosts.map(|(number, role)| {
        let name = &role.name;
        let mut footprint = Footprint {
            role: Some(role.arn.clone()),
            ..Footprint::default()
        };
        for of in regions.iter().filter(|of| has_hosts(of, number)) {
            footprint.add_instances(of.name, &of.by_role[number], &of.egress, settings);
        }
        if let Some(vpcs) = kept.get(name) {
            for of in &regions {
                footprint.keep(vpcs, &of.egress);
            }
        }
        (name.clone(), footprint)
    });
    let footprints = footprints.collect();
    let others = regions.into_iter().flat_map(|of| of.others).collect();
    (footprints, others)
}

/// A subnet, and what a host that is launched there leaves by.
#[derive(Clone, Debug)]
pub struct Place {
    /// As for a role with hosts in its VPC; `private` has all that lists would have in place of
    /// addresses.
    pub launch: Launch,
    /// A host with public IPv4 addresses of its own leaves by them, and no list knows them.
    pub own_v4: bool,
    /// A host with IPv6 addresses leaves by them.
    pub own_v6: bool,
}

/// Every subnet, by its VPC, whose hosts leave where its routes tell.
pub fn places(estate: &Estate, settings: &Settings) -> BTreeMap<VpcId, Vec<Place>> {
    let mut places: BTreeMap<VpcId, Vec<Place>> = BTreeMap::new();
    for (name, region) in &estate.regions {
        let ways = Ways::new(region);
        for subnet in region.subnets.values() {
            let egress = ways.of_subnet(&subnet.id, settings);
            if !egress.unknown.is_empty() || !egress.growing.is_empty() {
                continue;
            }
            let place = Place {
                launch: Launch {
                    subnet: subnet.id.clone(),
                    region: name.clone(),
                    vpc: subnet.vpc.clone(),
                    ipv4: subnet.ipv4,
                    public: egress.shared,
                    private: egress.listed_whole,
                },
                own_v4: egress.own_v4 && !egress.stated,
                own_v6: egress.own_v6,
            };
            places.entry(subnet.vpc.clone()).or_default().push(place);
        }
    }
    places
}

/// Every live instance of the account as a host, whether or not it has a role.
pub fn hosts(estate: &Estate, settings: &Settings) -> Vec<Host> {
    estate
        .regions
        .iter()
        .flat_map(|(name, region)| {
            let egress = EgressOf::new(region, settings);
            region
                .instances
                .values()
                .map(move |instance| Host::new(name, instance, &egress))
        })
        .collect()
}

/// Hosts of a role in a subnet, by their place among the role's in the region.
#[derive(Default)]
struct Home {
    hosts: Vec<usize>,
    /// What its common hosts have was taken in.
    is_listed: bool,
}

impl Footprint {
    /// Takes in hosts, all those of the role in a region.
    fn add_instances(
        &mut self,
        region: &RegionName,
        instances: &[&Instance],
        egress: &EgressOf<'_>,
        settings: &Settings,
    ) {
        let mut homes: HashMap<(&VpcId, &SubnetId), (&OfSubnet, Home)> = HashMap::default();
        let mut arms: BTreeSet<(&VpcId, &SubnetId)> = BTreeSet::new();
        self.hosts.reserve(instances.len());
        for (place, instance) in instances.iter().enumerate() {
            let (of, home) = homes
                .entry((&instance.vpc, &instance.subnet))
                .or_insert_with(|| (egress.of_subnet(&instance.subnet), Home::default()));
            home.hosts.push(place);
            if !of.is_common(instance) {
                self.add_special_host(region, instance, egress, settings);
                arms.extend(instance.interfaces.iter().map(|i| (&i.vpc, &i.subnet)));
                continue;
            }
            let host = Host::common(region, instance, of);
            debug_assert_eq!(host, Host::special(region, instance, egress));
            self.hosts.push(host);
            if !std::mem::replace(&mut home.is_listed, true) {
                let listed = of.shared.iter().map(|net| of.egress.listed(*net));
                let of_vpc = self.egress.entry(instance.vpc.clone()).or_default();
                of_vpc.extend(listed);
                self.more_private_ipv4.extend(of.nat_private.iter());
            }
        }
        let places = homes.keys().copied().chain(arms).collect();
        self.add_places(region, &places, egress);
        let homes = homes.into_iter();
        let homes = homes.map(|(at, (_, home))| (at, home.hosts)).collect();
        self.add_cells(instances, homes, egress);
    }

    fn add_special_host(
        &mut self,
        region: &RegionName,
        instance: &Instance,
        egress: &EgressOf<'_>,
        settings: &Settings,
    ) {
        let host = Host::special(region, instance, egress);
        self.unknown.extend(unknown_of(instance, settings));
        self.egress
            .entry(host.vpc.clone())
            .or_default()
            .extend(egress.listed(&host, instance));
        for interface in &instance.interfaces {
            let own = egress.of(&interface.subnet);
            let subnet = || interface.subnet.clone();
            self.list_private(interface, instance, own);
            // A stopped host with an address of EC2's pool shows none, and starts with another.
            let has_public = egress::public_ipv4(interface).next().is_some();
            let may_get_one = matches!(
                instance.state,
                InstanceState::Pending | InstanceState::Stopping | InstanceState::Stopped
            );
            if own.own_v4 && !own.stated && (has_public || may_get_one) {
                self.launch_gaps.insert(LaunchGap::OwnPublicIpv4(subnet()));
            }
            let by_itself = |net: IpNet| own.listed(net) == net;
            if ipv6_of(interface).map(IpNet::V6).any(by_itself) {
                self.launch_gaps.insert(LaunchGap::OwnIpv6(subnet()));
            }
            let mut more = more_private_ipv4_of(interface, instance).map(IpNet::V4);
            if more.any(by_itself) {
                let subnet = instance.subnet.clone();
                self.launch_gaps.insert(LaunchGap::SeveralAddresses(subnet));
            }
        }
        self.hosts.push(host);
    }

    /// Takes in where an interface can be seen at endpoints.
    fn list_private(&mut self, interface: &Interface, instance: &Instance, own: &Egress) {
        let translators = own.nat_private.iter().copied().map(Ipv4Net::from);
        self.more_private_ipv4.extend(translators);
        let more = more_private_ipv4_of(interface, instance).map(IpNet::V4);
        for net in more.chain(ipv6_of(interface).map(IpNet::V6)) {
            match own.listed(net) {
                IpNet::V4(net) => drop(self.more_private_ipv4.insert(net)),
                IpNet::V6(net) => drop(self.private_ipv6.insert(net)),
            }
        }
    }

    /// Takes in the IPv6 prefixes that lists have in place of addresses in a subnet.
    fn list_whole(&mut self, egress: &Egress) {
        let whole = egress.listed_whole.iter();
        self.private_ipv6.extend(whole.filter_map(|net| match net {
            IpNet::V4(_) => None,
            IpNet::V6(net) => Some(*net),
        }));
    }

    /// Takes in where hosts of `vpcs` would leave.
    fn keep(&mut self, vpcs: &BTreeSet<VpcId>, of: &EgressOf<'_>) {
        for subnet in vpcs.iter().flat_map(|vpc| of.subnets_of(vpc)) {
            let egress = of.of(&subnet.id);
            self.list_whole(egress);
            self.egress
                .entry(subnet.vpc.clone())
                .or_default()
                .extend(egress.common());
        }
    }

    /// Takes in every subnet of the VPCs that the role's hosts are in: those `occupied` decide what
    /// is unknown, the others what a launch there would meet.
    fn add_places(
        &mut self,
        region: &RegionName,
        occupied: &BTreeSet<(&VpcId, &SubnetId)>,
        of: &EgressOf<'_>,
    ) {
        for (_, subnet) in occupied {
            self.unknown.extend(of.unknown(subnet));
        }
        let vpcs: BTreeSet<&VpcId> = occupied.iter().map(|(vpc, _)| *vpc).collect();
        for subnet in vpcs.into_iter().flat_map(|vpc| of.subnets_of(vpc)) {
            let egress = of.of(&subnet.id);
            self.list_whole(egress);
            let whole = egress.listed_whole.iter().copied();
            let is_listed = |net: &IpNet| match net {
                IpNet::V4(net) => self.more_private_ipv4.contains(net),
                IpNet::V6(_) => true,
            };
            let private = whole.filter(is_listed).collect();
            self.launches.push(Launch {
                subnet: subnet.id.clone(),
                region: region.clone(),
                vpc: subnet.vpc.clone(),
                ipv4: subnet.ipv4,
                public: egress.common(),
                private,
            });
            self.egress
                .entry(subnet.vpc.clone())
                .or_default()
                .extend(egress.common());
            self.launch_gaps
                .extend(egress.growing.iter().cloned().map(LaunchGap::GrowingNat));
            if egress.own_v4 && subnet.maps_public_ipv4 && !egress.stated {
                self.launch_gaps
                    .insert(LaunchGap::OwnPublicIpv4(subnet.id.clone()));
            }
            let by_address = egress
                .listed_whole
                .iter()
                .all(|net| matches!(net, IpNet::V4(_)));
            if subnet.assigns_ipv6 && by_address {
                self.launch_gaps
                    .insert(LaunchGap::OwnIpv6(subnet.id.clone()));
            }
            if !occupied.contains(&(&subnet.vpc, &subnet.id)) {
                self.launch_gaps
                    .extend(egress.unknown.iter().cloned().map(LaunchGap::UnknownEgress));
            }
        }
    }
}

/// What an instance itself leaves unknown, whatever its subnets' routes say.
fn unknown_of(instance: &Instance, settings: &Settings) -> Vec<Unknown> {
    let mut unknown = Vec::new();
    let mut add = |subnet: &SubnetId, reason, answer| {
        unknown.push(Unknown {
            subnet: subnet.clone(),
            reason,
            answer,
        });
    };
    let mut addresses = instance
        .interfaces
        .iter()
        .flat_map(|i| i.ipv4.iter().map(|pair| pair.private));
    let primary_is_shown = instance
        .primary_ipv4
        .is_none_or(|primary| addresses.any(|a| a == primary));
    let gone = instance.state == InstanceState::ShuttingDown;
    if !gone && (instance.interfaces.is_empty() || !primary_is_shown) {
        add(
            &instance.subnet,
            Reason::NoInterface(instance.id.clone()),
            Answer::LookAgain,
        );
    }
    for interface in &instance.interfaces {
        let is_hub = settings
            .hub_vpcs
            .iter()
            .flatten()
            .any(|hub| *hub == interface.vpc);
        if interface.vpc != instance.vpc && !is_hub {
            let reason = Reason::OtherVpc(instance.id.clone(), interface.vpc.clone());
            add(&interface.subnet, reason, Answer::HubVpcs);
        }
    }
    unknown
}

impl fmt::Display for LaunchGap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LaunchGap::OwnPublicIpv4(subnet) => {
                write!(
                    f,
                    "a host launched in {subnet} leaves by a public address of its own"
                )
            }
            LaunchGap::OwnIpv6(subnet) => {
                write!(
                    f,
                    "a host launched in {subnet} has an IPv6 address of its own"
                )
            }
            LaunchGap::SeveralAddresses(subnet) => {
                write!(
                    f,
                    "hosts in {subnet} have several private addresses, listed one by one"
                )
            }
            LaunchGap::GrowingNat(nat) => {
                write!(
                    f,
                    "{nat} is regional and takes further addresses as it grows"
                )
            }
            LaunchGap::UnknownEgress(unknown) => unknown.fmt(f),
        }
    }
}
