//! Policies: they allow the calls that the code makes, no more and no less, and shut everybody else out.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::Result;
use credpin_e2e::{
    judge::{Decision, Facts, Judge, Policy, Question, allow_everything},
    tools::Tools,
};
use serde_json::Value;

use crate::{at, text};

/// Characters of a managed policy, and of a service control policy (IAM and Organizations quotas).
const POLICY_QUOTA: usize = 6144;
const SCP_QUOTA: usize = 5120;

/// Needs no permission ("`GetCallerIdentity`", STS API reference).
const FREE: &str = "sts:GetCallerIdentity";

fn policy(name: &str) -> Value {
    serde_json::from_str(&text(&format!("deploy/iam/{name}"))).unwrap()
}

fn statements(policy: &Value) -> &Vec<Value> {
    policy["Statement"].as_array().unwrap()
}

fn actions(policy: &Value) -> BTreeSet<String> {
    let of = |statement: &Value| match &statement["Action"] {
        Value::Array(actions) => actions
            .iter()
            .map(|it| it.as_str().unwrap().to_owned())
            .collect(),
        action => vec![action.as_str().unwrap().to_owned()],
    };
    statements(policy).iter().flat_map(of).collect()
}

/// Every call to AWS in the module that makes them, as `ec2:DescribeInstances`: each method without
/// arguments of something that is an SDK's `Client`.
fn calls(files: &[&str]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in files {
        let source: String = text(file).split_whitespace().collect();
        for (client, service) in clients(&source) {
            let calls = methods(&source, &client);
            found.extend(calls.map(|method| format!("{service}:{}", camel(method))));
        }
    }
    found
}

/// The methods without arguments that are called on `receiver`.
fn methods<'a>(source: &'a str, receiver: &str) -> impl Iterator<Item = &'a str> {
    let dotted = format!("{receiver}.");
    let is_longer_name = |before: &str| before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
    let after: Vec<&str> = source
        .match_indices(&dotted)
        .filter(|(at, _)| !is_longer_name(&source[..*at]))
        .map(|(at, dotted)| &source[at + dotted.len()..])
        .collect();
    let methods = after.into_iter().filter_map(|rest| rest.split_once("()"));
    methods
        .map(|(method, _)| method)
        .filter(|method| is_name(method))
}

/// What in a file (its blanks taken out) is a client, by the names and types of parameters and fields.
fn clients(source: &str) -> Vec<(String, &'static str)> {
    let mut clients = Vec::new();
    for service in ["ec2", "iam", "organizations", "sts"] {
        let imported = source.contains(&format!("useaws_sdk_{service}::{{Client,"));
        let mut types = vec![format!("aws_sdk_{service}::Client")];
        types.extend(imported.then(|| "Client".to_owned()));
        for of in types {
            for colon in [":", ":&"] {
                for (at, _) in source.match_indices(&format!("{colon}{of}")) {
                    let name = |c: char| c.is_alphanumeric() || c == '_';
                    let start = source[..at]
                        .rfind(|c| !name(c))
                        .map_or(0, |before| before + 1);
                    clients.push((source[start..at].to_owned(), service));
                }
            }
        }
        // A file that uses what `Aws` holds.
        clients.push((format!("self.{service}"), service));
    }
    clients.retain(|(name, _)| !name.is_empty());
    clients
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn camel(snake: &str) -> String {
    snake
        .split('_')
        .map(|word| word[..1].to_uppercase() + &word[1..])
        .collect()
}

const READS: [&str; 3] = [
    "controller/src/cloud/aws.rs",
    "controller/src/cloud/aws/ec2.rs",
    "controller/src/cloud/aws/iam.rs",
];
const WRITES: &str = "controller/src/cloud/aws/write.rs";
const LISTS: &str = "controller/src/cloud/aws/organization.rs";
const CONTAINS: &str = "controller/src/cloud/aws/contain.rs";

/// Of the calls that contain, those that a run makes to take ended cuts off: `standing`, `take_off` and
/// `delete_cut`. A cut with a key's switch never ends by itself.
const ENDS_CUTS: [&str; 4] = [
    "iam:DeletePolicy",
    "iam:DetachRolePolicy",
    "iam:DetachUserPolicy",
    "iam:ListPolicies",
];

#[test]
fn the_calls_of_the_code_are_found() {
    let files: BTreeSet<_> = fs::read_dir(at("controller/src/cloud/aws"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let looked_at = READS
        .iter()
        .chain([&WRITES, &CONTAINS, &LISTS])
        .map(|file| Path::new(file).file_name().unwrap().to_str().unwrap());
    let looked_at: BTreeSet<_> = looked_at
        .filter(|file| *file != "aws.rs")
        .map(str::to_owned)
        .collect();
    let others: Vec<_> = files.difference(&looked_at).collect();
    assert_eq!(
        others,
        ["assume.rs", "count.rs"],
        "a file that may make calls, or one with tests: look at it here too"
    );

    let found = calls(&READS);
    assert!(
        found.contains("ec2:DescribeInstances") && found.contains(FREE),
        "{found:?}"
    );
    // Each call is sent once; the macro that reads pages and the tags of a policy send with one text.
    let sent: usize = READS
        .iter()
        .map(|file| text(file).matches(".send()").count())
        .sum();
    let paged =
        text(READS[1]).matches("pages!(").count() + text(READS[2]).matches("pages!(").count();
    assert_eq!(sent - 1 + paged, found.len(), "{found:?}");
    assert_eq!(
        calls(&[WRITES]).len(),
        text(WRITES).matches(".send()").count()
    );
    assert_eq!(
        calls(&[CONTAINS]).len(),
        text(CONTAINS).matches(".send()").count() + text(CONTAINS).matches("pages!(").count()
    );
}

#[test]
fn the_observer_may_make_exactly_the_calls_that_read() {
    let mut reads = calls(&READS);
    assert!(reads.remove(FREE));
    assert_eq!(actions(&policy("observer-policy.json")), reads);
}

#[test]
fn the_controller_may_make_exactly_the_calls_of_the_code() {
    let mut all = calls(&READS);
    assert!(all.remove(FREE));
    all.extend(calls(&[WRITES]));
    let contains = calls(&[CONTAINS]);
    for call in ENDS_CUTS {
        assert!(contains.contains(call), "{call}");
        all.insert(call.to_owned());
    }
    assert_eq!(actions(&policy("controller-policy.json")), all);
}

/// By the job's own role, which assumes the others.
#[test]
fn the_hub_may_make_exactly_the_calls_that_list_an_organisations_accounts() {
    let listed = calls(&[LISTS]);
    assert_eq!(listed.len(), text(LISTS).matches("pages!(").count());
    let hub = text("deploy/cloudformation/hub.yaml");
    let allowed: BTreeSet<String> = hub
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- "))
        .filter(|action| action.starts_with("organizations:"))
        .map(str::to_owned)
        .collect();
    assert_eq!(allowed, listed);
}

/// By whoever goes to accounts as their responder, with the credentials that he has in the job's account.
#[test]
fn a_responders_hub_may_find_out_whose_a_key_is_and_go_there() {
    let mut all = calls(&[LISTS]);
    assert!(calls(&[CONTAINS]).contains("sts:GetAccessKeyInfo"));
    all.extend(["sts:AssumeRole", "sts:GetAccessKeyInfo"].map(str::to_owned));
    assert_eq!(actions(&policy("responder-hub-policy.json")), all);
}

#[test]
fn the_responder_may_make_exactly_the_calls_that_contain() {
    let mut all = calls(&[CONTAINS]);
    // `CreatePolicy` with tags takes it, and a cut's tags and its policy are read by the functions that
    // read a pin's.
    let shared = [
        "iam:TagPolicy",
        "iam:ListPolicyTags",
        "iam:GetPolicy",
        "iam:GetPolicyVersion",
    ];
    all.extend(shared.map(str::to_owned));
    all.remove(FREE);
    assert_eq!(actions(&policy("responder-policy.json")), all);
}

#[test]
fn the_observers_policy_is_the_controllers_without_the_writing() {
    let (observer, controller) = (
        policy("observer-policy.json"),
        policy("controller-policy.json"),
    );
    let shared = statements(&observer).len();
    assert_eq!(statements(&controller)[..shared], statements(&observer)[..]);
    let writes = |action: &String| {
        !["Describe", "Get", "List"]
            .iter()
            .any(|verb| action.contains(&format!(":{verb}")))
    };
    assert_eq!(actions(&observer).into_iter().find(writes), None);
}

#[test]
fn the_policies_fit_their_quotas() {
    for (name, quota) in [
        ("observer-policy.json", POLICY_QUOTA),
        ("controller-policy.json", POLICY_QUOTA),
        ("responder-policy.json", POLICY_QUOTA),
        ("responder-hub-policy.json", POLICY_QUOTA),
        ("scp-guard.json", SCP_QUOTA),
    ] {
        let size = policy(name).to_string().len();
        assert!(size <= quota, "{name} has {size} of {quota} characters");
    }
}

const PIN: &str = "arn:aws:iam::111122223333:policy/credpin/credpin-web";
const OTHER: &str = "arn:aws:iam::111122223333:policy/admin";
const WEB: &str = "arn:aws:iam::111122223333:role/web";
const CONTROLLER: &str = "arn:aws:iam::111122223333:role/credpin-controller";
const CUT: &str = "arn:aws:iam::111122223333:policy/credpin/cuts/cut-0123456789";
const ALICE: &str = "arn:aws:iam::111122223333:user/team/alice";
const RESPONDER: &str = "arn:aws:iam::111122223333:role/credpin-responder";
const BREAK_GLASS: &str = "arn:aws:iam::111122223333:role/credpin-break-glass";

/// A call: what, on what, and with which policy where it attaches or detaches one.
type Call<'a> = (&'a str, &'a str, Option<&'a str>);

async fn decide(
    judge: &Judge,
    policies: Vec<Policy>,
    who: &str,
    call: Call<'_>,
) -> Result<Decision> {
    let (action, resource, attached) = call;
    let mut context = Facts::from([("aws:PrincipalArn".to_owned(), who.into())]);
    context.extend(attached.map(|arn| ("iam:PolicyARN".to_owned(), arn.into())));
    let session = who
        .replace(":iam:", ":sts:")
        .replace(":role/", ":assumed-role/")
        + "/session";
    let question = Question {
        policies,
        principal: session,
        action: action.into(),
        resource: resource.into(),
        context,
    };
    Ok(judge.judge(&question).await?.decision)
}

fn named(name: &str) -> Policy {
    Policy {
        name: name.into(),
        document: policy(name),
    }
}

#[tokio::test]
async fn the_controller_can_touch_its_own_pins_and_nothing_else() -> Result<()> {
    let judge = Judge::start(&Tools::find()?)?;
    let allowed: [Call; 5] = [
        ("ec2:DescribeInstances", "*", None),
        ("iam:CreatePolicy", PIN, None),
        ("iam:TagPolicy", PIN, None),
        ("iam:AttachRolePolicy", WEB, Some(PIN)),
        ("iam:DetachRolePolicy", WEB, Some(PIN)),
    ];
    for call in allowed {
        let decision = decide(
            &judge,
            vec![named("controller-policy.json")],
            CONTROLLER,
            call,
        )
        .await?;
        assert_eq!(decision, Decision::Allowed, "{call:?}");
    }
    let not_allowed: [Call; 6] = [
        ("iam:CreatePolicy", OTHER, None),
        ("iam:CreatePolicyVersion", OTHER, None),
        ("iam:AttachRolePolicy", WEB, Some(OTHER)),
        ("iam:DetachRolePolicy", WEB, Some(OTHER)),
        ("iam:PutRolePolicy", WEB, None),
        ("iam:UpdateAssumeRolePolicy", WEB, None),
    ];
    for call in not_allowed {
        let decision = decide(
            &judge,
            vec![named("controller-policy.json")],
            CONTROLLER,
            call,
        )
        .await?;
        assert_eq!(decision, Decision::Implicit, "{call:?}");
    }
    for call in [allowed[1], allowed[2], allowed[3], allowed[4]] {
        let decision = decide(
            &judge,
            vec![named("observer-policy.json")],
            CONTROLLER,
            call,
        )
        .await?;
        assert_eq!(decision, Decision::Implicit, "the observer: {call:?}");
    }
    Ok(())
}

#[tokio::test]
async fn the_responder_can_make_cuts_and_nothing_else() -> Result<()> {
    let judge = Judge::start(&Tools::find()?)?;
    let cases: [(Call, Decision); 13] = [
        (("iam:CreatePolicy", CUT, None), Decision::Allowed),
        (("iam:DeletePolicy", CUT, None), Decision::Allowed),
        (("iam:AttachRolePolicy", WEB, Some(CUT)), Decision::Allowed),
        (("iam:DetachRolePolicy", WEB, Some(CUT)), Decision::Allowed),
        (
            ("iam:AttachUserPolicy", ALICE, Some(CUT)),
            Decision::Allowed,
        ),
        (
            ("iam:DetachUserPolicy", ALICE, Some(CUT)),
            Decision::Allowed,
        ),
        (("iam:UpdateAccessKey", ALICE, None), Decision::Allowed),
        (("iam:CreatePolicy", PIN, None), Decision::Implicit),
        (("iam:DetachRolePolicy", WEB, Some(PIN)), Decision::Implicit),
        (
            ("iam:AttachUserPolicy", ALICE, Some(OTHER)),
            Decision::Implicit,
        ),
        (("iam:CreatePolicyVersion", CUT, None), Decision::Implicit),
        (("iam:CreateAccessKey", ALICE, None), Decision::Implicit),
        (("iam:DeleteUser", ALICE, None), Decision::Implicit),
    ];
    for (call, wanted) in cases {
        // Under the SCP too.
        let responder = vec![named("responder-policy.json")];
        let decision = decide(&judge, responder, RESPONDER, call).await?;
        assert_eq!(decision, wanted, "{call:?}");
        let guarded = vec![named("scp-guard.json"), allow_everything()];
        let decision = decide(&judge, guarded, RESPONDER, call).await?;
        assert_eq!(decision, Decision::Allowed, "the guard: {call:?}");
    }
    let runs: [(Call, Decision); 4] = [
        (("iam:DeletePolicy", CUT, None), Decision::Allowed),
        (
            ("iam:DetachUserPolicy", ALICE, Some(CUT)),
            Decision::Allowed,
        ),
        (("iam:DeletePolicy", PIN, None), Decision::Implicit),
        (
            ("iam:AttachUserPolicy", ALICE, Some(CUT)),
            Decision::Implicit,
        ),
    ];
    for (call, wanted) in runs {
        let controller = vec![named("controller-policy.json")];
        let decision = decide(&judge, controller, CONTROLLER, call).await?;
        assert_eq!(decision, wanted, "the controller: {call:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_responders_hub_becomes_the_responder_and_nobody_else() -> Result<()> {
    let judge = Judge::start(&Tools::find()?)?;
    let hub = "arn:aws:iam::444455556666:role/credpin-responder-hub";
    let cases: [(Call, Decision); 4] = [
        (("sts:AssumeRole", RESPONDER, None), Decision::Allowed),
        (("sts:AssumeRole", CONTROLLER, None), Decision::Implicit),
        (("sts:AssumeRole", BREAK_GLASS, None), Decision::Implicit),
        (("iam:CreatePolicy", CUT, None), Decision::Implicit),
    ];
    for (call, wanted) in cases {
        let policies = vec![named("responder-hub-policy.json")];
        let decision = decide(&judge, policies, hub, call).await?;
        assert_eq!(decision, wanted, "{call:?}");
    }
    Ok(())
}

#[tokio::test]
async fn under_the_guard_nobody_takes_a_cut_off_who_is_not_to() -> Result<()> {
    let judge = Judge::start(&Tools::find()?)?;
    let policies = || vec![named("scp-guard.json"), allow_everything()];
    let takes_off: [Call; 4] = [
        ("iam:DetachUserPolicy", ALICE, Some(CUT)),
        ("iam:DetachRolePolicy", WEB, Some(CUT)),
        ("iam:DeletePolicy", CUT, None),
        ("iam:UpdateAssumeRolePolicy", RESPONDER, None),
    ];
    let admin = "arn:aws:iam::111122223333:role/admin";
    for call in takes_off {
        for who in [admin, WEB] {
            let decision = decide(&judge, policies(), who, call).await?;
            assert_eq!(decision, Decision::Denied, "{who}: {call:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_policies_hold_in_every_partition() -> Result<()> {
    let judge = Judge::start(&Tools::find()?)?;
    for partition in ["aws", "aws-cn", "aws-us-gov"] {
        let here = |arn: &str| arn.replacen("arn:aws:", &format!("arn:{partition}:"), 1);
        let (pin, web) = (here(PIN), here(WEB));
        let (attach, create) = (
            ("iam:AttachRolePolicy", &*web, Some(&*pin)),
            ("iam:CreatePolicy", &*pin, None),
        );
        for (who, policies, decision) in [
            (
                CONTROLLER,
                vec![named("controller-policy.json")],
                Decision::Allowed,
            ),
            (
                CONTROLLER,
                vec![named("scp-guard.json"), allow_everything()],
                Decision::Allowed,
            ),
            (
                WEB,
                vec![named("scp-guard.json"), allow_everything()],
                Decision::Denied,
            ),
        ] {
            for call in [attach, create] {
                let decided = decide(&judge, policies.clone(), &here(who), call).await?;
                assert_eq!(decided, decision, "{partition}: {who}: {call:?}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn under_the_guard_only_the_controller_touches_pins() -> Result<()> {
    let judge = Judge::start(&Tools::find()?)?;
    let admin = "arn:aws:iam::111122223333:role/admin";
    let policies = || vec![named("scp-guard.json"), allow_everything()];
    let on_pins: [Call; 4] = [
        ("iam:CreatePolicyVersion", PIN, None),
        ("iam:DeletePolicy", PIN, None),
        ("iam:UntagPolicy", PIN, None),
        ("iam:DetachRolePolicy", WEB, Some(PIN)),
    ];
    for call in on_pins {
        assert_eq!(
            decide(&judge, policies(), admin, call).await?,
            Decision::Denied,
            "{call:?}"
        );
        assert_eq!(
            decide(&judge, policies(), WEB, call).await?,
            Decision::Denied,
            "{call:?}"
        );
        for who in [CONTROLLER, BREAK_GLASS] {
            assert_eq!(
                decide(&judge, policies(), who, call).await?,
                Decision::Allowed,
                "{who}: {call:?}"
            );
        }
    }
    let on_the_controller: [Call; 2] = [
        ("iam:UpdateAssumeRolePolicy", CONTROLLER, None),
        ("iam:PassRole", CONTROLLER, None),
    ];
    for call in on_the_controller {
        assert_eq!(
            decide(&judge, policies(), admin, call).await?,
            Decision::Denied,
            "{call:?}"
        );
        assert_eq!(
            decide(&judge, policies(), CONTROLLER, call).await?,
            Decision::Denied,
            "{call:?}"
        );
        assert_eq!(
            decide(&judge, policies(), BREAK_GLASS, call).await?,
            Decision::Allowed,
            "{call:?}"
        );
    }
    let others: [Call; 3] = [
        ("iam:DetachRolePolicy", WEB, Some(OTHER)),
        ("iam:CreatePolicy", OTHER, None),
        ("iam:UpdateAssumeRolePolicy", WEB, None),
    ];
    for call in others {
        assert_eq!(
            decide(&judge, policies(), admin, call).await?,
            Decision::Allowed,
            "{call:?}"
        );
    }
    Ok(())
}
