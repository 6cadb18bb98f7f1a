//! What a mock says about the host that it pretends to run on.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A host as its metadata describes it. Set what matters to the test, leave the rest:
///
/// ```
/// use credpin_mock_imds::{Host, Interface};
///
/// let host = Host {
///     region: "eu-west-1".into(),
///     interface: Interface {
///         private_ipv4s: vec!["10.0.1.7".parse()?],
///         public_ipv4s: vec![], // behind a NAT gateway
///         ..Interface::default()
///     },
///     ..Host::default()
/// };
/// assert_eq!(host.zone(), "eu-west-1a");
/// assert_eq!(host.local_hostname(), "ip-10-0-1-7.eu-west-1.compute.internal");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
///
/// Ids, ARNs and CIDR blocks are text and are not checked: a test may want odd ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Host {
    /// Account id, twelve digits. Real access key ids encode it, and so do the mock's.
    pub account: String,
    /// Region, as `us-east-1`.
    pub region: String,
    /// Availability zone; absent: the region's `a`.
    pub zone: Option<String>,
    /// `i-…`
    pub instance_id: String,
    /// As `t3.micro`.
    pub instance_type: String,
    /// `ami-…`
    pub ami_id: String,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    /// `r-…`
    pub reservation_id: String,
    /// When the host was launched (`pendingTime` of the identity document).
    pub launched: Timestamp,
    /// Private DNS name; absent: made from the first private address, as EC2 does.
    pub hostname: Option<String>,
    /// Name of the role whose credentials are given out; absent: there is no `iam/`.
    pub role: Option<String>,
    /// ARN of the instance profile; absent: the profile is named like the role.
    pub instance_profile_arn: Option<String>,
    /// `AIPA…`
    pub instance_profile_id: String,
    /// The primary network interface.
    pub interface: Interface,
    /// Further interfaces, from device number 1.
    pub secondary_interfaces: Vec<Interface>,
    /// The instance's tags, as with instance metadata tags enabled.
    pub tags: BTreeMap<String, String>,
    /// User data; absent: 404.
    pub user_data: Option<UserData>,
}

/// One network interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Interface {
    /// `eni-…`
    pub interface_id: String,
    /// MAC address, as `0e:00:00:00:00:0a`.
    pub mac: String,
    /// Private IPv4 addresses, the primary one first.
    pub private_ipv4s: Vec<Ipv4Addr>,
    /// Public IPv4 addresses; the first belongs to the first private one, and so on.
    pub public_ipv4s: Vec<Ipv4Addr>,
    /// IPv6 addresses.
    pub ipv6s: Vec<Ipv6Addr>,
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

/// User data: text, or bytes that are none. In a file: a string, or a list of numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum UserData {
    /// A script or a cloud-config.
    Text(String),
    /// Anything, as a gzipped cloud-config.
    Bytes(Vec<u8>),
}

/// A host of AWS's example account, with addresses that no network routes (RFC 5737).
impl Default for Host {
    fn default() -> Self {
        Self {
            account: "123456789012".into(),
            region: "us-east-1".into(),
            zone: None,
            instance_id: "i-0123456789abcdef0".into(),
            instance_type: "t3.micro".into(),
            ami_id: "ami-0123456789abcdef0".into(),
            architecture: "x86_64".into(),
            reservation_id: "r-0123456789abcdef0".into(),
            launched: Timestamp::constant(1_735_732_800, 0), // 2025-01-01T12:00:00Z
            hostname: None,
            role: Some("example-role".into()),
            instance_profile_arn: None,
            instance_profile_id: "AIPAQAAAAAAAAEXAMPLE0".into(),
            interface: Interface::default(),
            secondary_interfaces: Vec::new(),
            tags: BTreeMap::new(),
            user_data: None,
        }
    }
}

impl Default for Interface {
    fn default() -> Self {
        Self {
            interface_id: "eni-0123456789abcdef0".into(),
            mac: "0e:00:00:00:00:0a".into(),
            private_ipv4s: vec![Ipv4Addr::new(10, 0, 0, 10)],
            public_ipv4s: vec![Ipv4Addr::new(192, 0, 2, 10)],
            ipv6s: Vec::new(),
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

impl Host {
    /// The availability zone.
    pub fn zone(&self) -> String {
        self.zone
            .clone()
            .unwrap_or_else(|| format!("{}a", self.region))
    }

    /// The partition that the region belongs to.
    pub fn partition(&self) -> &'static str {
        match self.region.split('-').next() {
            Some("cn") => "aws-cn",
            Some("us") if self.region.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        }
    }

    /// The domain of the partition's service endpoints.
    pub fn services_domain(&self) -> &'static str {
        match self.partition() {
            "aws-cn" => "amazonaws.com.cn",
            _ => "amazonaws.com",
        }
    }

    /// ARN of the instance profile, `None` where the host has no role.
    pub fn instance_profile_arn(&self) -> Option<String> {
        let role = self.role.as_ref()?;
        Some(self.instance_profile_arn.clone().unwrap_or_else(|| {
            format!(
                "arn:{}:iam::{}:instance-profile/{role}",
                self.partition(),
                self.account
            )
        }))
    }

    /// The private DNS name.
    pub fn local_hostname(&self) -> String {
        self.hostname
            .clone()
            .or_else(|| {
                self.interface
                    .private_ipv4s
                    .first()
                    .map(|&ip| self.private_name(ip))
            })
            .unwrap_or_else(|| "localhost".into())
    }

    /// The name EC2's DNS gives a private address (EC2 User Guide, hostname types).
    pub(crate) fn private_name(&self, address: Ipv4Addr) -> String {
        match self.region.as_str() {
            "us-east-1" => format!("ip-{}.ec2.internal", dashed(address)),
            region => format!("ip-{}.{region}.compute.internal", dashed(address)),
        }
    }

    /// The name EC2's DNS gives a public address.
    pub(crate) fn public_name(&self, address: Ipv4Addr) -> String {
        let domain = self.services_domain();
        match self.region.as_str() {
            "us-east-1" => format!("ec2-{}.compute-1.{domain}", dashed(address)),
            region => format!("ec2-{}.{region}.compute.{domain}", dashed(address)),
        }
    }
}

fn dashed(address: Ipv4Addr) -> String {
    address.to_string().replace('.', "-")
}

impl UserData {
    pub(crate) fn to_bytes(&self) -> Bytes {
        match self {
            Self::Text(text) => Bytes::copy_from_slice(text.as_bytes()),
            Self::Bytes(bytes) => Bytes::copy_from_slice(bytes),
        }
    }
}

impl From<&str> for UserData {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<Vec<u8>> for UserData {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_names_only_what_differs() {
        let host: Host = serde_json::from_str(
            r#"{"region": "cn-north-1", "interface": {"mac": "0e:0"}, "user-data": [31, 139, 0]}"#,
        )
        .unwrap();
        assert_eq!(host.zone(), "cn-north-1a");
        assert_eq!(host.interface.mac, "0e:0");
        assert_eq!(host.interface.vpc_id, Interface::default().vpc_id);
        assert_eq!(host.user_data, Some(vec![31, 139, 0].into()));
        assert_eq!(
            host.instance_profile_arn().as_deref(),
            Some("arn:aws-cn:iam::123456789012:instance-profile/example-role")
        );

        let again = serde_json::from_str(&serde_json::to_string(&host).unwrap());
        assert_eq!(host, again.unwrap());
        assert!(serde_json::from_str::<Host>(r#"{"regoin": "eu-west-1"}"#).is_err());
    }
}
