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
//!    others, as few as can be: see [`super::cover`];
//! 4. else it does not fit, and the role is held.
//!
//! Then the groups that are in force already are kept as far as they are within the same T, so that
//! little is rewritten when little changes. To be exact is bin packing twice over, which is NP-hard;
//! this is first-fit under bisection, `O(n log n)` in the role's hosts for a bounded number of groups,
//! and the tests hold it against exhaustive search.

use std::collections::BTreeMap;

use super::{
    Admitted, common_statements,
    divide::{Homes, Order, Parts, Rule},
    pack::{self, Room},
    public_groups, public_vpc,
};
use crate::{
    exposure::Hosts,
    footprint::{Footprint, Group},
    id::VpcId,
    policy::{Document, Statement},
    settings::Settings,
};

/// Fewer characters than a statement about the internet has: so many groups cannot fit.
const LEAST_STATEMENT: usize = 400;
/// Fewer characters than a prefix in a list takes, quotes and comma counted.
const LEAST_PREFIX: usize = 10;

/// The documents of a pin by their number from 0; an empty one says nothing and is none.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// The documents.
    pub documents: Vec<Document>,
}

/// Divides the VPCs of `footprint` into groups as finely as `room` allows, and gives the documents of
/// its pin. `before` is what the role's documents say now. Where nothing fits, there are no groups
/// and the error is the whole pin, as one document that is too large.
pub fn fit(
    footprint: &mut Footprint,
    settings: &Settings,
    fleet: &Hosts<'_>,
    room: Room,
    before: &[Option<Document>],
) -> Result<Fitted, Document> {
    footprint.groups = BTreeMap::new();
    let mut search = Search::new(footprint, settings, fleet, room, before);
    let groups = search.best();
    if let Some(groups) = groups {
        // A VPC in one group is as it is without.
        footprint.groups = groups.into_iter().filter(|(_, it)| it.len() > 1).collect();
    }
    let statements = super::statements(footprint, settings);
    match pack::pack(statements, room, before) {
        Some(documents) => Ok(Fitted { documents }),
        None => Err(super::of(footprint, settings)),
    }
}

/// A VPC to be divided.
struct Vpc<'a> {
    id: &'a VpcId,
    parts: Parts<'a>,
    /// See [`Parts::finest`].
    finest: usize,
    /// See [`Parts::coarsest`].
    coarsest: usize,
    /// Its groups in the pin in force.
    homes: Homes,
}

/// A VPC divided in one way.
#[derive(Clone)]
struct Division {
    rule: Rule,
    order: Order,
    groups: Vec<Group>,
    sizes: Vec<usize>,
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
        fleet: &'a Hosts<'a>,
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
                    finest: 0,
                    coarsest: 0,
                    parts,
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
        let divisions = self.with_homes(&divisions).unwrap_or(divisions);
        let ids = self.vpcs.iter().map(|vpc| vpc.id.clone());
        Some(ids.zip(divisions.into_iter().map(|it| it.groups)).collect())
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
        let divide = |vpc| self.divide(vpc, Rule::Finest, Order::Address, &Homes::new());
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
        [Order::Address, Order::Size].into_iter().find_map(|order| {
            let divide = |vpc| self.divide(vpc, Rule::AtMost(most), order, &Homes::new());
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
            let mut attempt = |rule, order| {
                let Some(finer) = self.divide(vpc, rule, order, &Homes::new()) else {
                    return false;
                };
                let before = std::mem::replace(&mut divisions[place], finer);
                let fits = self.fits(divisions);
                if !fits {
                    divisions[place] = before;
                }
                fits
            };
            if attempt(Rule::Finest, Order::Address) {
                continue;
            }
            let (mut low, mut high) = (vpc.finest, vpc.coarsest);
            while low < high {
                let middle = low + (high - low) / 2;
                let orders = [Order::Address, Order::Size];
                if orders
                    .into_iter()
                    .any(|order| attempt(Rule::AtMost(middle), order))
                {
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
            .map(|(vpc, division)| self.divide(vpc, division.rule, division.order, &vpc.homes))
            .collect();
        with_homes.filter(|divisions| self.fits(divisions))
    }

    fn divide(&self, vpc: &Vpc<'a>, rule: Rule, order: Order, homes: &Homes) -> Option<Division> {
        let most = self.room.documents * self.room.characters / LEAST_STATEMENT;
        let groups = vpc.parts.divide(rule, order, homes, most)?;
        let statements = match groups.as_slice() {
            [all] => vec![public_vpc(vpc.id, &all.public, [])],
            groups => public_groups(vpc.id, groups),
        };
        Some(Division {
            rule,
            order,
            groups,
            sizes: statements.iter().map(Statement::size).collect(),
        })
    }

    fn fits(&self, divisions: &[Division]) -> bool {
        let sizes = divisions.iter().flat_map(|division| &division.sizes);
        let sizes: Vec<usize> = sizes.chain(&self.common).copied().collect();
        pack::fits(&sizes, self.room)
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
