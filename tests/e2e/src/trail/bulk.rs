//! As much of a trail as is asked for.

use std::{fmt::Write as _, path::Path};

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};

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

/// Writes one record. Text, because a tree of values would take most of the time.
fn record(text: &mut String, dice: &mut Dice, keys: usize, at: Timestamp) {
    let host = dice.of(keys);
    let role = host % 50;
    let (service, name, parameters) = CALLS[dice.of(CALLS.len())];
    let second = dice.of(60);
    let minute = at.strftime("%Y-%m-%dT%H:%M");
    let (third, fourth) = (host / 250 % 250, host % 250);
    let (event, request) = (dice.uuid(), dice.uuid());
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        r#"{{"eventVersion":"1.11","userIdentity":{{"type":"AssumedRole","principalId":"AROAEXAMPLE{role:010}:i-{host:017x}","arn":"arn:aws:sts::{ACCOUNT}:assumed-role/role-{role}/i-{host:017x}","accountId":"{ACCOUNT}","accessKeyId":"ASIA{host:016}","sessionContext":{{"sessionIssuer":{{"type":"Role","principalId":"AROAEXAMPLE{role:010}","arn":"arn:aws:iam::{ACCOUNT}:role/service/role-{role}","accountId":"{ACCOUNT}","userName":"role-{role}"}},"attributes":{{"creationDate":"2026-05-01T00:00:00Z","mfaAuthenticated":"false"}},"ec2RoleDelivery":"2.0","ec2IssuedInVpc":"vpc-0a1f5e7c2d3b4a596"}}}},"eventTime":"{minute}:{second:02}Z","eventSource":"{service}.amazonaws.com","eventName":"{name}","awsRegion":"{REGION}","sourceIPAddress":"10.0.{third}.{fourth}","userAgent":"Boto3/1.38.0 md/Botocore#1.38.0 ua/2.1 os/linux#6.1.134-150.224.amzn2023.x86_64 md/arch#x86_64 lang/python#3.12.9 md/pyimpl#CPython cfg/retry-mode#legacy Botocore/1.38.0","requestParameters":{parameters},"responseElements":null,"additionalEventData":{{"SignatureVersion":"SigV4","CipherSuite":"TLS_AES_128_GCM_SHA256","bytesTransferredIn":0,"AuthenticationMethod":"AuthHeader","x-amz-id-2":"{request}{event}","bytesTransferredOut":{host}}},"requestID":"{request}","eventID":"{event}","readOnly":true,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"{ACCOUNT}","vpcEndpointId":"vpce-0a1b2c3d4e5f60718","vpcEndpointAccountId":"{ACCOUNT}","eventCategory":"Management","tlsDetails":{{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"{service}.{REGION}.amazonaws.com"}}}}"#
    );
}
