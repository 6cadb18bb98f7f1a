//! What changes from one document to the next, by statement.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::policy::Document;

/// What a statement gains and loses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The statement.
    pub sid: String,
    /// Values of its conditions that are new.
    pub added: Vec<String>,
    /// Values that go.
    pub removed: Vec<String>,
}

/// What changes from `old` to `new`, statement by statement; statements that stay are left out, and
/// so are those that only move from one document to another.
pub fn difference(old: &[&Document], new: &[&Document]) -> Vec<Difference> {
    let (old, new) = (values(old), values(new));
    let sids: BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
    let nothing = BTreeSet::new();
    sids.into_iter()
        .filter_map(|sid| {
            let old = old.get(sid).unwrap_or(&nothing);
            let new = new.get(sid).unwrap_or(&nothing);
            (old != new).then(|| Difference {
                sid: sid.to_owned(),
                added: new.difference(old).cloned().collect(),
                removed: old.difference(new).cloned().collect(),
            })
        })
        .collect()
}

/// The values of each statement's conditions.
fn values<'a>(documents: &[&'a Document]) -> BTreeMap<&'a str, BTreeSet<String>> {
    documents
        .iter()
        .flat_map(|document| &document.statements)
        .map(|statement| {
            (
                statement.sid.as_str(),
                statement
                    .conditions()
                    .flat_map(|(_, test)| test.values())
                    .collect(),
            )
        })
        .collect()
}
