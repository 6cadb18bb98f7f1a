//! What is left open: from where else a token of a host could be used.
//!
//! Counted in sets, exactly: *hosts*, other hosts at a position that the pin admits; *v4* and *v6*,
//! public addresses admitted that are no egress of ours (v6 in /64s); *endpoints*, foreign VPCs
//! through whose endpoints the token passes. Per instance, with the worst and the mean of the role
//! and of the account.
//!
//! Instances that the same statements select have most of it in common, and that is counted once.
//! Hosts that can be seen at the same positions are counted as one crowd ([`Hosts`]). Work for a role
//! is its instances times its statements, and the size of its lists times the logarithm of the
//! account's hosts and the crowds that it meets; the index of hosts is made once an account.

use std::{fmt, sync::Arc};

use serde::{Serialize, Serializer};

use crate::{
    footprint::Footprint,
    hashed::HashMap,
    id::{InstanceId, VpcId},
    pin::Admitted,
    policy::Document,
    prefix::joined,
};

mod account;
mod group;
mod hosts;
mod sorted;

pub use account::OfAccount;
pub use hosts::Hosts;
pub(crate) use hosts::each_once;

use group::Group;

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
    /// Sessions that were made by assuming the role pass wherever those are who may do so, and nowhere else. No
    /// host has its tokens, so there is nothing to count by instance.
    ByEgress,
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
    /// The same by instance. What is open now and what a pin leaves open are most often one.
    #[serde(serialize_with = "each")]
    pub instances: Arc<[OfInstance]>,
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

/// The tokens of a VPC.
struct OfVpc<'a> {
    /// Statements about calls from the internet that select any of them, by number.
    statements: Vec<usize>,
    /// By the statements that select them.
    groups: HashMap<Vec<usize>, Group<'a>>,
}

impl OfVpc<'_> {
    fn new(vpc: &VpcId, admitted: &Admitted) -> Self {
        let statements = admitted.public.iter().enumerate();
        let of_vpc = statements.filter(|(_, public)| public.is_about(vpc));
        Self {
            statements: of_vpc.map(|(number, _)| number).collect(),
            groups: HashMap::default(),
        }
    }
}

/// What `documents` leave open to tokens of the hosts of `footprint`.
pub fn of(footprint: &Footprint, documents: &[&Document], fleet: &Hosts) -> Exposure {
    if footprint.hosts.is_empty() {
        return Exposure::Nothing;
    }
    let admitted = Admitted::by(documents);
    let private = joined(admitted.private.iter().copied());
    let mut by_vpc: HashMap<&VpcId, OfVpc<'_>> = HashMap::default();
    let mut selecting = Vec::new();
    let instances = footprint.hosts.iter().map(|host| {
        let of_vpc = by_vpc
            .entry(&host.vpc)
            .or_insert_with(|| OfVpc::new(&host.vpc, &admitted));
        let of_host = of_vpc.statements.iter();
        let of_host = of_host.filter(|number| admitted.public[**number].takes(host));
        selecting.clear();
        selecting.extend(of_host);
        if !of_vpc.groups.contains_key(&selecting[..]) {
            let group = Group::new(&host.vpc, &selecting, &admitted, &private, fleet);
            of_vpc.groups.insert(selecting.clone(), group);
        }
        of_vpc.groups[&selecting[..]].of(host)
    });
    let instances = instances.collect();
    Exposure::Limited(Limits::over(instances))
}

fn each<S: Serializer>(instances: &Arc<[OfInstance]>, serializer: S) -> Result<S::Ok, S::Error> {
    instances[..].serialize(serializer)
}

impl Limits {
    fn over(instances: Vec<OfInstance>) -> Self {
        let measure = |figure: fn(&OfInstance) -> u64| Measure::over(instances.iter().map(figure));
        Self {
            hosts: measure(|it| it.hosts),
            v4: measure(|it| it.v4),
            v6: measure(|it| it.v6),
            endpoints: measure(|it| it.endpoints),
            instances: instances.into(),
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
            Exposure::ByEgress => return f.write_str("by egress: wherever who may assume it is"),
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
