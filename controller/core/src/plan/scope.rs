//! Which parts of a role's pin are in question: what is about tokens of its instances, and what is about sessions
//! that others make by assuming it. Each is switched on, and held, by itself.

use super::{chained::Part, role::RolePlanner};
use crate::{policy::Statement, settings::Mode};

/// What a pin is to have, and what it has.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is about another part of a pin, or another time"
)]
pub(super) struct Scope {
    /// What is done about tokens of the role's instances.
    pub(super) mode: Mode,
    /// The pin has what is about these.
    pub(super) instances: bool,
    /// And what is about sessions that others make.
    pub(super) chained: bool,
    /// It is to be in force.
    pub(super) is_written: bool,
    /// Something about instances is in force.
    pub(super) instances_in_force: bool,
    /// Sessions that others make may be denied, by what is in force or will be.
    pub(super) watches_callers: bool,
}

impl RolePlanner<'_> {
    /// Which parts the pin has. Where neither is written, it has all that it could have.
    pub(super) fn scope(&self, has_hosts: bool, part: Option<&Part>) -> Scope {
        let stage = self.settings.stage_of(self.role);
        let instances_in_force = match part {
            Some(part) if part.is_in_force => {
                self.is_unreadable() || !self.statements_in_force(false).is_empty()
            }
            _ => self.in_force.is_some(),
        };
        let mode = self.settings.comes_of(stage, self.role, instances_in_force);
        let writes_instances = has_hosts && mode == Mode::Enforce;
        let writes_chained = part.is_some_and(Part::is_written);
        // What a role that has no instance now keeps, less what is to go of the other part.
        let keeps_instances = !has_hosts && mode == Mode::Enforce && instances_in_force;
        let drops_chained = part.is_some_and(|part| part.is_in_force && !part.is_written());
        let is_written = writes_instances || writes_chained || (keeps_instances && drops_chained);
        Scope {
            mode,
            instances: if is_written {
                writes_instances
            } else {
                has_hosts
            },
            chained: if is_written {
                writes_chained
            } else {
                part.is_some_and(|part| !part.is_idle())
            },
            is_written,
            instances_in_force,
            watches_callers: part.is_some_and(|part| writes_chained || part.is_in_force),
        }
    }

    /// Statements that the pin has beside those of the role's live instances.
    pub(super) fn beside(&self, scope: &Scope, part: Option<&Part>) -> Vec<Statement> {
        let of_part = part.filter(|_| scope.chained);
        let of_part = of_part.map_or(&[][..], |part| &part.statements);
        // Those of a role that has no instance now stay.
        let stays = scope.is_written && scope.mode == Mode::Enforce && !scope.instances;
        let of_instances = stays.then(|| self.statements_in_force(false));
        let mut beside = of_instances.unwrap_or_default();
        beside.extend(of_part.iter().cloned());
        beside
    }
}
