//! What is left open: from where else a token of a host could be used.
//!
//! Counted in sets, exactly: *hosts*, other hosts at a position that the pin admits; *v4* and *v6*,
//! public addresses admitted that are no egress of ours (v6 in /64s); *endpoints*, foreign VPCs
//! through whose endpoints the token passes. Per instance, with the role's worst and mean.
//!
//! Work for a role is the size of its lists times the logarithm of the account's hosts; the index of
//! hosts is made once an account.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    net::IpAddr,
};

use ipnet::IpNet;
use serde::Serialize;

use crate::{
    egress,
    estate::Estate,
    footprint::{Footprint, Host},
    id::VpcId,
    pin::Admitted,
    policy::Document,
};

/// What is left open to a stolen token of a role.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Exposure {
    /// No pin: usable from anywhere.
    Everything,
    /// No host has a token that could be stolen.
    Nothing,
    /// Part of the account was not seen, so nothing can be counted.
    Unknown,
    /// A pin, and what it admits beyond the token's own host.
    Limited(Limits),
}

/// The measures, over the instances of a role.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Limits {
    /// Other hosts at an admitted position.
    pub hosts: Measure,
    /// Admitted public IPv4 addresses that are no egress of ours.
    pub v4: Measure,
    /// The same for IPv6, in /64s.
    pub v6: Measure,
    /// Foreign VPCs through whose endpoints the token passes.
    pub endpoints: Measure,
}

/// A figure over the instances of a role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Measure {
    /// Of the instance that is worst off.
    pub worst: u64,
    /// The mean over all.
    pub mean: f64,
}

/// All hosts of an account by where they leave from.
#[derive(Debug, Default)]
pub struct Hosts<'a> {
    all: Vec<&'a Host>,
    /// By first address, for what lies within a prefix.
    by_start: BTreeMap<IpAddr, Vec<(IpNet, usize)>>,
    /// By prefix, for what a prefix lies within.
    by_prefix: HashMap<IpNet, Vec<usize>>,
    /// Public prefixes that are the account's own, joined.
    ours: Vec<IpNet>,
}

impl<'a> Hosts<'a> {
    /// An index of `hosts`, all of `estate`.
    pub fn new(estate: &Estate, hosts: impl IntoIterator<Item = &'a Host>) -> Self {
        let mut index = Self::default();
        let mut ours: BTreeSet<IpNet> = public_addresses(estate).collect();
        for host in hosts {
            let number = index.all.len();
            index.all.push(host);
            ours.extend(&host.public);
            for net in &host.public {
                index
                    .by_start
                    .entry(net.network())
                    .or_default()
                    .push((*net, number));
                index.by_prefix.entry(*net).or_default().push(number);
            }
        }
        index.ours = IpNet::aggregate(&ours.into_iter().collect());
        index
    }

    /// Hosts that leave from an address in `net`. Prefixes nest or are disjoint, so these start
    /// within it or are one of its ancestors.
    fn leaving_from(&self, net: &IpNet) -> impl Iterator<Item = usize> {
        let within = self
            .by_start
            .range(net.network()..=net.broadcast())
            .flat_map(|(_, entries)| entries.iter().map(|(_, number)| *number));
        let above = std::iter::successors(net.supernet(), IpNet::supernet)
            .filter_map(|ancestor| self.by_prefix.get(&ancestor))
            .flatten()
            .copied();
        within.chain(above)
    }
}

/// Public IPv4 addresses that are the account's, in use for egress or not.
fn public_addresses(estate: &Estate) -> impl Iterator<Item = IpNet> {
    estate.regions.values().flat_map(|region| {
        let nats = region
            .nat_gateways
            .values()
            .flat_map(|nat| nat.public_ipv4.iter().copied());
        let interfaces = region.interfaces.values().flat_map(egress::public_ipv4);
        nats.chain(interfaces)
            .map(|address| IpNet::V4(address.into()))
    })
}

/// What `documents` leave open to tokens of the hosts of `footprint`.
pub fn of(footprint: &Footprint, documents: &[&Document], fleet: &Hosts<'_>) -> Exposure {
    if footprint.hosts.is_empty() {
        return Exposure::Nothing;
    }
    let admitted = Admitted::by(documents);
    let vpcs: BTreeSet<&VpcId> = footprint.hosts.iter().map(|host| &host.vpc).collect();
    let groups: BTreeMap<&VpcId, Group> = vpcs
        .into_iter()
        .map(|vpc| (vpc, Group::new(vpc, &admitted, fleet)))
        .collect();
    let of_hosts = |figure: fn(&Group, &Host) -> u64| {
        let hosts = footprint.hosts.iter();
        Measure::over(hosts.filter_map(|host| Some(figure(groups.get(&host.vpc)?, host))))
    };
    Exposure::Limited(Limits {
        hosts: of_hosts(|group, host| {
            let itself = (&host.region, &host.instance);
            let others = group.hosts.iter();
            others
                .filter(|other| (&other.region, &other.instance) != itself)
                .count() as u64
        }),
        v4: of_hosts(|group, _| group.v4),
        v6: of_hosts(|group, _| group.v6),
        endpoints: of_hosts(|group, _| group.endpoints),
    })
}

/// What tokens of one VPC are open to.
struct Group<'a> {
    hosts: Vec<&'a Host>,
    v4: u64,
    v6: u64,
    endpoints: u64,
}

impl<'a> Group<'a> {
    fn new(vpc: &VpcId, admitted: &Admitted, fleet: &Hosts<'a>) -> Self {
        let public = admitted
            .public
            .get(vpc)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let foreign_hubs = admitted.hubs.iter().filter(|hub| *hub != vpc).count();
        let at_an_endpoint = fleet.all.iter().enumerate().filter(|(_, host)| {
            (foreign_hubs > 0 || host.vpc == *vpc)
                && host
                    .private()
                    .any(|net| admitted.private.iter().any(|listed| overlap(listed, &net)))
        });
        let numbers: BTreeSet<usize> = public
            .iter()
            .flat_map(|net| fleet.leaving_from(net))
            .chain(at_an_endpoint.map(|(number, _)| number))
            .collect();
        let (v4, v6) = beyond(public, &fleet.ours);
        Self {
            hosts: numbers
                .into_iter()
                .map(|number| fleet.all[number])
                .collect(),
            v4,
            v6,
            endpoints: foreign_hubs as u64,
        }
    }
}

/// How many IPv4 addresses and IPv6 /64s `admitted` covers that `ours` does not; both are joined, so
/// that no address lies in two prefixes of one list.
fn beyond(admitted: &[IpNet], ours: &[IpNet]) -> (u64, u64) {
    let admitted = IpNet::aggregate(&admitted.to_vec());
    let shared = admitted.iter().flat_map(|net| {
        ours.iter()
            .filter(|own| overlap(net, own))
            .map(move |own| narrower(net, own))
    });
    let (all, shared) = (count(admitted.iter()), count(shared));
    (all.0 - shared.0, all.1.saturating_sub(shared.1))
}

/// Prefixes nest or are disjoint.
fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}

fn narrower<'n>(a: &'n IpNet, b: &'n IpNet) -> &'n IpNet {
    if a.prefix_len() > b.prefix_len() {
        a
    } else {
        b
    }
}

/// How many IPv4 addresses and IPv6 /64s disjoint prefixes cover. A prefix within a /64 counts as
/// that /64: whoever has one address there has them all.
fn count<'n>(nets: impl Iterator<Item = &'n IpNet>) -> (u64, u64) {
    nets.fold((0, 0), |(v4, v6), net| match net {
        IpNet::V4(net) => (v4 + (1_u64 << (32 - net.prefix_len())), v6),
        IpNet::V6(net) => {
            let blocks = 1_u64.checked_shl(64_u32.saturating_sub(net.prefix_len().into()));
            (v4, v6.saturating_add(blocks.unwrap_or(u64::MAX)))
        }
    })
}

impl Measure {
    fn over(figures: impl Iterator<Item = u64>) -> Self {
        let (mut worst, mut sum, mut count) = (0_u64, 0_u64, 0_u64);
        for figure in figures {
            worst = worst.max(figure);
            sum = sum.saturating_add(figure);
            count += 1;
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "a mean for people; 2^52 hosts are not met"
        )]
        let mean = if count == 0 {
            0.0
        } else {
            sum as f64 / count as f64
        };
        Self { worst, mean }
    }
}

impl fmt::Display for Exposure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limits = match self {
            Exposure::Everything => return f.write_str("everything: usable from anywhere"),
            Exposure::Nothing => return f.write_str("nothing: no host has its tokens"),
            Exposure::Unknown => return f.write_str("not known: the view is incomplete"),
            Exposure::Limited(limits) => limits,
        };
        let some = |count: u64, one: &str, many: &str| match count {
            0 => format!("no {many}"),
            1 => format!("1 {one}"),
            n => format!("{n} {many}"),
        };
        write!(
            f,
            "{}",
            some(limits.hosts.worst, "other host", "other hosts")
        )?;
        write!(
            f,
            ", {}",
            some(
                limits.v4.worst + limits.v6.worst,
                "foreign address",
                "foreign addresses"
            )
        )?;
        write!(
            f,
            ", {}",
            some(
                limits.endpoints.worst,
                "foreign endpoint VPC",
                "foreign endpoint VPCs"
            )
        )
    }
}
