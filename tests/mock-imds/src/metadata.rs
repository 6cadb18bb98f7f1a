//! What hangs where: the metadata tree of a [`Host`] (EC2 User Guide, instance metadata categories).

mod network;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::document::document;
use crate::host::Host;
use crate::identity::{IDENTITY_CERTIFICATE, Signature};
use crate::tree::{Directory, Leaf};
use network::network;

/// The versions that `/` lists. All of them serve the same tree; an unknown one is a 404.
pub(crate) const VERSIONS: &[&str] = &[
    "1.0",
    "2007-01-19",
    "2007-03-01",
    "2007-08-29",
    "2007-10-10",
    "2007-12-15",
    "2008-02-01",
    "2008-09-01",
    "2009-04-04",
    "2011-01-01",
    "2011-05-01",
    "2012-01-12",
    "2014-02-25",
    "2014-11-05",
    "2015-10-20",
    "2016-04-19",
    "2016-06-30",
    "2016-09-02",
    "2018-03-28",
    "2018-08-17",
    "2018-09-24",
    "2019-10-01",
    "2020-10-27",
    "2021-01-03",
    "2021-03-23",
    "2021-07-15",
    "2022-09-24",
    "2024-04-11",
    "latest",
];

/// What lies under each version.
pub(crate) fn tree(host: &Host) -> Directory {
    let identity = Directory::default()
        .text("document", identity_document(host))
        .leaf("pkcs7", Leaf::Signature(Signature::Message))
        .leaf("rsa2048", Leaf::Signature(Signature::Message))
        .leaf("signature", Leaf::Signature(Signature::Plain));
    let tree = Directory::default()
        .directory(
            "dynamic",
            Directory::default().directory("instance-identity", identity),
        )
        .directory("meta-data", meta_data(host));
    match &host.user_data {
        Some(data) => tree.leaf("user-data", Leaf::Bytes(data.to_bytes())),
        None => tree,
    }
}

fn meta_data(host: &Host) -> Directory {
    let interface = &host.interface;
    let public_name = interface
        .public_ipv4s
        .first()
        .map(|&ip| host.public_name(ip));
    Directory::default()
        .text("ami-id", &host.ami_id)
        .text("ami-launch-index", host.launch_index.to_string())
        .text("ami-manifest-path", "(unknown)")
        .lines("ancestor-ami-ids", &host.ancestor_ami_ids)
        .directory(
            "autoscaling",
            Directory::default().maybe(
                "target-lifecycle-state",
                host.target_lifecycle_state.as_ref(),
            ),
        )
        .directory("block-device-mapping", texts(&host.block_device_mapping))
        .directory("events", events(host))
        .text("hostname", host.local_hostname())
        .directory("iam", iam(host))
        .directory("identity-credentials", identity_credentials(host))
        .text("instance-action", "none")
        .text("instance-id", &host.instance_id)
        .text("instance-life-cycle", &host.life_cycle)
        .text("instance-type", &host.instance_type)
        .maybe("ipv6", interface.ipv6s.first())
        .maybe("kernel-id", host.kernel_id.as_ref())
        .text("local-hostname", host.local_hostname())
        .maybe("local-ipv4", interface.private_ipv4s.first())
        .text("mac", &interface.mac)
        .directory("managed-ssh-keys", managed_ssh_keys(host))
        .directory("network", network(host))
        .directory("placement", placement(host))
        .lines("product-codes", &host.product_codes)
        .text("profile", "default-hvm")
        .maybe("public-hostname", public_name)
        .maybe("public-ipv4", interface.public_ipv4s.first())
        .directory("public-keys", public_keys(host))
        .maybe("ramdisk-id", host.ramdisk_id.as_ref())
        .text("reservation-id", &host.reservation_id)
        .lines("security-groups", &interface.security_groups)
        .directory(
            "services",
            Directory::default()
                .text("domain", host.services_domain())
                .text("partition", host.partition()),
        )
        .text("system", "nitro")
        .directory(
            "tags",
            Directory::default().directory("instance", texts(&host.tags)),
        )
}

/// Absent where the host has no role.
fn iam(host: &Host) -> Directory {
    let roles = host.roles().fold(Directory::default(), |roles, role| {
        roles.leaf(role, Leaf::Credentials(role.clone()))
    });
    if roles.is_empty() {
        return roles;
    }
    Directory::default()
        .leaf("info", Leaf::IamInfo)
        .directory("security-credentials", roles)
}

/// The instance's own identity, which AWS's agents on it use (EC2 User Guide, instance identity roles).
fn identity_credentials(host: &Host) -> Directory {
    if !host.identity_credentials {
        return Directory::default();
    }
    let credentials = Directory::default().leaf("ec2-instance", Leaf::IdentityCredentials);
    let ec2 = Directory::default()
        .leaf("info", Leaf::IdentityInfo)
        .directory("security-credentials", credentials);
    Directory::default().directory("ec2", ec2)
}

fn events(host: &Host) -> Directory {
    let notice = host
        .rebalance_recommended
        .map(|since| format!(r#"{{"noticeTime":"{since}"}}"#));
    Directory::default().directory(
        "recommendations",
        Directory::default().maybe("rebalance", notice),
    )
}

/// EC2 Instance Connect: who signs the keys that it pushes, and the keys.
fn managed_ssh_keys(host: &Host) -> Directory {
    Directory::default()
        .directory("active-keys", texts(&host.managed_ssh_keys))
        .text("signer-cert", IDENTITY_CERTIFICATE.trim_end())
}

fn placement(host: &Host) -> Directory {
    Directory::default()
        .text("availability-zone", host.zone())
        .text("availability-zone-id", host.zone_id())
        .maybe("group-name", host.placement_group.as_ref())
        .maybe("host-id", host.host_id.as_ref())
        .maybe("partition-number", host.partition_number)
        .text("region", &host.region)
}

fn public_keys(host: &Host) -> Directory {
    let keys = host.public_keys.iter().enumerate();
    keys.fold(Directory::default(), |keys, (number, (name, key))| {
        let directory = Directory::default()
            .text("openssh-key", key)
            .listed_as(format!("{number}={name}"));
        keys.directory(&number.to_string(), directory)
    })
}

fn texts(values: &BTreeMap<String, String>) -> Directory {
    values
        .iter()
        .fold(Directory::default(), |all, (name, value)| {
            all.text(name, value)
        })
}

/// The instance identity document (EC2 User Guide, instance identity documents).
pub(crate) fn identity_document(host: &Host) -> String {
    let private_ip = host
        .interface
        .private_ipv4s
        .first()
        .map(ToString::to_string);
    let product_codes = match &host.product_codes[..] {
        [] => Value::Null,
        codes => codes.into(),
    };
    document([
        ("accountId", Value::from(host.account.as_str())),
        ("architecture", host.architecture.as_str().into()),
        ("availabilityZone", host.zone().into()),
        ("billingProducts", Value::Null),
        ("devpayProductCodes", Value::Null),
        ("marketplaceProductCodes", product_codes),
        ("imageId", host.ami_id.as_str().into()),
        ("instanceId", host.instance_id.as_str().into()),
        ("instanceType", host.instance_type.as_str().into()),
        ("kernelId", host.kernel_id.as_deref().into()),
        ("pendingTime", host.launched.to_string().into()),
        ("privateIp", private_ip.into()),
        ("ramdiskId", host.ramdisk_id.as_deref().into()),
        ("region", host.region.as_str().into()),
        ("version", "2017-09-30".into()),
    ])
}
