//! Widen, wait, narrow (invariant 7): the steps from the documents of a role to other ones.
//!
//! IAM shows each write late and each on its own, so for a while a call may be judged by any mix of
//! documents from before a write and after it. Two things hold for every such mix: no host that the
//! old or the new documents admit is denied by what these steps write, and no call is admitted that
//! both the old and the new documents deny.
//!
//! So each policy goes by way of a *union*: of its own statements each with every one that is to
//! come, and of its statements to come each with every one that there is, what both of them deny.
//! A union denies nothing that the old documents or the new ones admit. It still denies whatever its
//! own old document and the new ones deny, so it can stand beside old documents; and whatever the
//! old ones and its own new document deny, so it can stand beside new ones. Old and new ones never
//! stand side by side: between the two there is a wait until all of IAM has the unions.
//!
//! Where the union is what is in force already, or what is to come, there is one write and not two.

use jiff::Timestamp;

use super::Step;
use crate::{
    estate::LivePolicy,
    id::{Arn, PolicyName, RoleName},
    policy::{Digest, Document, MANAGED_POLICY_QUOTA, Statement},
    settings::Propagation,
};

mod union;

use union::Unions;

/// A policy of a role on its way.
pub(super) struct Way<'a> {
    pub(super) policy: &'a PolicyName,
    pub(super) arn: &'a Arn,
    /// The policy as it is in IAM.
    pub(super) live: Option<&'a LivePolicy>,
    pub(super) attached: bool,
    /// What it says now, where that can be read.
    pub(super) now: Option<&'a Document>,
    /// Whether that is as it was written. Where not, it is written again.
    pub(super) is_ours: bool,
    /// What it is to say; none where it goes.
    pub(super) then: Option<&'a Document>,
}

/// What steps are made under.
pub(super) struct Rules<'a> {
    pub(super) role: &'a RoleName,
    pub(super) propagation: Propagation,
    pub(super) now: Timestamp,
    /// Whether a document denies a live host.
    pub(super) locks_out: &'a dyn Fn(&Document) -> bool,
}

/// The steps, and what there is to say of them.
#[derive(Debug, Default)]
pub(super) struct Transition {
    pub(super) steps: Vec<Step>,
    /// How many of them only widen. What is left out behind these leaves more admitted, and nobody
    /// locked out.
    pub(super) widening: usize,
    /// Documents that are in force on the way only.
    pub(super) unions: Vec<Document>,
    /// Statements that have no room in a union: what they deny is open until the end.
    pub(super) dropped: Vec<String>,
}

/// The steps that lead along all of `ways`.
pub(super) fn steps(ways: &[Way<'_>], rules: &Rules<'_>) -> Transition {
    let unions = Unions::of(ways);
    let mut stages = Stages::default();
    for way in ways {
        stages.add(way, &unions, rules);
    }
    let wait = |seconds| {
        (seconds > 0).then(|| Step::Wait {
            role: rules.role.clone(),
            seconds,
        })
    };
    let mut steps = stages.prepare;
    if !stages.widen.is_empty() {
        steps.extend(wait(stages.before_widening));
    }
    let attached = ways.iter().filter(|way| way.attached);
    let before_narrowing = if stages.widen.is_empty() {
        attached.map(|way| settling(way, rules)).max().unwrap_or(0)
    } else {
        rules.propagation.seconds()
    };
    steps.append(&mut stages.widen);
    let widening = steps.len();
    if !stages.narrow.is_empty() {
        steps.extend(wait(before_narrowing));
        steps.append(&mut stages.narrow);
    }
    Transition {
        steps,
        widening,
        unions: stages.unions,
        dropped: stages.dropped,
    }
}

/// How many seconds part of IAM may still not have what a policy says, or that it is attached; an earlier run may have been
/// killed on its way. Where nothing tells when that was, it may have been a moment ago.
fn settling(way: &Way<'_>, rules: &Rules<'_>) -> u64 {
    let all = rules.propagation.seconds();
    let version = way.live.and_then(LivePolicy::in_force);
    let made = version.and_then(|version| version.created);
    made.map_or(all, |made| {
        let passed = rules.now.duration_since(made).as_secs();
        all.saturating_sub(u64::try_from(passed).unwrap_or(0))
    })
}

/// Steps by when they are done.
#[derive(Default)]
struct Stages {
    /// Puts documents down that nothing is attached to yet.
    prepare: Vec<Step>,
    /// Seconds until all of IAM has these.
    before_widening: u64,
    widen: Vec<Step>,
    narrow: Vec<Step>,
    unions: Vec<Document>,
    dropped: Vec<String>,
}

impl Stages {
    fn add(&mut self, way: &Way<'_>, unions: &Unions<'_>, rules: &Rules<'_>) {
        match (way.attached, way.then) {
            (false, None) => {}
            (true, None) => self.leave(way, unions, rules),
            (true, Some(then)) => self.replace(way, then, unions, rules),
            (false, Some(then)) => self.join(way, then, unions, rules),
        }
    }

    /// A policy that goes.
    fn leave(&mut self, way: &Way<'_>, unions: &Unions<'_>, rules: &Rules<'_>) {
        let mut writer = Writer::new(way, rules);
        if let Some(union) = self.union(way, unions)
            && !writer.says_what(&union)
        {
            self.widen.extend(writer.write(&union));
            self.unions.push(union);
        }
        self.narrow.push(Step::Detach {
            role: rules.role.clone(),
            arn: way.arn.clone(),
        });
    }

    /// A policy that says something else then.
    fn replace(&mut self, way: &Way<'_>, then: &Document, unions: &Unions<'_>, rules: &Rules<'_>) {
        if way.is_ours && way.now == Some(then) {
            return;
        }
        let mut writer = Writer::new(way, rules);
        match self.union(way, unions) {
            Some(union) if union.says_what(then) => {
                self.widen.extend(writer.write(then));
                return;
            }
            Some(union) if !writer.says_what(&union) => {
                self.widen.extend(writer.write(&union));
                self.unions.push(union);
            }
            _ => {}
        }
        self.narrow.extend(writer.write(then));
    }

    /// A policy that is attached: made first where there is none, else brought up to date.
    fn join(&mut self, way: &Way<'_>, then: &Document, unions: &Unions<'_>, rules: &Rules<'_>) {
        let mut writer = Writer::new(way, rules);
        let union = self.union(way, unions);
        let is_late = union.is_none() && !unions.is_first();
        let union = union.filter(|union| !unions.is_first() && !union.says_what(then));
        let first = union.as_ref().unwrap_or(then);
        // Part of IAM may see the attachment and still the document of before.
        let is_harmless = |before: Option<&Document>| {
            unions.is_first() && before.is_some_and(|before| !(rules.locks_out)(before))
        };
        let mut steps = Vec::new();
        match (way.live, way.now) {
            (None, _) => steps.push(Step::CreatePolicy {
                role: rules.role.clone(),
                policy: way.policy.clone(),
                arn: way.arn.clone(),
                document: first.sealed(),
            }),
            (Some(live), Some(now)) if way.is_ours && now == first => {
                let before = live.previous().and_then(|version| version.text.as_deref());
                if before.is_some_and(|text| !is_harmless(Document::parse(text).ok().as_ref())) {
                    self.before_widening = self.before_widening.max(settling(way, rules));
                }
            }
            (Some(_), now) if is_harmless(now) => steps = writer.write(first),
            (Some(_), _) => {
                self.prepare.extend(writer.write(first));
                self.before_widening = rules.propagation.seconds();
            }
        }
        let says = if way.live.is_none() {
            Some(first.sealed().digest())
        } else {
            writer.says()
        };
        steps.push(Step::Attach {
            role: rules.role.clone(),
            arn: way.arn.clone(),
            says,
        });
        // What it denies, nothing denies yet: it takes away, and so it waits.
        let stage = if is_late {
            &mut self.narrow
        } else {
            &mut self.widen
        };
        stage.append(&mut steps);
        if let Some(union) = union {
            self.narrow.extend(writer.write(then));
            self.unions.push(union);
        }
    }

    /// The union of a policy, as far as it fits; none where it would deny nothing.
    fn union(&mut self, way: &Way<'_>, unions: &Unions<'_>) -> Option<Document> {
        let mut union = unions.of_policy(way);
        while union.sealed_size() > MANAGED_POLICY_QUOTA {
            let size = |statement: &Statement| {
                Document {
                    statements: vec![statement.clone()],
                }
                .size()
            };
            let sizes = union.statements.iter().map(size).enumerate();
            let (largest, _) = sizes.max_by_key(|(_, size)| *size)?;
            self.dropped.push(union.statements.remove(largest).sid);
        }
        (!union.statements.is_empty()).then_some(union)
    }
}

/// Writes to a policy, one after the other; each makes room for itself where there is none.
struct Writer<'a> {
    way: &'a Way<'a>,
    role: &'a RoleName,
    after: Option<LivePolicy>,
}

impl<'a> Writer<'a> {
    fn new(way: &'a Way<'a>, rules: &'a Rules<'a>) -> Self {
        Self {
            way,
            role: rules.role,
            after: way.live.cloned(),
        }
    }

    /// Whether the policy says so already.
    fn says_what(&self, document: &Document) -> bool {
        self.way.now.is_some_and(|now| now.says_what(document))
    }

    /// What is in force after all that was written.
    fn says(&self) -> Option<Digest> {
        let version = self.after.as_ref()?.in_force()?;
        version.text.as_deref().map(Digest::of_text)
    }

    fn write(&mut self, document: &Document) -> Vec<Step> {
        let arn = || self.way.arn.clone();
        let role = || self.role.clone();
        let mut steps = Vec::new();
        if let Some(policy) = &mut self.after
            && let Some(version) = policy.version_to_prune()
        {
            policy.versions.retain(|it| it.id != version);
            steps.push(Step::DeleteVersion {
                role: role(),
                arn: arn(),
                version,
            });
        }
        let replaces = self.says();
        let document = document.sealed();
        if let Some(policy) = &mut self.after {
            policy.put_in_force(document.to_json());
        }
        steps.push(Step::CreateVersion {
            role: role(),
            arn: arn(),
            replaces,
            document,
        });
        steps
    }
}

#[cfg(test)]
mod tests;
