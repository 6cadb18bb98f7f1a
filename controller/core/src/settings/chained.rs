//! Roles whose sessions are pinned that were made by assuming them.

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::{Glob, Mode, RoleRule, Settings};
use crate::{estate::Role, id::VpcId};

/// One `[[chained]]` of the config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainedRule {
    /// Which roles, and what is done about them.
    pub role: RoleRule,
    /// Roles of the account that assume them, where their trust policies name all of the account.
    pub assumed_by: Vec<Glob>,
    /// Principals that may assume them and are not followed any further, by what trust policies call them, or
    /// by the ARN of a role: `prefixes` and `vpcs` have where these call from.
    pub callers: BTreeSet<String>,
    /// Public prefixes that callers leave from, beside those that are found.
    pub prefixes: BTreeSet<IpNet>,
    /// VPCs whose endpoints callers use, beside those that are found.
    pub vpcs: BTreeSet<VpcId>,
}

impl ChainedRule {
    /// A rule that says nothing but which roles, and what is done about them.
    pub fn new(name: Glob, mode: Mode) -> Self {
        Self {
            role: RoleRule {
                name,
                account: None,
                mode,
            },
            assumed_by: Vec::new(),
            callers: BTreeSet::new(),
            prefixes: BTreeSet::new(),
            vpcs: BTreeSet::new(),
        }
    }
}

impl Settings {
    /// The rule that opts `role` in.
    pub fn chained_rule(&self, role: &Role) -> Option<&ChainedRule> {
        if self.excludes(&role.name) {
            return None;
        }
        self.chained.iter().find(|rule| rule.role.is_about(role))
    }

    /// Whether anything of a role's pin is to be in force: what is about its instances, or about sessions that
    /// others make by assuming it.
    pub fn enforces(&self, role: &Role) -> bool {
        let chained = self.comes_of(self.chained_stage_of(role), role, role.has_pin());
        self.mode_of(role) == Mode::Enforce || chained == Mode::Enforce
    }

    /// What the operator wants for sessions of `role` that were made by assuming it, as
    /// [`Settings::stage_of`] says of its instances'. The `mode` of all roles opts none in.
    pub fn chained_stage_of(&self, role: &Role) -> Mode {
        self.chained_rule(role)
            .map_or(Mode::Observe, |said| Self::tightened(said.role.mode, role))
    }
}
