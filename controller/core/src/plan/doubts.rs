//! What a person should look at: nothing that changes a plan.

use std::collections::BTreeSet;

use super::RolePlan;
use crate::{
    estate::Estate,
    id::{AccountId, Arn},
    settings::{RoleRule, Scope, Settings},
};

/// What the operator decided of something that is not there: a slip of the pen, most often.
pub(super) fn idle_settings(
    estate: &Estate,
    settings: &Settings,
    roles: &[RolePlan],
) -> impl Iterator<Item = String> {
    if settings.shared {
        return Vec::new().into_iter();
    }
    let account = estate.account.as_ref().map_or("", AccountId::as_str);
    let decisions: Vec<&RoleRule> = settings
        .roles
        .iter()
        .filter(|rule| rule.is_of(account))
        .collect();
    let idle = decisions.iter().enumerate().filter_map(|(number, rule)| {
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
        let earlier = &decisions[..number];
        let shadowed = |role: &RolePlan| {
            earlier
                .iter()
                .any(|rule| rule.name.matches(role.role.as_str()))
        };
        matched.all(shadowed).then(|| {
            format!(
                "[[role]] {}: rules before it decide all roles of that name",
                rule.name
            )
        })
    });
    let egress = settings.egress.iter().filter_map(|egress| {
        let mut subnets = estate
            .regions
            .values()
            .flat_map(|region| region.subnets.values());
        let seen = subnets.any(|subnet| match &egress.scope {
            Scope::Vpc(id) => subnet.vpc == *id,
            Scope::Subnet(id) => subnet.id == *id,
        });
        (!seen).then(|| format!("[[egress]] {}: it was not seen", egress.scope))
    });
    let chained = settings.chained.iter().filter_map(|rule| {
        let mut roles = estate.roles.values();
        let is_idle = rule.role.is_of(account) && !roles.any(|role| rule.role.is_about(role));
        is_idle.then(|| format!("[[chained]] {}: no role has such a name", rule.role.name))
    });
    let warnings: Vec<String> = idle.chain(chained).chain(egress).collect();
    warnings.into_iter()
}

/// Hosts whose tokens nobody can tell the role of.
pub(super) fn unheld_profiles(estate: &Estate) -> impl Iterator<Item = String> {
    let held: BTreeSet<&Arn> = estate
        .roles
        .values()
        .flat_map(|role| &role.profiles)
        .collect();
    estate.instances().filter_map(move |(_, instance)| {
        let profile = instance
            .profile
            .as_ref()
            .filter(|profile| !held.contains(profile))?;
        Some(format!(
            "{} has the instance profile {profile}, which no role holds",
            instance.id
        ))
    })
}
