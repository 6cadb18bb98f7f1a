//! What is left open in an account as a whole.

use std::fmt;

use serde::Serialize;

use super::{Exposure, Limits, Measure, OfInstance};

/// What is left open to the tokens of an account's instances, those of every role together.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct OfAccount {
    /// Instances whose tokens are usable from anywhere.
    pub everything: u64,
    /// Instances of which nothing can be counted.
    pub unknown: u64,
    /// Instances whose tokens are pinned; the measures are over these.
    pub limited: u64,
    /// As of a role, and so below.
    pub hosts: Measure,
    /// See [`Limits::v4`].
    pub v4: Measure,
    /// See [`Limits::v6`].
    pub v6: Measure,
    /// See [`Limits::endpoints`].
    pub endpoints: Measure,
}

impl OfAccount {
    /// Over roles, each with its number of instances.
    pub fn over<'e>(roles: impl Iterator<Item = (&'e Exposure, usize)>) -> Self {
        let mut account = Self::default();
        let mut limited: Vec<&OfInstance> = Vec::new();
        for (exposure, instances) in roles {
            match exposure {
                Exposure::Everything => account.everything += instances as u64,
                Exposure::Unknown => account.unknown += instances as u64,
                Exposure::Nothing | Exposure::ByEgress => {}
                Exposure::Limited(Limits { instances, .. }) => limited.extend(instances.iter()),
            }
        }
        let measure = |figure: fn(&OfInstance) -> u64| {
            Measure::over(limited.iter().map(|instance| figure(instance)))
        };
        Self {
            limited: limited.len() as u64,
            hosts: measure(|it| it.hosts),
            v4: measure(|it| it.v4),
            v6: measure(|it| it.v6),
            endpoints: measure(|it| it.endpoints),
            ..account
        }
    }
}

impl fmt::Display for OfAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            everything,
            unknown,
            limited,
            ..
        } = self;
        write!(f, "{everything} usable from anywhere, ")?;
        if *unknown > 0 {
            write!(f, "{unknown} not known, ")?;
        }
        write!(f, "{limited} pinned")?;
        if *limited > 0 {
            write!(
                f,
                " (other hosts: {} at worst, {:.1} in the mean)",
                self.hosts.worst, self.hosts.mean
            )?;
        }
        Ok(())
    }
}
