//! All hosts of an account by where they can be seen, found by prefix.
//!
//! Hosts of a VPC that leave alike and differ in their primary private address only are a *crowd*:
//! whoever can be where one of them is can be where all of them are, but for that address. An account
//! has far fewer crowds than hosts, so it is crowds that are looked up, and counted by their size.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    ops::Range,
    sync::OnceLock,
};

use ipnet::{IpNet, Ipv6Net};
use rayon::prelude::*;

use crate::{
    egress,
    estate::Estate,
    footprint::{Host, SharedSet},
    hashed::HashMap,
    id::VpcId,
    prefix::joined,
};

use super::sorted::Sorted;

/// All hosts of an account by where they leave from.
#[derive(Debug, Default)]
pub struct Hosts {
    /// Those of a VPC follow one another.
    crowds: Vec<Crowd>,
    by_vpc: HashMap<VpcId, Range<usize>>,
    /// Crowds by public position.
    public: Index,
    /// Crowds by a private position that all of it have.
    private: Index,
    /// Primary private addresses, each with the crowd of its host, in order. Made when it is first asked
    /// for: hosts of any VPC are met at an address only where there are hubs.
    primary: OnceLock<Vec<(Ipv4Addr, usize)>>,
    /// Public prefixes that are the account's own: joined, so none lies within another.
    ours: Sorted,
}

/// Hosts that differ in their primary private address only.
#[derive(Debug)]
struct Crowd {
    size: usize,
    /// Public positions that all of them have.
    public: SharedSet<IpNet>,
    /// Private positions that all of them have.
    shared: Vec<IpNet>,
    /// Primary private addresses, in order; some hosts have none.
    primary: Vec<Ipv4Addr>,
}

/// What makes a crowd of the hosts of a VPC. Those that leave alike share their sets, which are therefore
/// told apart by where they lie: to count equal ones apart costs time, and changes no sum.
type Alike<'h> = (usize, usize, &'h BTreeSet<Ipv6Net>);

/// Crowds by prefix, of either family.
#[derive(Debug, Default)]
struct Index {
    /// For what lies within a prefix.
    sorted: Sorted,
    /// The crowd of each.
    crowds: Vec<usize>,
    /// Those of more than one address, for what a prefix lies within.
    wide: HashMap<IpNet, Vec<usize>>,
    /// The lengths that those have, by family: most prefixes have no ancestor here.
    lengths: [BTreeSet<u8>; 2],
}

impl Hosts {
    /// An index of `hosts`, all of `estate`.
    pub fn new<'h>(estate: &Estate, hosts: impl IntoIterator<Item = &'h Host>) -> Self {
        let hosts: Vec<&Host> = hosts.into_iter().collect();
        let (by_vpc, ours) = rayon::join(|| crowds(&hosts), || public_addresses(estate));
        let mut index = Self::default();
        for (vpc, crowds) in by_vpc {
            let first = index.crowds.len();
            index.crowds.extend(crowds);
            index.by_vpc.insert(vpc.clone(), first..index.crowds.len());
        }
        let crowds = &index.crowds;
        let numbered = || crowds.par_iter().enumerate();
        let public = || {
            let all = numbered().flat_map_iter(|(number, crowd)| {
                crowd.public.iter().map(move |net| (*net, number))
            });
            Index::new(all.collect())
        };
        let private = || {
            let all = numbered().flat_map_iter(|(number, crowd)| {
                crowd.shared.iter().map(move |net| (*net, number))
            });
            Index::new(all.collect())
        };
        let (public, private) = rayon::join(public, private);
        let left_from = index.crowds.iter().flat_map(|crowd| crowd.public.iter());
        index.ours = Sorted::new(joined(ours.into_iter().chain(left_from.copied())));
        (index.public, index.private) = (public, private);
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
    pub(super) fn of_vpc(&self, vpc: &VpcId) -> Range<usize> {
        self.by_vpc.get(vpc).cloned().unwrap_or_default()
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
        within_net(self.primary(), address, net)
            .iter()
            .map(|(_, crowd)| *crowd)
    }

    fn primary(&self) -> &[(Ipv4Addr, usize)] {
        // By one thread: while it waited for others it could be given work that asks for the same.
        self.primary.get_or_init(|| {
            let numbered = self.crowds.iter().enumerate();
            let all = numbered.flat_map(|(number, crowd)| {
                let addresses = crowd.primary.iter();
                addresses.map(move |address| (*address, number))
            });
            let mut all: Vec<(Ipv4Addr, usize)> = all.collect();
            all.sort_unstable();
            all
        })
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
        let shared = admitted.iter().flat_map(|net| {
            self.ours
                .overlapping(net)
                .map(move |own| narrower(net, own))
        });
        let (all, shared) = (count(admitted.iter()), count(shared));
        (all.0 - shared.0, all.1.saturating_sub(shared.1))
    }
}

impl Index {
    fn new(mut entries: Vec<(IpNet, usize)>) -> Self {
        entries.par_sort_unstable();
        let mut index = Self::default();
        for (net, number) in &entries {
            if net.prefix_len() < net.max_prefix_len() {
                index.wide.entry(*net).or_default().push(*number);
                index.lengths[family(net)].insert(net.prefix_len());
            }
        }
        let (nets, crowds) = entries.into_iter().unzip();
        (index.sorted, index.crowds) = (Sorted::new(nets), crowds);
        index
    }

    /// Prefixes nest or are disjoint, so what overlaps `net` begins within it or is an ancestor.
    fn overlapping(&self, net: &IpNet) -> impl Iterator<Item = usize> + use<'_> {
        let net = *net;
        let first = net.network();
        let within = self.crowds[self.sorted.beginning_in(&net)].iter().copied();
        let shorter = self.lengths[family(&net)].range(..net.prefix_len());
        let above = shorter
            .filter_map(move |length| self.wide.get(&IpNet::new_assert(first, *length).trunc()))
            .flatten()
            .copied();
        within.chain(above)
    }
}

fn family(net: &IpNet) -> usize {
    usize::from(matches!(net, IpNet::V6(_)))
}

/// Crowds in order, each once.
pub(crate) fn each_once(crowds: impl IntoIterator<Item = usize>) -> Vec<usize> {
    let mut crowds: Vec<usize> = crowds.into_iter().collect();
    crowds.sort_unstable();
    crowds.dedup();
    crowds
}

/// The crowds that hosts are in, by VPC. Hosts of a role follow one another and are most often in one VPC
/// or two, so it is slices of hosts that are put together.
fn crowds<'h>(hosts: &[&'h Host]) -> Vec<(&'h VpcId, Vec<Crowd>)> {
    const AT_A_TIME: usize = 4096;
    let slices = hosts.par_chunks(AT_A_TIME).flat_map_iter(|hosts| {
        let slices = hosts.chunk_by(|one, next| one.vpc == next.vpc);
        slices.map(|hosts| (&hosts[0].vpc, hosts))
    });
    let slices: Vec<(&VpcId, &[&Host])> = slices.collect();
    let mut by_vpc: BTreeMap<&VpcId, Vec<&[&Host]>> = BTreeMap::new();
    for (vpc, hosts) in slices {
        by_vpc.entry(vpc).or_default().push(hosts);
    }
    let by_vpc = by_vpc.into_par_iter();
    by_vpc
        .map(|(vpc, hosts)| (vpc, crowds_of_vpc(hosts.into_iter().flatten().copied())))
        .collect()
}

/// The crowds of hosts of one VPC.
fn crowds_of_vpc<'h>(hosts: impl Iterator<Item = &'h Host>) -> Vec<Crowd> {
    let mut places: HashMap<Alike<'_>, usize> = HashMap::default();
    let mut crowds: Vec<Crowd> = Vec::new();
    for host in hosts {
        let alike = (
            host.public.identity(),
            host.more_private_ipv4.identity(),
            &host.private_ipv6,
        );
        let place = *places.entry(alike).or_insert_with(|| {
            crowds.push(Crowd::of(host));
            crowds.len() - 1
        });
        let crowd = &mut crowds[place];
        crowd.size += 1;
        crowd.primary.extend(host.primary_ipv4);
    }
    for crowd in &mut crowds {
        crowd.primary.sort_unstable();
    }
    crowds
}

impl Crowd {
    /// That of hosts like `host`, without any.
    fn of(host: &Host) -> Self {
        let ipv4 = host.more_private_ipv4.iter().copied().map(IpNet::V4);
        let ipv6 = host.private_ipv6.iter().copied().map(IpNet::V6);
        Self {
            size: 0,
            public: host.public.clone(),
            shared: ipv4.chain(ipv6).collect(),
            primary: Vec::new(),
        }
    }
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
