//! What was seen of an account.

use std::fmt::Write as _;

use credpin_core::estate::Estate;

use super::{Paint, count, plan::gaps};
use crate::cloud::Observation;

/// What `observe` tells: how much of what was seen where, and what was not.
pub fn view(seen: &Observation, estate: &Estate, paint: Paint) -> String {
    let mut out = String::new();
    match &estate.account {
        Some(account) => drop(writeln!(out, "Account {account}")),
        None => drop(writeln!(out, "An account that nothing names")),
    }
    let _ = writeln!(
        out,
        "  iam: {}, {} under /credpin/",
        count(estate.roles.len(), "role"),
        if estate.policies.len() == 1 {
            "1 policy".into()
        } else {
            format!("{} policies", estate.policies.len())
        },
    );
    for (name, region) in &estate.regions {
        let vpcs = seen
            .regions
            .get(name)
            .map_or(0, |region| region.vpcs.vpcs.len());
        let endpoints = seen
            .regions
            .get(name)
            .map_or(0, |region| region.vpc_endpoints.vpc_endpoints.len());
        let _ = writeln!(
            out,
            "  {name}: {}, {}, {}, {}, {}, {}, {}",
            count(region.instances.len(), "instance"),
            count(region.all_interfaces().count(), "interface"),
            count(vpcs, "VPC"),
            count(region.subnets.len(), "subnet"),
            count(region.route_tables.len(), "route table"),
            count(region.nat_gateways.len(), "NAT gateway"),
            count(endpoints, "endpoint"),
        );
    }
    gaps(&mut out, estate.gaps.iter(), paint);
    out
}
