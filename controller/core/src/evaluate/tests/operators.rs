//! Each operator: absent keys, matches, misses, several values.

use super::*;

/// A value of a key (none: it is absent), and whether a test of it holds.
type Row = (Option<&'static str>, bool);

/// A table of tests of one key.
fn check(key: Key, table: &[(Test, &[Row])]) {
    for (test, rows) in table {
        for (value, wanted) in *rows {
            assert_eq!(
                holds_of(key, test, *value),
                *wanted,
                "{test:?} of {value:?}"
            );
        }
    }
}

/// Whether `test` of `key` holds in a call where `key` has `value`, or is absent.
fn holds_of(key: Key, test: &Test, value: Option<&str>) -> bool {
    let request = Request::new(ANY_ACTION);
    let request = match value {
        Some(value) => request.with(key, value),
        None => request,
    };
    denies(key, test, &request)
}

fn nets(values: &[&str]) -> Vec<IpNet> {
    values.iter().map(|value| value.parse().unwrap()).collect()
}

#[test]
fn null_asks_whether_the_key_is_absent() {
    check(
        Key::SourceVpc,
        &[
            (Test::Null(true), &[(None, true), (Some("vpc-0a"), false)]),
            (Test::Null(false), &[(None, false), (Some("vpc-0a"), true)]),
        ],
    );
}

#[test]
fn a_truth_value_has_no_case_and_may_be_absent() {
    check(
        Key::ViaAwsService,
        &[
            (
                Test::BoolIfExists(false),
                &[
                    (None, true),
                    (Some("false"), true),
                    (Some("False"), true),
                    (Some("true"), false),
                    (Some("no"), false),
                ],
            ),
            (
                Test::BoolIfExists(true),
                &[(None, true), (Some("false"), false), (Some("TRUE"), true)],
            ),
        ],
    );
}

#[test]
fn a_date_is_before_another_however_it_is_written() {
    let limit: Timestamp = "2027-01-15T08:00:00Z".parse().unwrap();
    check(
        Key::TokenIssueTime,
        &[(
            Test::DateLessThan(limit),
            &[
                (None, false),
                (Some("2027-01-15T07:59:59Z"), true),
                (Some("2027-01-15T08:00:00Z"), false),
                (Some("2027-01-15T08:00:01Z"), false),
                (Some("2027-01-15T08:30:00+01:00"), true),
                (Some("1799999999"), true),
                (Some("1800000000"), false),
                (Some("yesterday"), false),
            ],
        )],
    );
}

#[test]
fn strings_are_compared_whole_and_with_case() {
    let rows = [
        (None, false),
        (Some("vpc-0a"), true),
        (Some("vpc-0b"), true),
        (Some("vpc-0A"), false),
        (Some("vpc-0"), false),
        (Some("vpc-0ab"), false),
        (Some("vpc-0*"), false),
    ];
    let negated = rows.map(|(value, holds)| (value, !holds));
    let values = literals(&["vpc-0a", "vpc-0b"]);
    check(
        Key::SourceVpc,
        &[
            (Test::StringEquals(values.clone()), &rows),
            (Test::StringNotEquals(values), &negated),
            (
                Test::StringEquals(literals(&["vpc-*"])),
                &[(Some("vpc-0a"), false), (Some("vpc-*"), true)],
            ),
        ],
    );
}

#[test]
fn like_knows_wildcards() {
    let like = |pattern: &str| Test::StringLike(literals(&[pattern]));
    check(
        Key::UserId,
        &[
            (
                like("*:i-*"),
                &[
                    (None, false),
                    (Some("AROAEXAMPLE:i-0abc"), true),
                    (Some("AROAEXAMPLE:i-"), true),
                    (Some("AROAEXAMPLE:session"), false),
                    (Some("AROAEXAMPLE:I-0abc"), false),
                ],
            ),
            (
                like("a?c"),
                &[
                    (Some("abc"), true),
                    (Some("aéc"), true),
                    (Some("ac"), false),
                    (Some("abbc"), false),
                ],
            ),
            (
                like("*"),
                &[(None, false), (Some(""), true), (Some("x"), true)],
            ),
            (
                like("a*b*c"),
                &[
                    (Some("abc"), true),
                    (Some("aXbXbXc"), true),
                    (Some("acb"), false),
                ],
            ),
            (
                like("*ab"),
                &[
                    (Some("aab"), true),
                    (Some("abab"), true),
                    (Some("aba"), false),
                ],
            ),
            (
                like("a**"),
                &[(Some("a"), true), (Some("ab"), true), (Some("b"), false)],
            ),
            (like("?*?"), &[(Some("ab"), true), (Some("a"), false)]),
            (
                Test::StringLike(literals(&["x", "y*"])),
                &[(Some("x"), true), (Some("yz"), true), (Some("xz"), false)],
            ),
        ],
    );
}

#[test]
fn an_address_lies_in_prefixes_of_its_own_family() {
    let rows = [
        (None, false),
        (Some("203.0.113.15"), false),
        (Some("203.0.113.16"), true),
        (Some("203.0.113.31"), true),
        (Some("203.0.113.32"), false),
        (Some("198.51.100.9"), true),
        (Some("2001:db8:0:1::"), true),
        (Some("2001:db8:0:1:ffff:ffff:ffff:ffff"), true),
        (Some("2001:DB8:0:1::1"), true),
        (Some("2001:db8:0:2::"), false),
        (Some("2001:db8::ffff:ffff:ffff:ffff"), false),
        // The same number in the other family, and IPv4 inside IPv6.
        (Some("::cb00:7110"), false),
        (Some("::ffff:203.0.113.16"), false),
        // No addresses: a negated test is true of them.
        (Some("203.0.113.016"), false),
        (Some("203.0.113.16/32"), false),
        (Some("AWS Internal"), false),
    ];
    let negated = rows.map(|(value, holds)| (value, !holds));
    let values = nets(&["203.0.113.16/28", "198.51.100.9/32", "2001:db8:0:1::/64"]);
    check(
        Key::SourceIp,
        &[
            (Test::IpAddress(values.clone()), &rows),
            (Test::NotIpAddress(values), &negated),
            (
                Test::IpAddress(nets(&["0.0.0.0/1", "128.0.0.0/1"])),
                &[
                    (Some("0.0.0.0"), true),
                    (Some("127.255.255.255"), true),
                    (Some("128.0.0.0"), true),
                    (Some("255.255.255.255"), true),
                    (Some("::1"), false),
                    (None, false),
                ],
            ),
            (
                Test::IpAddress(nets(&["0.0.0.0/0"])),
                &[(Some("203.0.113.1"), true), (Some("2001:db8::1"), false)],
            ),
            (
                Test::IpAddress(nets(&["::/0"])),
                &[
                    (Some("203.0.113.1"), false),
                    (Some("2001:db8::1"), true),
                    (Some("::ffff:203.0.113.16"), true),
                ],
            ),
            (
                Test::NotIpAddress(vec![]),
                &[(None, true), (Some("203.0.113.1"), true)],
            ),
        ],
    );
}

#[test]
fn arns_are_compared_part_by_part() {
    let arn = |pattern: &str| Test::ArnEquals(literals(&[pattern]));
    let instance = "arn:aws:ec2:eu-west-1:111122223333:instance/i-0abc";
    check(
        Key::SourceInstanceArn,
        &[
            (
                arn(instance),
                &[
                    (None, false),
                    (Some(instance), true),
                    (
                        Some("arn:aws:ec2:eu-west-1:111122223333:instance/i-0ABC"),
                        false,
                    ),
                    (
                        Some("arn:aws:ec2:eu-west-1:111122223333:instance/i-0abcd"),
                        false,
                    ),
                ],
            ),
            (arn("arn:aws:ec2:*:*:instance/*"), &[(Some(instance), true)]),
            (
                arn("arn:aws*:ec2:eu-????-?:1111*3333:*"),
                &[(Some(instance), true)],
            ),
            // A wildcard stays in its part, also where another follows it.
            (arn("arn:*"), &[(Some(instance), false)]),
            (arn("*"), &[(Some(instance), false)]),
            (arn("arn:aws:*:instance/*"), &[(Some(instance), false)]),
            (
                arn("arn:aws:ec2?eu-west-1:111122223333:*:*"),
                &[(Some(instance), false)],
            ),
            (
                arn("arn:aws:ec2:eu-west-1:1111*instance/i-0abc"),
                &[(Some(instance), false)],
            ),
            (
                arn("arn:aws:ec2:eu-west-1:111122223333?instance/i-0abc"),
                &[(Some(instance), false)],
            ),
            // Five parts are no ARN.
            (
                arn("arn:aws:ec2:eu-west-1:111122223333"),
                &[(Some("arn:aws:ec2:eu-west-1:111122223333"), false)],
            ),
            // The example of the User Guide, and a resource with colons of its own.
            (
                arn("arn:aws:someservice:*:111122223333:finance/*"),
                &[
                    (
                        Some(
                            "arn:aws:someservice:us-east-2:999999999999:store/abc:111122223333:finance/document.txt",
                        ),
                        false,
                    ),
                    (
                        Some("arn:aws:someservice:us-east-2:111122223333:finance/a:b:c"),
                        true,
                    ),
                ],
            ),
            (
                arn("arn:aws:sns:::a?b"),
                &[(Some("arn:aws:sns:::a:b"), true)],
            ),
            (arn("i-0abc"), &[(Some("i-0abc"), false)]),
            (
                Test::ArnEquals(literals(&["arn:aws:ec2:::x", instance])),
                &[
                    (Some(instance), true),
                    (Some("arn:aws:ec2:::x"), true),
                    (Some("arn:aws:ec2:::y"), false),
                ],
            ),
        ],
    );
}
