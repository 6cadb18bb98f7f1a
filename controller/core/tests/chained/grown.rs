//! Roles whose hosts have public addresses of their own, so many that their pins come near their room.

use super::*;

/// Hosts of `role` in the VPC called like it, at every second address of a /24.
fn own(mut fleet: Fleet, of: &str, role: &str, hosts: std::ops::RangeInclusive<u8>) -> Fleet {
    for number in hosts {
        let (private, public) = (format!("10.0.1.{number}"), format!("{of}.{}", 2 * number));
        fleet = fleet.public_host(&format!("{role}{number}"), role, role, &private, &public);
    }
    fleet
}

fn two_vpcs(max_policies: usize) -> Fleet {
    let fleet = ["web", "deploy"]
        .into_iter()
        .fold(Fleet::new(), |fleet, name| {
            let fleet = fleet.subnet(name, name);
            fleet.route(name, "0.0.0.0/0", Target::InternetGateway)
        });
    fleet.settings(|settings| {
        settings.allow_launch_gap = true;
        settings.max_policies = Some(max_policies);
    })
}

fn without(mut fleet: Fleet, role: &str, hosts: std::ops::RangeInclusive<u8>) -> Fleet {
    for number in hosts {
        let name = format!("i-{role}{number}");
        let gone = fleet.region().instances.remove(name.as_str());
        gone.expect("a host that was there");
    }
    fleet
}

/// Calls of `earlier`'s hosts from home that `fleet`'s pin of `role` denies.
fn denied_at_home(earlier: &Fleet, fleet: &Fleet, role: &str) -> usize {
    let documents = in_force(fleet, role);
    let documents: Vec<&Document> = documents.iter().collect();
    let hosts = of(&earlier.plan(), role).footprint.clone();
    let of_role = &fleet.estate.roles[role];
    verify::locked_out(of_role, &hosts, &fleet.settings, &documents).len()
}

/// On the way to a pin of half of the hosts some statements have no room. A hold that was widened so far would open
/// what these denied, and the next run would not know what they admitted.
#[test]
fn what_holds_a_narrowing_holds_in_each_run_and_opens_nothing() {
    for hosts in [10, 30, 60] {
        let whole = own(two_vpcs(2), "198.51.100", "deploy", 1..=hosts).applied(usize::MAX);
        let mut half = without(whole.clone(), "deploy", 1..=hosts / 2);
        for _ in 0..3 {
            let plan = half.plan();
            let deploy = of(&plan, "deploy");
            assert_eq!(deploy.outcome, Outcome::Held, "{hosts}");
            let narrowing = |hold: &Hold| matches!(hold, Hold::Narrowing(_));
            assert!(deploy.holds.iter().any(narrowing), "{:?}", deploy.holds);
            half = half.applied(usize::MAX);
            assert_eq!(denied_at_home(&whole, &half, "deploy"), 0, "{hosts}");
            for host in &deploy.footprint.hosts {
                let name = host.instance.as_str();
                assert!(
                    fleet::denied(&half, "deploy", name, "9.9.9.9").is_some(),
                    "{name} of {hosts}"
                );
            }
        }
    }
}

/// On the way from one pin to another two policies may have statements of one name; a policy may not.
#[test]
fn a_part_that_goes_on_beside_a_held_one_is_written_as_policies_that_iam_takes() {
    for hosts in [8, 10, 16, 20] {
        let fleet = own(two_vpcs(3), "198.51.100", "deploy", 1..=hosts);
        let fleet = own(fleet, "203.0.113", "web", 1..=3);
        let fleet = fleet.assumed("deploy", &["web"]);
        let fleet = fleet.chained("deploy", |_| {}).applied(usize::MAX);
        let mut fleet = without(fleet, "deploy", 1..=hosts / 2 + 1);
        for run in 0..4 {
            if run == 2 {
                fleet = own(fleet, "203.0.113", "web", 11..=12);
            }
            for step in &of(&fleet.plan(), "deploy").steps {
                if let Step::CreateVersion { document, .. } | Step::CreatePolicy { document, .. } =
                    step
                {
                    let read = Document::parse(&document.to_json());
                    assert!(read.is_ok(), "{hosts}, run {run}: {read:?}");
                }
            }
            fleet = fleet.applied(usize::MAX);
        }
        assert_eq!(denied(&fleet, "deploy", "203.0.113.24"), None, "{hosts}");
        assert!(denied(&fleet, "deploy", "9.9.9.9").is_some(), "{hosts}");
    }
}

/// Both parts grow, and one policy has no room for both.
#[test]
fn a_list_of_callers_without_room_keeps_no_host_of_the_role_out() {
    let fleet = own(two_vpcs(1), "198.51.100", "deploy", 1..=50);
    let fleet = own(fleet, "203.0.113", "web", 1..=50);
    let fleet = fleet.assumed("deploy", &["web"]);
    let fleet = fleet.chained("deploy", |_| {}).applied(usize::MAX);
    assert_eq!(holds(&fleet, "deploy"), []);
    let grown = own(fleet, "198.51.100", "deploy", 51..=90);
    let grown = own(grown, "203.0.113", "web", 51..=90);
    let plan = grown.plan();
    let deploy = of(&plan, "deploy");
    assert!(
        !deploy
            .holds
            .iter()
            .any(|hold| matches!(hold, Hold::Unproven(_))),
        "{:?}",
        deploy.holds
    );
    assert!(matches!(holds(&grown, "deploy")[..], [Hold::NoRoom(_)]));
    let after = grown.clone().applied(usize::MAX);
    assert_eq!(denied_at_home(&grown, &after, "deploy"), 0);
}

/// What is stated is never covered: it leaves the found ones room for a single prefix, and that would be a part of the
/// internet.
#[test]
fn a_list_that_would_take_in_a_part_of_the_internet_is_none() {
    let address = |base: [u8; 4], number: u32| {
        std::net::Ipv4Addr::from(u32::from_be_bytes(base) + number).to_string()
    };
    let mut fleet = two_vpcs(3).settings(|settings| {
        settings.mode = Mode::Observe;
        settings.allow_lossy = true;
    });
    for number in 0..40 {
        let base = [if number % 2 == 0 { 3 } else { 198 }, 51, 0, 0];
        let private = address([10, 0, 0, 10], number);
        let public = address(base, number * 4);
        fleet = fleet.public_host(&format!("w{number}"), "web", "web", &private, &public);
    }
    let alice = "arn:aws:iam::111122223333:user/alice";
    let fleet = fleet.assumed("deploy", &["web", alice]);
    let fleet = fleet.chained("deploy", |rule| {
        rule.callers.insert(alice.into());
        for number in 0..340 {
            let stated = address([52, 51, 0, 0], number * 2);
            rule.prefixes.insert(id(&format!("{stated}/32")));
        }
    });
    let too_large = |hold: &Hold| matches!(hold, Hold::TooLarge(_));
    let holds = holds(&fleet, "deploy");
    assert!(holds.iter().any(too_large), "{holds:?}");
    assert_eq!(of(&fleet.plan(), "deploy").steps, []);
}
