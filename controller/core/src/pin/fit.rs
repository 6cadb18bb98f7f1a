//! How finely hosts are kept apart from each other, so that the pin fits its documents.
//!
//! The problem: divide the cells of each VPC into groups such that the statements can be packed into
//! the documents of the role, with every list exact, so that no address of others is admitted. Of all
//! such divisions, take one in which the worst-off host is open to the fewest other hosts; then, VPC
//! by VPC, one in which its own worst-off host is.
//!
//! In this order, and the first that fits is taken:
//!
//! 1. the finest division: nobody could do better;
//! 2. the least T for which groups that are open to T hosts at most fit, found by bisection. Prefixes
//!    are joined only where that loses nothing. What room is left is used VPC by VPC, the worst first;
//! 3. where [`Settings::allow_lossy`] allows it, no division, and lists that take in addresses of
//!    others, as few as can be: see [`Cover`];
//! 4. else it does not fit, and the role is held.
//!
//! Then the groups that are in force already are kept as far as they are within the same T, so that
//! little is rewritten when little changes. To be exact is bin packing twice over, which is NP-hard;
//! this is first-fit under bisection, `O(n log n)` in the role's hosts for a bounded number of groups,
//! and the tests hold it against exhaustive search. Groups are counted by the characters that they would
//! take and written once they are chosen, and what was tried once is not tried again.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use ipnet::IpNet;

use super::{
    Admitted, Cover, common_statements,
    divide::{Filled, Homes, Order, Parts, Rule, Way},
    is_too_wide,
    pack::{self, Room},
    public_vpc,
    size::Sizes,
};
use crate::{
    exposure::Hosts,
    footprint::{Footprint, Group},
    hashed::HashMap,
    id::VpcId,
    policy::{Document, Statement},
    settings::Settings,
};

/// Fewer characters than a prefix in a list takes, quotes and comma counted.
const LEAST_PREFIX: usize = 10;

/// The documents of a pin by their number from 0; an empty one says nothing and is none.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// The documents.
    pub documents: Vec<Document>,
}

/// Divides the VPCs of `footprint` into groups as finely as `room` allows, and gives the documents of
/// its pin, with room for the statements `beside` it. `before` is what the role's documents say now. Where
/// nothing fits, there are no groups and the error is the whole pin, as one document that is too large.
pub fn fit(
    footprint: &mut Footprint,
    settings: &Settings,
    fleet: &Hosts,
    room: Room,
    before: &[Option<Document>],
    beside: Vec<Statement>,
) -> Result<Fitted, Document> {
    footprint.groups = BTreeMap::new();
    let mut search = Search::new(footprint, settings, fleet, room, before);
    search.common.extend(beside.iter().map(Statement::size));
    let groups = search.best().or_else(|| {
        let lossy = settings.allow_lossy.then(|| search.lossy());
        lossy.flatten()
    });
    let groups = groups.unwrap_or_default();
    // A VPC in one group of what its hosts leave by is as it is without.
    let egress = &footprint.egress;
    let is_whole = |vpc: &VpcId, all: &Group| egress.get(vpc) == Some(&all.public);
    footprint.groups = groups
        .into_iter()
        .filter(|(vpc, groups)| !matches!(groups.as_slice(), [all] if is_whole(vpc, all)))
        .collect();
    let mut statements = super::statements(footprint, settings);
    statements.extend(beside.iter().cloned());
    let documents = pack::pack(statements, room, before).ok_or_else(|| {
        let mut whole = super::of(footprint, settings);
        whole.statements.extend(beside);
        whole
    })?;
    Ok(Fitted { documents })
}

/// A VPC to be divided.
struct Vpc<'a> {
    id: &'a VpcId,
    egress: &'a BTreeSet<IpNet>,
    parts: Parts<'a>,
    sizes: Sizes,
    /// What was tried already: a search asks for the same divisions more than once.
    tried: RefCell<HashMap<(Rule, Order), Tried>>,
    /// See [`Parts::finest`].
    finest: usize,
    /// See [`Parts::coarsest`].
    coarsest: usize,
    /// Its groups in the pin in force.
    homes: Homes,
}

/// What came of putting parts into groups; none where there would be more than fit.
type Tried = Option<Rc<Measured>>;

/// Groups with the sizes of their statements.
struct Measured {
    filled: Filled,
    /// Of those that addresses select.
    sizes: Vec<usize>,
}

/// A VPC divided in one way.
struct Division {
    way: Way,
    measured: Rc<Measured>,
    /// Which of the groups is part of that of all others.
    to_rest: Option<usize>,
    /// The size of that one's statement.
    rest: usize,
}

struct Search<'a> {
    vpcs: Vec<Vpc<'a>>,
    /// Sizes of the statements that are about no VPC in particular.
    common: Vec<usize>,
    room: Room,
}

impl<'a> Search<'a> {
    fn new(
        footprint: &'a Footprint,
        settings: &Settings,
        fleet: &'a Hosts,
        room: Room,
        before: &[Option<Document>],
    ) -> Self {
        let documents: Vec<&Document> = before.iter().flatten().collect();
        let in_force = Admitted::by(&documents);
        let vpcs = footprint
            .egress
            .iter()
            .map(|(id, egress)| {
                let cells = footprint.cells.get(id).map(Vec::as_slice);
                let parts = Parts::new(egress, cells.unwrap_or_default(), fleet);
                Vpc {
                    id,
                    egress,
                    finest: 0,
                    coarsest: 0,
                    parts,
                    sizes: Sizes::of(id),
                    tried: RefCell::default(),
                    homes: homes(&in_force, id),
                }
            })
            .collect();
        let common = common_statements(footprint, settings);
        Self {
            vpcs,
            common: common.iter().map(Statement::size).collect(),
            room,
        }
    }

    /// The groups of each VPC in the best division that was found.
    fn best(&mut self) -> Option<BTreeMap<VpcId, Vec<Group>>> {
        if self.is_hopeless() {
            return None;
        }
        let divisions = if let Some(finest) = self.all_finest() {
            finest
        } else {
            self.count();
            let mut divisions = self.least_worst()?;
            self.use_what_is_left(&mut divisions);
            divisions
        };
        let any_home = self.vpcs.iter().any(|vpc| !vpc.homes.is_empty());
        let divisions = match any_home.then(|| self.with_homes(&divisions)).flatten() {
            Some(with_homes) => with_homes,
            None => divisions,
        };
        let ids = self.vpcs.iter().map(|vpc| vpc.id.clone());
        Some(ids.zip(divisions.iter().map(Division::groups)).collect())
    }

    /// Whether the lists alone are too long, however they are divided.
    fn is_hopeless(&self) -> bool {
        let prefixes: usize = self.vpcs.iter().map(|vpc| vpc.parts.least_prefixes()).sum();
        prefixes * LEAST_PREFIX > self.room.documents * self.room.characters
    }

    fn count(&mut self) {
        for vpc in &mut self.vpcs {
            vpc.parts.count();
            (vpc.finest, vpc.coarsest) = (vpc.parts.finest(), vpc.parts.coarsest());
        }
    }

    fn all_finest(&self) -> Option<Vec<Division>> {
        let divide = |vpc| self.divide(vpc, Way::of(Rule::Finest));
        let divisions: Option<Vec<Division>> = self.vpcs.iter().map(divide).collect();
        divisions.filter(|divisions| self.fits(divisions))
    }

    /// The division of the least T that fits.
    fn least_worst(&self) -> Option<Vec<Division>> {
        let of = |figure: fn(&Vpc<'_>) -> usize| self.vpcs.iter().map(figure).max().unwrap_or(0);
        let (finest, coarsest) = (of(|vpc| vpc.finest), of(|vpc| vpc.coarsest));
        // Groups cost characters, and so does a list that is too long for one document: the coarsest
        // may fit or not, whatever lies between does.
        let mut known = None;
        let mut high = coarsest;
        while known.is_none() {
            known = self.at_most(high).map(|divisions| (high, divisions));
            if known.is_none() {
                high = usize::midpoint(high.saturating_sub(1).max(finest), finest);
                if high == finest {
                    return self.at_most(finest);
                }
            }
        }
        let (mut high, mut best) = known?;
        let mut low = finest;
        while low < high {
            let middle = low + (high - low) / 2;
            match self.at_most(middle) {
                Some(divisions) => (high, best) = (middle, divisions),
                None => low = middle + 1,
            }
        }
        Some(best)
    }

    /// Every VPC divided into groups that are open to `most` hosts.
    fn at_most(&self, most: usize) -> Option<Vec<Division>> {
        Way::all(Rule::AtMost(most)).find_map(|way| {
            let divide = |vpc| self.divide(vpc, way);
            let divisions: Option<Vec<Division>> = self.vpcs.iter().map(divide).collect();
            divisions.filter(|divisions| self.fits(divisions))
        })
    }

    /// Divides VPCs further, the worst first, as far as all still fits.
    fn use_what_is_left(&self, divisions: &mut [Division]) {
        let mut worst_first: Vec<usize> = (0..self.vpcs.len()).collect();
        worst_first.sort_by_key(|place| std::cmp::Reverse(self.vpcs[*place].coarsest));
        for place in worst_first {
            let vpc = &self.vpcs[place];
            if vpc.parts.is_whole() {
                continue;
            }
            let mut attempt = |way| {
                let Some(finer) = self.divide(vpc, way) else {
                    return false;
                };
                let before = std::mem::replace(&mut divisions[place], finer);
                let fits = self.fits(divisions);
                if !fits {
                    divisions[place] = before;
                }
                fits
            };
            if attempt(Way::of(Rule::Finest)) {
                continue;
            }
            let (mut low, mut high) = (vpc.finest, vpc.coarsest);
            while low < high {
                let middle = low + (high - low) / 2;
                if Way::all(Rule::AtMost(middle)).any(&mut attempt) {
                    high = middle;
                } else {
                    low = middle + 1;
                }
            }
        }
    }

    /// The same divisions with parts in the groups that they are in now, where that is within the
    /// same rules and fits.
    fn with_homes(&self, divisions: &[Division]) -> Option<Vec<Division>> {
        let with_homes: Option<Vec<Division>> = self
            .vpcs
            .iter()
            .zip(divisions)
            .map(|(vpc, division)| self.divide_with_homes(vpc, division.way))
            .collect();
        with_homes.filter(|divisions| self.fits(divisions))
    }

    /// No VPC divided, and every list cut to the same number of prefixes, the most that fit, with as
    /// few addresses of others in it as can be.
    fn lossy(&self) -> Option<BTreeMap<VpcId, Vec<Group>>> {
        let longest = self.room.characters / LEAST_PREFIX;
        let covers: Vec<(&Vpc<'a>, Cover)> = self
            .vpcs
            .iter()
            .map(|vpc| {
                let egress: Vec<IpNet> = vpc.egress.iter().copied().collect();
                (vpc, Cover::new(&egress, longest))
            })
            .collect();
        let lists = |most: usize| -> Option<Vec<Group>> {
            let group = |(vpc, cover): &(&Vpc<'a>, Cover)| {
                let list = cover.list(most)?;
                // What fits anyhow is left as it is, not joined: it may be no change.
                let public = match cover.strangers(most) {
                    Some(0) => vpc.egress.clone(),
                    _ => list.into_iter().collect(),
                };
                Some(Group {
                    public,
                    ..Group::default()
                })
            };
            let groups: Vec<Group> = covers.iter().map(group).collect::<Option<_>>()?;
            let sizes = covers
                .iter()
                .zip(&groups)
                .map(|((vpc, _), group)| public_vpc(vpc.id, &group.public, []).size());
            let sizes: Vec<usize> = sizes.chain(self.common.iter().copied()).collect();
            pack::fits(&sizes, self.room).then_some(groups)
        };
        let (mut low, mut high) = (0, longest);
        let mut best = None;
        while low < high {
            let middle = usize::midpoint(low, high + 1);
            match lists(middle) {
                Some(groups) => (low, best) = (middle, Some(groups)),
                None => high = middle - 1,
            }
        }
        let groups = best?;
        // A list that takes in a part of the internet is none, and there is nothing to prove of it.
        let is_own = |vpc: &Vpc<'_>, net: &IpNet| vpc.egress.contains(net) || !is_too_wide(net);
        let mut lists = covers.iter().zip(&groups);
        if !lists.all(|((vpc, _), group)| group.public.iter().all(|net| is_own(vpc, net))) {
            return None;
        }
        let groups = groups.into_iter().map(|group| vec![group]);
        let ids = covers.iter().map(|(vpc, _)| vpc.id.clone());
        Some(ids.zip(groups).collect())
    }

    fn divide(&self, vpc: &Vpc<'a>, way: Way) -> Option<Division> {
        let mut tried = vpc.tried.borrow_mut();
        let measured = tried
            .entry((way.rule, way.order))
            .or_insert_with(|| self.fill(vpc, way, &Homes::new()).map(Rc::new));
        measured
            .clone()
            .map(|measured| Division::new(vpc, way, measured))
    }

    fn divide_with_homes(&self, vpc: &Vpc<'a>, way: Way) -> Option<Division> {
        let measured = self.fill(vpc, way, &vpc.homes)?;
        Some(Division::new(vpc, way, measured.into()))
    }

    fn fill(&self, vpc: &Vpc<'a>, way: Way, homes: &Homes) -> Option<Measured> {
        // One more than there is room for, since one becomes part of the group of all others.
        let most = self.room.documents * self.room.characters / vpc.sizes.least() + 1;
        let filled = vpc.parts.fill(way.rule, way.order, homes, most)?;
        Some(Measured::of(vpc, filled))
    }

    fn fits(&self, divisions: &[Division]) -> bool {
        let sizes = divisions.iter().flat_map(Division::sizes);
        let sizes: Vec<usize> = sizes.chain(self.common.iter().copied()).collect();
        pack::fits(&sizes, self.room)
    }
}

impl Measured {
    fn of(vpc: &Vpc<'_>, filled: Filled) -> Self {
        let numbered = filled.numbered().iter();
        let sizes = numbered.map(|group| vpc.sizes.of_group(group)).collect();
        Self { filled, sizes }
    }
}

impl Division {
    fn new(vpc: &Vpc<'_>, way: Way, measured: Rc<Measured>) -> Self {
        let to_rest = measured.filled.to_rest(way.passed_over);
        let groups = measured.filled.numbered().iter().enumerate();
        let groups = groups.filter(|(place, _)| Some(*place) != to_rest);
        let public = measured.filled.rest_with(to_rest).public;
        let rest = vpc.sizes.of_rest(groups.map(|(_, group)| group), &public);
        Self {
            way,
            measured,
            to_rest,
            rest,
        }
    }

    /// Of its statements.
    fn sizes(&self) -> impl Iterator<Item = usize> {
        let numbered = self.measured.sizes.iter().enumerate();
        let numbered = numbered.filter(|(place, _)| Some(*place) != self.to_rest);
        numbered.map(|(_, size)| *size).chain([self.rest])
    }

    fn groups(&self) -> Vec<Group> {
        self.measured.filled.groups(self.to_rest)
    }
}

/// The groups that a VPC has in the pin in force, those of number 0 too: the address of a host that
/// no group selects is at home there.
fn homes(in_force: &Admitted, vpc: &VpcId) -> Homes {
    let of_vpc = in_force
        .public
        .iter()
        .filter(|public| public.vpc.as_ref() == Some(vpc));
    let mut homes = Homes::new();
    for public in of_vpc {
        let number = public
            .sid
            .strip_prefix("PublicGroup")
            .and_then(|rest| rest.split_once("Vpc"))
            .and_then(|(number, _)| number.parse().ok());
        if let Some(number) = number {
            homes.extend(public.private.iter().map(|net| (*net, number)));
        }
    }
    homes
}

#[cfg(test)]
mod tests;
