//! What two statements both deny, as one statement, and whether one denies no more than another.
//!
//! On the way from one set of documents to another, whatever both sets deny has to stay denied and
//! nothing else may be. That is the conjunction of a statement of each: a call is denied by it where
//! all conditions of both hold. Lists of negated conditions join, lists of positive ones meet.

use std::{collections::BTreeMap, sync::Arc};

use ipnet::IpNet;

use super::{Actions, Document, Key, Operator, Piece, Resources, Statement, Test, Text};
use crate::prefix::joined;

/// What two statements both deny.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Both {
    /// Nothing.
    Nothing,
    /// What this statement denies. Its name is the second one's.
    This(Statement),
    /// No single statement of ours says it.
    Unsayable,
}

/// What two conditions on one key come to.
enum Meet {
    Never,
    This(Test),
    Unsayable,
}

impl Statement {
    /// What this one and `other` both deny.
    pub fn both(&self, other: &Self) -> Both {
        let mut joint = Vec::new();
        let mut sayable = true;
        for (place, test) in &other.conditions {
            match self.conditions.get(place).map(|own| both_tests(own, test)) {
                Some(Meet::Never) => return Both::Nothing,
                Some(Meet::This(test)) => joint.push((*place, test)),
                // Another condition may still rule the whole out.
                Some(Meet::Unsayable) => sayable = false,
                None => joint.push((*place, test.clone())),
            }
        }
        let mut conditions = self.conditions.clone();
        conditions.extend(joint);
        if !settle(&mut conditions) {
            return Both::Nothing;
        }
        let actions = both_actions(&self.actions, &other.actions);
        let resources = both_resources(&self.resources, &other.resources);
        match (actions, resources) {
            (Some(actions), Some(resources)) if sayable => Both::This(Statement {
                sid: other.sid.clone(),
                actions,
                resources,
                conditions,
            }),
            _ => Both::Unsayable,
        }
    }

    /// Whether `other` denies all that this one does, as far as their words tell.
    pub fn is_within(&self, other: &Self) -> bool {
        actions_within(&self.actions, &other.actions)
            && resources_within(&self.resources, &other.resources)
            && other.conditions.iter().all(|((operator, key), wanted)| {
                let same = self.conditions.get(&(*operator, *key));
                same.is_some_and(|test| implies(test, wanted)) || self.rules_out(*key, wanted)
            })
    }

    /// Whether a positive condition on `key` makes the negated one `wanted` true.
    fn rules_out(&self, key: Key, wanted: &Test) -> bool {
        match wanted {
            Test::StringNotEquals(not) => {
                let equals = self.conditions.get(&(Operator::StringEquals, key));
                matches!(equals, Some(Test::StringEquals(texts))
                    if all_literal(not) && all_literal(texts) && !texts.iter().any(|text| not.contains(text)))
            }
            Test::NotIpAddress(not) => {
                let within = self.conditions.get(&(Operator::IpAddress, key));
                matches!(within, Some(Test::IpAddress(nets))
                    if !nets.iter().any(|net| not.iter().any(|other| overlap(net, other))))
            }
            _ => false,
        }
    }
}

impl Document {
    /// Whether it says the same as `other`, as far as their words tell, whatever the order.
    pub fn says_what(&self, other: &Self) -> bool {
        let within = |some: &Self, all: &Self| {
            let mut some = some.statements.iter();
            some.all(|one| all.statements.iter().any(|other| one.is_within(other)))
        };
        within(self, other) && within(other, self)
    }
}

/// What both apply to; `None` where no one list says it.
fn both_actions(one: &Arc<Actions>, other: &Arc<Actions>) -> Option<Arc<Actions>> {
    match (&**one, &**other) {
        _ if one == other => Some(one.clone()),
        (Actions::AllBut(one), Actions::AllBut(other)) => {
            let mut all = one.clone();
            all.extend(other.iter().filter(|it| !one.contains(it)).cloned());
            all.sort();
            Some(Actions::AllBut(all).into())
        }
        (Actions::Only(only), Actions::AllBut(but))
        | (Actions::AllBut(but), Actions::Only(only)) => {
            let apart = only
                .iter()
                .all(|action| but.iter().all(|it| services_differ(action, it)));
            apart.then(|| Actions::Only(only.clone()).into())
        }
        (Actions::Only(_), Actions::Only(_)) => None,
    }
}

fn actions_within(one: &Actions, other: &Actions) -> bool {
    match (one, other) {
        (Actions::AllBut(one), Actions::AllBut(other)) => other.iter().all(|it| one.contains(it)),
        (Actions::Only(one), Actions::Only(other)) => one.iter().all(|it| other.contains(it)),
        (Actions::Only(only), Actions::AllBut(but)) => only
            .iter()
            .all(|action| but.iter().all(|it| services_differ(action, it))),
        (Actions::AllBut(_), Actions::Only(_)) => false,
    }
}

/// What both are done to; `None` where their patterns would have to be compared.
fn both_resources(one: &Resources, other: &Resources) -> Option<Resources> {
    match (one, other) {
        (one, other) if one == other => Some(one.clone()),
        (Resources::Every, other) | (other, Resources::Every) => Some(other.clone()),
        (Resources::Only(_), Resources::Only(_)) => None,
    }
}

fn resources_within(one: &Resources, other: &Resources) -> bool {
    match (one, other) {
        (_, Resources::Every) => true,
        (Resources::Only(one), Resources::Only(other)) => one.iter().all(|it| other.contains(it)),
        (Resources::Every, Resources::Only(_)) => false,
    }
}

/// Whether two patterns of actions name different services, so that none fits both.
fn services_differ(one: &str, other: &str) -> bool {
    match (one.split_once(':'), other.split_once(':')) {
        (Some((one, _)), Some((other, _))) => {
            !one.contains(['*', '?'])
                && !other.contains(['*', '?'])
                && !one.eq_ignore_ascii_case(other)
        }
        _ => false,
    }
}

/// Two conditions of one operator on one key.
fn both_tests(one: &Test, other: &Test) -> Meet {
    match (one, other) {
        (one, other) if one == other => Meet::This(one.clone()),
        (Test::Null(_), Test::Null(_)) => Meet::Never,
        (Test::StringNotEquals(one), Test::StringNotEquals(other)) => {
            Meet::This(Test::StringNotEquals(all_texts(one, other)))
        }
        (Test::StringNotEqualsIfExists(one), Test::StringNotEqualsIfExists(other)) => {
            Meet::This(Test::StringNotEqualsIfExists(all_texts(one, other)))
        }
        (Test::NotIpAddress(one), Test::NotIpAddress(other)) => {
            Meet::This(Test::NotIpAddress(joined(one.iter().chain(other).copied())))
        }
        (Test::NotIpAddressIfExists(one), Test::NotIpAddressIfExists(other)) => Meet::This(
            Test::NotIpAddressIfExists(joined(one.iter().chain(other).copied())),
        ),
        (Test::StringEquals(one), Test::StringEquals(other))
            if all_literal(one) && all_literal(other) =>
        {
            let shared: Vec<Text> = one
                .iter()
                .filter(|it| other.contains(it))
                .cloned()
                .collect();
            if shared.is_empty() {
                Meet::Never
            } else {
                Meet::This(Test::StringEquals(shared))
            }
        }
        (Test::IpAddress(one), Test::IpAddress(other)) => {
            let shared = one.iter();
            let shared =
                joined(shared.flat_map(|a| other.iter().filter_map(move |b| narrower(a, b))));
            if shared.is_empty() {
                Meet::Never
            } else {
                Meet::This(Test::IpAddress(shared))
            }
        }
        _ => Meet::Unsayable,
    }
}

/// The values of two lists, those with variables first.
fn all_texts(one: &[Text], other: &[Text]) -> Vec<Text> {
    let mut all = one.to_vec();
    all.extend(other.iter().filter(|it| !one.contains(it)).cloned());
    all.sort_by(|a, b| (a.is_literal(), a).cmp(&(b.is_literal(), b)));
    all
}

/// Takes out what a negated condition takes from a positive one on the same key, and negated
/// conditions that then say nothing more; `false` where nothing is left to deny.
fn settle(conditions: &mut BTreeMap<(Operator, Key), Test>) -> bool {
    let keys: Vec<Key> = conditions.keys().map(|(_, key)| *key).collect();
    for key in keys {
        let not = conditions.get(&(Operator::StringNotEquals, key)).cloned();
        let equals = conditions.get_mut(&(Operator::StringEquals, key));
        if let (Some(Test::StringNotEquals(not)), Some(Test::StringEquals(texts))) = (not, equals) {
            texts.retain(|text| !(text.is_literal() && not.contains(text)));
            if texts.is_empty() {
                return false;
            }
            if all_literal(&not) && all_literal(texts) {
                conditions.remove(&(Operator::StringNotEquals, key));
            }
        }
        let not = conditions.get(&(Operator::NotIpAddress, key)).cloned();
        let within = conditions.get_mut(&(Operator::IpAddress, key));
        if let (Some(Test::NotIpAddress(mut not)), Some(Test::IpAddress(nets))) = (not, within) {
            nets.retain(|net| !not.iter().any(|other| other.contains(net)));
            if nets.is_empty() {
                return false;
            }
            not.retain(|other| nets.iter().any(|net| overlap(net, other)));
            let place = (Operator::NotIpAddress, key);
            if not.is_empty() {
                conditions.remove(&place);
            } else {
                conditions.insert(place, Test::NotIpAddress(not));
            }
        }
    }
    true
}

/// Whether the first, of the same operator and key, can be true only where the second is.
fn implies(one: &Test, other: &Test) -> bool {
    let covered =
        |nets: &[IpNet], by: &[IpNet]| nets.iter().all(|net| by.iter().any(|it| it.contains(net)));
    match (one, other) {
        (one, other) if one == other => true,
        (Test::StringNotEquals(one), Test::StringNotEquals(other))
        | (Test::StringNotEqualsIfExists(one), Test::StringNotEqualsIfExists(other)) => {
            other.iter().all(|text| one.contains(text))
        }
        (Test::NotIpAddress(one), Test::NotIpAddress(other))
        | (Test::NotIpAddressIfExists(one), Test::NotIpAddressIfExists(other)) => {
            covered(other, one)
        }
        (Test::StringEquals(one), Test::StringEquals(other)) => {
            one.iter().all(|text| other.contains(text))
        }
        (Test::IpAddress(one), Test::IpAddress(other)) => covered(one, other),
        _ => false,
    }
}

fn all_literal(texts: &[Text]) -> bool {
    texts.iter().all(Text::is_literal)
}

/// Prefixes nest or are disjoint.
fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}

fn narrower(a: &IpNet, b: &IpNet) -> Option<IpNet> {
    if a.contains(b) {
        Some(*b)
    } else {
        b.contains(a).then_some(*a)
    }
}

impl Text {
    fn is_literal(&self) -> bool {
        self.0
            .iter()
            .all(|piece| matches!(piece, Piece::Literal(_)))
    }
}

#[cfg(test)]
mod tests;
