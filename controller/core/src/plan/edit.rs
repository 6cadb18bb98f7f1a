//! What somebody else did to a policy of ours.

use serde::Serialize;

use super::{Difference, PinPolicy, difference};
use crate::{
    estate::{LivePolicy, LiveVersion},
    id::Arn,
    policy::Document,
};

/// A policy in force that is not as credpin wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Edit {
    /// The policy.
    pub policy: Arn,
    /// How it can be told.
    pub why: String,
    /// What was changed since the newest version that is as credpin wrote it, where both can be read.
    pub changes: Vec<Difference>,
    /// What it says now, where that can be read.
    #[serde(skip)]
    pub(super) document: Option<Document>,
}

/// What a live policy has in force, or what somebody else made of it.
pub(super) fn read_policy(live: &LivePolicy) -> Result<PinPolicy, Edit> {
    let edit = |why: String, document: Option<Document>| {
        let written = live.earlier().into_iter().find_map(written);
        let changes = document.as_ref().zip(written);
        Edit {
            policy: live.arn.clone(),
            why,
            changes: changes.map_or_else(Vec::new, |(now, old)| difference(&[&old], &[now])),
            document,
        }
    };
    let text = live
        .in_force()
        .and_then(|version| version.text.as_deref())
        .ok_or_else(|| edit("no version in force could be read".into(), None))?;
    let document = Document::parse(text).map_err(|error| edit(error.to_string(), None))?;
    match document.unseal() {
        Ok(unsealed) => Ok(PinPolicy::new(
            live.name.clone(),
            live.arn.clone(),
            unsealed,
        )),
        Err(document) => Err(edit(
            "its contents do not fit the seal in the name of its last statement".into(),
            Some(document.without_seal()),
        )),
    }
}

/// A version as it was written, if nobody else wrote it.
fn written(version: &LiveVersion) -> Option<Document> {
    let document = Document::parse(version.text.as_deref()?).ok()?;
    document.unseal().ok()
}
