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
//! too. Work is `O(parts x groups)`, and who leaves from the addresses of each part is looked up once. Which
//! group becomes the one of all others is decided last, so that trying another one costs `O(parts)`.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use ipnet::{IpNet, Ipv4Net};

use crate::{
    exposure::{Hosts, each_once},
    footprint::{Cell, Group},
    hashed::HashMap,
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

/// Cells whose hosts leave by the same addresses. Lists are in order, and have nothing twice.
#[derive(Clone, Debug, Default)]
struct Part {
    private: Vec<Ipv4Net>,
    public: Vec<IpNet>,
    hosts: usize,
    /// Crowds of the account that leave from its addresses, by their place in [`Parts::crowds`].
    crowds: Vec<usize>,
    /// Their hosts.
    seen: usize,
}

/// When a group takes a further part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
                    public: cell.public.iter().copied().collect(),
                    ..Part::default()
                }),
                None => &mut rest,
            };
            part.private.extend(cell.private);
            if cell.private.is_none() {
                part.public.extend(&cell.public);
            }
            part.hosts += cell.hosts;
        }
        // What nobody was seen to leave by may be what somebody to come will.
        rest.public.extend(egress.difference(&told));
        in_order(&mut rest.public);
        let mut parts: Vec<Part> = by_egress.into_values().collect();
        for part in &mut parts {
            in_order(&mut part.private);
        }
        parts.sort_by_cached_key(|part| {
            let first = part.private.first().copied();
            (part.hosts == 0, Reverse(part.private.len()), first)
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
        let mut places: HashMap<usize, usize> = HashMap::default();
        for part in self.selected.iter_mut().chain([&mut self.rest]) {
            let nets = part.public.iter();
            let crowds = nets.flat_map(|net| self.fleet.crowds_leaving_from(net));
            let crowds = each_once(crowds);
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
    pub(super) fn fill(
        &self,
        rule: Rule,
        order: Order,
        homes: &Homes,
        most: usize,
    ) -> Option<Filled> {
        let mut bins = Bins::new(rule, &self.crowds, &self.rest, !homes.is_empty());
        let mut homeless: Vec<&Part> = Vec::new();
        for part in self.in_order(order) {
            let home = part.private.iter().find_map(|net| home_of(*net, homes));
            if !home.is_some_and(|number| bins.at(number).takes(part)) {
                homeless.push(part);
            }
        }
        for part in homeless {
            if bins.take(part) {
                continue;
            }
            if bins.numbered.len() >= most {
                return None;
            }
            let number = bins.free_number();
            bins.at(number).put(part);
        }
        Some(bins.filled())
    }

    fn in_order(&self, order: Order) -> Vec<&Part> {
        let mut parts: Vec<&Part> = self.selected.iter().collect();
        if order == Order::Size {
            parts.sort_by_key(|part| (part.hosts == 0, Reverse(part.seen)));
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

/// Groups being filled.
struct Bins<'a> {
    rule: Rule,
    crowds: &'a [usize],
    /// By their numbers.
    numbered: Vec<Bin<'a>>,
    /// The group of all others.
    rest: Bin<'a>,
    /// Whether what has no home is at home there, and it takes no other group in.
    rest_is_home: bool,
}

impl<'a> Bins<'a> {
    fn new(rule: Rule, crowds: &'a [usize], rest: &Part, rest_is_home: bool) -> Self {
        let mut bin = Bin::new(0, rule, crowds);
        bin.put(rest);
        Self {
            rule,
            crowds,
            numbered: Vec::new(),
            rest: bin,
            rest_is_home,
        }
    }

    /// The group of this number, a new one where there is none.
    fn at(&mut self, number: u32) -> &mut Bin<'a> {
        if number == 0 {
            return &mut self.rest;
        }
        let place = self.numbered.binary_search_by_key(&number, Bin::number);
        let place = place.unwrap_or_else(|place| {
            let new = Bin::new(number, self.rule, self.crowds);
            self.numbered.insert(place, new);
            place
        });
        &mut self.numbered[place]
    }

    /// Whether there is a group that takes `part`.
    fn take(&mut self, part: &Part) -> bool {
        let rest = Some(&mut self.rest).filter(|_| self.rest_is_home);
        rest.into_iter()
            .chain(&mut self.numbered)
            .any(|bin| bin.takes(part))
    }

    /// The least number that no group has.
    fn free_number(&self) -> u32 {
        let taken = (1..).zip(&self.numbered);
        let taken = taken.take_while(|(number, bin)| bin.number() == *number);
        taken.last().map_or(1, |(number, _)| number + 1)
    }

    fn filled(mut self) -> Filled {
        let rest = &self.rest;
        let draft = |bin: Bin<'_>| {
            let mut draft = bin.draft;
            draft.seen_with_rest = rest.seen_with(&bin.has);
            draft.settle();
            draft
        };
        let numbered = self.numbered.into_iter().map(draft).collect();
        self.rest.draft.settle();
        Filled {
            rule: self.rule,
            numbered,
            rest: self.rest.draft,
            rest_is_home: self.rest_is_home,
        }
    }
}

/// A group being filled.
struct Bin<'a> {
    draft: Draft,
    rule: Rule,
    /// Of which crowds hosts leave from its addresses, where the rule asks for that.
    has: Vec<bool>,
    /// How many each has.
    crowds: &'a [usize],
}

impl<'a> Bin<'a> {
    fn new(number: u32, rule: Rule, crowds: &'a [usize]) -> Self {
        Self {
            draft: Draft {
                number,
                ..Draft::default()
            },
            rule,
            has: vec![false; crowds.len()],
            crowds,
        }
    }

    fn number(&self) -> u32 {
        self.draft.number
    }

    /// Takes `part` if the rule allows; whether it does.
    fn takes(&mut self, part: &Part) -> bool {
        let is_new = self.draft.number != 0 && self.draft.private.is_empty();
        let allowed = is_new
            || match self.rule {
                Rule::Finest => self.draft.opens_nothing(part.hosts, &part.public),
                Rule::AtMost(most) => self.draft.hosts + part.hosts == 0 || self.stays(part, most),
            };
        if allowed {
            self.put(part);
        }
        allowed
    }

    /// Whether with `part` no more than `most` hosts leave from its addresses.
    fn stays(&self, part: &Part, most: usize) -> bool {
        if self.draft.seen > most || part.seen > most {
            return false;
        }
        let more = part.crowds.iter();
        let more = more.filter(|crowd| !self.has[**crowd]);
        self.draft.seen + more.map(|crowd| self.crowds[*crowd]).sum::<usize>() <= most
    }

    /// How many hosts leave from its addresses and from those of a group of which these crowds do.
    fn seen_with(&self, has: &[bool]) -> usize {
        let both = self.crowds.iter().zip(self.has.iter().zip(has));
        let more = both.filter(|(_, (has, other_has))| !**has && **other_has);
        self.draft.seen + more.map(|(size, _)| size).sum::<usize>()
    }

    fn put(&mut self, part: &Part) {
        self.draft.put(part.hosts, &part.private, &part.public);
        match self.rule {
            // It is asked what is in these lists.
            Rule::Finest => self.draft.settle(),
            Rule::AtMost(_) => {
                for crowd in &part.crowds {
                    if !std::mem::replace(&mut self.has[*crowd], true) {
                        self.draft.seen += self.crowds[*crowd];
                    }
                }
            }
        }
    }
}

/// A group as its statements have it. Once it is settled, lists are in order, and have nothing twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Draft {
    pub(super) number: u32,
    pub(super) private: Vec<Ipv4Net>,
    pub(super) public: Vec<IpNet>,
    pub(super) hosts: usize,
    /// How many hosts of the account leave from its addresses, where the rule asks for that.
    pub(super) seen: usize,
    /// How many from its addresses and those of the group of all others together.
    pub(super) seen_with_rest: usize,
}

impl Draft {
    /// Whether neither its tokens nor those of `hosts` that leave by `public` can be used from anywhere
    /// else once these are in it.
    fn opens_nothing(&self, hosts: usize, public: &[IpNet]) -> bool {
        let to_them = hosts == 0 || is_subset(&self.public, public);
        let to_its = self.hosts == 0 || is_subset(public, &self.public);
        to_them && to_its
    }

    fn put(&mut self, hosts: usize, private: &[Ipv4Net], public: &[IpNet]) {
        // The others are named by what is not theirs.
        if self.number != 0 {
            self.private.extend(private);
        }
        self.public.extend(public);
        self.hosts += hosts;
    }

    /// Puts its lists in order after all that was put into it.
    fn settle(&mut self) {
        in_order(&mut self.private);
        in_order(&mut self.public);
    }

    /// Prefixes that it takes to select its parts, joined.
    fn selectors(&self) -> usize {
        joined(self.private.iter().copied().map(IpNet::V4)).len()
    }

    fn to_group(&self) -> Group {
        Group {
            number: self.number,
            private: self.private.iter().copied().collect(),
            public: self.public.iter().copied().collect(),
        }
    }
}

/// Groups of which one may still become the one of all others.
#[derive(Debug)]
pub(super) struct Filled {
    rule: Rule,
    /// By their numbers.
    numbered: Vec<Draft>,
    rest: Draft,
    rest_is_home: bool,
}

impl Filled {
    /// Those that addresses select, until one of them becomes the one of all others.
    pub(super) fn numbered(&self) -> &[Draft] {
        &self.numbered
    }

    /// Which of them does, by its place: of those that may, the one that costs the most selectors,
    /// `passed_over` left out; none where none may.
    pub(super) fn to_rest(&self, passed_over: usize) -> Option<usize> {
        if self.rest_is_home {
            return None;
        }
        let selectors = self.numbered.iter().map(Draft::selectors).enumerate();
        let mut largest_first: Vec<(usize, usize)> = selectors.collect();
        largest_first.sort_by_key(|(place, selectors)| (Reverse(*selectors), *place));
        let places = largest_first.into_iter().map(|(place, _)| place);
        let mut others = places.skip(passed_over);
        others.find(|place| self.may_be_rest(&self.numbered[*place]))
    }

    fn may_be_rest(&self, draft: &Draft) -> bool {
        match self.rule {
            Rule::Finest => self.rest.opens_nothing(draft.hosts, &draft.public),
            Rule::AtMost(most) => {
                self.rest.hosts + draft.hosts == 0 || draft.seen_with_rest <= most
            }
        }
    }

    /// The group of all others once the one at that place is part of it.
    pub(super) fn rest_with(&self, place: Option<usize>) -> Draft {
        let mut rest = self.rest.clone();
        if let Some(place) = place {
            let more = &self.numbered[place];
            rest.put(more.hosts, &[], &more.public);
            rest.settle();
        }
        rest
    }

    /// The groups, that of all others last, which the one at that place is part of.
    pub(super) fn groups(&self, place: Option<usize>) -> Vec<Group> {
        let numbered = self.numbered.iter().enumerate();
        let numbered = numbered.filter(|(number, _)| Some(*number) != place);
        let numbered = numbered.map(|(_, draft)| draft.to_group());
        numbered.chain([self.rest_with(place).to_group()]).collect()
    }
}

/// Whether all of `some` is in `all`, both in order.
fn is_subset(some: &[IpNet], all: &[IpNet]) -> bool {
    some.len() <= all.len() && some.iter().all(|net| all.binary_search(net).is_ok())
}

fn in_order<T: Ord>(list: &mut Vec<T>) {
    if !list.is_sorted_by(|one, next| one < next) {
        list.sort_unstable();
        list.dedup();
    }
}
