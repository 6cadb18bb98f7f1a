use std::sync::Arc;

use credpin_core::{detect::RuleId, replayed::Replays};

use super::*;

fn mistakes(text: &str) -> Vec<String> {
    let mistakes = parse("credpin.toml", text).expect_err("it has mistakes").0;
    mistakes.iter().map(ToString::to_string).collect()
}

#[test]
fn the_empty_file_observes_and_nothing_more() {
    assert_eq!(parse("credpin.toml", "").unwrap(), Config::default());
}

#[test]
fn every_key_is_read() {
    let region = |name: &str| name.parse().unwrap();
    let config = parse(
        "credpin.toml",
        r#"
        mode = "enforce"
        hub-vpcs = ["vpc-0hub"]
        allow-launch-gap = true
        max-policies = 5
        policy-quota = 3000
        ipv6-lists = "subnets"
        private-ipv4-lists = "subnets"
        allow-lossy = true
        pin-derived = true
        self-defence = true
        exclude = ["break-glass*"]
        canary-share = "25%"
        replay-max-age = "72h"
        idle-after = "48h"
        without-replay = true
        propagation = "2m"
        max-narrowing = "50%"
        cloud = "dir:/srv/cloud"
        regions = ["eu-west-1", "us-east-1"]
        records = "file:///srv/records"
        state = "file:///srv/state"
        publish-pins = true
        [[role]]
        name = "web-*"
        account = "111122223333"
        mode = "observe"
        [[egress]]
        vpc = "vpc-0abc"
        prefixes = ["198.51.100.0/28"]
        [[egress]]
        subnet = "subnet-0abc"
        prefixes = []
        "#,
    )
    .unwrap();
    assert_eq!(
        config,
        Config {
            settings: Settings {
                mode: Mode::Enforce,
                hub_vpcs: Some(["vpc-0hub".parse().unwrap()].into()),
                allow_launch_gap: true,
                exclude: vec![Glob::new("break-glass*")],
                canary_share: "25%".parse().unwrap(),
                replay_max_age: ReplayMaxAge::of_seconds(72 * 60 * 60),
                idle_after: IdleAfter::of_seconds(48 * 60 * 60),
                without_replay: true,
                replays: Replays::default(),
                propagation: Propagation::of_seconds(120),
                max_narrowing: "50%".parse().unwrap(),
                chained: Vec::new(),
                roles: vec![RoleRule {
                    name: Glob::new("web-*"),
                    account: Some("111122223333".parse().unwrap()),
                    mode: Mode::Observe
                }],
                egress: vec![
                    StatedEgress {
                        scope: Scope::Vpc("vpc-0abc".parse().unwrap()),
                        prefixes: vec!["198.51.100.0/28".parse().unwrap()],
                    },
                    StatedEgress {
                        scope: Scope::Subnet("subnet-0abc".parse().unwrap()),
                        prefixes: vec![],
                    },
                ],
                pin_derived: true,
                self_defence: true,
                ipv6_lists: Lists::Subnets,
                private_ipv4_lists: Lists::Subnets,
                allow_lossy: true,
                max_policies: Some(5),
                policy_quota: Some(3000),
                elsewhere: Arc::default(),
                shared: false,
                take_over: false,
                own_role: None,
            },
            cloud: Some(CloudName::Dir("/srv/cloud".into())),
            regions: Regions::Only(vec![region("eu-west-1"), region("us-east-1")]),
            records: Some(StoreUrl::Directory("/srv/records".into())),
            state: Some(StoreUrl::Directory("/srv/state".into())),
            publish_pins: true,
            ..Config::default()
        }
    );
}

#[test]
fn every_key_of_accounts_is_read() {
    let config = parse(
        "credpin.toml",
        r#"
        follow-accounts = true
        concurrency = 3
        [[account]]
        id = "111122223333"
        role = "credpin-controller"
        responder-role = "path/responder"
        external-id = "of-credpin"
        regions = ["eu-west-1"]
        [[account]]
        id = "444455556666"
        [organization]
        accounts = "accounts.json"
        role = "credpin-controller"
        responder-role = "credpin-responder"
        external-id = "of-credpin"
        except = ["555566667777"]
        "#,
    )
    .unwrap();
    assert_eq!(
        config,
        Config {
            accounts: vec![
                Account {
                    role: Some("credpin-controller".parse().unwrap()),
                    responder_role: Some("path/responder".parse().unwrap()),
                    external_id: Some("of-credpin".into()),
                    regions: Some(Regions::Only(vec!["eu-west-1".parse().unwrap()])),
                    ..Account::of("111122223333".parse().unwrap())
                },
                Account::of("444455556666".parse().unwrap()),
            ],
            organization: Some(Organization {
                listed: Listing::Files(vec!["accounts.json".into()]),
                role: "credpin-controller".parse().unwrap(),
                responder_role: Some("credpin-responder".parse().unwrap()),
                external_id: Some("of-credpin".into()),
                except: ["555566667777".parse().unwrap()].into(),
            }),
            follow_accounts: true,
            concurrency: Concurrency(3),
            ..Config::default()
        }
    );
}

#[test]
fn a_responder_goes_by_roles_of_its_own_where_there_are_some() {
    let roles = |text: &str| {
        let config = parse("credpin.toml", text).unwrap().for_responder()?;
        let role = |role: &RoleToAssume| role.to_string();
        let accounts = config.accounts.iter();
        let accounts = accounts.map(|account| account.role.as_ref().map(role));
        let of_all = config
            .organization
            .map(|organization| role(&organization.role));
        Some((accounts.collect::<Vec<_>>(), of_all))
    };
    let accounts = "[[account]]\nid = \"111122223333\"\n\
         [[account]]\nid = \"444455556666\"\nrole = \"job\"\n";
    assert_eq!(roles(""), None);
    assert_eq!(roles(accounts), None);
    let third = "[[account]]\nid = \"555566667777\"\nrole = \"job\"\nresponder-role = \"own\"\n";
    let organization = "[organization]\nrole = \"job\"\nresponder-role = \"responder\"\n";
    let by_account = vec![None, Some("job".to_owned()), Some("own".to_owned())];
    assert_eq!(
        roles(&format!("{accounts}{third}{organization}")),
        Some((by_account, Some("responder".to_owned())))
    );
}

#[test]
fn an_organisation_without_a_file_is_asked_for_its_accounts() {
    let listed = |more: &str| {
        let text = format!("[organization]\nrole = \"credpin-controller\"\n{more}");
        parse("credpin.toml", &text)
            .unwrap()
            .organization
            .unwrap()
            .listed
    };
    assert_eq!(listed(""), Listing::Asked(Vec::new()));
    let unit = "ou-ab12-11112222";
    let units = listed(&format!("parents = [\"{unit}\"]"));
    assert_eq!(units, Listing::Asked(vec![unit.parse().unwrap()]));
}

#[test]
fn an_organisation_of_no_units_or_no_files_is_a_mistake() {
    for (key, way_out) in [
        ("parents", "name units or the root, or leave parents out"),
        ("accounts", "name a file, or leave accounts out"),
    ] {
        let found = mistakes(&format!("[organization]\nrole = \"a\"\n{key} = []\n"));
        assert_eq!(found.len(), 1, "{found:?}");
        let said = format!("organization: {key} is empty: {way_out}");
        assert!(found[0].contains(&said), "{found:?}");
    }
}

#[test]
fn an_account_is_named_once_and_its_role_is_its_own() {
    let found = mistakes(
        r#"concurrency = 0
[[account]]
id = "111122223333"
role = "arn:aws:iam::444455556666:role/credpin"
responder-role = "arn:aws:iam::444455556666:role/responder"
[[account]]
id = "1"
external-id = "a b"
[[account]]
id = "555566667777"
[[account]]
id = "555566667777"
[organization]
accounts = "accounts.json"
parents = ["o-ab"]
role = "arn:aws:iam::444455556666:role/credpin"
"#,
    );
    assert_eq!(
        found,
        [
            "credpin.toml:1:1: account 555566667777 is named twice",
            "credpin.toml:1:15: concurrency: wants a number from 1 to 64, not 0",
            "credpin.toml:2:1: account: responder-role is one of account 444455556666, and id is 111122223333",
            "credpin.toml:2:1: account: role is one of account 444455556666, and id is 111122223333",
            "credpin.toml:7:7: account.id: `1` is not an account id (twelve digits)",
            "credpin.toml:8:16: account.external-id: is no external id: 2 to 1224 letters, digits and \
             _+=,.@:/-",
            "credpin.toml:13:1: organization: name one of the two: accounts (files), or parents (AWS \
             Organizations is asked)",
            "credpin.toml:15:13: organization.parents: `o-ab` is neither a unit of an organisation \
             (ou-examplerootid-exampleouid) nor its root (r-examplerootid)",
            "credpin.toml:16:9: organization.role: is one account's role: write the name that it has in all \
             of them",
        ]
    );
}

#[test]
fn all_mistakes_are_told_at_once_each_with_its_place() {
    let text = r#"mode = "strict"
hub-vpc = ["vpc-0hub"]
pin-derived = "yes"
ipv6-lists = "/64"
[[egress]]
vpc = "0abc"
prefixes = ["198.51.100.0/40", "10.0.0.0/8"]

[[role]]
mode = 7
"#;
    assert_eq!(
        mistakes(text),
        [
            "credpin.toml:1:9: mode: `strict` is no mode: write observe, canary or enforce",
            "credpin.toml:2:1: hub-vpc: unknown key; known here: mode, hub-vpcs, allow-launch-gap, \
             max-policies, policy-quota, ipv6-lists, private-ipv4-lists, allow-lossy, pin-derived, self-defence, exclude, canary-share, replay-max-age, idle-after, without-replay, propagation, max-narrowing, role, chained, egress, controller-roles, accept, cloud, records, state, publish-pins, regions, account, organization, follow-accounts, concurrency",
            "credpin.toml:3:16: pin-derived: wants true or false, not string",
            "credpin.toml:4:15: ipv6-lists: lists have no `/64`: write addresses or subnets",
            "credpin.toml:6:8: egress.vpc: `0abc` is not a VPC id (vpc-…)",
            "credpin.toml:7:14: egress.prefixes: `198.51.100.0/40` is not a prefix: write it as \
             198.51.100.0/28 or 2001:db8::/56",
            "credpin.toml:7:33: egress.prefixes: `10.0.0.0/8` is not public (10.0.0.0/8), and AWS \
             never sees a private address over the internet: state the public addresses that this \
             traffic leaves from",
            "credpin.toml:9:1: role: name is missing",
            "credpin.toml:10:8: role.mode: wants a text in quotes, not integer",
        ]
    );
}

#[test]
fn a_role_that_others_assume_is_opted_in_by_a_rule_of_its_own() {
    let text = r#"[[chained]]
name = "deploy"
mode = "enforce"
assumed-by = ["web-*"]
callers = ["arn:aws:iam::111122223333:user/ci", "cognito-identity.amazonaws.com"]
prefixes = ["203.0.113.64/28"]
vpcs = ["vpc-0c1"]
"#;
    let config = parse("credpin.toml", text).unwrap();
    let rule = ChainedRule {
        assumed_by: vec![Glob::new("web-*")],
        callers: [
            "arn:aws:iam::111122223333:user/ci".into(),
            "cognito-identity.amazonaws.com".into(),
        ]
        .into(),
        prefixes: ["203.0.113.64/28".parse().unwrap()].into(),
        vpcs: ["vpc-0c1".parse().unwrap()].into(),
        ..ChainedRule::new(Glob::new("deploy"), Mode::Enforce)
    };
    assert_eq!(config.settings.chained, [rule]);
    assert_eq!(
        mistakes("[[chained]]\nname = \"deploy\"\ncallers = [\"lambda.amazonaws.com\"]\nfrom = []"),
        [
            "credpin.toml:1:1: chained: callers are named and not where they call from: prefixes, vpcs or both are missing",
            "credpin.toml:1:1: chained: mode is missing",
            "credpin.toml:3:13: chained.callers: `lambda.amazonaws.com` is a service, and where it calls from is not to be \
             known: give it a role of its own",
            "credpin.toml:4:1: chained.from: unknown key; known here: name, account, mode, assumed-by, callers, prefixes, vpcs",
        ]
    );
}

#[test]
fn a_number_out_of_its_range_is_told_with_the_range() {
    for (text, said) in [
        ("max-policies = 0", "wants a number from 1 to 9, not 0"),
        ("max-policies = 10", "wants a number from 1 to 9, not 10"),
        (
            "max-policies = \"3\"",
            "wants a number from 1 to 9, not string",
        ),
        (
            "policy-quota = -1",
            "wants a number from 1 to 10000, not -1",
        ),
    ] {
        assert!(mistakes(text)[0].ends_with(said), "{:?}", mistakes(text));
    }
}

#[test]
fn an_egress_speaks_for_one_thing_and_says_what() {
    let said = mistakes("[[egress]]\nvpc = \"vpc-0a\"\nsubnet = \"subnet-0a\"\nprefixes = []");
    assert_eq!(
        said,
        ["credpin.toml:1:1: egress: name one of the two: vpc or subnet"]
    );
    let said = mistakes("[[egress]]\nvpc = \"vpc-0a\"");
    assert!(said[0].contains("prefixes are missing"), "{said:?}");
}

#[test]
fn what_is_no_toml_is_told_with_its_place() {
    let said = mistakes("mode = \"enforce\"\nregions = [");
    assert!(said[0].starts_with("credpin.toml:2:"), "{said:?}");
}

#[test]
fn a_text_that_does_not_end_is_told_with_the_way_out() {
    assert_eq!(
        mistakes("mode = \"enforce\n"),
        ["credpin.toml:1:16: this text does not end: close it with a quote on the same line"]
    );
}

#[test]
fn a_rule_names_somebody() {
    let said = mistakes("[[role]]\nname = \"\"\nmode = \"observe\"");
    assert!(
        said[0].starts_with("credpin.toml:2:8: role.name: is empty"),
        "{said:?}"
    );
}

#[test]
fn what_detect_is_told_is_read() {
    let text = r#"
        controller-roles = ["credpin-*"]
        [[accept]]
        rule = "trust-anyone"
        subject = "arn:aws:iam::*:role/public"
        owner = "ana"
        until = "2026-12-31"
        why = "partners"
    "#;
    let config = parse("credpin.toml", text).unwrap();
    let accept = Accept {
        rule: RuleId::TrustAnyone,
        subject: Glob::new("arn:aws:iam::*:role/public"),
        owner: "ana".to_owned(),
        until: "2026-12-31".parse().unwrap(),
        why: "partners".to_owned(),
    };
    assert_eq!(config.controller_roles, [Glob::new("credpin-*")]);
    assert_eq!(config.accept, [accept]);
}

#[test]
fn what_is_accepted_has_an_owner_an_end_and_a_reason() {
    assert_eq!(
        mistakes("[[accept]]\nrule = \"trust\"\nsubject = \"*\"\nuntil = \"soon\"\nwhy = \" \""),
        [
            "credpin.toml:1:1: accept: owner is missing",
            "credpin.toml:2:9: accept.rule: `trust` is no rule: `credpin detect --rules` lists them",
            "credpin.toml:4:10: accept.until: `soon` is no day: write the last one as \"2026-12-31\"",
            "credpin.toml:5:8: accept.why: is empty",
        ]
    );
}

#[test]
fn regions_are_a_list_or_all() {
    let all = parse("credpin.toml", "regions = \"all\"").unwrap();
    assert_eq!(all.regions, Regions::All);
    assert_eq!(parse("credpin.toml", "").unwrap().regions, Regions::All);
    assert_eq!(
        mistakes("regions = []"),
        ["credpin.toml:1:11: regions: names no region: leave it out to look at all of them"]
    );
    assert!(mistakes("regions = \"some\"")[0].contains("write \"all\" or a list of names"));
    assert!(mistakes("regions = [\"Europe\"]")[0].contains("is not a region's name"));
}

#[test]
fn a_cloud_is_aws_or_a_directory() {
    assert_eq!("aws".parse::<CloudName>().unwrap(), CloudName::Aws);
    for wrong in ["dir:", "gcp", ""] {
        assert!(wrong.parse::<CloudName>().is_err(), "{wrong}");
    }
}
