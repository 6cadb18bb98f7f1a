//! What amazon-ec2-metadata-mock serves when it is told nothing: paths and bodies, whole, and not made
//! from keys and templates as the mock makes them.

/// Values, served as text.
pub(crate) const TEXTS: &[(&str, &str)] = &[
    ("/latest/meta-data/ami-id", "ami-0a887e401f7654935"),
    ("/latest/meta-data/ami-launch-index", "0"),
    ("/latest/meta-data/ami-manifest-path", "(unknown)"),
    ("/latest/meta-data/block-device-mapping/ami", "/dev/xvda"),
    ("/latest/meta-data/block-device-mapping/ebs0", "sdb"),
    ("/latest/meta-data/block-device-mapping/ephemeral0", "sdb"),
    ("/latest/meta-data/block-device-mapping/root", "/dev/xvda"),
    ("/latest/meta-data/block-device-mapping/swap", "sdcs"),
    (
        "/latest/meta-data/elastic-inference/associations",
        "eia-bfa21c7904f64a82a21b9f4540169ce1",
    ),
    ("/latest/meta-data/hostname", "ip-172-16-34-43.ec2.internal"),
    ("/latest/meta-data/iam/security-credentials", "baskinc-role"),
    ("/latest/meta-data/instance-action", "none"),
    ("/latest/meta-data/instance-id", "i-1234567890abcdef0"),
    ("/latest/meta-data/instance-life-cycle", "on-demand"),
    ("/latest/meta-data/instance-type", "m4.xlarge"),
    ("/latest/meta-data/kernel-id", "aki-5c21674b"),
    (
        "/latest/meta-data/local-hostname",
        "ip-172-16-34-43.ec2.internal",
    ),
    ("/latest/meta-data/local-ipv4", "172.16.34.43"),
    ("/latest/meta-data/mac", "0e:49:61:0f:c3:11"),
    (
        "/latest/meta-data/network/interfaces/macs/0e:49:61:0f:c3:11/device-number",
        "0",
    ),
    (
        "/latest/meta-data/network/interfaces/macs/0e:49:61:0f:c3:11/ipv4-associations/192.0.2.54",
        "192.0.2.54",
    ),
    (
        "/latest/meta-data/network/interfaces/macs/0e:49:61:0f:c3:11/ipv6s",
        "2001:db8:8:4::2",
    ),
    (
        "/latest/meta-data/network/interfaces/macs/0e:49:61:0f:c3:11/local-hostname",
        "ip-172-16-34-43.ec2.internal",
    ),
    (
        "/latest/meta-data/network/interfaces/macs/0e:49:61:0f:c3:11/local-ipv4s",
        "172.16.34.43",
    ),
    (
        "/latest/meta-data/network/interfaces/macs/0e:49:61:0f:c3:11/mac",
        "0e:49:61:0f:c3:11",
    ),
    (
        "/latest/meta-data/network/interfaces/macs/0e:49:61:0f:c3:11/interface-id",
        "eni-0f95d3625f5c521cc",
    ),
    (
        "/latest/meta-data/network/interfaces/macs/0e:49:61:0f:c3:11/network-card-index",
        "0",
    ),
    (
        "/latest/meta-data/network/interfaces/macs/0e:49:61:0f:c3:11/owner-id",
        "515336597381",
    ),
    (
        "/latest/meta-data/network/interfaces/macs/0e:49:61:0f:c3:11/public-hostname",
        "ec2-192-0-2-54.compute-1.amazonaws.com",
    ),
    (
        "/latest/meta-data/network/interfaces/macs/0e:49:61:0f:c3:11/public-ipv4s",
        "192.0.2.54",
    ),
    (
        "/latest/meta-data/network/interfaces/macs/0e:49:61:0f:c3:11/security-group-ids",
        "sg-0b07f8f6cb485d4df",
    ),
    (
        "/latest/meta-data/network/interfaces/macs/0e:49:61:0f:c3:11/security-groups",
        "ura-launch-wizard-harry-1",
    ),
    (
        "/latest/meta-data/network/interfaces/macs/0e:49:61:0f:c3:11/subnet-id",
        "subnet-0ac62554",
    ),
    (
        "/latest/meta-data/network/interfaces/macs/0e:49:61:0f:c3:11/subnet-ipv4-cidr-block",
        "192.0.2.0/24",
    ),
    (
        "/latest/meta-data/network/interfaces/macs/0e:49:61:0f:c3:11/subnet-ipv6-cidr-blocks",
        "2001:db8::/32",
    ),
    (
        "/latest/meta-data/network/interfaces/macs/0e:49:61:0f:c3:11/vpc-id",
        "vpc-d295a6a7",
    ),
    (
        "/latest/meta-data/network/interfaces/macs/0e:49:61:0f:c3:11/vpc-ipv4-cidr-block",
        "192.0.2.0/24",
    ),
    (
        "/latest/meta-data/network/interfaces/macs/0e:49:61:0f:c3:11/vpc-ipv4-cidr-blocks",
        "192.0.2.0/24",
    ),
    (
        "/latest/meta-data/network/interfaces/macs/0e:49:61:0f:c3:11/vpc-ipv6-cidr-blocks",
        "2001:db8::/32",
    ),
    (
        "/latest/meta-data/placement/availability-zone",
        "us-east-1a",
    ),
    (
        "/latest/meta-data/placement/availability-zone-id",
        "use1-az4",
    ),
    (
        "/latest/meta-data/placement/group-name",
        "a-placement-group",
    ),
    ("/latest/meta-data/placement/host-id", "h-0da999999f9999fb9"),
    ("/latest/meta-data/placement/partition-number", "1"),
    ("/latest/meta-data/placement/region", "us-east-1"),
    (
        "/latest/meta-data/product-codes",
        "3iplms73etrdhxdepv72l6ywj",
    ),
    (
        "/latest/meta-data/public-hostname",
        "ec2-192-0-2-54.compute-1.amazonaws.com",
    ),
    ("/latest/meta-data/public-ipv4", "192.0.2.54"),
    (
        "/latest/meta-data/public-keys/0/openssh-key",
        "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQC/JxGByvHDHgQAU+0nRFWdvMPi22OgNUn9ansrI8QN1ZJGxD1ML8DRnJ3Q3zFKqqjGucfNWW0xpVib+ttkIBp8G9P/EOcX9C3FF63O3SnnIUHJsp5faRAZsTJPx0G5HUbvhBvnAcCtSqQgmr02c1l582vAWx48pOmeXXMkl9qe9V/s7K3utmeZkRLo9DqnbsDlg5GWxLC/rWKYaZR66CnMEyZ7yBy3v3abKaGGRovLkHNAgWjSSgmUTI1nT5/S2OLxxuDnsC7+BiABLPaqlIE70SzcWZ0swx68Bo2AY9T9ymGqeAM/1T4yRtg0sPB98TpT7WrY5A3iia2UVtLO/xcTt test",
    ),
    ("/latest/meta-data/ramdisk-id", "ari-01bb5768"),
    ("/latest/meta-data/reservation-id", "r-046cb3eca3e201d2f"),
    (
        "/latest/meta-data/security-groups",
        "ura-launch-wizard-harry-1",
    ),
    ("/latest/meta-data/services/domain", "amazonaws.com"),
    ("/latest/meta-data/services/partition", "aws"),
    ("/latest/meta-data/tags/instance/Name", "test-instance"),
    ("/latest/meta-data/tags/instance/Test", "test-tag"),
    (
        "/latest/dynamic/instance-identity/pkcs7",
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
    (
        "/latest/dynamic/instance-identity/signature",
        "TesTTKmBbj+DUw6ut6BOr4mFGpax/k6BhIbsotUHvSIhqv7oKqwB4HZhgGP2Gvcxtz5m3QGUbnwI\n\
     hy33GWxjn7+qfZ/GUeZB1Ilc+3rW/P9G/tGxIB3HtqB6q2J6B4DOh6CJiH+BnrHazGW+bJD406Nz\n\
     eP9n/rGEGGm0cGEbbeB=",
    ),
    ("/latest/dynamic/fws/instance-monitoring", "disabled"),
];

/// Documents, served as JSON that tabs indent.
pub(crate) const DOCUMENTS: &[(&str, &str)] = &[
    (
        "/latest/meta-data/iam/info",
        r#"{
	"Code": "Success",
	"LastUpdated": "2020-04-02T18:50:40Z",
	"InstanceProfileArn": "arn:aws:iam::896453262835:instance-profile/baskinc-role",
	"InstanceProfileId": "AIPA5BOGHHXZELSK34VU4"
}"#,
    ),
    (
        "/latest/meta-data/iam/security-credentials/baskinc-role",
        r#"{
	"Code": "Success",
	"LastUpdated": "2020-04-02T18:50:40Z",
	"Type": "AWS-HMAC",
	"AccessKeyId": "12345678901",
	"SecretAccessKey": "v/12345678901",
	"Token": "TEST92test48TEST+y6RpoTEST92test48TEST/8oWVAiBqTEsT5Ky7ty2tEStxC1T==",
	"Expiration": "2020-04-02T00:49:51Z"
}"#,
    ),
    (
        "/latest/dynamic/instance-identity/document",
        r#"{
	"accountId": "0123456789",
	"imageId": "ami-0b69ea66ff7391e80",
	"availabilityZone": "us-east-1f",
	"ramdiskId": null,
	"kernelId": null,
	"devpayProductCodes": null,
	"marketplaceProductCodes": null,
	"version": "2017-09-30",
	"privateIp": "10.0.7.10",
	"billingProducts": null,
	"instanceId": "i-1234567890abcdef0",
	"pendingTime": "2019-10-31T07:02:24Z",
	"architecture": "x86_64",
	"instanceType": "m4.xlarge",
	"region": "us-east-1"
}"#,
    ),
];

/// Documents, served as text on one line.
pub(crate) const LINES: &[(&str, &str)] = &[(
    "/latest/meta-data/elastic-inference/associations/eia-bfa21c7904f64a82a21b9f4540169ce1",
    r#"{"version_2018_04_12":{"elastic-inference-accelerator-id":"eia-bfa21c7904f64a82a21b9f4540169ce1","elastic-inference-accelerator-type":"eia1.medium"}}"#,
)];
