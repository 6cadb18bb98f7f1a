use super::*;

/// Fields as AWS documents them, and what has been seen beside: nulls, other types, unknown fields.
const FILE: &str = r#"{"Records": [
{"eventVersion":"1.08","userIdentity":{"type":"IAMUser","principalId":"AIDAQRSTUVWXYZEXAMPLE","arn":"arn:aws:iam::777788889999:user/JohnDoe","accountId":"777788889999","accessKeyId":"AKIAQRSTUVWXYZEXAMPL","userName":"JohnDoe"},"eventTime":"2014-07-18T15:07:39Z","eventSource":"sts.amazonaws.com","eventName":"AssumeRole","awsRegion":"us-east-2","sourceIPAddress":"192.0.2.101","userAgent":"aws-cli/1.11.10 \"quoted\" Python/2.7.8","requestParameters":{"roleArn":"arn:aws:iam::777788889999:role/EC2-dev","roleSessionName":"JohnDoe-EC2-dev","serialNumber":"arn:aws:iam::777788889999:mfa"},"responseElements":{"credentials":{"sessionToken":"<encoded session token blob>","accessKeyId":"ASIAQRSTUVWXYZEXAMPL","expiration":"Jul 18, 2023, 4:07:39 PM"},"assumedRoleUser":{"assumedRoleId":"AIDAQRSTUVWXYZEXAMPLE:JohnDoe-EC2-dev","arn":"arn:aws:sts::777788889999:assumed-role/EC2-dev/JohnDoe-EC2-dev"}},"eventID":"4EXAMPLE-0e8d-11e4-96e4-e55c0EXAMPLE","eventType":"AwsApiCall","recipientAccountId":"777788889999"},
{"eventVersion":"2.0","userIdentity":null,"eventTime":17,"eventSource":"s3.amazonaws.com","eventName":["x"],"sourceIPAddress":"AWS Internal","requestParameters":"none","sharedEventID":"","managementEvent":true,"tlsDetails":{"a":[1,{"b":"}]"}]}},
{"userIdentity":{"type":"AssumedRole","principalId":"AROAEXAMPLE:i-0abc","accessKeyId":"","sessionContext":{"attributes":[],"ec2RoleDelivery":2.0}}}
]}"#;

fn read(pieces: &[&[u8]]) -> (Vec<String>, Result<usize, Broken>) {
    let mut reader = Reader::default();
    let mut seen = Vec::new();
    let mut rest: Vec<u8> = Vec::new();
    let mut result = Ok(0);
    for (number, piece) in pieces.iter().enumerate() {
        rest.extend_from_slice(piece);
        let last = number + 1 == pieces.len();
        result = reader.read(&rest, last, |event| seen.push(format!("{event:?}")));
        match result {
            Ok(done) => drop(rest.drain(..done)),
            Err(_) => break,
        }
    }
    (seen, result)
}

#[test]
fn a_record_is_read_however_its_fields_are() {
    let mut reader = Reader::default();
    let mut number = 0;
    let done = reader.read(FILE.as_bytes(), true, |event| {
        number += 1;
        match number {
            1 => {
                assert_eq!(event.key(), Some("AKIAQRSTUVWXYZEXAMPL"));
                assert_eq!(event.service(), Some("sts"));
                assert!(event.is_of_known_version());
                assert_eq!(
                    event.user_agent.as_deref(),
                    Some("aws-cli/1.11.10 \"quoted\" Python/2.7.8")
                );
                let issue = event.issue().unwrap();
                assert_eq!(issue.key, "ASIAQRSTUVWXYZEXAMPL");
                assert_eq!(issue.how, How::AssumeRole);
                assert_eq!(issue.expires, "2023-07-18T16:07:39Z".parse().ok());
                let role = "arn:aws:iam::777788889999:role/EC2-dev";
                assert_eq!(issue.role.as_deref(), Some(role));
            }
            2 => {
                assert!(!event.is_of_known_version());
                assert!(event.is_by_service());
                assert_eq!(event.time(), None);
                assert_eq!(event.event_name, None);
                assert_eq!(event.shared_event_id, None);
                assert_eq!(event.key(), None);
            }
            _ => {
                assert_eq!(event.key(), None);
                assert_eq!(event.user_identity.instance(), Some("i-0abc"));
                let session = &event.user_identity.session_context;
                assert!(session.ec2_role_delivery.is_some());
            }
        }
    });
    assert_eq!(done, Ok(FILE.len()));
    assert_eq!((number, reader.unreadable()), (3, 0));
}

#[test]
fn a_file_reads_the_same_wherever_it_is_cut_into_pieces() {
    let file = FILE.as_bytes();
    let whole = read(&[file]);
    assert_eq!(whole.0.len(), 3);
    for at in 0..file.len() {
        let (head, tail) = file.split_at(at);
        let pieces = read(&[head, tail]);
        assert_eq!(pieces.0, whole.0, "cut at {at}");
        assert!(pieces.1.is_ok(), "cut at {at}");
    }
}

#[test]
fn a_file_that_ends_in_the_middle_gives_what_is_whole_and_says_so() {
    let file = FILE.as_bytes();
    let end = FILE.rfind(']').unwrap();
    for at in 0..=end {
        let (seen, result) = read(&[&file[..at]]);
        assert_eq!(result, Err(Broken::CutOff(at as u64)), "cut at {at}");
        assert!(seen.len() <= 3);
    }
    let second = FILE.find("{\"eventVersion\":\"2.0\"").unwrap();
    assert_eq!(read(&[&file[..second + 40]]).0.len(), 1);
}

#[test]
fn what_is_no_file_of_records_is_told_from_one_that_is_broken() {
    assert_eq!(
        read(&[b"{\"digestStartTime\":1}"]).1,
        Err(Broken::NoRecords)
    );
    assert_eq!(read(&[b"version account-id\n"]).1, Err(Broken::NoRecords));
    assert_eq!(
        read(&[b"{\"Records\":[{} nonsense"]).1,
        Err(Broken::NoJson(15))
    );
    assert_eq!(
        read(&[b"{\"Records\":[{\"a\":}]}"]).1,
        Err(Broken::NoJson(12))
    );
    assert_eq!(read(&[b"{\"Records\":[]}"]).1, Ok(14));
}

#[test]
fn a_record_that_says_a_thing_twice_is_counted_and_passed_over() {
    let file = br#"{"Records":[{"eventID":"a","eventID":"b"},{"eventID":"c"}]}"#;
    let mut reader = Reader::default();
    let mut seen = Vec::new();
    let read = reader.read(file, true, |event| {
        seen.push(event.event_id.as_deref().map(str::to_owned));
    });
    assert!(read.is_ok());
    assert_eq!(seen, [Some("c".to_owned())]);
    assert_eq!(reader.unreadable(), 1);
}
