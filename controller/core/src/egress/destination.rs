//! What destinations cover, and what two of them share.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::estate::Destination;

/// Ranges that are never a public source or destination: RFC 1918, 6598 and 3927.
const PRIVATE_V4: [Ipv4Net; 5] = [
    Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 0), 8),
    Ipv4Net::new_assert(Ipv4Addr::new(172, 16, 0, 0), 12),
    Ipv4Net::new_assert(Ipv4Addr::new(192, 168, 0, 0), 16),
    Ipv4Net::new_assert(Ipv4Addr::new(100, 64, 0, 0), 10),
    Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16),
];

/// Unique local and link-local addresses (RFC 4193, 4291).
const PRIVATE_V6: [Ipv6Net; 2] = [
    Ipv6Net::new_assert(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7),
    Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
];

/// IPv4 seen through IPv6 (RFC 6052): a NAT gateway turns it back into IPv4.
const NAT64: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

/// Whether a prefix lies wholly in private ranges, and so can never be an `aws:SourceIp`.
pub fn is_private(net: &IpNet) -> bool {
    match net {
        IpNet::V4(net) => PRIVATE_V4.iter().any(|private| private.contains(net)),
        IpNet::V6(net) => PRIVATE_V6.iter().any(|private| private.contains(net)),
    }
}

/// Whether some of what `to` leads to is public IPv4.
pub(super) fn covers_public_v4(to: &Destination) -> bool {
    match to {
        Destination::V4(net) => !is_private(&IpNet::V4(*net)),
        Destination::V6(_) => false,
        Destination::PrefixList(_) => true,
    }
}

/// Whether some of what `to` leads to is public IPv6.
pub(super) fn covers_public_v6(to: &Destination) -> bool {
    match to {
        Destination::V4(_) => false,
        Destination::V6(net) => !is_private(&IpNet::V6(*net)) && !NAT64.contains(net),
        Destination::PrefixList(_) => true,
    }
}

/// Whether a NAT gateway turns traffic to `to` into public IPv4: it translates IPv4, and IPv6 within
/// the NAT64 prefix.
pub(super) fn leads_out_of_a_nat(to: &Destination) -> bool {
    match to {
        Destination::V6(net) => NAT64.contains(net) || net.contains(&NAT64),
        other => covers_public_v4(other),
    }
}

/// The part of `next` that traffic to `to` can be for. What is in a prefix list is not known: it may
/// share all.
pub(super) fn overlap(to: &Destination, next: &Destination) -> Option<Destination> {
    let unknown = |side: &Destination| matches!(side, Destination::PrefixList(_));
    if unknown(to) || unknown(next) || within(next, to) {
        Some(next.clone())
    } else {
        within(to, next).then(|| to.clone())
    }
}

/// Whether `inner` is known to lie in `outer`. A prefix list lies in itself and in everything.
pub(super) fn within(inner: &Destination, outer: &Destination) -> bool {
    match (inner, outer) {
        (Destination::V4(inner), Destination::V4(outer)) => outer.contains(inner),
        (Destination::V6(inner), Destination::V6(outer)) => outer.contains(inner),
        (Destination::PrefixList(inner), Destination::PrefixList(outer)) => inner == outer,
        (Destination::PrefixList(_), Destination::V4(outer)) => outer.prefix_len() == 0,
        (Destination::PrefixList(_), Destination::V6(outer)) => outer.prefix_len() == 0,
        _ => false,
    }
}
