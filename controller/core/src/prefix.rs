//! Prefixes: what lies in one, and how some are joined where that loses nothing.

use std::net::IpAddr;

use ipnet::IpNet;

/// The fewest prefixes with just these addresses: disjoint, and in order. What comes in order is not
/// sorted again, so it takes `O(n)` then and else `O(n log n)`.
pub(crate) fn joined(nets: impl IntoIterator<Item = IpNet>) -> Vec<IpNet> {
    let mut nets: Vec<IpNet> = nets.into_iter().map(|net| net.trunc()).collect();
    if !nets.is_sorted() {
        nets.sort_unstable();
    }
    // What is done lies in front, in place of what was read. In order, a prefix comes before what lies
    // within it, and the first half of a prefix right before the second where both are there.
    let mut done = 0;
    for at in 0..nets.len() {
        let mut net = nets[at];
        if done > 0 && has(&nets[done - 1], &net) {
            continue;
        }
        while done > 0
            && let Some(whole) = whole(&nets[done - 1], &net)
        {
            done -= 1;
            net = whole;
        }
        nets[done] = net;
        done += 1;
    }
    nets.truncate(done);
    nets
}

/// Whether `address` lies in `net`, whose bits behind its length count for nothing.
pub(crate) fn contains(net: &IpNet, address: IpAddr) -> bool {
    let bit = match (net, address) {
        (IpNet::V4(net), IpAddr::V4(address)) => {
            (u32::from(net.addr()) ^ u32::from(address)).leading_zeros()
        }
        (IpNet::V6(net), IpAddr::V6(address)) => {
            (u128::from(net.addr()) ^ u128::from(address)).leading_zeros()
        }
        _ => return false,
    };
    bit >= u32::from(net.prefix_len())
}

/// Whether `net` lies within `other`.
fn has(other: &IpNet, net: &IpNet) -> bool {
    let apart = apart(other, net);
    other.prefix_len() <= net.prefix_len() && apart.is_some_and(|bit| bit >= other.prefix_len())
}

/// The prefix of which these two are the halves, in order.
fn whole(first: &IpNet, second: &IpNet) -> Option<IpNet> {
    let length = first.prefix_len();
    let halves = length == second.prefix_len() && apart(first, second)? + 1 == length;
    if halves { first.supernet() } else { None }
}

/// The first bit in which two addresses of one family differ; more than there are where none does.
fn apart(one: &IpNet, other: &IpNet) -> Option<u8> {
    let bit = match (one, other) {
        (IpNet::V4(one), IpNet::V4(other)) => {
            (u32::from(one.addr()) ^ u32::from(other.addr())).leading_zeros()
        }
        (IpNet::V6(one), IpNet::V6(other)) => {
            (u128::from(one.addr()) ^ u128::from(other.addr())).leading_zeros()
        }
        _ => return None,
    };
    u8::try_from(bit).ok()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use ipnet::{Ipv4Net, Ipv6Net};
    use proptest::prelude::*;

    use super::*;

    /// Prefixes that lie close together, so that most have something to do with each other; their
    /// addresses may have bits behind the prefix.
    fn nets() -> impl Strategy<Value = Vec<IpNet>> {
        let v4 = (0..64_u32, 26..=32_u8).prop_map(|(bits, length)| {
            IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::from(bits), length))
        });
        let v6 = (0..16_u128, 124..=128_u8).prop_map(|(bits, length)| {
            IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::from(bits), length))
        });
        let far = (any::<u32>(), 0..=3_u8).prop_map(|(bits, length)| {
            IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::from(bits), length))
        });
        prop::collection::vec(prop_oneof![6 => v4, 3 => v6, 1 => far], 0..24)
    }

    proptest! {
        #[test]
        fn they_are_what_another_way_of_joining_gives(nets in nets()) {
            let mut others = IpNet::aggregate(&nets);
            others.sort_unstable();
            prop_assert_eq!(joined(nets), others);
        }
    }

    proptest! {
        #[test]
        fn an_address_lies_where_another_way_of_telling_says(net in nets(), near in 0..64_u32, far in any::<u32>()) {
            let v4 = [near, far].map(|bits| IpAddr::from(Ipv4Addr::from(bits)));
            let v6 = [near, far].map(|bits| IpAddr::from(Ipv6Addr::from(u128::from(bits))));
            for (net, address) in net.iter().flat_map(|net| v4.iter().chain(&v6).map(move |address| (net, address))) {
                prop_assert_eq!(contains(net, *address), net.contains(address), "{} {}", net, address);
            }
        }
    }

    #[test]
    fn halves_of_everything_are_everything() {
        let halves = ["0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1"];
        let halves = halves.map(|net| net.parse().unwrap());
        let everything = ["0.0.0.0/0", "::/0"].map(|net| net.parse().unwrap());
        assert_eq!(joined(halves), everything);
    }
}
