//! The estate of the tests: what `python/build_estate.py` builds in moto, and its ids.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::credentials::Credentials;
use crate::moto::Moto;
use crate::tools::Tools;

/// What the estate has beyond the plain one. Either makes a role unsafe to launch into: addresses of new
/// hosts cannot be known beforehand.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extras {
    /// `web-pub`, in the public subnet of VPC `a`, with an Elastic IP of its own.
    pub public_host: bool,
    /// IPv6 addresses for `web-1` and `web-2`, and an egress-only gateway for their subnet.
    pub ipv6: bool,
}

/// Two VPCs in two regions with the same addresses, roles `web` and `batch`, and hosts `web-1`, `web-2`,
/// `batch-1` (in VPC `a`) and `web-b1` (in VPC `b`, at the private address of `web-1`).
#[derive(Clone, Debug, Deserialize)]
pub struct Estate {
    /// The account's id.
    pub account: String,
    /// By name.
    pub roles: BTreeMap<String, Role>,
    /// By `a` and `b`.
    pub vpcs: BTreeMap<String, Vpc>,
    /// By name.
    pub hosts: BTreeMap<String, Host>,
}

/// A role with an instance profile of its name.
#[derive(Clone, Debug, Deserialize)]
pub struct Role {
    /// Such as `web`.
    pub name: String,
    /// With its path.
    pub arn: String,
    /// `AROA…`.
    pub id: String,
    /// The instance profile's ARN.
    pub profile_arn: String,
}

/// A VPC with a public and a private subnet.
#[derive(Clone, Debug, Deserialize)]
pub struct Vpc {
    /// `vpc-…`.
    pub id: String,
    /// Where it lies.
    pub region: String,
    /// The same for both.
    pub cidr: String,
    /// Of the private subnet, where the estate has IPv6.
    pub ipv6_cidr: Option<String>,
    /// Routed to an internet gateway.
    pub public_subnet: String,
    /// Routed to the NAT gateway.
    pub private_subnet: String,
    /// `nat-…`.
    pub nat_gateway: String,
    /// The one address that the NAT gateway has.
    pub nat_address: Ipv4Addr,
    /// The gateway endpoint, `vpce-…`.
    pub s3_endpoint: String,
    /// The interface endpoint, `vpce-…`.
    pub sts_endpoint: String,
}

/// An instance.
#[derive(Clone, Debug, Deserialize)]
pub struct Host {
    /// Its tag `Name`, and its name in the estate.
    pub name: String,
    /// Its role's name.
    pub role: String,
    /// `i-…`.
    pub id: String,
    /// What `ec2:SourceInstanceARN` says.
    pub arn: String,
    /// Where it runs.
    pub region: String,
    /// Its availability zone.
    pub zone: String,
    /// Its VPC's id.
    pub vpc: String,
    /// Its subnet's id.
    pub subnet: String,
    /// Its only interface, `eni-…`.
    pub interface: String,
    /// That interface's MAC.
    pub mac: String,
    /// That interface's only private IPv4.
    pub private_address: Ipv4Addr,
    /// Its Elastic IP, if it has one.
    pub public_address: Option<Ipv4Addr>,
    /// Its IPv6 address, if it has one.
    pub ipv6_address: Option<Ipv6Addr>,
    /// Where the internet sees its IPv4 calls come from: its own address, or the NAT gateway's.
    pub egress_address: Ipv4Addr,
}

impl Estate {
    /// The regions that it spreads over.
    pub const REGIONS: [&str; 2] = ["eu-west-1", "eu-central-1"];

    /// Builds it in an empty account, with boto3.
    pub async fn build(tools: &Tools, moto: &Moto, extras: Extras) -> Result<Self> {
        Self::build_as(tools, moto, extras, &Credentials::of_moto()).await
    }

    /// The same in the account of these credentials.
    pub async fn build_as(
        tools: &Tools,
        moto: &Moto,
        extras: Extras,
        credentials: &Credentials,
    ) -> Result<Self> {
        let mut script = tools.python("build_estate.py")?;
        if extras.public_host {
            script = script.arg("--public-host");
        }
        if extras.ipv6 {
            script = script.arg("--ipv6");
        }
        let script = moto.admit_as(script, credentials);
        let printed = script.finish().await?.success()?;
        serde_json::from_str(&printed).context("build_estate.py printed something else")
    }

    /// What the metadata service on a host says of it.
    ///
    /// # Panics
    /// If there is no such host.
    pub fn metadata(&self, name: &str) -> credpin_mock_imds::Host {
        let host = self.host(name);
        credpin_mock_imds::Host {
            account: self.account.clone(),
            region: host.region.clone(),
            zone: Some(host.zone.clone()),
            instance_id: host.id.clone(),
            role: Some(host.role.clone()),
            instance_profile_arn: Some(self.roles[&host.role].profile_arn.clone()),
            interface: credpin_mock_imds::Interface {
                interface_id: host.interface.clone(),
                mac: host.mac.clone(),
                private_ipv4s: vec![host.private_address],
                public_ipv4s: host.public_address.into_iter().collect(),
                ipv6s: host.ipv6_address.into_iter().collect(),
                subnet_id: host.subnet.clone(),
                vpc_id: host.vpc.clone(),
                ..Default::default()
            },
            ..Default::default()
        }
    }

    /// The host of that name.
    ///
    /// # Panics
    /// If there is none.
    pub fn host(&self, name: &str) -> &Host {
        let found = self.hosts.get(name);
        found.unwrap_or_else(|| panic!("the estate has no host {name}"))
    }
}
