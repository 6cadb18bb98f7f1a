//! What is left open: from where else a token of a host could be used.
//!
//! Counted in sets, exactly: *hosts*, other hosts at a position that the pin admits; *v4* and *v6*,
//! public addresses admitted that are no egress of ours (v6 in /64s); *endpoints*, foreign VPCs
//! through whose endpoints the token passes. Per instance, with the worst and the mean of the role
//! and of the account.
//!
//! Instances that the same statements select have most of it in common, and that is counted once.
//! Work for a role is its instances times its statements, and the size of its lists times the
//! logarithm of the account's hosts; the index of hosts is made once an account.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use ipnet::{IpNet, Ipv4Net};
use serde::Serialize;

use crate::{
    footprint::{Footprint, Host},
    id::{InstanceId, VpcId},
    pin::Admitted,
    policy::Document,
};

mod account;
mod hosts;

pub use account::OfAccount;
pub use hosts::Hosts;

use hosts::{common, overlap};

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
    /// The same by instance.
    pub instances: Vec<OfInstance>,
}

/// What is left open to a token of one instance; the figures are those of [`Limits`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OfInstance {
    /// The instance.
    pub instance: InstanceId,
    /// Other hosts at an admitted position.
    pub hosts: u64,
    /// Admitted public IPv4 addresses that are no egress of ours.
    pub v4: u64,
    /// The same for IPv6, in /64s.
    pub v6: u64,
    /// Foreign VPCs through whose endpoints it passes.
    pub endpoints: u64,
}

/// A figure over the instances of a role, or of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Measure {
    /// Of the instance that is worst off.
    pub worst: u64,
    /// The mean over all.
    pub mean: f64,
}

/// What `documents` leave open to tokens of the hosts of `footprint`.
pub fn of(footprint: &Footprint, documents: &[&Document], fleet: &Hosts<'_>) -> Exposure {
    if footprint.hosts.is_empty() {
        return Exposure::Nothing;
    }
    let admitted = Admitted::by(documents);
    let mut groups: BTreeMap<(&VpcId, Vec<usize>), Group> = BTreeMap::new();
    let instances: Vec<OfInstance> = footprint
        .hosts
        .iter()
        .map(|host| {
            let selecting = admitted.public.iter().enumerate();
            let selecting: Vec<usize> = selecting
                .filter(|(_, public)| public.selects(host))
                .map(|(number, _)| number)
                .collect();
            let group =
                groups
                    .entry((&host.vpc, selecting))
                    .or_insert_with_key(|(vpc, selecting)| {
                        Group::new(vpc, selecting, &admitted, fleet)
                    });
            group.of(host, fleet)
        })
        .collect();
    Exposure::Limited(Limits::over(instances))
}

/// What tokens of one VPC that the same statements select are open to.
struct Group {
    /// Hosts at a position that is admitted to all of these tokens.
    hosts: BTreeSet<usize>,
    v4: u64,
    v6: u64,
    endpoints: u64,
}

impl Group {
    fn new(vpc: &VpcId, selecting: &[usize], admitted: &Admitted, fleet: &Hosts<'_>) -> Self {
        let public = selecting
            .iter()
            .map(|number| admitted.public[*number].from.clone())
            .reduce(|some, others| both(&some, &others))
            .unwrap_or_else(everywhere);
        let endpoints = admitted.hubs.iter().filter(|hub| *hub != vpc).count();
        let is_listed = |number: &usize| {
            let mut private = fleet.all[*number].private();
            private.any(|net| admitted.private.iter().any(|listed| overlap(listed, &net)))
        };
        let mut hosts: BTreeSet<usize> = public
            .iter()
            .flat_map(|net| fleet.leaving_from(net))
            .collect();
        if !admitted.private.is_empty() {
            // In a hub every host may be met, at home only those of the VPC.
            if endpoints > 0 {
                hosts.extend(admitted.private.iter().flat_map(|net| fleet.inside(net)));
            } else {
                hosts.extend(fleet.of_vpc(vpc).filter(is_listed));
            }
        }
        let (v4, v6) = fleet.beyond(&public);
        Self {
            hosts,
            v4,
            v6,
            endpoints: endpoints as u64,
        }
    }

    fn of(&self, host: &Host, fleet: &Hosts<'_>) -> OfInstance {
        let is_other = |number: &usize| {
            let other = fleet.all[*number];
            (&other.region, &other.instance) != (&host.region, &host.instance)
        };
        let at_the_same: BTreeSet<usize> = host
            .primary_ipv4
            .filter(|_| self.endpoints > 0)
            .into_iter()
            .flat_map(|address| fleet.inside(&IpNet::V4(Ipv4Net::from(address))))
            .filter(|number| !self.hosts.contains(number) && is_other(number))
            .collect();
        let itself = fleet
            .number_of(host)
            .is_some_and(|number| self.hosts.contains(&number));
        OfInstance {
            instance: host.instance.clone(),
            hosts: (self.hosts.len() + at_the_same.len()) as u64 - u64::from(itself),
            v4: self.v4,
            v6: self.v6,
            endpoints: self.endpoints,
        }
    }
}

/// What lies in a prefix of each of two lists.
fn both(some: &[IpNet], others: &[IpNet]) -> Vec<IpNet> {
    some.iter()
        .flat_map(|a| others.iter().filter_map(move |b| common(a, b)))
        .collect()
}

/// Every address: what is admitted where no statement says otherwise.
fn everywhere() -> Vec<IpNet> {
    vec![
        IpNet::V4(ipnet::Ipv4Net::default()),
        IpNet::V6(ipnet::Ipv6Net::default()),
    ]
}

impl Limits {
    fn over(instances: Vec<OfInstance>) -> Self {
        let measure = |figure: fn(&OfInstance) -> u64| Measure::over(instances.iter().map(figure));
        Self {
            hosts: measure(|it| it.hosts),
            v4: measure(|it| it.v4),
            v6: measure(|it| it.v6),
            endpoints: measure(|it| it.endpoints),
            instances,
        }
    }
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
