//! All hosts of an account by where they can be seen, found by prefix.
//!
//! Hosts of a VPC that leave alike and differ in their primary private address only are a *crowd*:
//! whoever can be where one of them is can be where all of them are, but for that address. An account
//! has far fewer crowds than hosts, so it is crowds that are looked up, and counted by their size.

use std::{
    collections::{BTreeSet, HashMap},
    net::Ipv4Addr,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use rayon::prelude::*;

use crate::{egress, estate::Estate, footprint::Host, id::VpcId, prefix::joined};

/// All hosts of an account by where they leave from.
#[derive(Debug, Default)]
pub struct Hosts {
    crowds: Vec<Crowd>,
    /// Crowds by public position.
    public: Index,
    /// Crowds by a private position that all of it have.
    private: Index,
    /// Primary private addresses, each with the crowd of its host, in order.
    primary: Vec<(Ipv4Addr, usize)>,
    by_vpc: HashMap<VpcId, Vec<usize>>,
    /// Public prefixes that are the account's own: joined, disjoint, in order.
    ours: Vec<IpNet>,
}

/// Hosts that differ in their primary private address only.
#[derive(Debug, Default)]
struct Crowd {
    size: usize,
    /// Private positions that all of them have.
    shared: Vec<IpNet>,
    /// Primary private addresses, in order; some hosts have none.
    primary: Vec<Ipv4Addr>,
}

/// What makes a crowd.
type Alike<'h> = (
    &'h VpcId,
    &'h BTreeSet<IpNet>,
    &'h BTreeSet<Ipv4Net>,
    &'h BTreeSet<Ipv6Net>,
);

/// Crowds by prefix, of either family.
#[derive(Debug, Default)]
struct Index {
    /// By first address, for what lies within a prefix.
    sorted: Vec<(IpNet, usize)>,
    /// Those of more than one address, for what a prefix lies within.
    wide: HashMap<IpNet, Vec<usize>>,
}

impl Hosts {
    /// An index of `hosts`, all of `estate`.
    pub fn new<'h>(estate: &Estate, hosts: impl IntoIterator<Item = &'h Host>) -> Self {
        let hosts: Vec<&Host> = hosts.into_iter().collect();
        let (crowds, mut ours) = rayon::join(|| crowds(&hosts), || public_addresses(estate));
        let mut index = Self::default();
        let (mut public, mut private) = (Vec::new(), Vec::new());
        for (number, ((vpc, leave_by, ipv4, ipv6), crowd)) in crowds.into_iter().enumerate() {
            index.crowds.push(crowd);
            ours.extend(leave_by);
            public.extend(leave_by.iter().map(|net| (*net, number)));
            let ipv4 = ipv4.iter().copied().map(IpNet::V4);
            let shared: Vec<IpNet> = ipv4.chain(ipv6.iter().copied().map(IpNet::V6)).collect();
            private.extend(shared.iter().map(|net| (*net, number)));
            let crowd = &mut index.crowds[number];
            crowd.shared = shared;
            crowd.primary.sort_unstable();
            let addresses = crowd.primary.iter();
            let addresses = addresses.map(|address| (*address, number));
            index.primary.extend(addresses);
            index.by_vpc.entry(vpc.clone()).or_default().push(number);
        }
        index.public = Index::new(public);
        index.private = Index::new(private);
        index.primary.par_sort_unstable();
        index.ours = joined(ours);
        index
    }

    /// How many hosts leave from an address in any of `nets`.
    pub fn leaving_from<'n>(&self, nets: impl IntoIterator<Item = &'n IpNet>) -> usize {
        let nets = nets.into_iter();
        let crowds = each_once(nets.flat_map(|net| self.crowds_leaving_from(net)));
        crowds.into_iter().map(|crowd| self.size_of(crowd)).sum()
    }

    /// Crowds that leave from an address in `net`, some more than once.
    pub(crate) fn crowds_leaving_from(&self, net: &IpNet) -> impl Iterator<Item = usize> + use<'_> {
        self.public.overlapping(net)
    }

    /// How many hosts a crowd has.
    pub(crate) fn size_of(&self, crowd: usize) -> usize {
        self.crowds[crowd].size
    }

    /// Crowds of a VPC.
    pub(super) fn of_vpc(&self, vpc: &VpcId) -> impl Iterator<Item = usize> {
        self.by_vpc.get(vpc).into_iter().flatten().copied()
    }

    /// Crowds, in whatever VPC, that share a private position in `net`, some more than once.
    pub(super) fn sharing(&self, net: &IpNet) -> impl Iterator<Item = usize> + use<'_> {
        self.private.overlapping(net)
    }

    /// Whether a crowd shares a private position in one of `nets`, which are disjoint and in order.
    pub(super) fn shares(&self, crowd: usize, nets: &[IpNet]) -> bool {
        let mut shared = self.crowds[crowd].shared.iter();
        shared.any(|own| overlaps_any(nets, own))
    }

    /// For each host, in whatever VPC, with a primary private address in `net`: its crowd.
    pub(super) fn inside(&self, net: &IpNet) -> impl Iterator<Item = usize> + use<'_> {
        let address = |entry: &(Ipv4Addr, usize)| entry.0;
        within_net(&self.primary, address, net)
            .iter()
            .map(|(_, crowd)| *crowd)
    }

    /// How many hosts of a crowd have a primary private address in one of `nets`, which are disjoint.
    pub(super) fn inside_of(&self, crowd: usize, nets: &[IpNet]) -> usize {
        let primary = &self.crowds[crowd].primary;
        let inside = |net| within_net(primary, |address| *address, net).len();
        nets.iter().map(inside).sum()
    }

    /// How many IPv4 addresses and IPv6 /64s `admitted`, disjoint prefixes, covers that are not the
    /// account's own.
    pub(super) fn beyond(&self, admitted: &[IpNet]) -> (u64, u64) {
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

/// Crowds in order, each once.
pub(crate) fn each_once(crowds: impl IntoIterator<Item = usize>) -> Vec<usize> {
    let mut crowds: Vec<usize> = crowds.into_iter().collect();
    crowds.sort_unstable();
    crowds.dedup();
    crowds
}

/// The crowds that hosts are in. Hosts of a role follow one another and are most often in few crowds, so
/// some thousands at a time are put together side by side, and then what came of these.
fn crowds<'h>(hosts: &[&'h Host]) -> HashMap<Alike<'h>, Crowd> {
    const AT_A_TIME: usize = 4096;
    let some = hosts.par_chunks(AT_A_TIME).map(|hosts| {
        let mut crowds: HashMap<Alike<'_>, Crowd> = HashMap::new();
        for host in hosts {
            let alike = (
                &host.vpc,
                &host.public,
                &host.more_private_ipv4,
                &host.private_ipv6,
            );
            let crowd = crowds.entry(alike).or_default();
            crowd.size += 1;
            crowd.primary.extend(host.primary_ipv4);
        }
        crowds
    });
    let some: Vec<HashMap<Alike<'_>, Crowd>> = some.collect();
    let mut crowds: HashMap<Alike<'_>, Crowd> = HashMap::new();
    for (alike, more) in some.into_iter().flatten() {
        let crowd = crowds.entry(alike).or_default();
        crowd.size += more.size;
        crowd.primary.extend(more.primary);
    }
    crowds
}

/// Public addresses that are the account's, in use for egress or not: IPv6 by whole subnets.
fn public_addresses(estate: &Estate) -> Vec<IpNet> {
    let mut all = Vec::new();
    for region in estate.regions.values() {
        let nats = region
            .nat_gateways
            .values()
            .flat_map(|nat| nat.public_ipv4.iter().copied());
        let others = region.interfaces.values().flat_map(egress::public_ipv4);
        let of_instances = region.instances.par_iter().flat_map_iter(|(_, instance)| {
            let interfaces = instance.interfaces.iter();
            interfaces.flat_map(egress::public_ipv4)
        });
        let of_instances: Vec<Ipv4Addr> = of_instances.collect();
        let ipv4 = nats.chain(others).chain(of_instances);
        let ipv6 = region.subnets.values().flat_map(|subnet| &subnet.ipv6);
        all.extend(ipv4.map(|address| IpNet::V4(address.into())));
        all.extend(ipv6.copied().map(IpNet::V6));
    }
    all
}

/// The part of `sorted`, in order of `address`, that lies in `net`.
fn within_net<'s, T>(sorted: &'s [T], address: impl Fn(&T) -> Ipv4Addr, net: &IpNet) -> &'s [T] {
    let IpNet::V4(net) = net else { return &[] };
    let from = sorted.partition_point(|it| address(it) < net.network());
    let to = sorted.partition_point(|it| address(it) <= net.broadcast());
    &sorted[from..to]
}

/// Those of `nets`, disjoint and in order, that overlap `net`.
fn within<'n>(nets: &'n [IpNet], net: &IpNet) -> impl Iterator<Item = &'n IpNet> {
    let (first, last) = (net.network(), net.broadcast());
    let from = nets.partition_point(|it| it.broadcast() < first);
    nets[from..]
        .iter()
        .take_while(move |it| it.network() <= last)
}

/// Whether one of `nets`, disjoint and in order, overlaps `net`.
pub(super) fn overlaps_any(nets: &[IpNet], net: &IpNet) -> bool {
    within(nets, net).next().is_some()
}

/// The part of two prefixes that is in both; none where they are disjoint: prefixes nest or are so.
pub(super) fn common(a: &IpNet, b: &IpNet) -> Option<IpNet> {
    (a.contains(b) || b.contains(a)).then(|| *narrower(a, b))
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
