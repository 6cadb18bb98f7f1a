//! As much of a trail as is asked for.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::Result;
use credpin_core::{
    footprint::{Footprint, Host},
    pin,
    settings::Settings,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{ACCOUNT, Dice, REGION, file};

/// How much there is to be.
#[derive(Clone, Copy, Debug)]
pub struct Bulk {
    /// Bytes before compression, about.
    pub bytes: usize,
    /// Keys that the calls are spread over.
    pub keys: usize,
    /// What the rest is made of.
    pub seed: u64,
}

/// Bytes of a file before compression, about; CloudTrail's are of any size up to some 50 MB.
const FILE: usize = 4 << 20;

/// Roles that the keys are of.
const ROLES: usize = 50;
/// Where all instances are, and the endpoint that they call by.
const VPC: &str = "vpc-0a1f5e7c2d3b4a596";
const ENDPOINT: &str = "vpce-0a1b2c3d4e5f60718";

const CALLS: [(&str, &str, &str); 8] = [
    (
        "ec2",
        "DescribeInstances",
        r#"{"instancesSet":{"items":[{"instanceId":"i-0a1b2c3d4e5f60718"}]},"filterSet":{"items":[{"name":"instance-state-name","valueSet":{"items":[{"value":"running"}]}}]}}"#,
    ),
    (
        "s3",
        "GetBucketLocation",
        r#"{"bucketName":"artifacts-eu-west-1","Host":"artifacts-eu-west-1.s3.eu-west-1.amazonaws.com","location":""}"#,
    ),
    (
        "kms",
        "Decrypt",
        r#"{"encryptionContext":{"aws:s3:arn":"arn:aws:s3:::artifacts-eu-west-1"},"encryptionAlgorithm":"SYMMETRIC_DEFAULT"}"#,
    ),
    (
        "ssm",
        "GetParameters",
        r#"{"withDecryption":true,"names":["/app/one","/app/two","/app/three","/app/four"]}"#,
    ),
    (
        "secretsmanager",
        "GetSecretValue",
        r#"{"secretId":"arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-AbCdEf"}"#,
    ),
    (
        "logs",
        "CreateLogStream",
        r#"{"logGroupName":"/aws/containerinsights/prod/application","logStreamName":"ip-10-0-1-5.eu-west-1.compute.internal-application"}"#,
    ),
    ("dynamodb", "DescribeTable", r#"{"tableName":"sessions"}"#),
    (
        "autoscaling",
        "DescribeAutoScalingGroups",
        r#"{"autoScalingGroupNames":["web","batch","worker"],"maxRecords":100}"#,
    ),
];

/// Writes calls of instances below `folder`, about 1.7 KB a record, as CloudTrail's are.
pub fn bulk(folder: &Path, wanted: Bulk) -> Result<()> {
    let mut dice = Dice::new(wanted.seed);
    let begin: Timestamp = "2026-05-01T00:00:00Z".parse()?;
    let mut written = 0;
    let mut minutes = 0;
    while written < wanted.bytes {
        let at = begin + SignedDuration::from_mins(minutes);
        minutes += 1;
        let mut text = String::from("{\"Records\":[");
        while text.len() < FILE.min(wanted.bytes - written) {
            if !text.ends_with('[') {
                text.push(',');
            }
            record(&mut text, &mut dice, wanted.keys, at);
        }
        text.push_str("]}");
        written += text.len();
        let delivered = at + SignedDuration::from_mins(5);
        file(folder, delivered, dice.roll(), &text)?;
    }
    Ok(())
}

/// Writes into `folder` what the calls can be replayed against: `plan.json`, which all of them pass with
/// the directory cloud `cloud` that has their endpoint, and `gone.json`, whose hosts are gone.
pub fn plans(folder: &Path, keys: usize) -> Result<()> {
    let region = folder.join("cloud").join(REGION);
    fs::create_dir_all(&region)?;
    let endpoint = json!({"VpcEndpointId": ENDPOINT, "VpcEndpointType": "Interface", "VpcId": VPC});
    let endpoints = json!({"VpcEndpoints": [endpoint]}).to_string();
    fs::write(region.join("describe-vpc-endpoints.json"), endpoints)?;
    for (name, keys) in [("plan.json", keys), ("gone.json", 0)] {
        let roles: Result<Vec<Value>> = (0..ROLES).map(|role| plan_of(role, keys)).collect();
        let plan = json!({"account": ACCOUNT, "roles": roles?});
        fs::write(folder.join(name), plan.to_string())?;
    }
    Ok(())
}

fn plan_of(role: usize, keys: usize) -> Result<Value> {
    let host = |host: usize| {
        Ok(Host {
            instance: format!("i-{host:017x}").parse()?,
            region: REGION.parse()?,
            vpc: VPC.parse()?,
            primary_ipv4: Some(address(host).parse()?),
            public: ["198.51.100.1/32".parse()?].into(),
            more_private_ipv4: [].into(),
            private_ipv6: [].into(),
        })
    };
    let hosts = (role..keys).step_by(ROLES).map(host);
    let footprint = Footprint {
        hosts: hosts.collect::<Result<_>>()?,
        egress: [(VPC.parse()?, ["198.51.100.1/32".parse()?].into())].into(),
        ..Footprint::default()
    };
    Ok(json!({
        "role": format!("role-{role}"),
        "pin": {"policies": [{"document": pin::of(&footprint, &Settings::default())}]},
        "footprint": {"hosts": footprint.hosts},
    }))
}

/// The private address of a host.
fn address(host: usize) -> String {
    format!("10.0.{}.{}", host / 250 % 250, host % 250)
}

/// Writes one record. Text, because a tree of values would take most of the time.
fn record(text: &mut String, dice: &mut Dice, keys: usize, at: Timestamp) {
    let host = dice.of(keys);
    let role = host % ROLES;
    let (service, name, parameters) = CALLS[dice.of(CALLS.len())];
    let second = dice.of(60);
    let minute = at.strftime("%Y-%m-%dT%H:%M");
    let address = address(host);
    let (event, request) = (dice.uuid(), dice.uuid());
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        r#"{{"eventVersion":"1.11","userIdentity":{{"type":"AssumedRole","principalId":"AROAEXAMPLE{role:010}:i-{host:017x}","arn":"arn:aws:sts::{ACCOUNT}:assumed-role/role-{role}/i-{host:017x}","accountId":"{ACCOUNT}","accessKeyId":"ASIA{host:016}","sessionContext":{{"sessionIssuer":{{"type":"Role","principalId":"AROAEXAMPLE{role:010}","arn":"arn:aws:iam::{ACCOUNT}:role/service/role-{role}","accountId":"{ACCOUNT}","userName":"role-{role}"}},"attributes":{{"creationDate":"2026-05-01T00:00:00Z","mfaAuthenticated":"false"}},"ec2RoleDelivery":"2.0","ec2IssuedInVpc":"{VPC}"}}}},"eventTime":"{minute}:{second:02}Z","eventSource":"{service}.amazonaws.com","eventName":"{name}","awsRegion":"{REGION}","sourceIPAddress":"{address}","userAgent":"Boto3/1.38.0 md/Botocore#1.38.0 ua/2.1 os/linux#6.1.134-150.224.amzn2023.x86_64 md/arch#x86_64 lang/python#3.12.9 md/pyimpl#CPython cfg/retry-mode#legacy Botocore/1.38.0","requestParameters":{parameters},"responseElements":null,"additionalEventData":{{"SignatureVersion":"SigV4","CipherSuite":"TLS_AES_128_GCM_SHA256","bytesTransferredIn":0,"AuthenticationMethod":"AuthHeader","x-amz-id-2":"{request}{event}","bytesTransferredOut":{host}}},"requestID":"{request}","eventID":"{event}","readOnly":true,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"{ACCOUNT}","vpcEndpointId":"{ENDPOINT}","vpcEndpointAccountId":"{ACCOUNT}","eventCategory":"Management","tlsDetails":{{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"{service}.{REGION}.amazonaws.com"}}}}"#
    );
}
