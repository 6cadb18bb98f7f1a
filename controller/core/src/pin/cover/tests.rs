use std::{collections::BTreeSet, net::Ipv4Addr};

use proptest::prelude::*;

use super::*;

fn nets(texts: &[&str]) -> Vec<IpNet> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn list(prefixes: &[&str], most: usize) -> Vec<String> {
    let list = Cover::new(&nets(prefixes), most).list(most).unwrap();
    list.iter().map(IpNet::to_string).collect()
}

#[test]
fn what_fits_is_left_as_it_is() {
    let three = ["198.51.100.1/32", "198.51.100.8/29", "2001:db8::1/128"];
    assert_eq!(list(&three, 3), three);
    assert_eq!(Cover::new(&nets(&three), 9).strangers(3), Some(0));
}

#[test]
fn halves_are_joined_before_anybody_is_taken_in() {
    let halves = ["198.51.100.0/32", "198.51.100.1/32", "203.0.113.7/32"];
    assert_eq!(list(&halves, 2), ["198.51.100.0/31", "203.0.113.7/32"]);
}

#[test]
fn neighbours_come_together_and_not_what_is_far_away() {
    let some = ["198.51.100.1/32", "198.51.100.6/32", "203.0.113.7/32"];
    assert_eq!(list(&some, 2), ["198.51.100.0/29", "203.0.113.7/32"]);
    assert_eq!(Cover::new(&nets(&some), 2).strangers(2), Some(6));
}

#[test]
fn each_family_needs_a_prefix() {
    let both = nets(&["198.51.100.1/32", "2001:db8::1/128"]);
    assert_eq!(Cover::new(&both, 1).list(1), None);
    assert_eq!(Cover::new(&both, 2).list(2), Some(both));
    assert_eq!(Cover::new(&[], 0).list(0), Some(vec![]));
}

#[test]
fn addresses_of_one_64_come_together_first() {
    let v6 = [
        "2001:db8::1/128",
        "2001:db8::ffff/128",
        "2001:db8:0:1::1/128",
    ];
    assert_eq!(
        list(&v6, 2),
        ["2001:db8::/112", "2001:db8:0:1::1/128"],
        "no /64 more is let in"
    );
    assert_eq!(
        Cover::new(&nets(&v6), 1).strangers(1),
        Some(0),
        "a /63 of two"
    );
}

/// The fewest strangers over all lists of so many prefixes, by trying every set of ancestors.
fn by_hand(addresses: &BTreeSet<u8>, most: usize) -> u64 {
    fn fewest(first: u32, bits: u32, own: &BTreeSet<u8>, most: usize) -> Option<u64> {
        let size = 1_u32 << bits;
        let inside = own
            .iter()
            .filter(|it| (first..first + size).contains(&u32::from(**it)));
        let inside = inside.count() as u64;
        if inside == 0 {
            return Some(0);
        }
        if most == 0 {
            return None;
        }
        let whole = u64::from(size) - inside;
        let parts = (0..=most).filter_map(|left| {
            if bits == 0 {
                return None;
            }
            let half = size / 2;
            let low = fewest(first, bits - 1, own, left)?;
            Some(low + fewest(first + half, bits - 1, own, most - left)?)
        });
        parts.chain([whole]).min()
    }
    fewest(0, 6, addresses, most).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn no_list_takes_in_fewer_strangers(addresses in prop::collection::btree_set(0..64_u8, 1..9), most in 1..5_usize) {
        let nets: Vec<IpNet> = addresses
            .iter()
            .map(|last| IpNet::V4(Ipv4Addr::new(198, 51, 100, *last).into()))
            .collect();
        let cover = Cover::new(&nets, most);
        let list = cover.list(most).unwrap();
        prop_assert!(list.len() <= most);
        for net in &nets {
            prop_assert!(list.iter().any(|covering| covering.contains(net)));
        }
        let admitted: u64 = list.iter().map(size).sum();
        prop_assert_eq!(admitted - nets.len() as u64, by_hand(&addresses, most));
        prop_assert_eq!(cover.strangers(most), Some(by_hand(&addresses, most)));
    }

    /// What other tools do: cut every prefix to `/N`, the longest `N` that fits.
    #[test]
    fn it_is_never_worse_than_to_cut_all_to_one_length(addresses in prop::collection::btree_set(any::<u32>(), 1..60), most in 1..12_usize) {
        let nets: Vec<IpNet> = addresses.iter().map(|bits| IpNet::V4(Ipv4Addr::from(*bits).into())).collect();
        let cut_to = |length: u8| {
            let cut: BTreeSet<IpNet> = addresses
                .iter()
                .map(|bits| IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::from(*bits), length).trunc()))
                .collect();
            (cut.len() <= most).then(|| cut.iter().map(size).sum::<u64>() - nets.len() as u64)
        };
        let plain = (0..=32).rev().find_map(cut_to).unwrap();
        prop_assert!(Cover::new(&nets, most).strangers(most).unwrap() <= plain);
    }
}
