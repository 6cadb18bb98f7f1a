//! Which hosts are told that they are admitted, and that these are.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod fleet;

use credpin_core::{
    admission,
    estate::Target,
    footprint::{self, Footprint},
    id::RoleName,
    policy::Document,
    settings::Lists,
    verify,
};
use credpin_ledger::{Admission, Host, Reach};
use fleet::{
    Fleet, id,
    random::{fleet_of, vpcs},
    via_nat,
};
use proptest::prelude::*;

/// What is said of `web` while `documents` are its pin.
fn said(fleet: &Fleet, documents: &[&Document]) -> Admission {
    let (role, plan) = (id::<RoleName>("web"), fleet.plan());
    let footprint = plan.role(&role).map(|role| role.footprint.clone());
    admission::of(
        &fleet.estate.roles[&role],
        &footprint.unwrap_or_default(),
        documents,
        &footprint::places(&fleet.estate, &fleet.settings),
        &fleet.settings,
        fleet::NOW.parse().unwrap(),
    )
}

/// What the host `i-NAME` knows of itself.
fn itself(fleet: &Fleet, name: &str) -> (Host, Reach) {
    let region = fleet.estate.regions.values().next().unwrap();
    let instance = &region.instances[format!("i-{name}").as_str()];
    let primary = &instance.interfaces[0];
    let host = Host {
        instance_id: instance.id.to_string(),
        subnet: Some(instance.subnet.to_string()),
        private_ipv4s: primary.ipv4.iter().map(|pair| pair.private).collect(),
        public_ipv4s: primary.ipv4.iter().filter_map(|pair| pair.public).collect(),
        ipv6s: primary.ipv6.clone(),
        ..Host::default()
    };
    let reach = Reach {
        interfaces: instance.interfaces.len(),
        delegated: Vec::new(),
    };
    (host, reach)
}

#[track_caller]
fn assert_admits(admission: &Admission, fleet: &Fleet, name: &str, admitted: bool) {
    let (host, reach) = itself(fleet, name);
    assert_eq!(
        admission.admits(&host, &reach),
        admitted,
        "{name}: {admission:?}"
    );
}

fn nat() -> Fleet {
    Fleet::new()
        .usual_vpc("a", "198.51.100.1")
        .ipv4("a", "10.0.1.0/24")
        .host("a1", "web", "a", "10.0.1.5")
}

#[test]
fn without_a_pin_every_host_is_admitted() {
    let fleet = nat();
    let said = said(&fleet, &[]);
    assert!(!said.pinned);
    assert_admits(&said, &fleet, "a1", true);
}

#[test]
fn behind_a_nat_gateway_hosts_to_come_are_admitted_by_their_subnet_and_no_host_is_named() {
    let pin = nat().pin("web");
    let later = nat().host("a2", "web", "a", "10.0.1.9");
    let told = said(&nat(), &[&pin]);
    assert_eq!(told.instances, []);
    assert_admits(&told, &later, "a2", true);
    // One with a public address of its own may leave by that where its subnet leads to a gateway.
    let public = Fleet::new()
        .subnet("a", "a")
        .ipv4("a", "10.0.1.0/24")
        .public_host("a2", "web", "a", "10.0.1.9", "203.0.113.9")
        .route("a", "0.0.0.0/0", Target::InternetGateway);
    assert_admits(&said(&public, &[&pin]), &public, "a2", false);
}

#[test]
fn a_subnet_that_its_pin_does_not_know_admits_nobody_until_the_pin_does() {
    let zone = || {
        nat()
            .subnet("b", "a")
            .ipv4("b", "10.0.2.0/24")
            .nat("b", "apub", &["198.51.100.2"])
            .route("b", "0.0.0.0/0", via_nat("b"))
            .host("b1", "web", "b", "10.0.2.5")
    };
    let (before, after) = (nat().pin("web"), zone().pin("web"));
    assert_admits(&said(&zone(), &[&before]), &zone(), "b1", false);
    assert_admits(&said(&zone(), &[&after]), &zone(), "b1", true);
    // While a part of IAM may still see the old one, both have to admit it.
    let both = said(&zone(), &[&before, &after]);
    assert_admits(&both, &zone(), "b1", false);
    assert_admits(&both, &zone(), "a1", true);
}

#[test]
fn a_host_that_leaves_by_its_own_address_is_named_with_it() {
    let public = |address: &str| {
        Fleet::new()
            .subnet("a", "a")
            .ipv4("a", "10.0.1.0/24")
            .route("a", "0.0.0.0/0", Target::InternetGateway)
            .public_host("a1", "web", "a", "10.0.1.5", address)
            .settings(|settings| settings.allow_launch_gap = true)
    };
    let fleet = public("203.0.113.5");
    let told = said(&fleet, &[&fleet.pin("web")]);
    assert_admits(&told, &fleet, "a1", true);
    assert_admits(&told, &public("203.0.113.77"), "a1", false);
    // A pin of before does not know the address.
    let stale = said(&public("203.0.113.77"), &[&fleet.pin("web")]);
    assert_admits(&stale, &public("203.0.113.77"), "a1", false);
}

#[test]
fn ipv6_hosts_to_come_are_admitted_where_lists_have_their_subnet() {
    let fleet = |lists| {
        let six = ["2001:db8:7:1::5"];
        Fleet::new()
            .subnet("a", "a")
            .ipv4("a", "10.0.1.0/24")
            .ipv6("a", "2001:db8:7:1::/64")
            .route("a", "::/0", Target::EgressOnlyGateway)
            .role("web")
            .host_with("a1", Some("web"), "a", &[("10.0.1.5", None)], &six)
            .settings(|settings| {
                settings.allow_launch_gap = true;
                settings.ipv6_lists = lists;
            })
    };
    let new = ["2001:db8:7:1::77"];
    for (lists, admitted) in [(Lists::Addresses, false), (Lists::Subnets, true)] {
        let told = said(&fleet(lists), &[&fleet(lists).pin("web")]);
        let more = fleet(lists).host_with("a2", Some("web"), "a", &[("10.0.1.9", None)], &new);
        assert_admits(&told, &more, "a2", admitted);
        assert_admits(&told, &more, "a1", true);
    }
}

#[test]
fn a_role_whose_last_host_is_gone_still_tells_the_next_one() {
    let pin = nat().pin("web");
    let mut fleet = nat();
    fleet.region().instances.clear();
    assert_admits(&said(&fleet, &[&pin]), &nat(), "a1", true);
}

#[test]
fn where_a_subnet_leads_out_unseen_nobody_is_admitted() {
    let pin = nat().pin("web");
    let unseen = nat().route("a", "10.0.0.0/8", fleet::transit_gateway());
    assert_admits(&said(&unseen, &[&pin]), &unseen, "a1", false);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Against the pin of another fleet than is there: who is told to be admitted is.
    #[test]
    fn nobody_is_told_to_be_admitted_who_is_not(one in vpcs(), other in vpcs()) {
        let (before, fleet) = (fleet_of(&one), fleet_of(&other));
        let plan = before.plan();
        let pin = plan.role(&id("web")).expect("it has hosts").pin.clone().expect("it has hosts");
        let told = said(&fleet, &pin.documents());
        let footprint = fleet.plan().role(&id("web")).expect("it has hosts").footprint.clone();
        for host in &footprint.hosts {
            let name = host.instance.as_str().trim_start_matches("i-");
            let (own, reach) = itself(&fleet, name);
            if told.admits(&own, &reach) {
                let alone = Footprint { hosts: vec![host.clone()], ..footprint.clone() };
                let role = &fleet.estate.roles["web"];
                let denied = verify::locked_out(role, &alone, &fleet.settings, &pin.documents());
                prop_assert_eq!(denied, vec![], "{:?}", told);
            }
        }
    }
}

/// The property above says something only if some are admitted and some are not.
#[test]
fn of_random_hosts_some_are_admitted_and_some_are_not() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let (mut admitted, mut all) = (0, 0);
    for _ in 0..60 {
        let mut draw = || vpcs().new_tree(&mut runner).unwrap().current();
        let (before, fleet) = (fleet_of(&draw()), fleet_of(&draw()));
        let plan = before.plan();
        let pin = plan.role(&id("web")).unwrap().pin.clone().unwrap();
        let told = said(&fleet, &pin.documents());
        for host in &fleet.plan().role(&id("web")).unwrap().footprint.hosts {
            let (own, reach) = itself(&fleet, host.instance.as_str().trim_start_matches("i-"));
            admitted += usize::from(told.admits(&own, &reach));
            all += 1;
        }
    }
    assert!(admitted > all / 20 && admitted < all, "{admitted} of {all}");
}
