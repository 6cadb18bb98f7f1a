//! Public prefixes, as `[[egress]]` states them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// IPv4 that no call to AWS can come from over the internet (RFC 6890; RFC 5771).
const NOT_PUBLIC_V4: [Ipv4Net; 8] = [
    Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 8),
    Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 0), 8),
    Ipv4Net::new_assert(Ipv4Addr::new(100, 64, 0, 0), 10),
    Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8),
    Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16),
    Ipv4Net::new_assert(Ipv4Addr::new(172, 16, 0, 0), 12),
    Ipv4Net::new_assert(Ipv4Addr::new(192, 168, 0, 0), 16),
    Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 3),
];
/// The IPv6 that is handed out for the internet (RFC 4291).
const PUBLIC_V6: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// The public prefix `text`; an address alone is itself. What is wrong comes with the way out.
pub(super) fn public_prefix(text: &str) -> Result<IpNet, String> {
    let net: IpNet = text
        .parse()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| {
            format!("`{text}` is not a prefix: write it as 198.51.100.0/28 or 2001:db8::/56")
        })?;
    if net != net.trunc() {
        return Err(format!(
            "`{text}` has bits set beyond its length: write {}",
            net.trunc()
        ));
    }
    let private = match net {
        IpNet::V4(net) => NOT_PUBLIC_V4
            .into_iter()
            .find(|reserved| reserved.contains(&net) || net.contains(reserved))
            .map(IpNet::V4),
        IpNet::V6(net) => (!PUBLIC_V6.contains(&net)).then_some(IpNet::V6(net)),
    };
    match private {
        Some(private) => Err(format!(
            "`{text}` is not public ({private}), and AWS never sees a private address over the \
             internet: state the public addresses that this traffic leaves from"
        )),
        None => Ok(net),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_prefixes_of_both_families_and_single_addresses() {
        for (text, net) in [
            ("198.51.100.0/28", "198.51.100.0/28"),
            ("198.51.100.9", "198.51.100.9/32"),
            ("2001:db8::/56", "2001:db8::/56"),
            ("2001:db8::1", "2001:db8::1/128"),
        ] {
            assert_eq!(public_prefix(text), Ok(net.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn what_could_never_be_an_egress_is_refused_with_the_reason() {
        for (text, reason) in [
            ("198.51.100.0/40", "is not a prefix"),
            ("198.51.100.9/28", "write 198.51.100.0/28"),
            ("10.1.0.0/16", "10.0.0.0/8"),
            ("0.0.0.0/0", "is not public"),
            ("128.0.0.0/1", "is not public"),
            ("fd00::/8", "is not public"),
            ("::/0", "is not public"),
        ] {
            let error = public_prefix(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
