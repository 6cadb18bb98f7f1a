//! The tree: what a host's description becomes.

use credpin_mock_imds::{Host, Interface, Settings, State};
use http::Method;

use super::{ask, field, get, header, seeded, status, text};

fn with(host: Host) -> State {
    State::new(Settings {
        host,
        ..Settings::default()
    })
}

#[test]
fn the_root_lists_versions_and_each_serves_the_tree() {
    let state = seeded();
    let versions = get(&state, "/");
    assert!(text(&versions).starts_with("1.0\n2007-01-19\n"));
    assert!(text(&versions).ends_with("\nlatest"));
    for version in text(&versions).lines() {
        assert_eq!(
            text(&get(&state, &format!("/{version}"))),
            "dynamic\nmeta-data",
            "{version}"
        );
    }
    assert_eq!(status(&get(&state, "/2021-03-24/meta-data")), 404);
}

#[test]
fn directories_list_themselves() {
    let state = seeded();
    let names: Vec<String> = text(&get(&state, "/latest/meta-data/"))
        .lines()
        .map(str::to_owned)
        .collect();
    for name in [
        "ami-id",
        "iam/",
        "instance-id",
        "network/",
        "placement/",
        "public-ipv4",
    ] {
        assert!(
            names.iter().any(|other| other == name),
            "{name} in {names:?}"
        );
    }
    for (path, listing) in [
        ("/latest/meta-data/iam", "info\nsecurity-credentials/"),
        (
            "/latest/meta-data/iam/security-credentials/",
            "example-role",
        ),
        (
            "/latest/meta-data/network/interfaces/macs/",
            "0e:00:00:00:00:0a/",
        ),
        (
            "/latest/meta-data/placement/",
            "availability-zone\navailability-zone-id\nregion",
        ),
        ("/latest/dynamic/", "instance-identity/"),
    ] {
        assert_eq!(text(&get(&state, path)), listing, "{path}");
    }
}

/// A crawler like cloud-init's reads all that is listed.
#[test]
fn everything_listed_can_be_read() {
    fn crawl(state: &State, directory: &str, leaves: &mut usize) {
        for name in text(&get(state, directory)).lines() {
            let path = format!("{directory}{name}");
            assert_eq!(status(&get(state, &path)), 200, "{path}");
            if name.ends_with('/') {
                crawl(state, &path, leaves);
            } else {
                *leaves += 1;
            }
        }
    }
    let mut leaves = 0;
    crawl(&seeded(), "/latest/meta-data/", &mut leaves);
    crawl(&seeded(), "/latest/dynamic/", &mut leaves);
    assert!(leaves > 40, "only {leaves}");
}

#[test]
fn a_host_reads_as_described() {
    let state = with(Host {
        region: "eu-west-1".into(),
        zone: Some("eu-west-1c".into()),
        interface: Interface {
            mac: "0a:00:00:00:00:01".into(),
            private_ipv4s: vec!["10.0.1.7".parse().unwrap(), "10.0.1.8".parse().unwrap()],
            public_ipv4s: vec!["203.0.113.7".parse().unwrap()],
            ipv6s: vec!["2001:db8::7".parse().unwrap()],
            ..Interface::default()
        },
        secondary_interfaces: vec![Interface {
            mac: "0a:00:00:00:00:02".into(),
            public_ipv4s: vec![],
            ..Interface::default()
        }],
        tags: [("Name".into(), "web-1".into())].into(),
        user_data: Some(vec![0x1f, 0x8b, 0xff].into()),
        ..Host::default()
    });
    for (path, value) in [
        ("local-ipv4", "10.0.1.7"),
        ("public-ipv4", "203.0.113.7"),
        (
            "public-hostname",
            "ec2-203-0-113-7.eu-west-1.compute.amazonaws.com",
        ),
        ("hostname", "ip-10-0-1-7.eu-west-1.compute.internal"),
        ("placement/availability-zone", "eu-west-1c"),
        ("services/partition", "aws"),
        ("tags/instance/Name", "web-1"),
        (
            "network/interfaces/macs/0a:00:00:00:00:01/device-number",
            "0",
        ),
        (
            "network/interfaces/macs/0a:00:00:00:00:01/local-ipv4s",
            "10.0.1.7\n10.0.1.8",
        ),
        (
            "network/interfaces/macs/0a:00:00:00:00:01/ipv6s",
            "2001:db8::7",
        ),
        (
            "network/interfaces/macs/0a:00:00:00:00:01/ipv4-associations/203.0.113.7",
            "10.0.1.7",
        ),
        (
            "network/interfaces/macs/0a:00:00:00:00:01/owner-id",
            "123456789012",
        ),
        (
            "network/interfaces/macs/0a:00:00:00:00:02/device-number",
            "1",
        ),
    ] {
        assert_eq!(
            text(&get(&state, &format!("/latest/meta-data/{path}"))),
            value,
            "{path}"
        );
    }
    let secondary = "/latest/meta-data/network/interfaces/macs/0a:00:00:00:00:02/public-ipv4s";
    assert_eq!(status(&get(&state, secondary)), 404, "it has none");

    let user_data = get(&state, "/latest/user-data");
    assert_eq!(
        header(&user_data, "content-type"),
        Some("application/octet-stream")
    );
    assert_eq!(user_data.body().as_ref(), [0x1f, 0x8b, 0xff]);

    let identity = get(&state, "/latest/dynamic/instance-identity/document");
    assert_eq!(field(&identity, "privateIp"), "10.0.1.7");
    assert_eq!(field(&identity, "availabilityZone"), "eu-west-1c");
    assert_eq!(field(&identity, "pendingTime"), "2025-01-01T12:00:00Z");
}

#[test]
fn what_only_some_hosts_have_is_there_where_it_is_described() {
    let state = with(Host {
        placement_group: Some("spread".into()),
        partition_number: Some(3),
        host_id: Some("h-0123456789abcdef0".into()),
        zone_id: Some("use1-az6".into()),
        ancestor_ami_ids: vec!["ami-1".into(), "ami-2".into()],
        product_codes: vec!["abc".into()],
        kernel_id: Some("aki-1".into()),
        ramdisk_id: Some("ari-1".into()),
        launch_index: 2,
        life_cycle: "spot".into(),
        block_device_mapping: [("ebs1".into(), "sdb".into())].into(),
        public_keys: [
            ("ann".into(), "ssh-rsa A".into()),
            ("bob".into(), "ssh-rsa B".into()),
        ]
        .into(),
        managed_ssh_keys: [("ec2-user".into(), "ssh-rsa C".into())].into(),
        target_lifecycle_state: Some("InService".into()),
        rebalance_recommended: Some("2027-01-15T07:59:00Z".parse().unwrap()),
        interface: Interface {
            network_card: 1,
            ipv4_prefixes: vec!["10.0.0.16/28".into()],
            ipv6_prefixes: vec!["2001:db8:0:1::/80".into()],
            ipv6s: vec![
                "2001:db8::7".parse().unwrap(),
                "2001:db8::8".parse().unwrap(),
            ],
            ..Interface::default()
        },
        ..Host::default()
    });
    let card = "network/interfaces/macs/0e:00:00:00:00:0a";
    for (path, value) in [
        ("placement/group-name", "spread"),
        ("placement/partition-number", "3"),
        ("placement/host-id", "h-0123456789abcdef0"),
        ("placement/availability-zone-id", "use1-az6"),
        ("ancestor-ami-ids", "ami-1\nami-2"),
        ("product-codes", "abc"),
        ("kernel-id", "aki-1"),
        ("ramdisk-id", "ari-1"),
        ("ami-launch-index", "2"),
        ("instance-life-cycle", "spot"),
        ("block-device-mapping/", "ebs1"),
        ("block-device-mapping/ebs1", "sdb"),
        ("public-keys/", "0=ann\n1=bob"),
        ("public-keys/1/", "openssh-key"),
        ("public-keys/1/openssh-key", "ssh-rsa B"),
        ("managed-ssh-keys/active-keys/ec2-user", "ssh-rsa C"),
        ("autoscaling/target-lifecycle-state", "InService"),
        (
            "events/recommendations/rebalance",
            r#"{"noticeTime":"2027-01-15T07:59:00Z"}"#,
        ),
        ("ipv6", "2001:db8::7"),
        (&format!("{card}/network-card"), "1"),
        (&format!("{card}/ipv4-prefix"), "10.0.0.16/28"),
        (&format!("{card}/ipv6-prefix"), "2001:db8:0:1::/80"),
    ] {
        let response = get(&state, &format!("/latest/meta-data/{path}"));
        assert_eq!((status(&response), text(&response)), (200, value), "{path}");
    }
    let identity = get(&state, "/latest/dynamic/instance-identity/document");
    assert_eq!(field(&identity, "kernelId"), "aki-1");
    let signer = get(&seeded(), "/latest/meta-data/managed-ssh-keys/signer-cert");
    assert!(text(&signer).starts_with("-----BEGIN CERTIFICATE-----"));
    for absent in [
        "placement/group-name",
        "kernel-id",
        "public-keys/",
        "managed-ssh-keys/active-keys/",
        "autoscaling/",
        "events/",
        "ipv6",
    ] {
        let response = get(&seeded(), &format!("/latest/meta-data/{absent}"));
        assert_eq!(status(&response), 404, "{absent}");
    }
}

#[test]
fn a_description_can_change_under_way() {
    let state = seeded();
    state.update_host(|host| host.instance_type = "m7i.large".into());
    assert_eq!(
        text(&get(&state, "/latest/meta-data/instance-type")),
        "m7i.large"
    );
    assert_eq!(state.host().instance_type, "m7i.large");
}

#[test]
fn the_spellings_that_clients_use_all_work() {
    let state = seeded();
    for path in [
        "//latest/meta-data/instance-id",
        "/latest/meta-data/instance-id/",
        "/2021-03-23/meta-data/instance-id",
        "/1.0/meta-data/instance-id",
        "/latest/meta-data/instance-id?recursive=true",
        "http://169.254.169.254/latest/meta-data/instance-id",
    ] {
        assert_eq!(text(&get(&state, path)), "i-0123456789abcdef0", "{path}");
    }
}

#[test]
fn what_is_absent_gets_the_page_that_imds_shows() {
    let response = get(&seeded(), "/latest/meta-data/instance-id/more");
    assert_eq!(status(&response), 404);
    assert_eq!(header(&response, "content-type"), Some("text/html"));
    assert!(text(&response).starts_with("<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>"));
    assert!(text(&response).contains("<title>404 - Not Found</title>"));
    assert_eq!(status(&get(&seeded(), "/latest/user-data")), 404);
    assert_eq!(status(&get(&seeded(), "/latest/api")), 404);
}

#[test]
fn headers_are_those_of_imds() {
    let response = get(&seeded(), "/latest/meta-data/instance-id");
    for (name, value) in [
        ("server", "EC2ws"),
        ("connection", "close"),
        ("accept-ranges", "none"),
        ("content-type", "text/plain"),
        ("content-length", "19"),
        ("last-modified", "Wed, 01 Jan 2025 12:00:00 GMT"),
        ("date", "Fri, 15 Jan 2027 08:00:00 GMT"),
    ] {
        assert_eq!(header(&response, name), Some(value), "{name}");
    }
}

#[test]
fn a_head_says_the_length_and_sends_nothing() {
    let response = ask(
        &seeded(),
        Method::HEAD,
        "/latest/meta-data/instance-id",
        &[],
    );
    assert_eq!(status(&response), 200);
    assert_eq!(header(&response, "content-length"), Some("19"));
    assert!(response.body().is_empty());
}
