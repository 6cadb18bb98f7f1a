//! The judge is worth asking only where it follows IAM. `judge/semantics.json` has what it is known to get
//! right of what pins use, by IAM's own documentation, and what it is known to get wrong.
//!
//! Sources: IAM User Guide, "IAM JSON policy elements: Condition operators", "Policy variables" and
//! "Single-valued vs. multivalued context keys".

use anyhow::Result;
use credpin_e2e::judge::{Decision, Facts, Judge, Policy, Question, allow_everything};
use credpin_e2e::tools::Tools;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Semantics {
    follows: Vec<Case>,
    deviates: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    why: String,
    /// Of a Deny.
    condition: Value,
    context: Value,
    /// Whether IAM says that the Deny holds.
    denied: bool,
}

#[tokio::test]
async fn judge_follows_iam_in_what_pins_use() -> Result<()> {
    let judge = Judge::start(&Tools::find()?)?;
    for case in semantics()?.follows {
        let denied = denied(&judge, &case).await?;
        assert_eq!(denied, case.denied, "{}: {}", case.why, case.condition);
    }
    Ok(())
}

/// An upgrade of the judge that mends one of these shows here.
#[tokio::test]
async fn judge_deviates_from_iam_where_it_is_known_to() -> Result<()> {
    let judge = Judge::start(&Tools::find()?)?;
    for case in semantics()?.deviates {
        let denied = denied(&judge, &case).await?;
        assert_ne!(denied, case.denied, "mended? {}", case.why);
    }
    Ok(())
}

#[tokio::test]
async fn judge_names_the_statement_that_decided() -> Result<()> {
    let judge = Judge::start(&Tools::find()?)?;
    let deny = question(&json!({"Null": {"aws:SourceVpc": "true"}}), &json!({}));
    let verdict = judge.judge(&deny).await?;
    assert_eq!(verdict.decision, Decision::Denied);
    assert_eq!(
        (
            verdict.by[0].policy.as_str(),
            verdict.by[0].statement.as_str()
        ),
        ("pin", "Pin")
    );

    let nothing_allows = Question {
        policies: deny.policies[1..].to_vec(),
        context: facts(&json!({"aws:SourceVpc": "vpc-1"})),
        ..deny
    };
    assert_eq!(
        judge.judge(&nothing_allows).await?.decision,
        Decision::Implicit
    );
    Ok(())
}

/// Silence would be worse than an error: each of these would otherwise judge another question.
#[tokio::test]
async fn judge_refuses_questions_that_it_would_misread() -> Result<()> {
    let judge = Judge::start(&Tools::find()?)?;
    let good = question(&json!({"Null": {"aws:SourceVpc": "true"}}), &json!({}));
    for (bad, why) in [
        (
            Question {
                action: "dynamodb:NoSuchCall".into(),
                ..good.clone()
            },
            "invalid.action",
        ),
        (
            Question {
                action: "nosuch:ListTables".into(),
                ..good.clone()
            },
            "invalid.service",
        ),
        (
            Question {
                action: "s3:GetObject".into(),
                ..good.clone()
            },
            "is a pattern",
        ),
        (
            Question {
                context: facts(&json!({"aws:Via": "x"})),
                ..good.clone()
            },
            "ignores aws:Via",
        ),
        (
            question(&json!({"Nul": {"aws:SourceVpc": "true"}}), &json!({})),
            "Condition",
        ),
    ] {
        let error = judge.judge(&bad).await.expect_err(why);
        assert!(format!("{error:#}").contains(why), "{error:#}");
    }
    assert_eq!(
        judge.judge(&good).await?.decision,
        Decision::Denied,
        "it must go on after an error"
    );
    Ok(())
}

#[tokio::test]
async fn judge_answers_many_in_order() -> Result<()> {
    let judge = Judge::start(&Tools::find()?)?;
    let condition = json!({"NotIpAddress": {"aws:SourceIp": "198.51.100.0/25"}});
    let questions: Vec<_> = (0..1000_u32)
        .map(|i| {
            question(
                &condition,
                &json!({"aws:SourceIp": format!("198.51.100.{}", i % 256)}),
            )
        })
        .collect();
    for (i, verdict) in judge.judge_all(&questions).await?.into_iter().enumerate() {
        let expected = if i % 256 < 128 {
            Decision::Allowed
        } else {
            Decision::Denied
        };
        assert_eq!(verdict.decision, expected, "question {i}");
    }
    Ok(())
}

fn semantics() -> Result<Semantics> {
    Ok(serde_json::from_str(include_str!(
        "../judge/semantics.json"
    ))?)
}

async fn denied(judge: &Judge, case: &Case) -> Result<bool> {
    let verdict = judge
        .judge(&question(&case.condition, &case.context))
        .await?;
    Ok(verdict.decision == Decision::Denied)
}

fn question(condition: &Value, context: &Value) -> Question {
    let document = json!({
        "Version": "2012-10-17",
        "Statement": [{"Sid": "Pin", "Effect": "Deny", "NotAction": ["es:ES*", "rds-db:connect"], "Resource": "*", "Condition": condition}],
    });
    Question {
        policies: vec![
            allow_everything(),
            Policy {
                name: "pin".into(),
                document,
            },
        ],
        principal: "arn:aws:sts::123456789012:assumed-role/web/i-0a".into(),
        action: "dynamodb:ListTables".into(),
        resource: "*".into(),
        context: facts(context),
    }
}

fn facts(context: &Value) -> Facts {
    serde_json::from_value(context.clone()).expect("a test's own literal")
}
