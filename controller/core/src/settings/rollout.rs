//! From observing to enforcing, some roles before the others.

use super::{Mode, Settings};
use crate::{estate::Role, id::RoleName, spread::spread};

/// A tag's word for a role that goes first.
const CANARY: &str = "canary";
/// A tag's word for a role that is to be enforced whatever the config says.
const ENFORCE: &str = "enforce";

/// Which share of the roles in `canary` are enforced, in percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CanaryShare(pub(super) u8);

impl Default for CanaryShare {
    fn default() -> Self {
        Self(10)
    }
}

impl CanaryShare {
    /// Whether `role` is one of them. By its name alone, so that it is the same roles each time, and a
    /// larger share has all those of a smaller one.
    fn has(self, role: &RoleName) -> bool {
        spread(role.as_str(), 100) < u64::from(self.0)
    }
}

impl Settings {
    /// What the operator wants for `role`: by the first rule that names it, tightened by its tag. A tag
    /// can only tighten: who may tag a role must not be able to take its pin off. What is excluded is
    /// left alone.
    pub fn stage_of(&self, role: &Role) -> Mode {
        if self.excludes(&role.name) {
            return Mode::Observe;
        }
        let configured = self
            .roles
            .iter()
            .find(|rule| rule.is_about(role))
            .map_or(self.mode, |rule| rule.mode);
        Self::tightened(configured, role)
    }

    pub(super) fn tightened(configured: Mode, role: &Role) -> Mode {
        let tagged = match role.tags.get(super::MODE_TAG).map(String::as_str) {
            Some(ENFORCE) => Mode::Enforce,
            Some(CANARY) => Mode::Canary,
            _ => Mode::Observe,
        };
        configured.max(tagged)
    }

    /// What comes of that: `observe` or `enforce`. In `canary` the share of roles that go first are
    /// enforced, those that are tagged so, and those that have a pin: going from `enforce` to `canary`
    /// takes none off.
    pub fn mode_of(&self, role: &Role) -> Mode {
        self.comes_of(self.stage_of(role), role, role.has_pin())
    }

    /// What comes of `stage` for `role`, which has a pin or has none.
    pub(crate) fn comes_of(&self, stage: Mode, role: &Role, pinned: bool) -> Mode {
        match stage {
            Mode::Canary => {
                let tagged = role
                    .tags
                    .get(super::MODE_TAG)
                    .is_some_and(|tag| tag == CANARY);
                if tagged || self.canary_share.has(&role.name) || pinned {
                    Mode::Enforce
                } else {
                    Mode::Observe
                }
            }
            settled => settled,
        }
    }

    /// Whether `role` is left alone whatever else is said.
    pub fn excludes(&self, role: &RoleName) -> bool {
        self.exclude.iter().any(|name| name.matches(role.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share_of_a_thousand(percent: u8) -> Vec<usize> {
        let has = |number: &usize| {
            let name: RoleName = format!("service-{number}").parse().unwrap();
            CanaryShare(percent).has(&name)
        };
        (0..1000).filter(has).collect()
    }

    #[test]
    fn a_share_is_about_that_many_and_a_larger_one_has_the_same_and_more() {
        let (ten, thirty) = (share_of_a_thousand(10), share_of_a_thousand(30));
        assert!((70..=130).contains(&ten.len()), "{}", ten.len());
        assert!((250..=350).contains(&thirty.len()), "{}", thirty.len());
        assert!(ten.iter().all(|number| thirty.contains(number)));
        assert_eq!(share_of_a_thousand(0).len(), 0);
        assert_eq!(share_of_a_thousand(100).len(), 1000);
    }
}
