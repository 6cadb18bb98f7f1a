//! The proof of a pin by egress: sessions that were made by assuming the role.

use std::net::IpAddr;

use super::{
    ANY_ACTION, Call, Counterexample, Promise, broken, broken_at_home, ends, home_positions,
    neighbours, newcomer, nobodys_vpc, strangers,
};
use crate::{
    chain::{Callers, Stated},
    credential::Session,
    estate::Role,
    footprint::Host,
    id::{InstanceId, VpcId},
    pin::EXEMPT_ACTIONS,
    policy::Document,
    position::Position,
    request::Request,
    settings::Settings,
};

/// What such sessions are called, when they are not called like an instance.
const ANY_NAME: &str = "session";

/// Calls of sessions of `role` that would not be decided as promised; none means proven.
pub fn chained(
    role: &Role,
    callers: &Callers,
    settings: &Settings,
    documents: &[&Document],
) -> Vec<Counterexample> {
    broken(calls(role, callers, settings), documents)
}

/// Calls of sessions that live hosts made, or others by the operator's word, and that `documents` deny.
pub fn chained_locked_out(
    role: &Role,
    callers: &Callers,
    settings: &Settings,
    documents: &[&Document],
) -> Vec<Counterexample> {
    broken_at_home(calls(role, callers, settings), documents)
}

/// Every call that the proof looks at, and whether it has to be denied: for others to decide.
pub fn chained_promised<'a>(
    role: &'a Role,
    callers: &'a Callers,
    settings: &'a Settings,
) -> impl Iterator<Item = (Request, bool)> + use<'a> {
    calls(role, callers, settings).map(Call::promised)
}

fn calls<'a>(
    role: &'a Role,
    callers: &'a Callers,
    settings: &'a Settings,
) -> impl Iterator<Item = Call> + use<'a> {
    let any = Session::of(role, ANY_NAME);
    calls_of_hosts(role, callers, settings)
        .chain(calls_of_launches(any.clone(), callers))
        .chain(calls_from(
            any.clone(),
            &callers.stated,
            Promise::StatedIsAdmitted,
        ))
        .chain(calls_from(
            any.clone(),
            &callers.of_elsewhere,
            Promise::ElsewhereIsAdmitted,
        ))
        .chain(calls_from_outside(any, callers))
}

/// What is exempt is so from anywhere: one place stands for all.
fn calls_from_outside(session: Session, callers: &Callers) -> impl Iterator<Item = Call> {
    let outside = outsiders(callers);
    let exempt = outside.first().cloned().into_iter().flat_map(|from| {
        EXEMPT_ACTIONS.map(|action| {
            let request = session.used_from(&from, action.replace('*', "Any"));
            call(&newcomer(), &from, request, Promise::ExemptIsAdmitted)
        })
    });
    let exempt: Vec<Call> = exempt.collect();
    let denied = outside.into_iter().map(move |from| {
        let request = session.used_from(&from, ANY_ACTION);
        call(
            &newcomer(),
            &from,
            request,
            Promise::ChainedOutsiderIsDenied,
        )
    });
    denied.chain(exempt)
}

/// Each host, wherever it calls from, with a session of its own name and one of another.
fn calls_of_hosts<'a>(
    role: &'a Role,
    callers: &'a Callers,
    settings: &'a Settings,
) -> impl Iterator<Item = Call> + use<'a> {
    let any = Session::of(role, ANY_NAME);
    callers.hosts().flat_map(move |host| {
        let hubs: Vec<&VpcId> = settings.hub_vpcs.iter().flatten().collect();
        let like_it = Session::of(role, host.instance.as_str());
        // One host stands for all: where they are does not matter to that.
        let defends = settings.self_defence
            && callers.hosts().next().map(|first| &first.instance) == Some(&host.instance);
        let homes = home_positions(host, &hubs);
        let calls = homes.into_iter().flat_map(|home| {
            let requests = [
                (any.used_from(&home, ANY_ACTION), Promise::ChainedIsAdmitted),
                (
                    like_it.used_from(&home, ANY_ACTION),
                    Promise::ChainedIsAdmitted,
                ),
                (
                    any.used_by_a_service(&home, ANY_ACTION),
                    Promise::ServiceIsAdmitted,
                ),
            ];
            let takes_off = defends.then(|| {
                let request = any.used_from(&home, "iam:DetachRolePolicy");
                (request.on(&role.arn), Promise::PinCannotBeTakenOff)
            });
            let requests = requests.into_iter().chain(takes_off);
            requests
                .map(|(request, promise)| call(&host.instance, &home, request, promise))
                .collect::<Vec<_>>()
        });
        calls.collect::<Vec<_>>()
    })
}

/// Hosts that are not there yet, of roles that may assume this one.
fn calls_of_launches(session: Session, callers: &Callers) -> impl Iterator<Item = Call> + use<'_> {
    callers.launches.iter().flat_map(move |launch| {
        let public = launch.public.iter().flat_map(ends).map(Position::Internet);
        let inside = launch.ipv4.map(|net| Position::Endpoint {
            vpc: launch.vpc.clone(),
            address: net.network().into(),
        });
        let homes = public.chain(inside).map(|home| {
            let request = session.used_from(&home, ANY_ACTION);
            call(
                &newcomer(),
                &home,
                request,
                Promise::ChainedLaunchIsAdmitted,
            )
        });
        homes.collect::<Vec<_>>()
    })
}

/// Callers that are no hosts of this account, from where the operator says that they are, or their own account.
fn calls_from(
    session: Session,
    places: &Stated,
    promise: Promise,
) -> impl Iterator<Item = Call> + use<'_> {
    let public = places.prefixes.iter().flat_map(ends);
    let inside = places.vpcs.iter();
    let homes = public
        .map(Position::Internet)
        .chain(inside.map(|vpc| Position::Endpoint {
            vpc: vpc.clone(),
            address: [10, 0, 0, 1].into(),
        }));
    homes.map(move |home| {
        let request = session.used_from(&home, ANY_ACTION);
        call(&newcomer(), &home, request, promise)
    })
}

/// Positions where no caller is: right beside their own, and far away.
fn outsiders(callers: &Callers) -> Vec<Position> {
    let hosts = callers.hosts().flat_map(|host| &host.public);
    let public = hosts.chain(&callers.stated.prefixes);
    let public = public.chain(&callers.of_elsewhere.prefixes);
    let admitted = |address: &IpAddr| callers.public.iter().any(|net| net.contains(address));
    let mut outside: Vec<_> = public
        .flat_map(neighbours)
        .chain(strangers())
        .filter(|address| !admitted(address))
        .collect();
    outside.sort();
    outside.dedup();
    let foreign = nobodys_vpc();
    let inside = callers.hosts().flat_map(Host::private);
    // The same address elsewhere is another one.
    let inside = inside.take(1).map(|net| net.addr()).chain(strangers());
    let through = inside.map(|address| Position::Endpoint {
        vpc: foreign.clone(),
        address,
    });
    outside
        .into_iter()
        .map(Position::Internet)
        .chain(through)
        .collect()
}

fn call(instance: &InstanceId, from: &Position, request: Request, promise: Promise) -> Call {
    Call {
        instance: instance.clone(),
        from: from.clone(),
        request,
        promise,
    }
}
