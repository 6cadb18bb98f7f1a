//! Which roles are pinned, as far as that is known.

use std::collections::BTreeMap;

/// The pins in force, by account and role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pins(BTreeMap<(String, String), bool>);

impl Pins {
    /// Says of a role whether a pin of it is in force.
    pub fn say(&mut self, account: &str, role: &str, pinned: bool) {
        self.0.insert((account.to_owned(), role.to_owned()), pinned);
    }

    /// Whether the role's tokens are pinned; nothing where it is not known.
    pub fn of(&self, account: &str, role: &str) -> Option<bool> {
        self.0.get(&(account.to_owned(), role.to_owned())).copied()
    }
}
