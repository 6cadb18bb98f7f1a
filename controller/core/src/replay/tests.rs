use super::*;
use crate::cloudtrail::Reader;

/// One VPC behind one NAT gateway, as `pin` writes it (short of the exempt actions).
const PIN: &str = r#"{"Version":"2012-10-17","Statement":[
{"Sid":"PublicVpc0a","Effect":"Deny","NotAction":["es:ES*"],"Resource":"*","Condition":{"BoolIfExists":{"aws:ViaAWSService":"false"},"NotIpAddress":{"aws:SourceIp":"198.51.100.10/32"},"Null":{"aws:SourceVpc":"true","ec2:SourceInstanceARN":"false"},"StringEquals":{"aws:Ec2InstanceSourceVpc":"vpc-0a"}}},
{"Sid":"PublicOther","Effect":"Deny","NotAction":["es:ES*"],"Resource":"*","Condition":{"BoolIfExists":{"aws:ViaAWSService":"false"},"Null":{"aws:SourceVpc":"true","ec2:SourceInstanceARN":"false"},"StringNotEquals":{"aws:Ec2InstanceSourceVpc":"vpc-0a"}}},
{"Sid":"EndpointVpc","Effect":"Deny","NotAction":["es:ES*"],"Resource":"*","Condition":{"BoolIfExists":{"aws:ViaAWSService":"false"},"Null":{"aws:SourceVpc":"false","ec2:SourceInstanceARN":"false"},"StringNotEquals":{"aws:SourceVpc":"${aws:Ec2InstanceSourceVpc}"}}},
{"Sid":"EndpointIpv4","Effect":"Deny","NotAction":["es:ES*"],"Resource":"*","Condition":{"BoolIfExists":{"aws:ViaAWSService":"false"},"IpAddress":{"aws:VpcSourceIp":["0.0.0.0/1","128.0.0.0/1"]},"Null":{"aws:SourceVpc":"false","ec2:SourceInstanceARN":"false"},"StringNotEquals":{"aws:Ec2InstanceSourcePrivateIPv4":"${aws:VpcSourceIp}"}}}
]}"#;

fn host(instance: &str, private: &str) -> Host {
    serde_json::from_value(serde_json::json!({
        "instance": instance, "region": "eu-west-1", "vpc": "vpc-0a", "primary_ipv4": private,
        "public": ["198.51.100.10/32"], "more_private_ipv4": [], "private_ipv6": [],
    }))
    .unwrap()
}

fn pins() -> Arc<Pins> {
    credpin_witness::note(PIN);
    let hosts = vec![host("i-0a", "10.0.1.5"), host("i-0b", "10.0.1.6")];
    let endpoints = [
        ("vpce-0a".to_owned(), "vpc-0a".parse().unwrap()),
        ("vpce-0b".to_owned(), "vpc-0b".parse().unwrap()),
    ];
    let role = PinnedRole {
        documents: vec![Document::parse(PIN).unwrap()],
        hosts: hosts.clone(),
    };
    Arc::new(Pins {
        account: Some("111122223333".parse().unwrap()),
        roles: [("web".parse().unwrap(), role)].into(),
        homes: Homes::new(hosts, endpoints.into(), Vec::new()),
    })
}

fn event(instance: &str, address: &str, more: &str) -> String {
    format!(
        r#"{{"eventVersion":"1.11","eventTime":"2026-05-01T10:00:00Z","eventSource":"s3.amazonaws.com","eventName":"ListBuckets","awsRegion":"eu-west-1","sourceIPAddress":"{address}","userAgent":"cli","userIdentity":{{"type":"AssumedRole","principalId":"AROAWEB:{instance}","accountId":"111122223333","accessKeyId":"ASIAEXAMPLE222222222","sessionContext":{{"ec2RoleDelivery":"2.0","sessionIssuer":{{"type":"Role","arn":"arn:aws:iam::111122223333:role/web","userName":"web"}}}}}}{more}}}"#
    )
}

fn fold<F: Fold>(mut into: F, events: &[String]) -> F {
    let file = format!("{{\"Records\":[{}]}}", events.join(","));
    let mut reader = Reader::default();
    reader
        .read(file.as_bytes(), true, |event| into.event(event))
        .unwrap();
    into
}

/// What becomes of one call, with the reason.
fn fate(event: String) -> String {
    let replay = fold(Replay::new(pins()), &[event]);
    let total = replay.total();
    match replay.groups().map(|(group, _)| group).next() {
        Some(group) => format!("{:?} {}", group.fate, &*group.reason),
        None if total.pass == 1 => "pass".into(),
        None if total.by_service == 1 => "by service".into(),
        None if total.denied_already == 1 => "denied already".into(),
        None => "nothing of ours".into(),
    }
}

#[test]
fn a_call_that_comes_again_is_counted_in_its_group() {
    let stolen = || event("i-0a", "203.0.113.66", "");
    let replay = fold(Replay::new(pins()), &[stolen(), stolen(), stolen()]);
    let groups: Vec<_> = replay.groups().collect();
    let [(group, found)] = groups.as_slice() else {
        panic!("{groups:?}")
    };
    assert_eq!((group.fate, found.uses.calls), (Fate::Denied, 3));
    assert_eq!(replay.total().denied, 3);
}

#[test]
fn a_call_that_can_be_derived_is_decided_as_the_pin_would() {
    let by = |endpoint: &str| format!(",\"vpcEndpointId\":\"{endpoint}\"");
    for (instance, address, more, wanted) in [
        ("i-0a", "198.51.100.10", String::new(), "pass"),
        ("i-0a", "203.0.113.66", String::new(), "Denied PublicVpc0a"),
        ("i-0a", "10.0.1.5", by("vpce-0a"), "pass"),
        ("i-0a", "10.0.1.6", by("vpce-0a"), "Denied EndpointIpv4"),
        ("i-0a", "10.0.1.5", by("vpce-0b"), "Denied EndpointVpc"),
        ("i-0a", "athena.amazonaws.com", String::new(), "by service"),
        ("i-0a", "AWS Internal", String::new(), "by service"),
        (
            "i-0a",
            "203.0.113.66",
            ",\"errorCode\":\"AccessDenied\"".into(),
            "denied already",
        ),
        ("somebody", "203.0.113.66", String::new(), "nothing of ours"),
    ] {
        assert_eq!(
            fate(event(instance, address, &more)),
            wanted,
            "{instance} {address} {more}"
        );
    }
    let invoked = event("i-0a", "203.0.113.66", "").replace(
        "\"accountId\"",
        "\"invokedBy\":\"athena.amazonaws.com\",\"accountId\"",
    );
    assert_eq!(fate(invoked), "by service");
    let theirs = event("i-0a", "203.0.113.66", "").replace(
        "\"accountId\":\"111122223333\"",
        "\"accountId\":\"444455556666\"",
    );
    assert_eq!(fate(theirs), "nothing of ours");
}

/// The pin of a role that hosts of `vpc-0a` assume.
const CHAINED: &str = r#"{"Version":"2012-10-17","Statement":[
{"Sid":"ChainedPublic","Effect":"Deny","NotAction":["es:ES*"],"Resource":"*","Condition":{"BoolIfExists":{"aws:ViaAWSService":"false"},"NotIpAddress":{"aws:SourceIp":"198.51.100.10/32"},"Null":{"aws:SourceVpc":"true","ec2:SourceInstanceARN":"true"}}},
{"Sid":"ChainedEndpoint","Effect":"Deny","NotAction":["es:ES*"],"Resource":"*","Condition":{"BoolIfExists":{"aws:ViaAWSService":"false"},"Null":{"aws:SourceVpc":"false","ec2:SourceInstanceARN":"true"},"StringNotEquals":{"aws:SourceVpc":"vpc-0a"}}}
]}"#;

#[test]
fn a_session_that_was_made_by_assuming_a_role_is_decided_as_its_pin_would() {
    let mut pins = (*pins()).clone();
    let role = pins.roles.get_mut("web").unwrap();
    role.documents.push(Document::parse(CHAINED).unwrap());
    credpin_witness::note(CHAINED);
    let pins = Arc::new(pins);
    let fate = |event: String| {
        let replay = fold(Replay::new(Arc::clone(&pins)), &[event]);
        match replay.groups().map(|(group, _)| group).next() {
            Some(group) => format!("{:?} {}", group.fate, &*group.reason),
            None if replay.total().pass == 1 => "pass".into(),
            None => format!("{:?}", replay.total()),
        }
    };
    let by = |endpoint: &str| format!(",\"vpcEndpointId\":\"{endpoint}\"");
    let made = |name: &str, address: &str, more: &str| {
        event(name, address, more).replace("\"ec2RoleDelivery\":\"2.0\",", "")
    };
    for (name, address, more, wanted) in [
        ("ci", "198.51.100.10", String::new(), "pass"),
        ("ci", "203.0.113.66", String::new(), "Denied ChainedPublic"),
        ("ci", "10.0.9.9", by("vpce-0a"), "pass"),
        ("ci", "10.0.1.5", by("vpce-0b"), "Denied ChainedEndpoint"),
        (
            "ci",
            "10.0.1.5",
            by("vpce-0shared"),
            "Unknown its endpoint is none that is known",
        ),
        // Whoever named it so: the address is at home for both, or for neither, or who knows.
        ("i-0a", "198.51.100.10", String::new(), "pass"),
        ("i-0a", "10.0.1.5", by("vpce-0a"), "pass"),
        (
            "i-0a",
            "10.0.1.6",
            by("vpce-0a"),
            "Unknown whether EC2 delivered its credential is not on record",
        ),
    ] {
        assert_eq!(fate(made(name, address, &more)), wanted, "{name} {address}");
    }
    assert!(fate(made("i-0a", "203.0.113.66", "")).starts_with("Denied"));
    assert_eq!(
        fate(event("i-0a", "10.0.1.6", &by("vpce-0a"))),
        "Denied EndpointIpv4"
    );
    let replay = Replay::new(pins);
    assert!(replay.looks_at_sessions_of_others(&"web".parse().unwrap()));
    assert!(!Replay::new(self::pins()).looks_at_sessions_of_others(&"web".parse().unwrap()));
}

#[test]
fn what_cannot_be_derived_is_unknown_and_never_a_pass() {
    let by = |endpoint: &str| format!(",\"vpcEndpointId\":\"{endpoint}\"");
    let in_vpc = |event: String, vpc: &str| {
        let issued = format!("\"ec2IssuedInVpc\":\"{vpc}\",\"ec2RoleDelivery\"");
        event.replace("\"ec2RoleDelivery\"", &issued)
    };
    assert_eq!(
        fate(event("i-0a", "10.0.1.5", &by("vpce-0shared"))),
        "Unknown its endpoint is none that is known"
    );
    assert_eq!(
        fate(event("i-0a", "10.0.1.5", "")),
        "Unknown its address is private, and it names no endpoint"
    );
    assert_eq!(fate(event("i-0a", "", "")), "Unknown it has no address");
    // A host that is gone: the public statements look at its VPC only.
    assert_eq!(
        fate(event("i-0c", "198.51.100.10", "")),
        "Unknown its instance is gone"
    );
    assert_eq!(
        fate(in_vpc(event("i-0c", "198.51.100.10", ""), "vpc-0a")),
        "pass"
    );
    assert_eq!(
        fate(in_vpc(event("i-0c", "203.0.113.66", ""), "vpc-0a")),
        "Denied PublicVpc0a"
    );
    assert_eq!(
        fate(in_vpc(event("i-0c", "10.0.1.7", &by("vpce-0a")), "vpc-0a")),
        "Unknown its instance is gone"
    );
}

#[test]
fn a_replay_is_the_same_however_it_was_shared_out_and_shows_strange_addresses() {
    let events: Vec<String> = [
        "203.0.113.66",
        "198.51.100.10",
        "203.0.113.66",
        "203.0.113.67",
    ]
    .iter()
    .enumerate()
    .map(|(n, address)| event(if n % 2 == 0 { "i-0a" } else { "i-0b" }, address, ""))
    .collect();
    let whole = fold(Replay::new(pins()), &events);
    for cut in 0..events.len() {
        let mut parts = fold(Replay::new(pins()), &events[cut..]);
        parts.merge(fold(Replay::new(pins()), &events[..cut]));
        assert!(parts.groups().eq(whole.groups()), "cut at {cut}");
        assert_eq!(parts.total(), whole.total(), "cut at {cut}");
    }
    let strange: Vec<_> = whole
        .strange_addresses()
        .into_iter()
        .map(|((role, address), found)| format!("{role} {address} {}", found.uses.calls))
        .collect();
    assert_eq!(strange, ["web 203.0.113.66 2", "web 203.0.113.67 1"]);
    let (_, figures) = whole.roles().next().unwrap();
    assert_eq!((figures.calls, figures.pass, figures.denied), (4, 1, 3));
}

#[test]
fn a_service_without_data_events_in_the_trail_is_unseen() {
    let data = ",\"eventCategory\":\"Data\"";
    let replay = fold(Replay::new(pins()), &[event("i-0a", "198.51.100.10", data)]);
    let unseen: Vec<_> = replay
        .unseen()
        .into_iter()
        .map(|(service, _)| service)
        .collect();
    assert!(
        !unseen.contains(&"s3") && unseen.contains(&"dynamodb"),
        "{unseen:?}"
    );
}

#[test]
fn denials_by_a_pin_are_sorted_into_theft_another_host_a_stale_pin_and_a_service() {
    let pin = ",\"errorCode\":\"AccessDenied\",\"errorMessage\":\"User: x is not authorized to perform: s3:ListAllMyBuckets with an explicit deny in an identity-based policy: arn:aws:iam::111122223333:policy/credpin/credpin-web\"";
    let endpoint = format!("{pin},\"vpcEndpointId\":\"vpce-0a\"");
    let other =
        ",\"errorCode\":\"AccessDenied\",\"errorMessage\":\"no identity-based policy allows it\"";
    let events = [
        event("i-0a", "203.0.113.66", pin),
        event("i-0a", "203.0.113.66", pin),
        event("i-0a", "10.0.1.6", &endpoint),
        event("i-0a", "198.51.100.10", pin),
        event("i-0a", "athena.amazonaws.com", pin),
        event("i-0gone", "203.0.113.70", pin),
        event("i-0a", "203.0.113.66", other),
    ];
    let denials = fold(Denials::default(), &events);
    assert_eq!(denials.all(), 7);
    let sorted: Vec<_> = triage(&denials, &pins().homes)
        .into_iter()
        .map(|denied| (denied.cause, denied.place.to_string(), denied.uses.calls))
        .collect();
    assert_eq!(
        sorted,
        [
            (Cause::Theft, "203.0.113.66".into(), 2),
            (
                Cause::OtherHost("i-0b".parse().unwrap()),
                "vpce-0a/10.0.1.6".into(),
                1
            ),
            (Cause::Stale, "198.51.100.10".into(), 1),
            (Cause::Service, "athena.amazonaws.com".into(), 1),
            (Cause::Unknown, "203.0.113.70".into(), 1),
        ]
    );
}

#[test]
fn denials_of_sessions_of_an_assumed_role_are_no_stale_pin_and_no_host_that_is_gone() {
    let pin = ",\"errorCode\":\"AccessDenied\",\"errorMessage\":\"explicit deny: arn:aws:iam::111122223333:policy/credpin/credpin-web\"";
    let cut = pin.replace("credpin-web", "cuts/cut-0123456789");
    let events = [
        event("ci", "203.0.113.66", pin),
        event("ci", "198.51.100.10", pin),
        event("ci", "203.0.113.70", &cut),
    ];
    let events = events.map(|event| event.replace("\"ec2RoleDelivery\":\"2.0\",", ""));
    let denials = fold(Denials::default(), &events);
    let causes = |homes: &Homes| -> Vec<(Cause, String)> {
        let sorted = triage(&denials, homes).into_iter();
        sorted
            .map(|denied| (denied.cause, denied.place.to_string()))
            .collect()
    };
    assert_eq!(
        causes(&pins().homes),
        [
            // Who made it is not in the trail.
            (Cause::UnknownCaller, "203.0.113.66".into()),
            (
                Cause::Assumed("i-0a".parse().unwrap()),
                "198.51.100.10".into()
            ),
            // A cut is no pin: whose session that was is not known.
            (Cause::Unknown, "203.0.113.70".into()),
        ]
    );
    // With no host to compare with, nothing is called a theft.
    let unknown = |(cause, _): &(Cause, String)| *cause == Cause::Unknown;
    assert!(causes(&Homes::default()).iter().all(unknown));
}

/// A call of `by`, in the words of CloudTrail, that made the session with `key`.
fn assumes(by: &str, key: &str) -> String {
    format!(
        r#"{{"eventVersion":"1.11","eventTime":"2026-05-01T09:00:00Z","eventSource":"sts.amazonaws.com","eventName":"AssumeRole","awsRegion":"eu-west-1","sourceIPAddress":"198.51.100.10","userAgent":"cli","userIdentity":{by},"requestParameters":{{"roleArn":"arn:aws:iam::111122223333:role/web"}},"responseElements":{{"credentials":{{"accessKeyId":"{key}"}}}}}}"#
    )
}

#[test]
fn a_session_of_an_assumed_role_is_a_theft_only_where_a_host_of_ours_made_it() {
    let pin = ",\"errorCode\":\"AccessDenied\",\"errorMessage\":\"explicit deny: arn:aws:iam::111122223333:policy/credpin/credpin-web\"";
    let denied = |session: &str, key: &str, from: &str| {
        event(session, from, pin)
            .replace("\"ec2RoleDelivery\":\"2.0\",", "")
            .replace("ASIAEXAMPLE222222222", key)
    };
    let host = r#"{"type":"AssumedRole","principalId":"AROAAPP:i-0a","arn":"arn:aws:sts::111122223333:assumed-role/app/i-0a","accessKeyId":"ASIAHOST","sessionContext":{"ec2RoleDelivery":"2.0","sessionIssuer":{"type":"Role"}}}"#;
    let host = &host.replace("ASIAHOST", "ASIAHOSTHOSTHOST0000");
    let chained = r#"{"type":"AssumedRole","principalId":"AROADEPLOY:x","arn":"arn:aws:sts::111122223333:assumed-role/deploy/x","accessKeyId":"ASIAFIRSTFIRSTFIRST0","sessionContext":{"sessionIssuer":{"type":"Role"}}}"#;
    let alice = r#"{"type":"IAMUser","arn":"arn:aws:iam::999988887777:user/alice","accessKeyId":"AKIAALICEALICEALICE0"}"#;
    let account = r#"{"type":"AWSAccount","principalId":"AROAELSE:x","accountId":"999988887777"}"#;
    let service = r#"{"type":"AWSService","invokedBy":"lambda.amazonaws.com"}"#;
    let events = [
        assumes(host, "ASIAFIRSTFIRSTFIRST0"),
        // By way of another role.
        assumes(chained, "ASIASECONDSECONDSEC0"),
        assumes(alice, "ASIAALICEALICEALICE0"),
        assumes(alice, "ASIAALICEALICEALICE1"),
        assumes(account, "ASIAELSEELSEELSEELS0"),
        assumes(service, "ASIALAMBDALAMBDALAM0"),
        denied("first", "ASIAFIRSTFIRSTFIRST0", "203.0.113.66"),
        denied("first", "ASIAFIRSTFIRSTFIRST0", "198.51.100.10"),
        denied("second", "ASIASECONDSECONDSEC0", "203.0.113.66"),
        denied("hers", "ASIAALICEALICEALICE0", "203.0.113.66"),
        denied("hers", "ASIAALICEALICEALICE1", "203.0.113.66"),
        denied("else", "ASIAELSEELSEELSEELS0", "203.0.113.66"),
        denied("fn", "ASIALAMBDALAMBDALAM0", "203.0.113.66"),
        denied("nobody", "ASIANOBODYNOBODYNOB0", "203.0.113.66"),
        // Called like a host of ours.
        denied("i-0a", "ASIAALICEALICEALICE0", "203.0.113.67"),
        denied("i-0a", "ASIANOBODYNOBODYNOB0", "203.0.113.67"),
    ];
    let told = |events: &[String]| -> Vec<String> {
        let denied = triage(&fold(Denials::default(), events), &pins().homes);
        let told = denied.into_iter().map(|it| {
            let by = it.by.map_or_else(|| "-".to_owned(), |by| by.to_string());
            format!("{:?}: {} by {by} x{}", it.cause, it.instance, it.uses.calls)
        });
        told.collect()
    };
    let wanted = [
        "Theft: first by i-0a x1",
        "Theft: i-0a by - x1",
        "Theft: second by i-0a x1",
        "UnknownCaller: else by AROAELSE:x x1",
        "UnknownCaller: fn by lambda.amazonaws.com x1",
        "UnknownCaller: hers by arn:aws:iam::999988887777:user/alice x2",
        "UnknownCaller: i-0a by arn:aws:iam::999988887777:user/alice x1",
        "UnknownCaller: nobody by - x1",
        "Stale: first by i-0a x1",
    ];
    assert_eq!(told(&events), wanted);
    // In whatever order they come.
    let backwards: Vec<String> = events.into_iter().rev().collect();
    assert_eq!(told(&backwards), wanted);
}
