//! Exposure is what a thief would find by trying: every host of the account, every address.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod fleet;

use std::{collections::BTreeSet, net::Ipv4Addr};

use credpin_core::{
    credential::Credential,
    estate::Target,
    evaluate::denied_by,
    exposure::{self, Exposure, Hosts, OfInstance},
    footprint::{self, Host},
    id::VpcId,
    policy::Document,
    position::Position,
    settings::Lists,
};
use fleet::{Fleet, id, via_nat};
use proptest::prelude::*;

/// A host: of which role, in which VPC and subnet, at which private address, with which public one,
/// further private one and IPv6 address.
type Drawn = (bool, bool, bool, u8, Option<u8>, Option<u8>, Option<u8>);

/// What is asked for: an endpoint hub, and lists of IPv6 by subnets.
type Wanted = (bool, bool);

fn drawn() -> impl Strategy<Value = Vec<Drawn>> {
    let host = (
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        0..6_u8,
        proptest::option::of(0..16_u8),
        proptest::option::weighted(0.3, 0..6_u8),
        proptest::option::weighted(0.3, 0..8_u8),
    );
    prop::collection::vec(host, 1..9)
}

/// VPCs `a` and `b` with the same private addresses: each has a subnet behind a NAT gateway and one
/// whose hosts have their own public addresses, if any. IPv6 addresses from the fifth on are of
/// prefixes that no subnet shows.
fn fleet_of(hosts: &[Drawn], (hub, by_subnets): Wanted) -> Fleet {
    let mut fleet = Fleet::new().role("web").role("batch").settings(|settings| {
        settings.allow_launch_gap = true;
        settings.hub_vpcs = hub.then(|| [id("vpc-hub")].into());
        if by_subnets {
            settings.ipv6_lists = Lists::Subnets;
        }
    });
    for (vpc, nat) in [("a", "198.51.100.1"), ("b", "198.51.100.2")] {
        fleet = fleet.usual_vpc(vpc, nat);
        let mixed = format!("{vpc}mixed");
        fleet = fleet
            .subnet(&mixed, vpc)
            .route(&mixed, "0.0.0.0/0", Target::InternetGateway)
            .route(&mixed, "::/0", Target::InternetGateway)
            .ipv6(&mixed, &format!("2001:db8:{vpc}::/64"))
            .route(&mixed, "8.0.0.0/8", via_nat(vpc));
    }
    let mut taken = BTreeSet::new();
    for (number, (web, in_a, mixed, private, public, second, six)) in hosts.iter().enumerate() {
        let vpc = if *in_a { "a" } else { "b" };
        if !taken.insert((vpc, *private)) {
            continue;
        }
        let subnet = format!("{vpc}{}", if *mixed { "mixed" } else { "pub" });
        let subnet = if public.is_some() { subnet } else { vpc.into() };
        let public = public.map(|last| format!("203.0.113.{last}"));
        let private = format!("10.0.1.{private}");
        let more = second.map(|last| format!("10.0.2.{last}"));
        let mut ipv4 = vec![(private.as_str(), public.as_deref())];
        ipv4.extend(more.iter().map(|more| (more.as_str(), None)));
        let six = six.map(|n| match n {
            0..4 => format!("2001:db8:{vpc}::{n}"),
            _ => format!("2001:db8:ff:{n}::1"),
        });
        let ipv6: Vec<&str> = six.as_deref().into_iter().collect();
        let role = if *web { "web" } else { "batch" };
        fleet = fleet.host_with(&number.to_string(), Some(role), &subnet, &ipv4, &ipv6);
    }
    fleet
}

/// Where a host can be.
fn positions(host: &Host, hub: bool) -> Vec<Position> {
    let public = host.public.iter().map(|net| Position::Internet(net.addr()));
    let vpcs = [host.vpc.clone()]
        .into_iter()
        .chain(hub.then(|| id::<VpcId>("vpc-hub")));
    let inside = vpcs.flat_map(|vpc| {
        let address = |net: ipnet::IpNet| Position::Endpoint {
            vpc: vpc.clone(),
            address: net.addr(),
        };
        host.private().map(address).collect::<Vec<_>>()
    });
    public.chain(inside).collect()
}

/// The figures of a host, by trying.
fn by_trying(fleet: &Fleet, host: &Host, all: &[Host], pin: &[&Document], hub: bool) -> OfInstance {
    let credential = Credential::of(&fleet.estate.roles["web"], host);
    let passes = |from: &Position| {
        let request = credential.used_from(from, "s3:GetObject");
        denied_by(pin.iter().copied(), &request).is_none()
    };
    let others = all.iter().filter(|other| other.instance != host.instance);
    let hosts = others
        .filter(|other| positions(other, hub).iter().any(&passes))
        .count();
    let ours: BTreeSet<String> = all
        .iter()
        .flat_map(|host| host.public.iter().map(|net| net.addr().to_string()))
        .chain(["198.51.100.1".to_owned(), "198.51.100.2".to_owned()])
        .collect();
    // No list of these fleets has anything outside of this.
    let universe = (0..=255).flat_map(|last| {
        [
            Ipv4Addr::new(203, 0, 113, last),
            Ipv4Addr::new(198, 51, 100, last),
        ]
    });
    let v4 = universe
        .filter(|address| !ours.contains(&address.to_string()))
        .filter(|address| passes(&Position::Internet((*address).into())))
        .count();
    let unseen = (4..8).map(|n| format!("2001:db8:ff:{n}::1"));
    let v6 = unseen
        .filter(|address| !ours.contains(address))
        .filter(|address| passes(&address.parse().unwrap()))
        .count();
    let foreign = ["vpc-hub", "vpc-0foreign"].into_iter().filter(|vpc| {
        let address = host.primary_ipv4.unwrap().into();
        passes(&Position::Endpoint {
            vpc: id(vpc),
            address,
        })
    });
    OfInstance {
        instance: host.instance.clone(),
        hosts: hosts as u64,
        v4: v4 as u64,
        v6: v6 as u64,
        endpoints: foreign.count() as u64,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// The pin is of yesterday: since then hosts came, went and changed their addresses.
    #[test]
    fn it_is_what_trying_everything_finds(before in drawn(), now in drawn(), fresh in any::<bool>(), wanted in any::<Wanted>()) {
        let today = fleet_of(&now, wanted);
        let plan = today.plan();
        let Some(role) = plan.role(&id("web")) else { return Ok(()) };
        let yesterday = if fresh { fleet_of(&now, wanted) } else { fleet_of(&before, wanted) };
        let yesterdays = yesterday.plan();
        let Some(pin) = yesterdays.role(&id("web")).and_then(|role| role.pin.clone()) else { return Ok(()) };
        if role.footprint.hosts.is_empty() { return Ok(()) }
        let all = footprint::hosts(&today.estate, &today.settings);
        let index = Hosts::new(&today.estate, &all);
        let Exposure::Limited(found) = exposure::of(&role.footprint, &pin.documents(), &index) else {
            return Err(TestCaseError::fail("it has hosts and a pin"));
        };
        let tried: Vec<OfInstance> = role
            .footprint
            .hosts
            .iter()
            .map(|host| by_trying(&today, host, &all, &pin.documents(), wanted.0))
            .collect();
        prop_assert_eq!(&found.instances[..], &tried[..]);
        prop_assert_eq!(found.hosts.worst, tried.iter().map(|it| it.hosts).max().unwrap());
        if fresh {
            prop_assert_eq!((found.v4.worst, found.v6.worst), (0, 0));
        }
    }
}
