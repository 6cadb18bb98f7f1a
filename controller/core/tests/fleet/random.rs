//! Fleets at random: VPCs with subnets that lead out in every way, and hosts with all kinds of addresses.

use std::collections::BTreeSet;

use credpin_core::{estate::Target, settings::Lists};
use proptest::prelude::*;

use super::{Fleet, transit_gateway, via_nat};

/// A VPC with some subnets, each routed one way or another, and hosts in them.
#[derive(Clone, Debug)]
pub(crate) struct Vpc {
    subnets: Vec<Way>,
    hosts: Vec<HostAt>,
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Nowhere,
    OwnAddress,
    OwnIpv6,
    Nat,
    Opaque,
}

#[derive(Clone, Copy, Debug)]
struct HostAt {
    subnet: usize,
    address: u8,
    public: Option<u8>,
    second_address: bool,
    ipv6: bool,
}

pub(crate) fn vpcs() -> impl Strategy<Value = Vec<Vpc>> {
    let way = prop_oneof![
        3 => Just(Way::Nat),
        1 => Just(Way::Nowhere),
        1 => Just(Way::OwnAddress),
        1 => Just(Way::OwnIpv6),
        1 => Just(Way::Opaque),
    ];
    let host = (
        0..4_usize,
        1..250_u8,
        proptest::option::of(1..250_u8),
        any::<bool>(),
        any::<bool>(),
    );
    let host = host.prop_map(|(subnet, address, public, second_address, ipv6)| HostAt {
        subnet,
        address,
        public,
        second_address,
        ipv6,
    });
    let vpc = (
        prop::collection::vec(way, 1..4),
        prop::collection::vec(host, 1..6),
    );
    prop::collection::vec(
        vpc.prop_map(|(subnets, hosts)| Vpc { subnets, hosts }),
        1..4,
    )
}

/// The fleet of all these VPCs; overlapping private addresses are meant.
pub(crate) fn fleet_of(vpcs: &[Vpc]) -> Fleet {
    let mut fleet = Fleet::new().role("web").settings(|settings| {
        settings.allow_launch_gap = true;
        settings.hub_vpcs = Some(BTreeSet::new());
        // As drawn as anything: nothing else makes of it what this does.
        if vpcs.iter().any(|vpc| vpc.hosts[0].second_address) {
            settings.ipv6_lists = Lists::Subnets;
        }
    });
    for (v, vpc) in vpcs.iter().enumerate() {
        let vpc_name = format!("v{v}");
        for (s, way) in vpc.subnets.iter().enumerate() {
            let name = format!("{v}s{s}");
            fleet = fleet.subnet(&name, &vpc_name);
            fleet = fleet.ipv6(&name, &format!("2001:db8:{v}:{s}::/64"));
            fleet = match way {
                Way::Nowhere => fleet,
                Way::OwnAddress => fleet.route(&name, "0.0.0.0/0", Target::InternetGateway),
                Way::OwnIpv6 => fleet.route(&name, "::/0", Target::EgressOnlyGateway),
                Way::Opaque => fleet.route(&name, "0.0.0.0/0", transit_gateway()),
                Way::Nat => {
                    let address = format!("198.51.{v}.{}", 10 + s);
                    fleet
                        .nat(&name, &name, &[&address])
                        .route(&name, "0.0.0.0/0", via_nat(&name))
                }
            };
        }
        for (h, host) in vpc.hosts.iter().enumerate() {
            let s = host.subnet % vpc.subnets.len();
            let subnet = format!("{v}s{s}");
            let private = format!("10.0.{h}.{}", host.address);
            let public = host
                .public
                .map(|last| format!("203.0.{}.{last}", 10 * v + h));
            let second = format!("10.0.{}.{}", 100 + h, host.address);
            let ipv6 = format!("2001:db8:{v}:{s}::{h}:{}", host.address);
            let mut ipv4 = vec![(private.as_str(), public.as_deref())];
            if host.second_address {
                ipv4.push((second.as_str(), None));
            }
            let ipv6: &[&str] = if host.ipv6 { &[ipv6.as_str()] } else { &[] };
            fleet = fleet.host_with(&format!("{v}h{h}"), Some("web"), &subnet, &ipv4, ipv6);
        }
    }
    fleet
}
