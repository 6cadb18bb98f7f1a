//! The proof before every write (invariant 5): with these documents in force, every live host's
//! calls from home are admitted, and known outsiders are denied.
//!
//! It works from hosts and their positions and asks the evaluator, never the code that built the
//! pin, so that a mistake there is found here. It is as good as the model of egress.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::Serialize;

use crate::{
    credential::Credential,
    estate::Role,
    evaluate,
    footprint::{Footprint, Host},
    id::{InstanceId, VpcId},
    pin::EXEMPT_ACTIONS,
    policy::Document,
    position::Position,
    request::Request,
    settings::Settings,
};

mod chained;

pub use chained::{chained, chained_locked_out, chained_promised};

/// A call that would not be decided as promised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Counterexample {
    /// Whose credential.
    pub instance: InstanceId,
    /// Used from where.
    pub from: Position,
    /// What was promised.
    pub promise: Promise,
    /// The statement that denies it, where it is denied.
    pub denied_by: Option<String>,
}

/// What a pin promises about a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Promise {
    /// A host's own call is admitted.
    HomeIsAdmitted,
    /// A call of a host that is launched now, with what every host of its subnet leaves by.
    LaunchIsAdmitted,
    /// A call from anywhere else is denied.
    OutsiderIsDenied,
    /// A host's own call that would take its pin off is denied.
    PinCannotBeTakenOff,
    /// A session that was made of a host's and does not show it is denied, even at home.
    DerivedIsDenied,
    /// A call that a service makes for a host is admitted.
    ServiceIsAdmitted,
    /// A data plane that shows no network key is left alone.
    ExemptIsAdmitted,
    /// A call by a session that a host made by assuming the role is admitted where the host is.
    ChainedIsAdmitted,
    /// The same of a host that is launched now, with what every host of its subnet leaves by.
    ChainedLaunchIsAdmitted,
    /// The same of other callers, where the config says that they are.
    StatedIsAdmitted,
    /// The same of callers in other accounts of the job, where these were looked at.
    ElsewhereIsAdmitted,
    /// A call by such a session from anywhere else is denied.
    ChainedOutsiderIsDenied,
}

/// The action that stands for all that a pin covers.
pub(crate) const ANY_ACTION: &str = "s3:GetObject";

/// Calls that would not be decided as promised; none means proven.
pub fn verify(
    role: &Role,
    footprint: &Footprint,
    settings: &Settings,
    documents: &[&Document],
) -> Vec<Counterexample> {
    broken(calls(role, footprint, settings), documents)
}

/// Calls of live hosts that `documents` deny: whom a pin locks out. Outsiders are not looked at.
pub fn locked_out(
    role: &Role,
    footprint: &Footprint,
    settings: &Settings,
    documents: &[&Document],
) -> Vec<Counterexample> {
    let of_live_hosts = calls_of_hosts(role, footprint, settings, Look::ForLockOuts);
    broken_at_home(of_live_hosts, documents)
}

/// Every call that the proof looks at, and whether it has to be denied: for others to decide.
pub fn promised<'a>(
    role: &'a Role,
    footprint: &'a Footprint,
    settings: &'a Settings,
) -> impl Iterator<Item = (Request, bool)> + use<'a> {
    calls(role, footprint, settings).map(Call::promised)
}

fn broken(calls: impl Iterator<Item = Call>, documents: &[&Document]) -> Vec<Counterexample> {
    calls.filter_map(|call| call.broken_by(documents)).collect()
}

/// Of these the ones that lock out who is there now.
fn broken_at_home(
    calls: impl Iterator<Item = Call>,
    documents: &[&Document],
) -> Vec<Counterexample> {
    let is_launched = |promise| {
        matches!(
            promise,
            Promise::LaunchIsAdmitted | Promise::ChainedLaunchIsAdmitted
        )
    };
    let ours = calls.filter(|call| !call.promise.is_to_deny() && !is_launched(call.promise));
    broken(ours, documents)
}

/// Which calls of hosts are made up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    /// All that the proof looks at.
    ForAll,
    /// Those that have to be admitted, and no more: most of the others are from outside.
    ForLockOuts,
}

/// A call with a host's credential, and how it has to be decided.
struct Call {
    instance: InstanceId,
    from: Position,
    request: Request,
    promise: Promise,
}

impl Call {
    /// For others to decide: whether it has to be denied.
    fn promised(self) -> (Request, bool) {
        (self.request, self.promise.is_to_deny())
    }
}

impl Counterexample {
    /// Whether that is about the same call, be it denied by the same statement or not.
    pub(crate) fn is_of_same_call(&self, other: &Self) -> bool {
        (&self.instance, &self.from, self.promise) == (&other.instance, &other.from, other.promise)
    }
}

impl Promise {
    /// Whether it is that a call is denied.
    fn is_to_deny(self) -> bool {
        matches!(
            self,
            Promise::OutsiderIsDenied
                | Promise::PinCannotBeTakenOff
                | Promise::DerivedIsDenied
                | Promise::ChainedOutsiderIsDenied
        )
    }
}

impl Call {
    fn broken_by(self, documents: &[&Document]) -> Option<Counterexample> {
        let denied_by = evaluate::denied_by(documents.iter().copied(), &self.request);
        let kept = denied_by.is_some() == self.promise.is_to_deny();
        (!kept).then(|| Counterexample {
            instance: self.instance,
            from: self.from,
            promise: self.promise,
            denied_by: denied_by.map(|statement| statement.sid.clone()),
        })
    }
}

/// Every call that is looked at, host by host.
fn calls<'a>(
    role: &'a Role,
    footprint: &'a Footprint,
    settings: &'a Settings,
) -> impl Iterator<Item = Call> + use<'a> {
    let hosts = calls_of_hosts(role, footprint, settings, Look::ForAll);
    hosts.chain(calls_of_launches(role, footprint))
}

/// Calls of hosts that are not there yet. One may get any private address of its subnet.
fn calls_of_launches<'a>(
    role: &'a Role,
    footprint: &'a Footprint,
) -> impl Iterator<Item = Call> + use<'a> {
    footprint.launches.iter().flat_map(move |launch| {
        let addresses: Vec<Option<Ipv4Addr>> = match launch.ipv4 {
            // AWS keeps a few at either end; to be strict about them does no harm.
            Some(net) => vec![Some(net.network()), Some(net.broadcast())],
            None => vec![None],
        };
        let hosts = addresses.into_iter().map(move |address| Host {
            instance: newcomer(),
            region: launch.region.clone(),
            vpc: launch.vpc.clone(),
            primary_ipv4: address,
            public: launch.public.clone().into(),
            more_private_ipv4: launch.private.iter().filter_map(v4).collect(),
            private_ipv6: launch.private.iter().filter_map(v6).collect(),
        });
        hosts.flat_map(|host| {
            let credential = Credential::of(role, &host);
            home_positions(&host, &[])
                .into_iter()
                .map(move |home| Call {
                    instance: host.instance.clone(),
                    request: credential.used_from(&home, ANY_ACTION),
                    from: home,
                    promise: Promise::LaunchIsAdmitted,
                })
                .collect::<Vec<_>>()
        })
    })
}

fn calls_of_hosts<'a>(
    role: &'a Role,
    footprint: &'a Footprint,
    settings: &'a Settings,
    look: Look,
) -> impl Iterator<Item = Call> + use<'a> {
    let denied = look == Look::ForAll;
    let spokesmen = spokesmen(footprint);
    let nobodys = nobodys_vpc();
    let any_action: Arc<str> = ANY_ACTION.into();
    let exempt: [Arc<str>; EXEMPT_ACTIONS.len()] =
        EXEMPT_ACTIONS.map(|action| Arc::from(action.replace('*', "Any")));
    footprint.hosts.iter().flat_map(move |host| {
        let number = footprint.group_of(host).map_or(0, |group| group.number);
        let speaks = spokesmen.get(&(&host.vpc, number)) == Some(&&host.instance);
        let hubs: Vec<&VpcId> = settings.hub_vpcs.iter().flatten().collect();
        let credential = Credential::of(role, host);
        // One of a VPC that no group names: a host of the role that is not there yet.
        let groupless = credential.in_vpc(&nobodys);
        let call = |from: &Position, request, promise| Call {
            instance: host.instance.clone(),
            from: from.clone(),
            request,
            promise,
        };
        let mut calls = Vec::new();
        for home in home_positions(host, &hubs) {
            let own = credential.used_from(&home, any_action.clone());
            let service = credential.used_by_a_service(&home, any_action.clone());
            calls.push(call(&home, own, Promise::HomeIsAdmitted));
            calls.push(call(&home, service, Promise::ServiceIsAdmitted));
            if settings.self_defence && speaks && denied {
                let request = credential.used_from(&home, "iam:DetachRolePolicy");
                let request = request.on(&role.arn);
                calls.push(call(&home, request, Promise::PinCannotBeTakenOff));
            }
            if settings.pin_derived && speaks && denied {
                let request = credential.derived_used_from(&home, any_action.clone());
                calls.push(call(&home, request, Promise::DerivedIsDenied));
            }
            if denied && matches!(home, Position::Internet(_)) {
                let request = groupless.used_from(&home, any_action.clone());
                calls.push(call(&home, request, Promise::OutsiderIsDenied));
            }
        }
        if denied {
            let others = others_addresses(host, footprint, speaks);
            for outsider in outsiders(host, footprint, others, &hubs) {
                let request = credential.used_from(&outsider, any_action.clone());
                calls.push(call(&outsider, request, Promise::OutsiderIsDenied));
            }
        }
        // What is exempt is so for whom a statement selects as a whole, and from wherever: to a list,
        // another group's address is a stranger's.
        if speaks {
            for outsider in outsiders(host, footprint, Vec::new(), &hubs) {
                calls.extend(exempt.iter().map(|action| {
                    let request = credential.used_from(&outsider, action.clone());
                    call(&outsider, request, Promise::ExemptIsAdmitted)
                }));
            }
        }
        calls
    })
}

/// Where a host's calls come from: each of its ways out, at both ends of each prefix.
fn home_positions(host: &Host, hubs: &[&VpcId]) -> BTreeSet<Position> {
    let internet = host.public.iter().flat_map(ends).map(Position::Internet);
    let private: Vec<IpNet> = host.private().collect();
    let endpoints = [&host.vpc]
        .into_iter()
        .chain(hubs.iter().copied())
        .flat_map(|vpc| {
            private
                .iter()
                .flat_map(ends)
                .map(|address| Position::Endpoint {
                    vpc: vpc.clone(),
                    address,
                })
        });
    internet.chain(endpoints).collect()
}

/// One host of each group, or of each VPC that is not divided, which speaks for all of it.
fn spokesmen(footprint: &Footprint) -> BTreeMap<(&VpcId, u32), &InstanceId> {
    let mut spokesmen = BTreeMap::new();
    for host in &footprint.hosts {
        let number = footprint.group_of(host).map_or(0, |group| group.number);
        let speaker = spokesmen.entry((&host.vpc, number));
        speaker.or_insert(&host.instance);
    }
    spokesmen
}

/// Where hosts of other groups leave from: for the first host of a group each address of all of
/// them, for the others those of one. A group's tokens pass or are denied alike.
fn others_addresses(host: &Host, footprint: &Footprint, speaks: bool) -> Vec<IpAddr> {
    let Some(own) = footprint.group_of(host) else {
        return Vec::new();
    };
    footprint
        .groups
        .get(&host.vpc)
        .into_iter()
        .flatten()
        .filter(|group| group.number != own.number)
        .take(if speaks { usize::MAX } else { 1 })
        .flat_map(|group| group.public.iter().flat_map(ends))
        .collect()
}

/// Positions that are nobody's home: right beside the host's own, and far away.
fn outsiders(
    host: &Host,
    footprint: &Footprint,
    others: Vec<IpAddr>,
    hubs: &[&VpcId],
) -> BTreeSet<Position> {
    let strangers = strangers();
    let admitted = footprint.public_of(host);
    let internet = host
        .public
        .iter()
        .flat_map(neighbours)
        .chain(strangers)
        .chain(others)
        .filter(|address| {
            !admitted
                .into_iter()
                .flatten()
                .any(|net| net.contains(address))
        })
        .map(Position::Internet);

    let foreign = nobodys_vpc();
    let own = [host.vpc.clone()].into_iter();
    let v4 = host.primary_ipv4.map(Ipv4Net::from);
    let v6 = host.private_ipv6.iter().copied().map(IpNet::V6);
    let private: Vec<IpNet> = v4.map(IpNet::V4).into_iter().chain(v6).collect();
    let same_address_elsewhere =
        private
            .iter()
            .map(IpNet::addr)
            .map(|address| Position::Endpoint {
                vpc: foreign.clone(),
                address,
            });
    let is_home = |address: &IpAddr| match address {
        IpAddr::V4(v4) => {
            host.primary_ipv4 == Some(*v4)
                || footprint
                    .more_private_ipv4
                    .iter()
                    .any(|net| net.contains(v4))
        }
        IpAddr::V6(v6) => footprint.private_ipv6.iter().any(|net| net.contains(v6)),
    };
    let beside: Vec<IpAddr> = private
        .iter()
        .flat_map(neighbours)
        .chain(strangers)
        .filter(|address| !is_home(address))
        .collect();
    let beside_it = own
        .chain(hubs.iter().map(|hub| (*hub).clone()))
        .flat_map(|vpc| {
            beside.iter().map(move |address| Position::Endpoint {
                vpc: vpc.clone(),
                address: *address,
            })
        });
    internet
        .chain(same_address_elsewhere)
        .chain(beside_it)
        .collect()
}

/// Addresses of blocks for documentation, which nobody calls from.
fn strangers() -> [IpAddr; 3] {
    [
        Ipv4Addr::new(192, 0, 2, 1).into(),
        Ipv4Addr::new(203, 0, 113, 254).into(),
        Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1).into(),
    ]
}

fn v4(net: &IpNet) -> Option<Ipv4Net> {
    match net {
        IpNet::V4(net) => Some(*net),
        IpNet::V6(_) => None,
    }
}

fn v6(net: &IpNet) -> Option<Ipv6Net> {
    match net {
        IpNet::V4(_) => None,
        IpNet::V6(net) => Some(*net),
    }
}

/// A VPC that is none of ours: its id has letters that AWS's hexadecimal ids have not.
fn nobodys_vpc() -> VpcId {
    "vpc-0foreign"
        .parse()
        .expect("a VPC id written in this file")
}

/// An instance that is none of ours yet: its id has letters that AWS's hexadecimal ids have not.
pub(crate) fn newcomer() -> InstanceId {
    "i-0newcomer"
        .parse()
        .expect("an instance id written in this file")
}

/// The first and the last address of a prefix.
pub(crate) fn ends(net: &IpNet) -> BTreeSet<IpAddr> {
    [net.network(), net.broadcast()].into()
}

/// The addresses right before and right after a prefix.
fn neighbours(net: &IpNet) -> Vec<IpAddr> {
    match net {
        IpNet::V4(net) => {
            let before = u32::from(net.network()).checked_sub(1);
            let after = u32::from(net.broadcast()).checked_add(1);
            before
                .into_iter()
                .chain(after)
                .map(|bits| Ipv4Addr::from(bits).into())
                .collect()
        }
        IpNet::V6(net) => {
            let before = u128::from(net.network()).checked_sub(1);
            let after = u128::from(Ipv6Net::broadcast(net)).checked_add(1);
            before
                .into_iter()
                .chain(after)
                .map(|bits| Ipv6Addr::from(bits).into())
                .collect()
        }
    }
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            instance,
            from,
            promise,
            denied_by,
        } = self;
        let whose = match promise {
            Promise::HomeIsAdmitted => "from home",
            Promise::LaunchIsAdmitted => "launched now",
            Promise::OutsiderIsDenied => "from outside",
            Promise::PinCannotBeTakenOff => "that would take its pin off",
            Promise::DerivedIsDenied => "by a session made of its own",
            Promise::ServiceIsAdmitted => "made by a service for it",
            Promise::ExemptIsAdmitted => "to an exempt data plane",
            Promise::ChainedIsAdmitted => "by a session of the role that it assumed, from home",
            Promise::ChainedLaunchIsAdmitted => "by such a session, launched now",
            Promise::StatedIsAdmitted => {
                "by a session of the role, from where callers are said to be"
            }
            Promise::ElsewhereIsAdmitted => {
                "by a session of the role, from where callers of another account are"
            }
            Promise::ChainedOutsiderIsDenied => "by a session of the role, from outside",
        };
        match denied_by {
            Some(sid) => write!(
                f,
                "a call of {instance} {whose} ({from}) is denied by {sid}"
            ),
            None => write!(f, "a call of {instance} {whose} ({from}) is admitted"),
        }
    }
}
