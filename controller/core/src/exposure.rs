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

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::Serialize;

use crate::{
    footprint::{Footprint, Host},
    id::VpcId,
    pin,
    policy::Document,
    settings::Settings,
};

/// What is left open to a stolen token of a role.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Exposure {
    /// No pin: usable from anywhere.
    Everything,
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
}

impl<'a> Hosts<'a> {
    /// An index of `hosts`.
    pub fn new(hosts: impl IntoIterator<Item = &'a Host>) -> Self {
        let mut index = Self::default();
        for host in hosts {
            let number = index.all.len();
            index.all.push(host);
            for net in &host.public {
                index
                    .by_start
                    .entry(net.network())
                    .or_default()
                    .push((*net, number));
                index.by_prefix.entry(*net).or_default().push(number);
            }
        }
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

/// What `document` leaves open to tokens of the hosts of `footprint`.
pub fn of(
    footprint: &Footprint,
    document: &Document,
    settings: &Settings,
    fleet: &Hosts<'_>,
) -> Exposure {
    let lists: BTreeMap<&str, &[IpNet]> = document
        .statements
        .iter()
        .filter_map(pin::group_of)
        .collect();
    let groups: BTreeMap<&VpcId, Group> = footprint
        .egress
        .iter()
        .map(|(vpc, ours)| {
            let admitted = lists.get(vpc.as_str()).copied().unwrap_or_default();
            (
                vpc,
                Group::new(vpc, admitted, ours, footprint, settings, fleet),
            )
        })
        .collect();
    let of_hosts = |figure: fn(&Group, &Host) -> u64| {
        Measure::over(
            footprint
                .hosts
                .iter()
                .filter_map(|host| Some(figure(groups.get(&host.vpc)?, host))),
        )
    };
    Exposure::Limited(Limits {
        hosts: of_hosts(|group, host| {
            let itself = (host.region.to_string(), host.instance.to_string());
            group.hosts.iter().filter(|other| **other != itself).count() as u64
        }),
        v4: of_hosts(|group, _| group.v4),
        v6: of_hosts(|group, _| group.v6),
        endpoints: of_hosts(|group, _| group.endpoints),
    })
}

/// What tokens of one VPC are open to.
struct Group {
    hosts: BTreeSet<(String, String)>,
    v4: u64,
    v6: u64,
    endpoints: u64,
}

impl Group {
    fn new(
        vpc: &VpcId,
        admitted: &[IpNet],
        ours: &BTreeSet<IpNet>,
        footprint: &Footprint,
        settings: &Settings,
        fleet: &Hosts<'_>,
    ) -> Self {
        let foreign_hubs = settings
            .hub_vpcs
            .iter()
            .flatten()
            .filter(|hub| *hub != vpc)
            .count();
        let reaches_an_endpoint = |host: &Host| foreign_hubs > 0 || host.vpc == *vpc;
        let at_an_endpoint = fleet.all.iter().enumerate().filter(|(_, host)| {
            reaches_an_endpoint(host)
                && (host
                    .primary_ipv4
                    .is_some_and(|address| listed_v4(&footprint.more_private_ipv4, address.into()))
                    || host
                        .more_private_ipv4
                        .iter()
                        .any(|net| listed_v4(&footprint.more_private_ipv4, *net))
                    || host
                        .private_ipv6
                        .iter()
                        .any(|net| listed_v6(&footprint.private_ipv6, net)))
        });
        let hosts = admitted
            .iter()
            .flat_map(|net| fleet.leaving_from(net))
            .chain(at_an_endpoint.map(|(number, _)| number))
            .map(|number| {
                let host = fleet.all[number];
                (host.region.to_string(), host.instance.to_string())
            })
            .collect();
        let ours: Vec<IpNet> = ours.iter().copied().collect();
        Self {
            hosts,
            v4: addresses(admitted).0.saturating_sub(addresses(&ours).0),
            v6: addresses(admitted).1.saturating_sub(addresses(&ours).1),
            endpoints: foreign_hubs as u64,
        }
    }
}

fn listed_v4(list: &BTreeSet<Ipv4Net>, net: Ipv4Net) -> bool {
    list.iter()
        .any(|listed| listed.contains(&net) || net.contains(listed))
}

fn listed_v6(list: &BTreeSet<Ipv6Net>, net: &Ipv6Net) -> bool {
    list.iter()
        .any(|listed| listed.contains(net) || net.contains(listed))
}

/// How many IPv4 addresses and IPv6 /64s prefixes cover, each counted once.
fn addresses(nets: &[IpNet]) -> (u64, u64) {
    IpNet::aggregate(&nets.to_vec())
        .iter()
        .fold((0, 0), |(v4, v6), net| match net {
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
