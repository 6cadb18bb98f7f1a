//! The independent judge of policies: `@cloud-copilot/iam-simulate`, in a process of its own.
//!
//! Where it is known not to follow IAM is in `judge/semantics.json`. What matters to
//! whoever compares an evaluator with it: it takes `0.0.0.0/0` for `0.0.0.0` alone, compares an
//! address without prefix length as text (and never across families), and lets a negated string
//! operator fail, not match, where a policy variable has no value.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use credpin_core::policy::{Piece, Statement, Test};
use credpin_core::request::Request;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::peer::Peer;
use crate::tools::Tools;

/// The judge's process.
#[derive(Debug)]
pub struct Judge(Peer);

/// A request, and the identity policies of the role that makes it.
#[derive(Clone, Debug, Serialize)]
pub struct Question {
    /// Every policy in force, allowing ones too: a pin only denies.
    pub policies: Vec<Policy>,
    /// The session's ARN, `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`.
    pub principal: String,
    /// Such as `dynamodb:ListTables`. One that AWS does not have cannot be judged.
    pub action: String,
    /// The resource's ARN, or `*` for an action that takes no resource, and only for such.
    pub resource: String,
    /// The request's condition keys.
    pub context: Facts,
}

/// A policy document and the name by which the verdict speaks of it.
#[derive(Clone, Debug, Serialize)]
pub struct Policy {
    /// Unique in a question.
    pub name: String,
    /// The document, as IAM stores it.
    pub document: Value,
}

/// The policy of the resource that a request is for.
#[derive(Clone, Debug, Serialize)]
pub struct ResourcePolicy {
    /// By which the verdict speaks of it.
    pub name: String,
    /// The document.
    pub document: Value,
    /// The account that the resource lies in.
    pub account: String,
}

/// Condition keys and their values.
pub type Facts = BTreeMap<String, Fact>;

/// The value of a condition key, single or multivalued as the key is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Fact {
    /// Most keys.
    One(String),
    /// `aws:CalledVia` and its like.
    Many(Vec<String>),
}

impl<S: Into<String>> From<S> for Fact {
    fn from(value: S) -> Self {
        Self::One(value.into())
    }
}

/// What the judge says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Verdict {
    /// Whether the request passes.
    pub decision: Decision,
    /// The statements that decided: the denying ones if any, else the allowing ones.
    pub by: Vec<Decisive>,
}

/// Whether a request passes, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// Allowed, and nothing denied it.
    Allowed,
    /// A statement denied it.
    Denied,
    /// Nothing allowed it.
    Implicit,
}

/// A statement that decided.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Decisive {
    /// The policy's name in the question.
    pub policy: String,
    /// The statement's Sid, or its position from 1 where it has none.
    pub statement: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Verdict(Verdict),
    Error { error: String },
}

impl Judge {
    /// Starts it.
    pub fn start(tools: &Tools) -> Result<Self> {
        Ok(Self(Peer::start(tools.judge()?)?))
    }

    /// Judges one request. A document that IAM's grammar forbids, an action or a key that AWS does not
    /// have, and a pattern for a resource are errors.
    pub async fn judge(&self, question: &Question) -> Result<Verdict> {
        verdict(question, self.0.ask(question).await?)
    }

    /// Judges one request for a resource that has a policy of its own.
    pub async fn judge_there(
        &self,
        question: &Question,
        there: &ResourcePolicy,
    ) -> Result<Verdict> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct There<'a> {
            #[serde(flatten)]
            question: &'a Question,
            resource_policy: &'a ResourcePolicy,
        }
        let asked = There {
            question,
            resource_policy: there,
        };
        verdict(question, self.0.ask(&asked).await?)
    }

    /// Judges many, at some thousand a second.
    pub async fn judge_all(&self, questions: &[Question]) -> Result<Vec<Verdict>> {
        let answers = self.0.ask_all(questions).await?;
        let pairs = questions.iter().zip(answers);
        pairs.map(|(q, answer)| verdict(q, answer)).collect()
    }
}

/// The policy that a question adds to a pin, so that only a denial is left to decide.
pub fn allow_everything() -> Policy {
    Policy {
        name: "allow-everything".into(),
        document: json!({
            "Version": "2012-10-17",
            "Statement": [{"Sid": "All", "Effect": "Allow", "Action": "*", "Resource": "*"}],
        }),
    }
}

/// The one rule that the judge is known to get wrong and that what we write meets: a negated operator
/// matches a variable without a value (IAM User Guide, "IAM policy elements: Variables and tags",
/// section "Policy variables with no value"). The judge lets it fail.
pub fn lets_fail(statement: &Statement, request: &Request) -> bool {
    let absent =
        |piece: &Piece| matches!(piece, Piece::Variable(key) if request.value(*key).is_none());
    statement.conditions().any(|(key, test)| match test {
        Test::StringNotEquals(texts) | Test::StringNotEqualsIfExists(texts) => {
            request.value(key).is_some() && texts.iter().any(|text| text.0.iter().any(absent))
        }
        _ => false,
    })
}

fn verdict(question: &Question, answer: Answer) -> Result<Verdict> {
    match answer {
        Answer::Verdict(verdict) => Ok(verdict),
        Answer::Error { error } => bail!("the judge cannot tell: {error}; asked: {question:?}"),
    }
}
