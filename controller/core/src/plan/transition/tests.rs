//! Whatever part of what was written a part of IAM sees.

use proptest::prelude::*;

use super::*;
use crate::{
    estate::LiveVersion,
    evaluate,
    id::VersionId,
    policy::arbitrary::{request, statement},
    request::Request,
};

/// A policy in IAM, and every view of it that a part of IAM may still have.
#[derive(Clone, Debug)]
struct Policy {
    name: PolicyName,
    arn: Arn,
    live: Option<LivePolicy>,
    attached: bool,
    documents: Vec<Option<Document>>,
    attachments: Vec<bool>,
}

impl Policy {
    fn new(number: usize, versions: usize, attached: bool, now: Option<&Document>) -> Self {
        let name: PolicyName = format!("credpin-web-{number}").parse().unwrap();
        let arn: Arn = format!("arn:aws:iam::111122223333:policy/credpin/{name}")
            .parse()
            .unwrap();
        let version = |at: usize, document: &Document| LiveVersion {
            id: VersionId::of_number(at as u64 + 1),
            default: at + 1 == versions,
            created: None,
            text: Some(document.to_json()),
        };
        let live = now.map(|now| LivePolicy {
            name: name.clone(),
            arn: arn.clone(),
            released: false,
            versions: (0..versions).map(|at| version(at, now)).collect(),
        });
        let attached = attached && live.is_some();
        Self {
            name,
            arn,
            live,
            attached,
            documents: vec![now.cloned()],
            attachments: vec![attached],
        }
    }

    fn now(&self) -> Option<&Document> {
        self.documents.last().unwrap().as_ref()
    }

    fn says(&mut self, document: &Document) {
        self.documents.push(Some(document.clone()));
    }

    fn settle(&mut self) {
        self.documents.drain(..self.documents.len() - 1);
        self.attachments = vec![self.attached];
    }

    fn is_attached(&mut self, attached: bool) {
        assert_ne!(self.attached, attached);
        self.attached = attached;
        self.attachments.push(attached);
    }

    fn may_admit(&self, call: &Request) -> bool {
        let admits = |document: &Option<Document>| !denies(call, document.as_ref());
        self.attachments.contains(&false) || self.documents.iter().any(admits)
    }

    fn may_deny(&self, call: &Request) -> bool {
        let denies = |document: &Option<Document>| denies(call, document.as_ref());
        self.attachments.contains(&true) && self.documents.iter().any(denies)
    }
}

fn denies(call: &Request, document: Option<&Document>) -> bool {
    evaluate::denied_by(document, call).is_some()
}

fn carry_out(step: &Step, policies: &mut [Policy]) {
    let Some(arn) = step.arn() else {
        policies.iter_mut().for_each(Policy::settle);
        return;
    };
    let policy = policies.iter_mut().find(|it| it.arn == *arn).unwrap();
    if let Step::CreatePolicy { document, .. } | Step::CreateVersion { document, .. } = step {
        credpin_witness::note(document.to_json());
    }
    match step {
        Step::CreatePolicy { document, .. } => {
            let made = Policy::new(0, 1, false, Some(document)).live.unwrap();
            assert!(policy.live.replace(made).is_none());
            // Until it is attached, nobody can have seen it without a document.
            policy.documents = vec![document.unsealed()];
        }
        Step::CreateVersion { document, .. } => {
            let live = policy.live.as_mut().unwrap();
            assert!(live.versions.len() < 5, "a sixth version");
            live.put_in_force(document.to_json());
            policy.says(&document.unsealed().unwrap());
        }
        Step::DeleteVersion { version, .. } => {
            let versions = &mut policy.live.as_mut().unwrap().versions;
            let at = versions.iter().position(|it| it.id == *version).unwrap();
            assert!(!versions.remove(at).default, "in force");
        }
        Step::Attach { .. } => policy.is_attached(true),
        Step::Detach { .. } => policy.is_attached(false),
        Step::Wait { .. } => unreachable!("a wait has no policy"),
    }
}

fn plan(policies: &[Policy], then: &[Option<Document>], live: &[&Request]) -> Transition {
    let ways: Vec<Way<'_>> = policies
        .iter()
        .zip(then)
        .map(|(policy, then)| Way {
            policy: &policy.name,
            arn: &policy.arn,
            live: policy.live.as_ref(),
            attached: policy.attached,
            now: policy.now(),
            is_ours: true,
            then: then.as_ref(),
        })
        .collect();
    let locks_out = |document: &Document| {
        let mut live = live.iter();
        live.any(|call| evaluate::denied_by([document], call).is_some())
    };
    let rules = Rules {
        role: &"web".parse().unwrap(),
        propagation: Propagation::default(),
        now: Timestamp::UNIX_EPOCH,
        locks_out: &locks_out,
    };
    steps(&ways, &rules)
}

#[derive(Clone, Debug)]
struct World {
    policies: Vec<Policy>,
    then: Vec<Option<Document>>,
    calls: Vec<Request>,
}

/// Three policies whose statements, before and after, come from one pool: some stay, some go, some
/// move from one policy to another.
fn world() -> impl Strategy<Value = World> {
    let pool = prop::collection::vec(statement(false), 4);
    let subset = || {
        prop::option::weighted(
            0.7,
            prop::sample::subsequence((0..4).collect::<Vec<usize>>(), 1..4),
        )
    };
    let policy = (subset(), subset(), prop::bool::weighted(0.8), 1..6_usize);
    (
        pool,
        prop::collection::vec(policy, 3),
        prop::collection::vec(request(), 24),
    )
        .prop_map(|(pool, policies, calls)| {
            let document = |numbers: &Vec<usize>| Document {
                statements: numbers
                    .iter()
                    .map(|number| {
                        let mut statement = pool[*number].clone();
                        statement.sid = format!("S{number}");
                        statement
                    })
                    .collect(),
            };
            let then = policies
                .iter()
                .map(|(_, then, ..)| then.as_ref().map(document));
            let now = policies
                .iter()
                .enumerate()
                .map(|(at, (now, _, attached, versions))| {
                    Policy::new(
                        at,
                        *versions,
                        *attached,
                        now.as_ref().map(document).as_ref(),
                    )
                });
            World {
                policies: now.collect(),
                then: then.collect(),
                calls,
            }
        })
}

fn denied_before(world: &World, call: &Request) -> bool {
    world.policies.iter().any(|policy| policy.may_deny(call))
}

fn denied_after(world: &World, call: &Request) -> bool {
    evaluate::denied_by(world.then.iter().flatten(), call).is_some()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// A run is killed after so many steps, and the next one begins at once. Whatever a part of IAM
    /// sees at any moment of it.
    #[test]
    fn no_mix_of_old_and_new_locks_out_or_lets_in(world in world(), killed_after in 0..12_usize) {
        let before: Vec<bool> = world.calls.iter().map(|call| denied_before(&world, call)).collect();
        let after: Vec<bool> = world.calls.iter().map(|call| denied_after(&world, call)).collect();
        let is_first = world.policies.iter().all(|policy| !policy.attached);
        let live: Vec<&Request> = world.calls.iter().zip(before.iter().zip(&after))
            .filter_map(|(call, (before, after))| (!before && !after).then_some(call)).collect();
        let mut policies = world.policies.clone();
        let mut narrowing = false;
        let mut done = 0;
        for run in 0..2 {
            let transition = plan(&policies, &world.then, &live);
            prop_assert_eq!(&transition.dropped, &Vec::<String>::new());
            let count = if run == 0 { killed_after } else { usize::MAX };
            for (at, step) in transition.steps.iter().enumerate().take(count) {
                narrowing |= at >= transition.widening;
                carry_out(step, &mut policies);
                done += 1;
                if let Step::CreatePolicy { document, .. } | Step::CreateVersion { document, .. } = step {
                    for (call, after) in world.calls.iter().zip(&after) {
                        let denied = evaluate::denied_by([document], call).is_some();
                        prop_assert!(!denied || *after, "{:?}: what is written denies what is to be admitted", call);
                    }
                }
                for (call, (before, after)) in world.calls.iter().zip(before.iter().zip(&after)) {
                    let may_admit = policies.iter().all(|policy| policy.may_admit(call));
                    let may_deny = policies.iter().any(|policy| policy.may_deny(call));
                    match (before, after) {
                        (true, true) => prop_assert!(!may_admit, "step {}: {:?} gets in", done, call),
                        (false, false) => prop_assert!(!may_deny, "step {}: {:?} is locked out", done, call),
                        (false, true) if !narrowing && !is_first => prop_assert!(!may_deny, "step {}: {:?} is locked out early", done, call),
                        _ => {}
                    }
                }
            }
        }
        for (policy, then) in policies.iter().zip(&world.then) {
            prop_assert_eq!(policy.attached, then.is_some());
            if then.is_some() {
                prop_assert_eq!(policy.now(), then.as_ref());
            }
        }
        prop_assert_eq!(plan(&policies, &world.then, &live).steps, vec![]);
    }
}
