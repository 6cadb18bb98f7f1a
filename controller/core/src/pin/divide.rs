//! A VPC's cells put together into groups.
//!
//! Cells that leave by the same addresses are one part: nothing is gained by keeping them apart. The
//! parts are then put into groups, each into the first that takes it, under one of two rules:
//!
//! - *finest*: only where that opens nothing to anybody;
//! - *at most T*: as long as no more than T hosts of the account leave from the group's addresses.
//!
//! In the end the group that would cost the most selectors becomes the one of all others, which costs
//! none. To find the fewest groups for a T is bin
//! packing; first-fit is within 11/9 of it when the order is by size, and the caller tries that order
//! too. Work is `O(parts x groups)`, and who leaves from the addresses of each part is looked up once.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ipnet::{IpNet, Ipv4Net};

use crate::{
    exposure::Hosts,
    footprint::{Cell, Group},
    prefix::joined,
};

/// The parts of a VPC.
pub(super) struct Parts<'a> {
    fleet: &'a Hosts,
    /// What no address selects.
    rest: Part,
    /// What addresses select: parts with hosts first, those with the most selectors first of all.
    selected: Vec<Part>,
    /// How many hosts each crowd has that leaves from an address of the VPC, where they were counted.
    crowds: Vec<usize>,
}

/// Cells whose hosts leave by the same addresses.
#[derive(Clone, Debug, Default)]
pub(super) struct Part {
    private: BTreeSet<Ipv4Net>,
    public: BTreeSet<IpNet>,
    hosts: usize,
    /// Crowds of the account that leave from its addresses, by their place in [`Parts::crowds`].
    crowds: Vec<usize>,
    /// Their hosts.
    seen: usize,
}

/// When a group takes a further part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// Where that opens nothing to anybody.
    Finest,
    /// As long as no more than this many hosts leave from its addresses.
    AtMost(usize),
}

/// How parts are put into groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    /// When a group takes a further part.
    pub(super) rule: Rule,
    /// In which order parts are gone through.
    pub(super) order: Order,
    /// How many groups that could be the one of all others are passed over for it, those with the
    /// most selectors first.
    pub(super) passed_over: usize,
}

/// In which order parts are put into groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Most selectors first, then by address: neighbours come together, and their lists join.
    Address,
    /// Most hosts first: fewer groups.
    Size,
}

impl Way {
    /// The first way to look at for a rule.
    pub(super) const fn of(rule: Rule) -> Self {
        Self {
            rule,
            order: Order::Address,
            passed_over: 0,
        }
    }

    /// All that are looked at for a rule, the most promising first.
    pub(super) fn all(rule: Rule) -> impl Iterator<Item = Self> {
        [Order::Address, Order::Size]
            .into_iter()
            .flat_map(move |order| {
                (0..3).map(move |passed_over| Self {
                    rule,
                    order,
                    passed_over,
                })
            })
    }
}

/// The groups of a pin in force by a prefix that each selects.
pub(super) type Homes = BTreeMap<Ipv4Net, u32>;

impl<'a> Parts<'a> {
    /// The parts of a VPC that hosts leave by `egress`, of these `cells`.
    pub(super) fn new(egress: &BTreeSet<IpNet>, cells: &[Cell], fleet: &'a Hosts) -> Self {
        let mut by_egress: BTreeMap<&BTreeSet<IpNet>, Part> = BTreeMap::new();
        let mut rest = Part::default();
        let mut told: BTreeSet<IpNet> = BTreeSet::new();
        for cell in cells {
            told.extend(&cell.public);
            let part = match cell.private {
                Some(_) => by_egress.entry(&cell.public).or_insert_with(|| Part {
                    public: cell.public.clone(),
                    ..Part::default()
                }),
                None => &mut rest,
            };
            part.private.extend(cell.private);
            part.public.extend(&cell.public);
            part.hosts += cell.hosts;
        }
        // What nobody was seen to leave by may be what somebody to come will.
        rest.public.extend(egress.difference(&told));
        let mut parts: Vec<Part> = by_egress.into_values().collect();
        parts.sort_by_cached_key(|part| {
            let first = part.private.first().copied();
            (
                part.hosts == 0,
                std::cmp::Reverse(part.private.len()),
                first,
            )
        });
        Self {
            fleet,
            rest,
            selected: parts,
            crowds: Vec::new(),
        }
    }

    /// Counts the hosts that leave from each part's addresses, which [`Rule::AtMost`] and
    /// [`Order::Size`] want to know and most VPCs are divided without.
    pub(super) fn count(&mut self) {
        let mut places: HashMap<usize, usize> = HashMap::new();
        for part in self.selected.iter_mut().chain([&mut self.rest]) {
            let nets = part.public.iter();
            let crowds: BTreeSet<usize> = nets
                .flat_map(|net| self.fleet.crowds_leaving_from(net))
                .collect();
            let place = |crowd| {
                *places.entry(crowd).or_insert_with(|| {
                    self.crowds.push(self.fleet.size_of(crowd));
                    self.crowds.len() - 1
                })
            };
            part.crowds = crowds.into_iter().map(place).collect();
            part.seen = part.crowds.iter().map(|crowd| self.crowds[*crowd]).sum();
        }
    }

    /// The least number of prefixes that the lists of all groups have together.
    pub(super) fn least_prefixes(&self) -> usize {
        let all = self.selected.iter().chain([&self.rest]);
        joined(all.flat_map(|part| &part.public).copied()).len()
    }

    /// The least number of hosts that the worst-off group can be open to, however it is divided.
    pub(super) fn finest(&self) -> usize {
        let all = self.selected.iter().chain([&self.rest]);
        all.filter(|part| part.hosts > 0)
            .map(|part| part.seen)
            .max()
            .unwrap_or(0)
    }

    /// The same of a VPC that is not divided.
    pub(super) fn coarsest(&self) -> usize {
        let all = || self.selected.iter().chain([&self.rest]);
        if all().all(|part| part.hosts == 0) {
            return 0;
        }
        self.fleet.leaving_from(all().flat_map(|part| &part.public))
    }

    /// Whether there is anything to divide.
    pub(super) fn is_whole(&self) -> bool {
        self.selected.is_empty()
    }

    /// The parts put into `most` groups or fewer; none where more would be needed. What is in one of
    /// `homes` stays there if the rule allows.
    pub(super) fn divide(&self, way: Way, homes: &Homes, most: usize) -> Option<Vec<Group>> {
        let new = |number| Bin::new(number, way.rule, &self.crowds);
        let mut bins: BTreeMap<u32, Bin<'_>> = BTreeMap::new();
        if !homes.is_empty() {
            // What has no home there is in the group of all others.
            let mut rest = new(0);
            rest.take(&self.rest);
            bins.insert(0, rest);
        }
        let mut homeless: Vec<&Part> = Vec::new();
        for part in self.in_order(way.order) {
            let home = part.private.iter().find_map(|net| home_of(*net, homes));
            let taken = home.is_some_and(|number| {
                let bin = bins.entry(number).or_insert_with(|| new(number));
                bin.takes(part)
            });
            if !taken {
                homeless.push(part);
            }
        }
        for part in homeless {
            if bins.values_mut().any(|bin| bin.takes(part)) {
                continue;
            }
            if bins.len() >= most {
                return None;
            }
            // As many numbers as there are groups, and one more, hold one that is free.
            let last = u32::try_from(bins.len()).ok()? + 1;
            let number = (1..=last).find(|number| !bins.contains_key(number))?;
            let mut bin = new(number);
            bin.take(part);
            bins.insert(number, bin);
        }
        if homes.is_empty() {
            let rest = self.rest_of(&mut bins, new(0), way.passed_over);
            bins.insert(0, rest);
        }
        let mut groups: Vec<Group> = bins
            .into_values()
            .filter(|bin| bin.number == 0 || !bin.part.private.is_empty())
            .map(Bin::into_group)
            .collect();
        // The one of all others comes last.
        groups.rotate_left(1);
        (groups.len() <= most).then_some(groups)
    }

    /// The group of all others, `rest`, with what would cost the most selectors of what it can take.
    fn rest_of<'b>(
        &self,
        bins: &mut BTreeMap<u32, Bin<'b>>,
        mut rest: Bin<'b>,
        passed_over: usize,
    ) -> Bin<'b> {
        rest.take(&self.rest);
        let mut largest_first: Vec<(usize, u32)> = bins
            .values()
            .map(|bin| (bin.selectors(), bin.number))
            .collect();
        largest_first.sort_by_key(|(selectors, number)| (std::cmp::Reverse(*selectors), *number));
        for (_, number) in largest_first.into_iter().skip(passed_over) {
            if rest.takes(&bins[&number].part) {
                bins.remove(&number);
                break;
            }
        }
        rest
    }

    fn in_order(&self, order: Order) -> Vec<&Part> {
        let mut parts: Vec<&Part> = self.selected.iter().collect();
        if order == Order::Size {
            parts.sort_by_key(|part| (part.hosts == 0, std::cmp::Reverse(part.seen)));
        }
        parts
    }
}

/// Prefixes in force are joined, and disjoint: the one that can hold `net` is the last that begins
/// before it.
fn home_of(net: Ipv4Net, homes: &Homes) -> Option<u32> {
    let (prefix, number) = homes.range(..=net).next_back()?;
    prefix.contains(&net).then_some(*number)
}

/// A group being filled.
struct Bin<'a> {
    number: u32,
    rule: Rule,
    part: Part,
    /// Of which crowds hosts leave from its addresses, where the rule asks for that.
    has: Vec<bool>,
    /// How many hosts these have.
    seen: usize,
    /// How many each has.
    crowds: &'a [usize],
}

impl<'a> Bin<'a> {
    fn new(number: u32, rule: Rule, crowds: &'a [usize]) -> Self {
        Self {
            number,
            rule,
            part: Part::default(),
            has: vec![false; crowds.len()],
            seen: 0,
            crowds,
        }
    }

    /// Takes `part` if the rule allows; whether it does.
    fn takes(&mut self, part: &Part) -> bool {
        let is_new = self.number != 0 && self.part.private.is_empty();
        let allowed = is_new
            || match self.rule {
                Rule::Finest => self.opens_nothing(part),
                Rule::AtMost(most) => self.part.hosts + part.hosts == 0 || self.stays(part, most),
            };
        if allowed {
            self.take(part);
        }
        allowed
    }

    /// Whether neither those in it nor those of `part` can be used from anywhere else then.
    fn opens_nothing(&self, part: &Part) -> bool {
        let to_part = part.hosts == 0 || self.part.public.is_subset(&part.public);
        let to_bin = self.part.hosts == 0 || part.public.is_subset(&self.part.public);
        to_part && to_bin
    }

    /// Whether with `part` no more than `most` hosts leave from its addresses.
    fn stays(&self, part: &Part, most: usize) -> bool {
        if self.seen > most || part.seen > most {
            return false;
        }
        let more = part.crowds.iter();
        let more = more.filter(|crowd| !self.has[**crowd]);
        self.seen + more.map(|crowd| self.crowds[*crowd]).sum::<usize>() <= most
    }

    fn take(&mut self, part: &Part) {
        if let Rule::AtMost(_) = self.rule {
            for crowd in &part.crowds {
                if !std::mem::replace(&mut self.has[*crowd], true) {
                    self.seen += self.crowds[*crowd];
                }
            }
        }
        self.part.private.extend(&part.private);
        self.part.public.extend(&part.public);
        self.part.hosts += part.hosts;
    }

    /// Prefixes that it takes to select its parts, joined.
    fn selectors(&self) -> usize {
        joined(self.part.private.iter().copied().map(IpNet::V4)).len()
    }

    fn into_group(self) -> Group {
        // The others are named by what is not theirs.
        let private = if self.number == 0 {
            BTreeSet::new()
        } else {
            self.part.private
        };
        Group {
            number: self.number,
            private,
            public: self.part.public,
        }
    }
}
