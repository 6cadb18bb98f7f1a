//! Roles share what is left of the account's quota of policies: the first in the alphabet comes first.
//!
//! A plan makes a few policies at most, and does not look at how many are left beyond those. So as many roles
//! as cannot disappoint each other are planned side by side: `spare / most` of them, and all once nothing is
//! left. Only where some are left, and fewer than one role could make, it is one role after the other.

use rayon::prelude::*;

/// Plans `roles` as if one after the other, each given how many of `spare` policies those before it left.
/// No plan makes more than `most`, and `most` or more left are the same to it.
pub(super) fn in_turn<T: Send, P: Send>(
    roles: Vec<T>,
    mut spare: usize,
    most: usize,
    plan: impl Fn(T, usize) -> P + Sync,
    made: impl Fn(&P) -> usize,
) -> Vec<P> {
    let mut plans: Vec<P> = Vec::with_capacity(roles.len());
    let mut roles = roles.into_iter();
    while roles.len() > 0 {
        let together = match spare {
            0 => roles.len(),
            spare => (spare / most).max(1),
        };
        let some: Vec<T> = roles.by_ref().take(together).collect();
        let some = some.into_par_iter().map(|role| plan(role, spare));
        let first = plans.len();
        plans.par_extend(some);
        let made: usize = plans[first..].iter().map(&made).sum();
        spare = spare.saturating_sub(made);
    }
    plans
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MOST: usize = 3;

    /// How many policies it wants, and whether it makes what it gets or has them already.
    type Role = (usize, bool);

    fn plan((wants, makes): Role, spare: usize) -> (usize, usize) {
        let gets = wants.min(spare);
        (gets, if makes { gets } else { 0 })
    }

    proptest! {
        #[test]
        fn side_by_side_they_get_what_they_would_one_after_the_other(
            roles in prop::collection::vec((0..=MOST, any::<bool>()), 0..60),
            spare in 0..80_usize,
        ) {
            let mut left = spare;
            let one_by_one: Vec<_> = roles.iter().map(|role| {
                let planned = plan(*role, left);
                left -= planned.1;
                planned
            }).collect();
            prop_assert_eq!(in_turn(roles, spare, MOST, plan, |planned| planned.1), one_by_one);
        }
    }
}
