//! What hangs where: the metadata tree of a [`Host`] (EC2 User Guide, instance metadata categories).

use serde_json::Value;

use crate::document::document;
use crate::host::{Host, Interface};
use crate::identity::Signature;
use crate::tree::{Directory, Leaf};

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
    let tags = host
        .tags
        .iter()
        .fold(Directory::default(), |tags, (key, value)| {
            tags.text(key, value)
        });
    let public_names: Vec<String> = interface
        .public_ipv4s
        .iter()
        .take(1)
        .map(|&ip| host.public_name(ip))
        .collect();
    Directory::default()
        .text("ami-id", &host.ami_id)
        .text("ami-launch-index", "0")
        .text("ami-manifest-path", "(unknown)")
        .directory(
            "block-device-mapping",
            Directory::default()
                .text("ami", "/dev/xvda")
                .text("root", "/dev/xvda"),
        )
        .text("hostname", host.local_hostname())
        .directory("iam", iam(host))
        .text("instance-action", "none")
        .text("instance-id", &host.instance_id)
        .text("instance-life-cycle", "on-demand")
        .text("instance-type", &host.instance_type)
        .text("local-hostname", host.local_hostname())
        .lines("local-ipv4", first(&interface.private_ipv4s))
        .text("mac", &interface.mac)
        .directory("network", network(host))
        .directory(
            "placement",
            Directory::default()
                .text("availability-zone", host.zone())
                .text("region", &host.region),
        )
        .text("profile", "default-hvm")
        .lines("public-hostname", &public_names)
        .lines("public-ipv4", first(&interface.public_ipv4s))
        .text("reservation-id", &host.reservation_id)
        .lines("security-groups", &interface.security_groups)
        .directory(
            "services",
            Directory::default()
                .text("domain", host.services_domain())
                .text("partition", host.partition()),
        )
        .text("system", "nitro")
        .directory("tags", Directory::default().directory("instance", tags))
}

/// Absent where the host has no role.
fn iam(host: &Host) -> Directory {
    let Some(role) = &host.role else {
        return Directory::default();
    };
    Directory::default().leaf("info", Leaf::IamInfo).directory(
        "security-credentials",
        Directory::default().leaf(role, Leaf::Credentials(role.clone())),
    )
}

fn network(host: &Host) -> Directory {
    let macs = std::iter::once(&host.interface)
        .chain(&host.secondary_interfaces)
        .enumerate()
        .fold(Directory::default(), |macs, (device, card)| {
            macs.directory(&card.mac, interface(host, device, card))
        });
    Directory::default().directory("interfaces", Directory::default().directory("macs", macs))
}

fn interface(host: &Host, device: usize, card: &Interface) -> Directory {
    let associations = card
        .public_ipv4s
        .iter()
        .zip(&card.private_ipv4s)
        .fold(Directory::default(), |all, (public, private)| {
            all.text(&public.to_string(), private.to_string())
        });
    let private_names: Vec<String> = card
        .private_ipv4s
        .iter()
        .take(1)
        .map(|&ip| host.private_name(ip))
        .collect();
    let public_names: Vec<String> = card
        .public_ipv4s
        .iter()
        .take(1)
        .map(|&ip| host.public_name(ip))
        .collect();
    Directory::default()
        .text("device-number", device.to_string())
        .text("interface-id", &card.interface_id)
        .directory("ipv4-associations", associations)
        .lines("ipv6s", &card.ipv6s)
        .lines("local-hostname", &private_names)
        .lines("local-ipv4s", &card.private_ipv4s)
        .text("mac", &card.mac)
        .text("owner-id", &host.account)
        .lines("public-hostname", &public_names)
        .lines("public-ipv4s", &card.public_ipv4s)
        .lines("security-group-ids", &card.security_group_ids)
        .lines("security-groups", &card.security_groups)
        .text("subnet-id", &card.subnet_id)
        .text("subnet-ipv4-cidr-block", &card.subnet_ipv4_cidr)
        .lines("subnet-ipv6-cidr-blocks", &card.subnet_ipv6_cidrs)
        .text("vpc-id", &card.vpc_id)
        .lines("vpc-ipv4-cidr-block", first(&card.vpc_ipv4_cidrs))
        .lines("vpc-ipv4-cidr-blocks", &card.vpc_ipv4_cidrs)
        .lines("vpc-ipv6-cidr-blocks", &card.vpc_ipv6_cidrs)
}

/// The instance identity document (EC2 User Guide, instance identity documents).
pub(crate) fn identity_document(host: &Host) -> String {
    let private_ip = host
        .interface
        .private_ipv4s
        .first()
        .map(ToString::to_string);
    document([
        ("accountId", Value::from(host.account.as_str())),
        ("architecture", host.architecture.as_str().into()),
        ("availabilityZone", host.zone().into()),
        ("billingProducts", Value::Null),
        ("devpayProductCodes", Value::Null),
        ("marketplaceProductCodes", Value::Null),
        ("imageId", host.ami_id.as_str().into()),
        ("instanceId", host.instance_id.as_str().into()),
        ("instanceType", host.instance_type.as_str().into()),
        ("kernelId", Value::Null),
        ("pendingTime", host.launched.to_string().into()),
        ("privateIp", private_ip.into()),
        ("ramdiskId", Value::Null),
        ("region", host.region.as_str().into()),
        ("version", "2017-09-30".into()),
    ])
}

fn first<T>(values: &[T]) -> &[T] {
    &values[..values.len().min(1)]
}
