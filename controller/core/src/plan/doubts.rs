//! What a person should look at: nothing that changes a plan.

use super::RolePlan;
use crate::{
    estate::Estate,
    footprint::Host,
    id::AccountId,
    settings::{RoleRule, Scope, Settings},
};

/// A decision of the operator's that bears on nothing in an account: a slip of the pen, most often, unless
/// there are other accounts that it bears on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idle {
    /// Which it is.
    pub decision: Decision,
    /// Why; none where it is about another account.
    pub why: Option<String>,
}

/// A decision, by its number in the config.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decision {
    /// A `[[role]]`.
    Role(usize),
    /// A `[[chained]]`.
    Chained(usize),
    /// An `[[egress]]`.
    Egress(usize),
}

/// What the operator decided of something that is not there.
pub(super) fn idle_settings(estate: &Estate, settings: &Settings, roles: &[RolePlan]) -> Vec<Idle> {
    let account = estate.account.as_ref().map_or("", AccountId::as_str);
    let why_role = |number: usize, rule: &RoleRule| {
        let mut matched = roles
            .iter()
            .filter(|role| rule.name.matches(role.role.as_str()))
            .peekable();
        if matched.peek().is_none() {
            return Some(format!(
                "[[role]] {}: no role with hosts or a pin has such a name",
                rule.name
            ));
        }
        let earlier = &settings.roles[..number];
        let shadowed = |role: &RolePlan| {
            earlier
                .iter()
                .any(|rule| rule.is_of(account) && rule.name.matches(role.role.as_str()))
        };
        matched.all(shadowed).then(|| {
            format!(
                "[[role]] {}: rules before it decide all roles of that name",
                rule.name
            )
        })
    };
    let idle = settings.roles.iter().enumerate();
    let idle = idle.filter_map(|(number, rule)| {
        let decision = Decision::Role(number);
        if !rule.is_of(account) {
            let why = None;
            return Some(Idle { decision, why });
        }
        why_role(number, rule).map(|why| Idle {
            decision,
            why: Some(why),
        })
    });
    let egress = settings.egress.iter().enumerate();
    let egress = egress.filter_map(|(number, egress)| {
        let mut subnets = estate
            .regions
            .values()
            .flat_map(|region| region.subnets.values());
        let seen = subnets.any(|subnet| match &egress.scope {
            Scope::Vpc(id) => subnet.vpc == *id,
            Scope::Subnet(id) => subnet.id == *id,
        });
        (!seen).then(|| Idle {
            decision: Decision::Egress(number),
            why: Some(format!("[[egress]] {}: it was not seen", egress.scope)),
        })
    });
    let chained = settings.chained.iter().enumerate();
    let chained = chained.filter_map(|(number, rule)| {
        let mut roles = estate.roles.values();
        let (is_of_here, name) = (rule.role.is_of(account), &rule.role.name);
        let is_idle = !is_of_here || !roles.any(|role| rule.role.is_about(role));
        is_idle.then(|| Idle {
            decision: Decision::Chained(number),
            why: is_of_here.then(|| format!("[[chained]] {name}: no role has such a name")),
        })
    });
    idle.chain(chained).chain(egress).collect()
}

/// Hosts whose tokens nobody can tell the role of. `others` are those that have no role.
pub(super) fn unheld_profiles(estate: &Estate, others: &[Host]) -> impl Iterator<Item = String> {
    others.iter().filter_map(|host| {
        let region = estate.regions.get(&host.region)?;
        let profile = region.instances.get(&host.instance)?.profile.as_ref()?;
        Some(format!(
            "{} has the instance profile {profile}, which no role holds",
            host.instance
        ))
    })
}
