use std::net::Ipv4Addr;

use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};

use super::*;
use crate::{
    estate::Estate,
    footprint::{Cell, Host},
    id::RegionName,
    pin::public_groups,
    prefix::joined,
};

/// As [`super::fit`] does; the independent judge is asked about what comes of it.
fn fit(
    footprint: &mut Footprint,
    settings: &Settings,
    fleet: &Hosts,
    room: Room,
) -> Result<Fitted, Document> {
    let fitted = super::fit(footprint, settings, fleet, room, &[], vec![])?;
    let documents = fitted.documents.iter().map(Document::to_json);
    credpin_witness::note_together(documents, Vec::new);
    Ok(fitted)
}

/// A cell: how many hosts of the role it has, and by which of a few gateways they leave or, with
/// none, each by an address of its own.
type Drawn = (usize, Option<u8>);

/// Cells of one VPC, how many hosts of others are behind each gateway, and the room there is.
#[derive(Clone, Debug)]
struct Case {
    cells: Vec<Drawn>,
    /// The same of what no address selects, if there is anything.
    rest: Option<Drawn>,
    others: Vec<usize>,
    room: Room,
}

fn case() -> impl Strategy<Value = Case> {
    let cell = prop_oneof![
        2 => (Just(1_usize), Just(None)),
        1 => (0..4_usize, (0..4_u8).prop_map(Some)),
    ];
    let cells = prop::collection::vec(cell, 1..6);
    let rest = (0..3_usize, (0..4_u8).prop_map(Some));
    let rest = prop::option::weighted(0.5, rest);
    let others = prop::collection::vec(0..6_usize, 4);
    (cells, rest, others, 1..3_usize, 2600..4600_usize).prop_map(
        |(cells, rest, others, documents, characters)| Case {
            cells,
            rest,
            others,
            room: Room {
                documents,
                characters,
            },
        },
    )
}

fn vpc() -> VpcId {
    "vpc-0a".parse().unwrap()
}

impl Case {
    /// What hosts of a cell leave by.
    fn public(number: usize, drawn: Drawn) -> BTreeSet<IpNet> {
        let last = match drawn.1 {
            Some(gateway) => Ipv4Addr::new(198, 51, 100, 4 * gateway + 1),
            None => Ipv4Addr::new(203, 0, 113, u8::try_from(4 * number + 1).unwrap()),
        };
        [IpNet::V4(last.into())].into()
    }

    fn host(name: &str, primary: [u8; 4], public: BTreeSet<IpNet>) -> Host {
        Host {
            instance: format!("i-{name}").parse().unwrap(),
            region: "eu-west-1".parse::<RegionName>().unwrap(),
            vpc: vpc(),
            primary_ipv4: Some(primary.into()),
            public: public.into(),
            more_private_ipv4: [].into(),
            private_ipv6: [].into(),
        }
    }

    fn footprint(&self) -> Footprint {
        let mut footprint = Footprint::default();
        let rest = self.rest.map(|drawn| Self::public(0, drawn));
        let rest = rest.unwrap_or_default();
        let hosts = self.rest.map_or(0, |(hosts, _)| hosts);
        let mut cells = vec![Cell {
            private: None,
            public: rest.clone(),
            hosts,
        }];
        for host in 0..hosts {
            let primary = [10, 8, 0, u8::try_from(host + 5).unwrap()];
            let host = Self::host(&format!("r{host}"), primary, rest.clone());
            footprint.hosts.push(host);
        }
        footprint.egress.insert(vpc(), rest);
        for (number, drawn) in self.cells.iter().enumerate() {
            let public = Self::public(number, *drawn);
            let third = u8::try_from(number).unwrap();
            cells.push(Cell {
                private: Some(format!("10.0.{third}.0/24").parse().unwrap()),
                public: public.clone(),
                hosts: drawn.0,
            });
            for host in 0..drawn.0 {
                let last = u8::try_from(host + 5).unwrap();
                let name = format!("{number}x{host}");
                let host = Self::host(&name, [10, 0, third, last], public.clone());
                footprint.hosts.push(host);
            }
            footprint.egress.entry(vpc()).or_default().extend(public);
        }
        footprint.cells = [(vpc(), cells)].into();
        footprint
    }

    /// All hosts of the account.
    fn hosts(&self) -> Vec<Host> {
        let mut hosts = self.footprint().hosts;
        for (gateway, number) in self.others.iter().enumerate() {
            let drawn = (0, Some(u8::try_from(gateway).unwrap()));
            for other in 0..*number {
                let last = u8::try_from(other).unwrap();
                let host = Self::host(
                    &format!("o{gateway}x{other}"),
                    [10, 9, drawn.1.unwrap(), last],
                    Self::public(0, drawn),
                );
                hosts.push(host);
            }
        }
        hosts
    }
}

/// Hosts that the worst-off group is open to.
fn worst(groups: &[(usize, BTreeSet<IpNet>)], fleet: &Hosts) -> usize {
    let open = |public: &BTreeSet<IpNet>| fleet.leaving_from(public);
    let with_hosts = groups.iter().filter(|(hosts, _)| *hosts > 0);
    with_hosts
        .map(|(_, public)| open(public))
        .max()
        .unwrap_or(0)
}

/// The least worst over every way to divide the cells that fits; none where none does.
fn exhaustive(case: &Case, fleet: &Hosts) -> Option<usize> {
    let footprint = case.footprint();
    let settings = Settings::default();
    let common: Vec<usize> = common_statements(&footprint, &settings)
        .iter()
        .map(Statement::size)
        .collect();
    // Each cell in a group by number, of which 0 is the one of all others; a new number is at most
    // one more than those before.
    let mut best: Option<usize> = None;
    let mut places = vec![0_usize; case.cells.len()];
    loop {
        if let Some(found) = value_of(case, &places, &common, fleet, best) {
            best = Some(found);
        }
        let Some(last) = (0..places.len())
            .rev()
            .find(|&at| places[at] <= places[..at].iter().copied().max().unwrap_or(0))
        else {
            return best;
        };
        places[last] += 1;
        places[last + 1..].fill(0);
    }
}

/// The worst of one division, if it is less than `best` and fits.
fn value_of(
    case: &Case,
    places: &[usize],
    common: &[usize],
    fleet: &Hosts,
    best: Option<usize>,
) -> Option<usize> {
    let number = places.iter().max().map_or(1, |most| most + 1);
    let mut groups = vec![Group::default(); number];
    let mut hosts = vec![0; number];
    for (at, place) in places.iter().enumerate() {
        let drawn = case.cells[at];
        let net = format!("10.0.{at}.0/24").parse().unwrap();
        groups[*place].private.insert(net);
        groups[*place].public.extend(Case::public(at, drawn));
        hosts[*place] += drawn.0;
    }
    groups[0].private = BTreeSet::new();
    if let Some(drawn) = case.rest {
        groups[0].public.extend(Case::public(0, drawn));
        hosts[0] += drawn.0;
    }
    groups.rotate_left(1);
    hosts.rotate_left(1);
    let open: Vec<(usize, BTreeSet<IpNet>)> = hosts
        .into_iter()
        .zip(groups.iter().map(|group| group.public.clone()))
        .collect();
    let found = worst(&open, fleet);
    if best.is_some_and(|best| found >= best) {
        return None;
    }
    let statements = match groups.as_slice() {
        [all] => vec![public_vpc(&vpc(), &all.public, [])],
        groups => public_groups(&vpc(), groups),
    };
    let sizes = statements.iter().map(Statement::size);
    let sizes: Vec<usize> = sizes.chain(common.iter().copied()).collect();
    pack::fits(&sizes, case.room).then_some(found)
}

/// What was found for a case: none where nothing fits.
fn found(case: &Case, fleet: &Hosts) -> Option<usize> {
    let mut footprint = case.footprint();
    fit(&mut footprint, &Settings::default(), fleet, case.room).ok()?;
    let groups: Vec<(usize, BTreeSet<IpNet>)> = footprint
        .hosts
        .iter()
        .map(|host| (1, footprint.public_of(host).unwrap().clone()))
        .collect();
    Some(worst(&groups, fleet))
}

#[test]
fn it_finds_what_exhaustive_search_finds() {
    let mut runner = TestRunner::deterministic();
    let (mut equal, mut fitting, mut divided, mut sums) = (0, 0, 0, (0, 0));
    for _ in 0..1000 {
        let case = case().new_tree(&mut runner).unwrap().current();
        let hosts = case.hosts();
        let fleet = Hosts::new(&Estate::default(), &hosts);
        let (best, ours) = (exhaustive(&case, &fleet), found(&case, &fleet));
        assert_eq!(best.is_some(), ours.is_some(), "{case:?}");
        let (Some(best), Some(ours)) = (best, ours) else {
            continue;
        };
        fitting += 1;
        divided += usize::from(
            best < value_of(&case, &vec![0; case.cells.len()], &[], &fleet, None).unwrap(),
        );
        equal += usize::from(ours == best);
        sums = (sums.0 + ours, sums.1 + best);
    }
    assert!(
        fitting >= 700 && divided >= 300,
        "{fitting} fit, {divided} are divided"
    );
    assert!(sums.0 * 100 <= sums.1 * 105, "{sums:?}");
    assert!(
        equal * 100 >= fitting * 99,
        "{equal} of {fitting} are equal"
    );
}

/// The promise of [`Rule::AtMost`], whichever group becomes the one of all others.
#[test]
fn no_group_is_open_to_more_than_the_rule_allows() {
    let mut runner = TestRunner::deterministic();
    let (mut joined, mut alone) = (0, 0);
    for _ in 0..300 {
        let case = case().new_tree(&mut runner).unwrap().current();
        let (footprint, all) = (case.footprint(), case.hosts());
        let fleet = Hosts::new(&Estate::default(), &all);
        let cells = &footprint.cells[&vpc()];
        let mut parts = Parts::new(&footprint.egress[&vpc()], cells, &fleet);
        parts.count();
        for most in parts.finest()..=parts.coarsest() {
            for way in Way::all(Rule::AtMost(most)) {
                let filled = parts.fill(way.rule, way.order, &Homes::new(), usize::MAX);
                let filled = filled.unwrap();
                let to_rest = filled.to_rest(way.passed_over);
                *if to_rest.is_some() {
                    &mut joined
                } else {
                    &mut alone
                } += 1;
                let rest = filled.rest_with(to_rest);
                let numbered = filled.numbered().iter().enumerate();
                let numbered = numbered.filter(|(place, _)| Some(*place) != to_rest);
                let groups: Vec<(usize, BTreeSet<IpNet>)> = numbered
                    .map(|(_, draft)| draft)
                    .chain([&rest])
                    .map(|draft| (draft.hosts, draft.public.iter().copied().collect()))
                    .collect();
                let worst = worst(&groups, &fleet);
                assert!(worst <= most, "{worst} and not {most}: {way:?} of {case:?}");
            }
        }
    }
    assert!(joined >= 1000 && alone >= 100, "{joined}, {alone}");
}

/// A VPC with so many hosts, each with an address that joins with no other.
fn crowd(hosts: u8) -> Case {
    Case {
        cells: (0..hosts).map(|_| (1, None)).collect(),
        rest: None,
        others: vec![],
        room: Room {
            documents: 1,
            characters: 2900,
        },
    }
}

/// A search gives up where there are more groups than statements could fit.
#[test]
fn what_is_given_up_early_would_not_have_fitted() {
    let (mut given_up, mut looked_at) = (0, 0);
    for hosts in 1..40 {
        let case = crowd(hosts);
        let (footprint, all) = (case.footprint(), case.hosts());
        let fleet = Hosts::new(&Estate::default(), &all);
        let settings = Settings::default();
        let mut search = Search::new(&footprint, &settings, &fleet, case.room, &[]);
        search.count();
        let vpc = &search.vpcs[0];
        let rules = (0..=all.len()).map(Rule::AtMost).chain([Rule::Finest]);
        for way in rules.flat_map(Way::all) {
            let whole = vpc
                .parts
                .fill(way.rule, way.order, &Homes::new(), usize::MAX);
            let whole = Division::new(vpc, way, Measured::of(vpc, whole.unwrap()).into());
            if let Some(division) = search.divide(vpc, way) {
                assert_eq!(division.groups(), whole.groups());
                assert!(division.sizes().eq(whole.sizes()));
                looked_at += 1;
            } else {
                assert!(!search.fits(&[whole]), "{hosts} hosts, {way:?}");
                given_up += 1;
            }
        }
    }
    assert!(
        given_up >= 100 && looked_at >= 100,
        "{given_up}, {looked_at}"
    );
}

#[test]
fn nothing_takes_in_strangers_unless_that_is_allowed() {
    let case = crowd(60);
    let hosts = case.hosts();
    let fleet = Hosts::new(&Estate::default(), &hosts);
    let mut footprint = case.footprint();
    let too_large = fit(&mut footprint, &Settings::default(), &fleet, case.room).unwrap_err();
    assert!(too_large.size() > case.room.characters);
    assert_eq!(footprint.groups, [].into());

    let settings = Settings {
        allow_lossy: true,
        ..Settings::default()
    };
    let fitted = fit(&mut footprint, &settings, &fleet, case.room).unwrap();
    let [document] = fitted.documents.as_slice() else {
        panic!("{fitted:?}")
    };
    assert!(document.size() <= case.room.characters);
    assert!(
        document.size() > case.room.characters - 50,
        "the room is used"
    );
    for host in &footprint.hosts {
        let admitted = footprint.public_of(host).unwrap();
        assert!(
            host.public
                .iter()
                .all(|net| admitted.iter().any(|it| it.contains(net)))
        );
    }
}

/// There is room for one prefix, and what it has to hold is near or far apart.
#[test]
fn a_list_that_takes_in_a_part_of_the_internet_is_none() {
    let settings = Settings {
        allow_lossy: true,
        ..Settings::default()
    };
    let leaving_by = |nets: &[IpNet]| {
        let cell = Cell {
            private: None,
            public: nets.iter().copied().collect(),
            hosts: 1,
        };
        Footprint {
            egress: [(vpc(), cell.public.clone())].into(),
            cells: [(vpc(), vec![cell])].into(),
            ..Footprint::default()
        }
    };
    let addresses = |first: u8| (0..30).map(move |last| Ipv4Addr::new(first, 51, 0, 2 * last));
    let nets = |all: Vec<Ipv4Addr>| all.into_iter().map(|it| IpNet::V4(it.into()));
    let near: Vec<IpNet> = nets(addresses(198).collect()).collect();
    let far: Vec<IpNet> = nets(addresses(198).chain(addresses(3)).collect()).collect();
    let fleet = Hosts::default();
    let list = |nets: &[IpNet], characters: usize| {
        let room = Room {
            documents: 1,
            characters,
        };
        let mut footprint = leaving_by(nets);
        fit(&mut footprint, &settings, &fleet, room).ok()?;
        let groups = footprint.groups.into_values().flatten();
        Some(joined(groups.flat_map(|group| group.public)))
    };
    let least = (0..6000).find_map(|characters| Some((characters, list(&near, characters)?)));
    let (characters, one) = least.unwrap();
    assert_eq!(one, ["198.51.0.0/26".parse().unwrap()]);
    assert_eq!(list(&far, characters), None);
    let two = list(&far, characters + 20).unwrap();
    assert_eq!(
        two,
        ["3.51.0.0/26", "198.51.0.0/26"].map(|net| net.parse().unwrap())
    );
}

#[test]
fn no_list_is_lossy_where_an_exact_one_fits() {
    let case = crowd(20);
    let hosts = case.hosts();
    let fleet = Hosts::new(&Estate::default(), &hosts);
    let of = |allow_lossy| {
        let settings = Settings {
            allow_lossy,
            ..Settings::default()
        };
        fit(&mut case.footprint(), &settings, &fleet, case.room).unwrap()
    };
    assert_eq!(of(true), of(false));
}

/// What other tools do: one list for the whole role, cut to `/N` until it fits.
#[test]
fn it_is_never_worse_than_one_list_cut_until_it_fits() {
    let mut runner = TestRunner::deterministic();
    for _ in 0..300 {
        let case = case().new_tree(&mut runner).unwrap().current();
        let hosts = case.hosts();
        let fleet = Hosts::new(&Estate::default(), &hosts);
        let mut footprint = case.footprint();
        let settings = Settings {
            allow_lossy: true,
            ..Settings::default()
        };
        let ours = fit(&mut footprint, &settings, &fleet, case.room);
        let cut_to = |length: u8| {
            let cut = |net: &IpNet| IpNet::new(net.addr(), length).unwrap().trunc();
            let list: BTreeSet<IpNet> = footprint.egress[&vpc()].iter().map(cut).collect();
            let mut sizes: Vec<usize> = common_statements(&footprint, &settings)
                .iter()
                .map(Statement::size)
                .collect();
            sizes.push(public_vpc(&vpc(), &list, []).size());
            pack::fits(&sizes, case.room).then(|| worst(&[(1, list)], &fleet))
        };
        let Some(plain) = (0..=32).rev().find_map(cut_to) else {
            continue;
        };
        assert!(ours.is_ok(), "{case:?}");
        let groups: Vec<(usize, BTreeSet<IpNet>)> = footprint
            .hosts
            .iter()
            .map(|host| (1, footprint.public_of(host).unwrap().clone()))
            .collect();
        assert!(worst(&groups, &fleet) <= plain, "{case:?}");
    }
}
