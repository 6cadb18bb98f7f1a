//! All hosts of an account by where they can be seen, found by prefix.

use std::collections::{BTreeSet, HashMap};

use ipnet::IpNet;

use crate::{
    egress,
    estate::Estate,
    footprint::Host,
    id::{InstanceId, RegionName, VpcId},
};

/// All hosts of an account by where they leave from.
#[derive(Debug, Default)]
pub struct Hosts<'a> {
    pub(super) all: Vec<&'a Host>,
    /// By public position.
    public: Index,
    /// By private position.
    private: Index,
    by_vpc: HashMap<&'a VpcId, Vec<usize>>,
    by_id: HashMap<(&'a RegionName, &'a InstanceId), usize>,
    /// Public prefixes that are the account's own: joined, disjoint, in order.
    pub(super) ours: Vec<IpNet>,
}

/// Hosts by prefix, of either family.
#[derive(Debug, Default)]
struct Index {
    /// By first address, for what lies within a prefix.
    sorted: Vec<(IpNet, usize)>,
    /// Those of more than one address, for what a prefix lies within.
    wide: HashMap<IpNet, Vec<usize>>,
}

impl<'a> Hosts<'a> {
    /// An index of `hosts`, all of `estate`.
    pub fn new(estate: &Estate, hosts: impl IntoIterator<Item = &'a Host>) -> Self {
        let mut index = Self::default();
        let mut ours: Vec<IpNet> = public_addresses(estate).collect();
        let (mut public, mut private) = (Vec::new(), Vec::new());
        for host in hosts {
            let number = index.all.len();
            index.all.push(host);
            index.by_vpc.entry(&host.vpc).or_default().push(number);
            index.by_id.insert((&host.region, &host.instance), number);
            ours.extend(&host.public);
            public.extend(host.public.iter().map(|net| (*net, number)));
            private.extend(host.private().map(|net| (net, number)));
        }
        index.public = Index::new(public);
        index.private = Index::new(private);
        ours.sort_unstable();
        ours.dedup();
        index.ours = IpNet::aggregate(&ours);
        index.ours.sort_unstable();
        index
    }

    /// Hosts that leave from an address in `net`.
    pub fn leaving_from(&self, net: &IpNet) -> impl Iterator<Item = usize> + use<'_, 'a> {
        self.public.overlapping(net)
    }

    /// Hosts with a private address in `net`, in whatever VPC.
    pub(super) fn inside(&self, net: &IpNet) -> impl Iterator<Item = usize> + use<'_, 'a> {
        self.private.overlapping(net)
    }

    /// The number of a host.
    pub(super) fn number_of(&self, host: &Host) -> Option<usize> {
        self.by_id.get(&(&host.region, &host.instance)).copied()
    }

    /// Hosts of a VPC.
    pub(super) fn of_vpc(&self, vpc: &VpcId) -> impl Iterator<Item = usize> {
        self.by_vpc.get(vpc).into_iter().flatten().copied()
    }

    /// How many IPv4 addresses and IPv6 /64s `admitted` covers that are not the account's own.
    pub(super) fn beyond(&self, admitted: &[IpNet]) -> (u64, u64) {
        let admitted = IpNet::aggregate(&admitted.to_vec());
        let shared = admitted
            .iter()
            .flat_map(|net| within(&self.ours, net).map(move |own| narrower(net, own)));
        let (all, shared) = (count(admitted.iter()), count(shared));
        (all.0 - shared.0, all.1.saturating_sub(shared.1))
    }
}

impl Index {
    fn new(mut entries: Vec<(IpNet, usize)>) -> Self {
        entries.sort_unstable();
        let mut wide: HashMap<IpNet, Vec<usize>> = HashMap::new();
        for (net, number) in &entries {
            if net.prefix_len() < net.max_prefix_len() {
                wide.entry(*net).or_default().push(*number);
            }
        }
        Self {
            sorted: entries,
            wide,
        }
    }

    /// Prefixes nest or are disjoint, so what overlaps `net` begins within it or is an ancestor.
    fn overlapping(&self, net: &IpNet) -> impl Iterator<Item = usize> + use<'_> {
        let (first, last) = (net.network(), net.broadcast());
        let from = self.sorted.partition_point(|(it, _)| it.network() < first);
        let within = self.sorted[from..]
            .iter()
            .take_while(move |(it, _)| it.network() <= last)
            .map(|(_, number)| *number);
        let above = std::iter::successors(net.supernet(), IpNet::supernet)
            .take_while(|_| !self.wide.is_empty())
            .filter_map(|ancestor| self.wide.get(&ancestor))
            .flatten()
            .copied();
        within.chain(above)
    }
}

/// Public addresses that are the account's, in use for egress or not: IPv6 by whole subnets.
fn public_addresses(estate: &Estate) -> impl Iterator<Item = IpNet> {
    estate.regions.values().flat_map(|region| {
        let nats = region
            .nat_gateways
            .values()
            .flat_map(|nat| nat.public_ipv4.iter().copied());
        let interfaces = region.interfaces.values().flat_map(egress::public_ipv4);
        let ipv6 = region.subnets.values().flat_map(|subnet| &subnet.ipv6);
        nats.chain(interfaces)
            .map(|address| IpNet::V4(address.into()))
            .chain(ipv6.copied().map(IpNet::V6))
    })
}

/// Those of `nets`, disjoint and in order, that overlap `net`.
fn within<'n>(nets: &'n [IpNet], net: &IpNet) -> impl Iterator<Item = &'n IpNet> {
    let (first, last) = (net.network(), net.broadcast());
    let from = nets.partition_point(|it| it.broadcast() < first);
    nets[from..]
        .iter()
        .take_while(move |it| it.network() <= last)
}

/// Prefixes nest or are disjoint.
pub(super) fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}

/// The part of two prefixes that is in both; none where they are disjoint.
pub(super) fn common(a: &IpNet, b: &IpNet) -> Option<IpNet> {
    overlap(a, b).then(|| *narrower(a, b))
}

fn narrower<'n>(a: &'n IpNet, b: &'n IpNet) -> &'n IpNet {
    if a.prefix_len() > b.prefix_len() {
        a
    } else {
        b
    }
}

/// How many IPv4 addresses and IPv6 /64s disjoint prefixes cover. Prefixes within one /64 count as
/// that /64: whoever has one address there has them all.
fn count<N: std::borrow::Borrow<IpNet>>(nets: impl Iterator<Item = N>) -> (u64, u64) {
    let mut blocks = BTreeSet::new();
    let (mut v4, mut v6) = (0_u64, 0_u64);
    for net in nets {
        match net.borrow() {
            IpNet::V4(net) => v4 += 1_u64 << (32 - net.prefix_len()),
            IpNet::V6(net) if net.prefix_len() > 64 => {
                blocks.insert(u128::from(net.network()) >> 64);
            }
            IpNet::V6(net) => {
                let more = 1_u64.checked_shl(64 - u32::from(net.prefix_len()));
                v6 = v6.saturating_add(more.unwrap_or(u64::MAX));
            }
        }
    }
    (v4, v6.saturating_add(blocks.len() as u64))
}
