//! The one place that understands AWS's answers: shapes in, [`Estate`] out, for both clouds.
//!
//! An item that cannot be read is left out and said as a [`Gap`] in its region, so that nothing is
//! narrowed over it (invariant 4); the rest is still of use.

use std::collections::BTreeSet;

use credpin_core::{
    estate::{Estate, Gap},
    id::{AccountId, Arn, RegionName, RoleName},
};

use super::{
    Observation,
    shapes::{Answer, iam::GetCallerIdentity},
};

mod ec2;
mod field;
mod iam;
mod route;

use field::FieldError;

/// What was seen, understood.
pub fn estate(seen: &Observation) -> Estate {
    let mut gaps = seen.gaps.clone();
    let (roles, policies) = iam::read(&seen.iam, &mut Sorter::new(None, &mut gaps));
    let regions = seen
        .regions
        .iter()
        .map(|(name, region)| {
            (
                name.clone(),
                ec2::read(region, &mut Sorter::new(Some(name), &mut gaps)),
            )
        })
        .collect();
    let account = roles
        .values()
        .find_map(|role| account_of(&role.arn))
        .or_else(|| ec2::owner(seen.regions.values()));
    Estate {
        account,
        regions,
        roles,
        policies,
        customer_policies: seen.iam.details.policies.len(),
        cuts: iam::cuts(&seen.iam),
        gaps,
    }
}

/// The role that asked, where it is one of this account: it is never pinned (invariant 6).
pub fn own_role(seen: &Observation, estate: &Estate) -> Option<Arn> {
    let caller: &GetCallerIdentity = seen.iam.caller.as_ref()?;
    let arn: Arn = caller.arn.parse().ok()?;
    // `assumed-role/NAME/SESSION`, which leaves out the role's path.
    let name: RoleName = arn
        .resource()
        .strip_prefix("assumed-role/")?
        .split('/')
        .next()?
        .parse()
        .ok()?;
    let role = estate.roles.get(&name)?;
    (account_of(&role.arn) == account_of(&arn)).then(|| role.arn.clone())
}

fn account_of(arn: &Arn) -> Option<AccountId> {
    arn.as_str().split(':').nth(4)?.parse().ok()
}

/// Sorts what can be read from what cannot.
struct Sorter<'a> {
    region: Option<&'a RegionName>,
    gaps: &'a mut BTreeSet<Gap>,
}

impl<'a> Sorter<'a> {
    fn new(region: Option<&'a RegionName>, gaps: &'a mut BTreeSet<Gap>) -> Self {
        Self { region, gaps }
    }

    /// Converts each item of the answer `A`; one that is not of interest converts to `None`, one
    /// that cannot be read becomes a gap that names it.
    fn each<'i, A: Answer, I: 'i, O>(
        &mut self,
        items: impl IntoIterator<Item = &'i I>,
        name: impl Fn(&I) -> Option<&str>,
        mut convert: impl FnMut(&I) -> Result<Option<O>, FieldError>,
    ) -> Vec<O> {
        items
            .into_iter()
            .filter_map(|item| {
                convert(item).unwrap_or_else(|error| {
                    let name = name(item).unwrap_or("an item without an id");
                    self.gaps.insert(Gap {
                        region: self.region.cloned(),
                        what: A::CALL.to_owned(),
                        why: format!("{name}: {error}"),
                    });
                    None
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
