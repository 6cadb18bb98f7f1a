//! What a mock says about the host that it pretends to run on.

mod interface;
mod user_data;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use interface::Interface;
pub use user_data::{MAX_USER_DATA_BYTES, UserData};

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
    /// The zone's id, as `use1-az1`; absent: made from the zone, its letter as its number.
    pub zone_id: Option<String>,
    /// Name of the placement group.
    pub placement_group: Option<String>,
    /// The partition of the placement group.
    pub partition_number: Option<u32>,
    /// The dedicated host, `h-…`.
    pub host_id: Option<String>,
    /// `i-…`
    pub instance_id: String,
    /// As `t3.micro`.
    pub instance_type: String,
    /// `ami-…`
    pub ami_id: String,
    /// AMIs that the AMI was made from.
    pub ancestor_ami_ids: Vec<String>,
    /// Product codes of the marketplace.
    pub product_codes: Vec<String>,
    /// `aki-…`
    pub kernel_id: Option<String>,
    /// `ari-…`
    pub ramdisk_id: Option<String>,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    /// `r-…`
    pub reservation_id: String,
    /// Its place among the instances of one launch.
    pub launch_index: u32,
    /// `on-demand`, `spot`, `scheduled` or `capacity-block`.
    pub life_cycle: String,
    /// When the host was launched (`pendingTime` of the identity document).
    pub launched: Timestamp,
    /// Private DNS name; absent: made from the first private address, as EC2 does.
    pub hostname: Option<String>,
    /// Name of the role whose credentials are given out; absent: there is no `iam/`. In a file `""` is
    /// absent too: TOML has no other way to say so.
    #[serde(deserialize_with = "role")]
    pub role: Option<String>,
    /// Further roles in `security-credentials/`. EC2 knows one role a host; a client that meets more
    /// takes the first of the list, which goes by name.
    pub other_roles: Vec<String>,
    /// ARN of the instance profile; absent: the profile is named like the role.
    pub instance_profile_arn: Option<String>,
    /// `AIPA…`
    pub instance_profile_id: String,
    /// Whether the host has credentials of its own identity (`identity-credentials/`), as all have.
    pub identity_credentials: bool,
    /// The primary network interface.
    pub interface: Interface,
    /// Further interfaces, from device number 1.
    pub secondary_interfaces: Vec<Interface>,
    /// The instance's tags, as with instance metadata tags enabled.
    pub tags: BTreeMap<String, String>,
    /// Virtual devices, as `ebs1`, and the names they have on the host, as `sdb`.
    pub block_device_mapping: BTreeMap<String, String>,
    /// SSH keys that the host was launched with, by name: `ssh-ed25519 AAAA…`.
    pub public_keys: BTreeMap<String, String>,
    /// SSH keys that EC2 Instance Connect has pushed, by user.
    pub managed_ssh_keys: BTreeMap<String, String>,
    /// What an Auto Scaling group brings the host to, as `InService`; absent: it is in none.
    pub target_lifecycle_state: Option<String>,
    /// Since when EC2 recommends to replace the host; absent: it does not.
    pub rebalance_recommended: Option<Timestamp>,
    /// User data; absent: 404.
    pub user_data: Option<UserData>,
}

/// A host of AWS's example account, with addresses that no network routes (RFC 5737).
impl Default for Host {
    fn default() -> Self {
        Self {
            account: "123456789012".into(),
            region: "us-east-1".into(),
            zone: None,
            zone_id: None,
            placement_group: None,
            partition_number: None,
            host_id: None,
            instance_id: "i-0123456789abcdef0".into(),
            instance_type: "t3.micro".into(),
            ami_id: "ami-0123456789abcdef0".into(),
            ancestor_ami_ids: Vec::new(),
            product_codes: Vec::new(),
            kernel_id: None,
            ramdisk_id: None,
            architecture: "x86_64".into(),
            reservation_id: "r-0123456789abcdef0".into(),
            launch_index: 0,
            life_cycle: "on-demand".into(),
            launched: Timestamp::constant(1_735_732_800, 0), // 2025-01-01T12:00:00Z
            hostname: None,
            role: Some("example-role".into()),
            other_roles: Vec::new(),
            instance_profile_arn: None,
            instance_profile_id: "AIPAQAAAAAAAAEXAMPLE0".into(),
            identity_credentials: true,
            interface: Interface::default(),
            secondary_interfaces: Vec::new(),
            tags: BTreeMap::new(),
            block_device_mapping: ["ami", "root"]
                .map(|name| (name.into(), "/dev/xvda".into()))
                .into(),
            public_keys: BTreeMap::new(),
            managed_ssh_keys: BTreeMap::new(),
            target_lifecycle_state: None,
            rebalance_recommended: None,
            user_data: None,
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

    /// The availability zone's id. EC2 numbers zones in another order for each account; here `a` is 1.
    pub fn zone_id(&self) -> String {
        if let Some(id) = &self.zone_id {
            return id.clone();
        }
        let short: String = self.region.split('-').enumerate().map(shortened).collect();
        let zone = self.zone();
        let number = match zone.bytes().last() {
            Some(letter @ b'a'..=b'z') => letter - b'a' + 1,
            _ => 1,
        };
        format!("{short}-az{number}")
    }

    /// The names of all roles whose credentials are given out.
    pub(crate) fn roles(&self) -> impl Iterator<Item = &String> {
        self.role.iter().chain(&self.other_roles)
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

/// A word of a region's name in the id of a zone: `us-east-1` is `use1`.
fn shortened((place, word): (usize, &str)) -> &str {
    match word {
        _ if place == 0 => word,
        "northeast" => "ne",
        "northwest" => "nw",
        "southeast" => "se",
        "southwest" => "sw",
        word if word.starts_with(|first: char| first.is_ascii_alphabetic()) => &word[..1],
        word => word,
    }
}

fn role<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.filter(|role: &String| !role.is_empty()))
}

fn dashed(address: Ipv4Addr) -> String {
    address.to_string().replace('.', "-")
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

    #[test]
    fn zones_are_numbered_by_their_letters() {
        for (region, zone, id) in [
            ("us-east-1", "us-east-1a", "use1-az1"),
            ("ap-southeast-2", "ap-southeast-2c", "apse2-az3"),
            ("us-gov-west-1", "us-gov-west-1b", "usgw1-az2"),
            ("cn-north-1", "odd", "cnn1-az4"),
            ("", "", "-az1"),
        ] {
            let host = Host {
                region: region.into(),
                zone: Some(zone.into()),
                ..Host::default()
            };
            assert_eq!(host.zone_id(), id);
        }
    }
}
