use std::collections::{BTreeMap, BTreeSet};

use credpin_ledger::{Consumer, Host as Recorded, ImdsVersion, Kind};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::id::RoleName;
use crate::{cloudtrail::Reader, footprint::Host};

mod keys;
mod roles;
mod tokens;
mod told;

const TOKEN: &str = "ASIATOKEN22222222222";
const CHILD: &str = "ASIACHILD22222222222";
const USERS: &str = "AKIAUSERS22222222222";
const HOME: &str = "198.51.100.10";
const THIEF: &str = "203.0.113.66";
const WEB: &str = "arn:aws:sts::111122223333:assumed-role/web/i-0aa1";
const ANA: &str = "arn:aws:iam::111122223333:user/ana";
const BY_PIN: &str = "User is not authorized to perform: s3:ListAllMyBuckets with an explicit deny in \
                      an identity-based policy: arn:aws:iam::111122223333:policy/credpin/credpin-web";

fn at(minute: u32) -> String {
    format!("2026-05-01T{:02}:{:02}:00Z", 10 + minute / 60, minute % 60)
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn call(minute: u32, who: &Value, service: &str, name: &str, from: &str) -> Value {
    let key = who["accessKeyId"].as_str().unwrap_or_default();
    json!({
        "eventVersion": "1.11",
        "eventTime": at(minute),
        "eventID": format!("{minute}-{name}-{from}-{key}"),
        "eventSource": format!("{service}.amazonaws.com"),
        "eventName": name,
        "sourceIPAddress": from,
        "userIdentity": who,
    })
}

fn with(mut call: Value, field: &str, value: Value) -> Value {
    call[field] = value;
    call
}

fn denied(call: Value, message: &str) -> Value {
    let call = with(call, "errorCode", json!("AccessDenied"));
    with(call, "errorMessage", json!(message))
}

fn session(role: &str, name: &str, key: &str) -> Value {
    json!({
        "type": "AssumedRole",
        "principalId": format!("AROA{role}:{name}"),
        "arn": format!("arn:aws:sts::111122223333:assumed-role/{role}/{name}"),
        "accountId": "111122223333",
        "accessKeyId": key,
        "sessionContext": {
            "sessionIssuer": {
                "type": "Role",
                "arn": format!("arn:aws:iam::111122223333:role/{role}"),
                "userName": role,
            },
            "attributes": {"creationDate": at(5), "mfaAuthenticated": "false"},
        },
    })
}

/// The token of role `web` on `i-0aa1`, by that version of IMDS.
fn delivered(by: &str) -> Value {
    let mut who = session("web", "i-0aa1", TOKEN);
    who["sessionContext"]["ec2RoleDelivery"] = json!(by);
    who["sessionContext"]["ec2IssuedInVpc"] = json!("vpc-0a1");
    who
}

fn user(key: &str) -> Value {
    json!({
        "type": "IAMUser",
        "principalId": "AIDAANA",
        "arn": ANA,
        "accountId": "111122223333",
        "userName": "ana",
        "accessKeyId": key,
    })
}

/// Something before all else, so that the trail begins before tokens are made.
fn begin() -> Value {
    call(0, &user("AKIAOTHER22222222222"), "s3", "ListBuckets", HOME)
}

fn homes() -> Arc<Homes> {
    let host = Host {
        instance: "i-0aa1".parse().unwrap(),
        region: "eu-west-1".parse().unwrap(),
        vpc: "vpc-0a1".parse().unwrap(),
        primary_ipv4: Some("10.0.0.5".parse().unwrap()),
        public: ["198.51.100.0/28".parse().unwrap()].into(),
        more_private_ipv4: [].into(),
        private_ipv6: BTreeSet::new(),
    };
    let endpoints = BTreeMap::from([("vpce-0a1".to_owned(), "vpc-0a1".parse().unwrap())]);
    Arc::new(Homes::new([host], endpoints, Vec::new()))
}

fn folded(records: &[Value]) -> Detect {
    let mut detect = Detect::new(Some(homes()));
    let file = json!({"Records": records}).to_string();
    let mut reader = Reader::default();
    // `Records` is the first word of a file that CloudTrail writes, and the only one here.
    let read = reader.read(file.as_bytes(), true, |event| detect.event(event));
    read.unwrap();
    detect
}

/// Nothing is known, nothing accepted; a day after.
fn facts(known: &Known) -> Facts<'_> {
    Facts {
        roles: None,
        records: None,
        controllers: &[],
        own_roles: &[],
        accept: &[],
        known,
        since: None,
        trail: "trail",
        now: time("2026-05-02T10:00:00Z"),
    }
}

fn found(records: &[Value]) -> Vec<Finding> {
    folded(records).report(&facts(&Known::default())).findings
}

fn names(findings: &[Finding]) -> Vec<String> {
    let names = findings.iter().map(|finding| finding.rule.to_string());
    names.collect()
}

fn accept(rule: &str, subject: &str) -> Accept {
    Accept {
        rule: rule.parse().unwrap(),
        subject: Glob::new(subject),
        owner: "ana".to_owned(),
        until: "2026-12-31".parse().unwrap(),
        why: "known".to_owned(),
    }
}

fn role(name: &str, trusted: &[&str]) -> (RoleName, Role) {
    let role = Role {
        name: name.parse().unwrap(),
        id: "AROA".to_owned(),
        arn: format!("arn:aws:iam::111122223333:role/{name}")
            .parse()
            .unwrap(),
        path: "/".to_owned(),
        tags: BTreeMap::new(),
        trusted: trusted.iter().map(|&who| who.to_owned()).collect(),
        trusted_services: BTreeSet::new(),
        trusted_providers: BTreeSet::new(),
        profiles: BTreeSet::new(),
        attached: BTreeSet::new(),
        last_used: None,
    };
    (role.name.clone(), role)
}

fn record(instance: &str, key: &str, minute: u32, imds: ImdsVersion) -> Record {
    Record {
        schema: 1,
        kind: Kind::Issued,
        time: time(&at(minute)),
        boot_id: "boot".to_owned(),
        seq: 1,
        host: Recorded {
            account: "111122223333".to_owned(),
            region: "eu-west-1".to_owned(),
            instance_id: instance.to_owned(),
            ..Recorded::default()
        },
        role: "web".to_owned(),
        access_key_id: key.to_owned(),
        issued: time(&at(minute)),
        expires: time("2026-05-01T18:00:00Z"),
        consumer: Consumer::at("127.0.0.1".parse().unwrap()),
        imds_version: imds,
        proxy_version: "0.1.0".to_owned(),
    }
}

/// The token at home, by both ways.
fn at_home() -> Vec<Value> {
    let token = delivered("2.0");
    let by_endpoint = call(12, &token, "s3", "ListBuckets", "10.0.0.5");
    vec![
        begin(),
        call(10, &token, "s3", "ListBuckets", HOME),
        with(by_endpoint, "vpcEndpointId", json!("vpce-0a1")),
    ]
}

/// `who` assumes the role `data`.
fn assume_role(minute: u32, who: &Value, key: &str) -> Value {
    let request = json!({
        "roleArn": "arn:aws:iam::111122223333:role/data",
        "roleSessionName": "s",
        "durationSeconds": 3600,
    });
    let response = json!({
        "credentials": {"accessKeyId": key, "expiration": "May 1, 2026, 11:30:00 AM"},
        "assumedRoleUser": {"arn": "arn:aws:sts::111122223333:assumed-role/data/s"},
    });
    let call = call(minute, who, "sts", "AssumeRole", HOME);
    with(
        with(call, "requestParameters", request),
        "responseElements",
        response,
    )
}

fn get_session_token(minute: u32, who: &Value, key: &str, mfa: bool) -> Value {
    let call = call(minute, who, "sts", "GetSessionToken", HOME);
    let request = if mfa {
        json!({"serialNumber": "arn:aws:iam::111122223333:mfa/ana", "durationSeconds": 3600})
    } else {
        json!({"durationSeconds": 3600})
    };
    let response =
        json!({"credentials": {"accessKeyId": key, "expiration": "May 1, 2026, 11:30:00 AM"}});
    let call = with(call, "requestParameters", request);
    with(call, "responseElements", response)
}

/// Admin writes the trust policy of `role`, which then lets `principal` assume it.
fn trust(minute: u32, role: &str, principal: &str) -> Value {
    let document = json!({"Statement": [{
        "Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole",
    }]});
    let request = json!({"roleName": role, "policyDocument": document.to_string()});
    let admin = session("admin", "eve", "ASIAADMIN22222222222");
    let call = call(minute, &admin, "iam", "UpdateAssumeRolePolicy", HOME);
    with(call, "requestParameters", request)
}
