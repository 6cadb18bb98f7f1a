//! A network interface as metadata describes it.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// One network interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Interface {
    /// `eni-…`
    pub interface_id: String,
    /// Which of the instance's network cards it is on.
    pub network_card: u32,
    /// MAC address, as `0e:00:00:00:00:0a`.
    pub mac: String,
    /// Private IPv4 addresses, the primary one first.
    pub private_ipv4s: Vec<Ipv4Addr>,
    /// Public IPv4 addresses; the first belongs to the first private one, and so on.
    pub public_ipv4s: Vec<Ipv4Addr>,
    /// IPv6 addresses.
    pub ipv6s: Vec<Ipv6Addr>,
    /// Delegated IPv4 prefixes, as `10.0.1.16/28`.
    pub ipv4_prefixes: Vec<String>,
    /// Delegated IPv6 prefixes, as `2001:db8:0:1::/80`.
    pub ipv6_prefixes: Vec<String>,
    /// `subnet-…`
    pub subnet_id: String,
    /// The subnet's IPv4 block.
    pub subnet_ipv4_cidr: String,
    /// The subnet's IPv6 blocks.
    pub subnet_ipv6_cidrs: Vec<String>,
    /// `vpc-…`
    pub vpc_id: String,
    /// The VPC's IPv4 blocks, the primary one first.
    pub vpc_ipv4_cidrs: Vec<String>,
    /// The VPC's IPv6 blocks.
    pub vpc_ipv6_cidrs: Vec<String>,
    /// `sg-…`
    pub security_group_ids: Vec<String>,
    /// Their names.
    pub security_groups: Vec<String>,
}

impl Default for Interface {
    fn default() -> Self {
        Self {
            interface_id: "eni-0123456789abcdef0".into(),
            network_card: 0,
            mac: "0e:00:00:00:00:0a".into(),
            private_ipv4s: vec![Ipv4Addr::new(10, 0, 0, 10)],
            public_ipv4s: vec![Ipv4Addr::new(192, 0, 2, 10)],
            ipv6s: Vec::new(),
            ipv4_prefixes: Vec::new(),
            ipv6_prefixes: Vec::new(),
            subnet_id: "subnet-0123456789abcdef0".into(),
            subnet_ipv4_cidr: "10.0.0.0/24".into(),
            subnet_ipv6_cidrs: Vec::new(),
            vpc_id: "vpc-0123456789abcdef0".into(),
            vpc_ipv4_cidrs: vec!["10.0.0.0/16".into()],
            vpc_ipv6_cidrs: Vec::new(),
            security_group_ids: vec!["sg-0123456789abcdef0".into()],
            security_groups: vec!["default".into()],
        }
    }
}
