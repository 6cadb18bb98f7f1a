//! How much of what a role's pin admits would go.

use std::collections::BTreeSet;

use ipnet::IpNet;
use serde::Serialize;

use crate::{
    pin::{Listed, chained_vpcs, is_chained},
    policy::{Document, Test},
    prefix::joined,
    request::Key,
    settings::MaxNarrowing,
};

/// More than may go in one run: a part of the account that is not seen looks the same as one that
/// is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Narrowing {
    /// Listed prefixes that would go, whole or in part.
    pub prefixes: Vec<IpNet>,
    /// VPCs that would go, and are there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vpcs: Vec<String>,
    /// Their share of what is admitted, in percent.
    pub percent: u8,
    /// What may go, in percent.
    pub allowed: u8,
}

/// What goes from `old` to `new`, if that is more than `allowed`. One address may always go: that a
/// host or a gateway is replaced is everyday life. Looked at are statements about sessions of instances, or
/// those about sessions that others make. What the operator stated about these does not count: he knows what he takes
/// back, and a wide prefix of his must not make light of what is found.
pub(super) fn beyond(
    old: &[&Document],
    new: &[&Document],
    chained: bool,
    allowed: MaxNarrowing,
) -> Option<Narrowing> {
    let (old, new) = (
        listed(old, chained, Listed::Found),
        listed(new, chained, Listed::All),
    );
    let mut worst: Option<Narrowing> = None;
    for v6 in [false, true] {
        let of_family = |net: &&IpNet| matches!(net, IpNet::V6(_)) == v6;
        let mut all = 0_u128;
        let mut gone = 0_u128;
        let mut prefixes = Vec::new();
        for net in old.iter().filter(of_family) {
            let lost = size(net).saturating_sub(shared(net, &new));
            all = all.saturating_add(size(net));
            gone = gone.saturating_add(lost);
            if lost > 0 {
                prefixes.push(*net);
            }
        }
        let percent = percent(gone, all);
        let is_worst = worst.as_ref().is_none_or(|other| other.percent < percent);
        if gone > 1 && percent > allowed.percent() && is_worst {
            worst = Some(Narrowing {
                prefixes,
                vpcs: Vec::new(),
                percent,
                allowed: allowed.percent(),
            });
        }
    }
    worst
}

/// VPCs that sessions which others make may come from by `old` and not by `new`, though they are there still: hosts
/// that are off for the night are not gone. Only who lets all of it go lets these.
pub(super) fn beyond_in_vpcs(
    old: &Document,
    new: &Document,
    is_there: impl Fn(&str) -> bool,
    allowed: MaxNarrowing,
) -> Option<Narrowing> {
    let vpcs = |document: &Document, of| -> BTreeSet<String> {
        chained_vpcs(&document.statements, of).collect()
    };
    let (before, after) = (vpcs(old, Listed::Found), vpcs(new, Listed::All));
    let gone = before.difference(&after).filter(|vpc| is_there(vpc));
    let vpcs: Vec<String> = gone.cloned().collect();
    if vpcs.is_empty() || allowed.percent() >= 100 {
        return None;
    }
    Some(Narrowing {
        prefixes: Vec::new(),
        percent: percent(vpcs.len() as u128, before.len() as u128),
        vpcs,
        allowed: allowed.percent(),
    })
}

/// The prefixes that documents admit, public ones and those at endpoints, joined.
fn listed(documents: &[&Document], chained: bool, of: Listed) -> Vec<IpNet> {
    let statements = documents.iter().flat_map(|document| &document.statements);
    let statements = statements.filter(|statement| is_chained(statement) == chained);
    let lists = statements.flat_map(|statement| {
        statement
            .conditions()
            .filter_map(|(key, test)| match (key, test) {
                (Key::SourceIp | Key::VpcSourceIp, Test::NotIpAddress(nets)) => Some(nets),
                (Key::SourceIp, Test::NotIpAddressIfExists(nets)) if of == Listed::All => {
                    Some(nets)
                }
                _ => None,
            })
    });
    joined(lists.flatten().copied())
}

/// How many addresses of `net` lie in `others`, which are disjoint and in order.
fn shared(net: &IpNet, others: &[IpNet]) -> u128 {
    let first = others.partition_point(|other| other.broadcast() < net.network());
    let near = others[first..].iter();
    near.take_while(|other| other.network() <= net.broadcast())
        .map(|other| size(other).min(size(net)))
        .fold(0, u128::saturating_add)
}

fn size(net: &IpNet) -> u128 {
    let (width, length) = (net.max_prefix_len(), net.prefix_len());
    1_u128
        .checked_shl(u32::from(width - length))
        .unwrap_or(u128::MAX)
}

/// Rounded up: what is over a limit must not look like it.
fn percent(part: u128, all: u128) -> u8 {
    if all == 0 {
        return 0;
    }
    // Of lists too large to multiply, the last digits do not matter.
    let scale = if all > u128::MAX / 200 { 200 } else { 1 };
    let (part, all) = (part / scale, all / scale);
    u8::try_from((part * 100).div_ceil(all)).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Actions, Statement};

    fn admits(nets: &[&str]) -> Document {
        let nets = nets.iter().map(|net| net.parse().unwrap()).collect();
        let statement = Statement::deny("S", Actions::AllBut(vec![]))
            .when(Key::SourceIp, Test::NotIpAddress(nets));
        Document {
            statements: vec![statement],
        }
    }

    fn goes(old: &[&str], new: &[&str]) -> Option<u8> {
        let allowed = MaxNarrowing::default();
        beyond(&[&admits(old)], &[&admits(new)], false, allowed).map(|found| found.percent)
    }

    #[test]
    fn up_to_the_limit_may_go_and_one_more_may_not() {
        let ten: Vec<String> = (0..10)
            .map(|n| format!("198.51.100.{}/32", 2 * n))
            .collect();
        let ten: Vec<&str> = ten.iter().map(String::as_str).collect();
        assert_eq!(goes(&ten, &ten[3..]), None);
        assert_eq!(goes(&ten, &ten[4..]), Some(40));
        assert_eq!(goes(&ten, &[]), Some(100));
    }

    #[test]
    fn one_address_may_always_be_replaced() {
        assert_eq!(goes(&["198.51.100.1/32"], &["198.51.100.9/32"]), None);
        assert_eq!(goes(&["2001:db8::1/128"], &["2001:db8::2/128"]), None);
        assert_eq!(goes(&["198.51.100.0/31"], &["198.51.100.8/31"]), Some(100));
    }

    #[test]
    fn what_is_admitted_under_another_prefix_does_not_go() {
        assert_eq!(goes(&["198.51.100.4/31"], &["198.51.100.0/24"]), None);
        assert_eq!(
            goes(
                &["198.51.100.0/24"],
                &["198.51.100.0/25", "198.51.100.192/26"]
            ),
            None
        );
        assert_eq!(goes(&["198.51.100.0/24"], &["198.51.100.0/25"]), Some(50));
    }

    #[test]
    fn each_family_counts_by_itself() {
        let old = ["198.51.100.0/30", "2001:db8::/64"];
        assert_eq!(goes(&old, &["2001:db8::/64"]), Some(100));
        assert_eq!(goes(&old, &["198.51.100.0/30"]), Some(100));
        assert_eq!(goes(&["::/0"], &["::/1"]), Some(50));
    }
}
