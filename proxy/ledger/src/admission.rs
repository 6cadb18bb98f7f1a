//! Which hosts of a role its pin admits, as the controller publishes it and a host reads it before it
//! hands out its first credential.
//!
//! It names no credential and opens nothing: at the worst a host waits too long, or not at all.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Host;

/// The version of the format that this build writes and reads.
const SCHEMA: u32 = 1;

/// What the pin in force of a role admits, everywhere in IAM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admission {
    schema: u32,
    /// When it was found so.
    pub made: Timestamp,
    /// The role's account.
    pub account: String,
    /// The role's name.
    pub role: String,
    /// Whether the role has a pin at all. Without one every host is admitted.
    pub pinned: bool,
    /// Subnets in which any host is admitted, those to come too.
    pub subnets: Vec<AdmittedSubnet>,
    /// Hosts that are admitted beside those.
    pub instances: Vec<AdmittedInstance>,
}

/// A subnet whose hosts are admitted: with one private IPv4 address, and what else is said here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdmittedSubnet {
    /// `subnet-…`
    pub subnet: String,
    /// Also those with public IPv4 addresses of their own, whatever these are.
    pub public_ipv4: bool,
    /// Also those whose further private addresses, or IPv6 addresses, lie in here.
    pub more: Vec<Prefix>,
}

/// A host that is admitted while all of its addresses are among these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdmittedInstance {
    /// `i-…`
    pub instance: String,
    /// Private, public and IPv6.
    pub addresses: Vec<Prefix>,
}

/// An address with the length of a prefix, as `10.0.1.0/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

/// What a host knows of itself beside [`Host`], which tells of its primary interface only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// How many interfaces it has.
    pub interfaces: usize,
    /// Prefixes that are delegated to the primary one.
    pub delegated: Vec<Prefix>,
}

/// A text that is no prefix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no prefix")]
pub struct PrefixError(String);

/// What was read is of no use to this host.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// It is not what a controller writes.
    #[cfg(feature = "store")]
    #[error("it cannot be read")]
    Unreadable(#[source] serde_json::Error),
    /// Another version's.
    #[error("it is of schema {0}, and this build knows {SCHEMA}")]
    Schema(u32),
    /// It says that it is about something else than its name does.
    #[error("it is about role {role} of account {account}")]
    Other {
        /// Whose it is.
        account: String,
        /// Which one's.
        role: String,
    },
}

impl Admission {
    /// One of a role, which admits nobody yet where it is pinned.
    pub fn new(account: String, role: String, pinned: bool, made: Timestamp) -> Self {
        Self {
            schema: SCHEMA,
            made,
            account,
            role,
            pinned,
            subnets: Vec::new(),
            instances: Vec::new(),
        }
    }

    /// The folder of an account's in the record store.
    pub fn folder(account: &str) -> String {
        format!("pins/v1/account={account}")
    }

    /// Its name in the record store.
    pub fn name(account: &str, role: &str) -> String {
        format!("{}/{role}.json", Self::folder(account))
    }

    /// Its contents in the record store.
    #[cfg(feature = "store")]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers have a JSON form")
    }

    /// Reads the one that [`name`](Self::name) names.
    #[cfg(feature = "store")]
    pub fn read(bytes: &[u8], account: &str, role: &str) -> Result<Self, Unfit> {
        let read: Self = serde_json::from_slice(bytes).map_err(Unfit::Unreadable)?;
        if read.schema != SCHEMA {
            return Err(Unfit::Schema(read.schema));
        }
        if (read.account.as_str(), read.role.as_str()) != (account, role) {
            return Err(Unfit::Other {
                account: read.account,
                role: read.role,
            });
        }
        Ok(read)
    }

    /// Whether `host` is admitted. What it does not know of itself is not taken to be well.
    pub fn admits(&self, host: &Host, reach: &Reach) -> bool {
        let in_subnet = |admitted: &AdmittedSubnet| {
            host.subnet.as_ref() == Some(&admitted.subnet) && admitted.admits(host, reach)
        };
        let by_itself = |admitted: &AdmittedInstance| {
            host.instance_id == admitted.instance && admitted.admits(host, reach)
        };
        !self.pinned || self.subnets.iter().any(in_subnet) || self.instances.iter().any(by_itself)
    }
}

impl AdmittedSubnet {
    fn admits(&self, host: &Host, reach: &Reach) -> bool {
        let further = host.private_ipv4s.iter().skip(1).copied();
        let mut more = further
            .map(IpAddr::V4)
            .chain(host.ipv6s.iter().copied().map(IpAddr::V6))
            .map(Prefix::from)
            .chain(reach.delegated.iter().copied());
        // Another interface may be in another subnet, which leads elsewhere.
        reach.interfaces == 1
            && (self.public_ipv4 || host.public_ipv4s.is_empty())
            && more.all(|own| is_in(&self.more, own))
    }
}

impl AdmittedInstance {
    fn admits(&self, host: &Host, reach: &Reach) -> bool {
        let ipv4 = host.private_ipv4s.iter().chain(&host.public_ipv4s);
        let addresses = ipv4
            .copied()
            .map(IpAddr::V4)
            .chain(host.ipv6s.iter().copied().map(IpAddr::V6));
        let mut own = addresses
            .map(Prefix::from)
            .chain(reach.delegated.iter().copied())
            .peekable();
        own.peek().is_some() && own.all(|own| is_in(&self.addresses, own))
    }
}

fn is_in(prefixes: &[Prefix], own: Prefix) -> bool {
    prefixes.iter().any(|prefix| prefix.contains(own))
}

impl Prefix {
    fn contains(self, other: Self) -> bool {
        let first_bits = |address: IpAddr, length: u8| match address {
            IpAddr::V4(v4) => u128::from(v4.to_bits()).checked_shr(32 - u32::from(length)),
            IpAddr::V6(v6) => v6.to_bits().checked_shr(128 - u32::from(length)),
        };
        self.address.is_ipv4() == other.address.is_ipv4()
            && self.length <= other.length
            && first_bits(self.address, self.length) == first_bits(other.address, self.length)
    }
}

impl From<IpAddr> for Prefix {
    fn from(address: IpAddr) -> Self {
        let length = if address.is_ipv4() { 32 } else { 128 };
        Self { address, length }
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let wrong = || PrefixError(text.to_owned());
        let (address, length) = text.split_once('/').ok_or_else(wrong)?;
        let whole = Self::from(address.parse::<IpAddr>().map_err(|_| wrong())?);
        match length.parse() {
            Ok(length) if length <= whole.length => Ok(Self { length, ..whole }),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl Serialize for Prefix {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Prefix {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: &str = "111122223333";

    fn host() -> Host {
        Host {
            instance_id: "i-0a".into(),
            subnet: Some("subnet-0a".into()),
            private_ipv4s: vec!["10.0.1.5".parse().unwrap()],
            ..Host::default()
        }
    }

    fn one() -> Reach {
        Reach {
            interfaces: 1,
            delegated: Vec::new(),
        }
    }

    fn prefixes(texts: &[&str]) -> Vec<Prefix> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn pinned() -> Admission {
        let made = "2026-11-27T12:00:00Z".parse().unwrap();
        Admission::new(ACCOUNT.into(), "web".into(), true, made)
    }

    fn of_subnet(public_ipv4: bool, more: &[&str]) -> Admission {
        let subnet = AdmittedSubnet {
            subnet: "subnet-0a".into(),
            public_ipv4,
            more: prefixes(more),
        };
        Admission {
            subnets: vec![subnet],
            ..pinned()
        }
    }

    #[test]
    fn prefixes_hold_what_begins_as_they_do() {
        for (outer, inner, holds) in [
            ("10.0.0.0/8", "10.255.0.1/32", true),
            ("10.0.0.0/8", "11.0.0.0/32", false),
            ("10.0.1.0/24", "10.0.0.0/8", false),
            ("0.0.0.0/0", "203.0.113.5/32", true),
            ("::/0", "2001:db8::/32", true),
            ("0.0.0.0/0", "2001:db8::/32", false),
            ("2001:db8:1::/64", "2001:db8:1::ffff/128", true),
            ("2001:db8:1::/64", "2001:db8:2::/128", false),
        ] {
            let [outer, inner]: [Prefix; 2] = [outer, inner].map(|text| text.parse().unwrap());
            assert_eq!(outer.contains(inner), holds, "{outer} {inner}");
            assert_eq!(outer.to_string().parse(), Ok(outer));
        }
        for text in [
            "10.0.0.1",
            "10.0.0.0/33",
            "::/129",
            "x/8",
            "10.0.0.0/-1",
            "",
        ] {
            assert!(text.parse::<Prefix>().is_err(), "{text}");
        }
    }

    #[test]
    fn nobody_is_admitted_by_a_pin_that_says_so_of_nobody_and_everybody_without_one() {
        assert!(!pinned().admits(&host(), &one()));
        let unpinned = Admission {
            pinned: false,
            ..pinned()
        };
        assert!(unpinned.admits(&Host::default(), &Reach::default()));
    }

    #[test]
    fn a_host_of_an_admitted_subnet_is_admitted_with_the_addresses_that_are_said() {
        let subnet = of_subnet(false, &[]);
        assert!(subnet.admits(&host(), &one()));
        let other = Host {
            subnet: Some("subnet-0b".into()),
            ..host()
        };
        assert!(!subnet.admits(&other, &one()));
        assert!(!subnet.admits(
            &Host {
                subnet: None,
                ..host()
            },
            &one()
        ));

        let public = Host {
            public_ipv4s: vec!["203.0.113.5".parse().unwrap()],
            ..host()
        };
        assert!(!subnet.admits(&public, &one()));
        assert!(of_subnet(true, &[]).admits(&public, &one()));

        let six = Host {
            ipv6s: vec!["2001:db8:1::5".parse().unwrap()],
            ..host()
        };
        assert!(!subnet.admits(&six, &one()));
        assert!(!of_subnet(false, &["2001:db8:2::/64"]).admits(&six, &one()));
        assert!(of_subnet(false, &["2001:db8:1::/64"]).admits(&six, &one()));

        let mut pods = one();
        pods.delegated = prefixes(&["10.0.7.16/28"]);
        assert!(!subnet.admits(&host(), &pods));
        assert!(of_subnet(false, &["10.0.0.0/20"]).admits(&host(), &pods));
        for interfaces in [0, 2] {
            let reach = Reach {
                interfaces,
                ..one()
            };
            assert!(!subnet.admits(&host(), &reach), "{interfaces}");
        }
    }

    #[test]
    fn a_host_that_is_named_is_admitted_while_its_addresses_are_those() {
        let named = |addresses: &[&str]| Admission {
            instances: vec![AdmittedInstance {
                instance: "i-0a".into(),
                addresses: prefixes(addresses),
            }],
            ..pinned()
        };
        let public = Host {
            public_ipv4s: vec!["203.0.113.5".parse().unwrap()],
            ..host()
        };
        let two = Reach {
            interfaces: 2,
            ..one()
        };
        let known = named(&["10.0.1.5/32", "203.0.113.5/32"]);
        assert!(known.admits(&public, &two));
        // It started again, with another address.
        assert!(!named(&["10.0.1.5/32", "203.0.113.77/32"]).admits(&public, &one()));
        let other = Host {
            instance_id: "i-0b".into(),
            ..public
        };
        assert!(!known.admits(&other, &one()));
        let blind = Host {
            instance_id: "i-0a".into(),
            ..Host::default()
        };
        assert!(
            !known.admits(&blind, &one()),
            "it knows no address of its own"
        );
    }

    #[cfg(feature = "store")]
    #[test]
    fn what_is_about_another_role_or_of_another_version_is_of_no_use() {
        let json = String::from_utf8(of_subnet(true, &["10.0.0.0/8"]).to_json()).unwrap();
        let read = |json: &str, role| Admission::read(json.as_bytes(), ACCOUNT, role);
        assert_eq!(
            read(&json, "web").unwrap(),
            of_subnet(true, &["10.0.0.0/8"])
        );
        assert!(matches!(read(&json, "batch"), Err(Unfit::Other { .. })));
        assert!(matches!(
            Admission::read(json.as_bytes(), "444455556666", "web"),
            Err(Unfit::Other { .. })
        ));
        let later = json.replacen("\"schema\":1", "\"schema\":2", 1);
        assert!(matches!(read(&later, "web"), Err(Unfit::Schema(2))));
        for text in ["", "{", "[]", "{\"schema\":1}", &json[1..]] {
            assert!(
                matches!(read(text, "web"), Err(Unfit::Unreadable(_))),
                "{text}"
            );
        }
    }
}
