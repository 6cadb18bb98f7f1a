//! What amazon-ec2-metadata-mock answers where it is told nothing else: the key, the path and the
//! value of each of its categories.
//!
//! Keys are those of its config file. In a path, `{key}` stands for that key's value.

use Shape::{Absent, Fields, Text};

use crate::notice::Place;

/// A category: key, path, value.
pub(super) type Category = (&'static str, &'static str, Shape);

/// What a category's value looks like, and what it is by default.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    Text(&'static str),
    /// Null, or whatever it is set to.
    Absent,
    /// An object with these members, in this order.
    Fields(&'static [(&'static str, Shape)]),
}

/// The keys of notices, which have paths and no values.
pub(super) const NOTICES: [(&str, Place); 5] = [
    ("spot", Place::SpotAction),
    ("spot-termination-time", Place::SpotTime),
    ("rebalance-rec-time", Place::Rebalance),
    ("events", Place::Event),
    ("target-lifecycle-state", Place::Lifecycle),
];

/// The id of the one scheduled event: `metadata.values.event-id`.
pub(crate) const EVENT_ID: &str = "instance-event-1234567890abcdef0";

/// Base64, as the config file has it: `userdata.values.userdata`.
pub(super) const USER_DATA: &str = "MTIzNCxqb2huLHJlYm9vdCx0cnVlCg==";

/// `metadata`, under `/latest/meta-data/`.
pub(super) const METADATA: &[Category] = &[
    ("ami-id", "ami-id", Text("ami-0a887e401f7654935")),
    ("ami-launch-index", "ami-launch-index", Text("0")),
    ("ami-manifest-path", "ami-manifest-path", Text("(unknown)")),
    (
        "block-device-mapping-ami",
        "block-device-mapping/ami",
        Text("/dev/xvda"),
    ),
    (
        "block-device-mapping-ebs",
        "block-device-mapping/ebs0",
        Text("sdb"),
    ),
    (
        "block-device-mapping-ephemeral",
        "block-device-mapping/ephemeral0",
        Text("sdb"),
    ),
    (
        "block-device-mapping-root",
        "block-device-mapping/root",
        Text("/dev/xvda"),
    ),
    (
        "block-device-mapping-swap",
        "block-device-mapping/swap",
        Text("sdcs"),
    ),
    (
        "elastic-inference-associations",
        "elastic-inference/associations",
        Text("eia-bfa21c7904f64a82a21b9f4540169ce1"),
    ),
    (
        "elastic-inference-accelerator",
        "elastic-inference/associations/{elastic-inference-associations}",
        Fields(&[(
            "version_2018_04_12",
            Fields(&[
                (
                    "elastic-inference-accelerator-id",
                    Text("eia-bfa21c7904f64a82a21b9f4540169ce1"),
                ),
                ("elastic-inference-accelerator-type", Text("eia1.medium")),
            ]),
        )]),
    ),
    ("hostname", "hostname", Text("ip-172-16-34-43.ec2.internal")),
    (
        "iam-info",
        "iam/info",
        Fields(&[
            ("Code", Text("Success")),
            ("LastUpdated", Text("2020-04-02T18:50:40Z")),
            (
                "InstanceProfileArn",
                Text("arn:aws:iam::896453262835:instance-profile/baskinc-role"),
            ),
            ("InstanceProfileId", Text("AIPA5BOGHHXZELSK34VU4")),
        ]),
    ),
    (
        "iam-security-credentials-role",
        "iam/security-credentials",
        Text("baskinc-role"),
    ),
    (
        "iam-security-credentials",
        "iam/security-credentials/{iam-security-credentials-role}",
        Fields(&[
            ("Code", Text("Success")),
            ("LastUpdated", Text("2020-04-02T18:50:40Z")),
            ("Type", Text("AWS-HMAC")),
            ("AccessKeyId", Text("12345678901")),
            ("SecretAccessKey", Text("v/12345678901")),
            (
                "Token",
                Text("TEST92test48TEST+y6RpoTEST92test48TEST/8oWVAiBqTEsT5Ky7ty2tEStxC1T=="),
            ),
            ("Expiration", Text("2020-04-02T00:49:51Z")),
        ]),
    ),
    ("instance-action", "instance-action", Text("none")),
    ("instance-id", "instance-id", Text("i-1234567890abcdef0")),
    (
        "instance-life-cycle",
        "instance-life-cycle",
        Text("on-demand"),
    ),
    ("instance-type", "instance-type", Text("m4.xlarge")),
    ("kernel-id", "kernel-id", Text("aki-5c21674b")),
    (
        "local-hostname",
        "local-hostname",
        Text("ip-172-16-34-43.ec2.internal"),
    ),
    ("local-ipv4", "local-ipv4", Text("172.16.34.43")),
    ("mac", "mac", Text("0e:49:61:0f:c3:11")),
    (
        "mac-device-number",
        "network/interfaces/macs/{mac}/device-number",
        Text("0"),
    ),
    (
        "mac-ipv4-associations",
        "network/interfaces/macs/{mac}/ipv4-associations/{public-ipv4}",
        Text("192.0.2.54"),
    ),
    (
        "mac-ipv6-associations",
        "network/interfaces/macs/{mac}/ipv6s",
        Text("2001:db8:8:4::2"),
    ),
    (
        "mac-local-hostname",
        "network/interfaces/macs/{mac}/local-hostname",
        Text("ip-172-16-34-43.ec2.internal"),
    ),
    (
        "mac-local-ipv4s",
        "network/interfaces/macs/{mac}/local-ipv4s",
        Text("172.16.34.43"),
    ),
    (
        "mac-mac",
        "network/interfaces/macs/{mac}/mac",
        Text("0e:49:61:0f:c3:11"),
    ),
    (
        "mac-network-interface-id",
        "network/interfaces/macs/{mac}/interface-id",
        Text("eni-0f95d3625f5c521cc"),
    ),
    (
        "mac-network-interface-card-index",
        "network/interfaces/macs/{mac}/network-card-index",
        Text("0"),
    ),
    (
        "mac-owner-id",
        "network/interfaces/macs/{mac}/owner-id",
        Text("515336597381"),
    ),
    (
        "mac-public-hostname",
        "network/interfaces/macs/{mac}/public-hostname",
        Text("ec2-192-0-2-54.compute-1.amazonaws.com"),
    ),
    (
        "mac-public-ipv4s",
        "network/interfaces/macs/{mac}/public-ipv4s",
        Text("192.0.2.54"),
    ),
    (
        "mac-security-group-ids",
        "network/interfaces/macs/{mac}/security-group-ids",
        Text("sg-0b07f8f6cb485d4df"),
    ),
    (
        "mac-security-groups",
        "network/interfaces/macs/{mac}/security-groups",
        Text("ura-launch-wizard-harry-1"),
    ),
    (
        "mac-subnet-id",
        "network/interfaces/macs/{mac}/subnet-id",
        Text("subnet-0ac62554"),
    ),
    (
        "mac-subnet-ipv4-cidr-block",
        "network/interfaces/macs/{mac}/subnet-ipv4-cidr-block",
        Text("192.0.2.0/24"),
    ),
    (
        "mac-subnet-ipv6-cidr-blocks",
        "network/interfaces/macs/{mac}/subnet-ipv6-cidr-blocks",
        Text("2001:db8::/32"),
    ),
    (
        "mac-vpc-id",
        "network/interfaces/macs/{mac}/vpc-id",
        Text("vpc-d295a6a7"),
    ),
    (
        "mac-vpc-ipv4-cidr-block",
        "network/interfaces/macs/{mac}/vpc-ipv4-cidr-block",
        Text("192.0.2.0/24"),
    ),
    (
        "mac-vpc-ipv4-cidr-blocks",
        "network/interfaces/macs/{mac}/vpc-ipv4-cidr-blocks",
        Text("192.0.2.0/24"),
    ),
    (
        "mac-vpc-ipv6-cidr-blocks",
        "network/interfaces/macs/{mac}/vpc-ipv6-cidr-blocks",
        Text("2001:db8::/32"),
    ),
    (
        "placement-availability-zone",
        "placement/availability-zone",
        Text("us-east-1a"),
    ),
    (
        "placement-availability-zone-id",
        "placement/availability-zone-id",
        Text("use1-az4"),
    ),
    (
        "placement-group-name",
        "placement/group-name",
        Text("a-placement-group"),
    ),
    (
        "placement-host-id",
        "placement/host-id",
        Text("h-0da999999f9999fb9"),
    ),
    (
        "placement-partition-number",
        "placement/partition-number",
        Text("1"),
    ),
    ("placement-region", "placement/region", Text("us-east-1")),
    (
        "product-codes",
        "product-codes",
        Text("3iplms73etrdhxdepv72l6ywj"),
    ),
    (
        "public-hostname",
        "public-hostname",
        Text("ec2-192-0-2-54.compute-1.amazonaws.com"),
    ),
    ("public-ipv4", "public-ipv4", Text("192.0.2.54")),
    (
        "public-key",
        "public-keys/0/openssh-key",
        Text(
            "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQC/JxGByvHDHgQAU+0nRFWdvMPi22OgNUn9ansrI8QN1ZJGxD1ML8DRnJ3Q3zFKqqjGucfNWW0xpVib+ttkIBp8G9P/EOcX9C3FF63O3SnnIUHJsp5faRAZsTJPx0G5HUbvhBvnAcCtSqQgmr02c1l582vAWx48pOmeXXMkl9qe9V/s7K3utmeZkRLo9DqnbsDlg5GWxLC/rWKYaZR66CnMEyZ7yBy3v3abKaGGRovLkHNAgWjSSgmUTI1nT5/S2OLxxuDnsC7+BiABLPaqlIE70SzcWZ0swx68Bo2AY9T9ymGqeAM/1T4yRtg0sPB98TpT7WrY5A3iia2UVtLO/xcTt test",
        ),
    ),
    ("ramdisk-id", "ramdisk-id", Text("ari-01bb5768")),
    (
        "reservation-id",
        "reservation-id",
        Text("r-046cb3eca3e201d2f"),
    ),
    (
        "security-groups",
        "security-groups",
        Text("ura-launch-wizard-harry-1"),
    ),
    ("services-domain", "services/domain", Text("amazonaws.com")),
    ("services-partition", "services/partition", Text("aws")),
    (
        "tags-instance-name",
        "tags/instance/Name",
        Text("test-instance"),
    ),
    ("tags-instance-test", "tags/instance/Test", Text("test-tag")),
];

/// `dynamic`, under `/latest/dynamic/`.
pub(super) const DYNAMIC: &[Category] = &[
    (
        "instance-identity-document",
        "instance-identity/document",
        Fields(&[
            ("accountId", Text("0123456789")),
            ("imageId", Text("ami-0b69ea66ff7391e80")),
            ("availabilityZone", Text("us-east-1f")),
            ("ramdiskId", Absent),
            ("kernelId", Absent),
            ("devpayProductCodes", Absent),
            ("marketplaceProductCodes", Absent),
            ("version", Text("2017-09-30")),
            ("privateIp", Text("10.0.7.10")),
            ("billingProducts", Absent),
            ("instanceId", Text("i-1234567890abcdef0")),
            ("pendingTime", Text("2019-10-31T07:02:24Z")),
            ("architecture", Text("x86_64")),
            ("instanceType", Text("m4.xlarge")),
            ("region", Text("us-east-1")),
        ]),
    ),
    (
        "instance-identity-pkcs",
        "instance-identity/pkcs7",
        Text(
            "TESTCSqGSIb3DQEHZqCZPIZCZQExCzZJGgUrDgPCGgUZPIZGCSqGSIb3DQEHZaCZJIZEggHderog\n\
         ICJhY2NvdW50SWQiIDogIjUxNTPzNjU5NzP4PCIsCiZgImFyY2hpdGVjdHVyZSIgOiZieDg2XzY0\n\
         IirKICZiYXZhaWxhYmlsaXR5Wm9uZSIgOiZidXPtZWFzdC0xYSIsCiZgImJpbGxpbmdQcm9kdWN0\n\
         cyIgOiGudWxsLZogICJkZXZrYXlQcm9kdWN0Q29kZXPiIDogbnVsbCrKICZibWFya2V0cGxhY2VQ\n\
         cm9kdWN0Q29kZXPiIDogbnVsbCrKICZiaW1hZ2VJZCIgOiZiYW1pLTGhODg3ZTQrPWY3NjU0OTP1\n\
         IirKICZiaW5zdGFuY2VJZCIgOiZiaS0rYjU5YTdiN2NlN2UzYmIrYSIsCiZgImluc3RhbmNlVHlr\n\
         ZSIgOiZibTQueGxhcmdlIirKICZia2VybmVsSWQiIDogbnVsbCrKICZicGVuZGluZ1RpbWUiIDog\n\
         IjIrPjZtPDPtPDJUPjZ6PzY6NThaIirKICZicHJpdmF0ZUlrIiZ6ICIxNzIuPzEuPzQuNDPiLZog\n\
         ICJyYW1kaXNrSWQiIDogbnVsbCrKICZicmVnaW9uIiZ6ICJ1cy1lYXN0LTEiLZogICJ2ZXJzaW9u\n\
         IiZ6ICIyPDE3LTZ5LTPrIgp9ZZZZZZZZPYIGGTCCZRUCZQEraTGcPQsrCQYDVQQGErJVUzEZPGcG\n\
         Z1UECGPQV2FzaGluZ3RvbiGTdGF0ZTEQPZ4GZ1UEGxPHU2VhdHRsZTEgPG4GZ1UEChPXQW1hem9u\n\
         IFdlYiGTZXJ2aWNlcyGPTEPCCQCWukjZ5V4aZzZJGgUrDgPCGgUZoF0rGZYJKoZIhvcNZQkDPQsG\n\
         CSqGSIb3DQEHZTZcGgkqhkiG9r0GCQUxDxcNPjZrPzZyPjZzNzZ1WjZjGgkqhkiG9r0GCQQxFgQU\n\
         N1xlDhvo6cYuGjXZ+mlTW66Ff8rrCQYHKoZIzjgEZrQrPC4CFQCjzjYV1zGUZUxTf6rGO0en/PxR\n\
         3ZIVZK589qSkEaslLdCzeX2GnQ6dz9UeZZZZZZZZ",
        ),
    ),
    (
        "instance-identity-signature",
        "instance-identity/signature",
        Text(
            "TesTTKmBbj+DUw6ut6BOr4mFGpax/k6BhIbsotUHvSIhqv7oKqwB4HZhgGP2Gvcxtz5m3QGUbnwI\n\
         hy33GWxjn7+qfZ/GUeZB1Ilc+3rW/P9G/tGxIB3HtqB6q2J6B4DOh6CJiH+BnrHazGW+bJD406Nz\n\
         eP9n/rGEGGm0cGEbbeB=",
        ),
    ),
    (
        "fws-instance-monitoring",
        "fws/instance-monitoring",
        Text("disabled"),
    ),
];
