//! `credpin trace`: needs no cloud, and asks one only where it is named.

use std::{collections::BTreeMap, fs, path::PathBuf, slice};

use credpin_core::{
    footprint,
    id::VpcId,
    lineage::{self, Homes, Lineage, Target},
    settings::Settings,
};
use credpin_ledger::Access;
use jiff::Timestamp;

use super::{CommandError, Exit, print, way};
use crate::{
    cloud::{Observation, estate::estate},
    cloudtrail::{self, Reading, Source, Trail},
    config::{self, Config},
    report::{self, Paint},
};

/// What the command line says about the outcome.
pub(super) struct Wanted {
    pub(super) json: bool,
    pub(super) dot: bool,
    pub(super) html: Option<PathBuf>,
}

/// Carries out `credpin trace`.
pub(super) async fn trace(
    target: &Target,
    source: &Source,
    wanted: &Wanted,
    config: &Config,
    paint: Paint,
    now: Timestamp,
) -> Result<Exit, CommandError> {
    let trail = Trail::open(source, &Access::Variables(config::variables()))?;
    let (lineage, reading) = cloudtrail::read(trail, Lineage::default).await?;
    let homes = homes(config).await;
    let trace = lineage::trace(lineage, target, homes.as_ref(), now);
    if wanted.json {
        print(&report::trace_json(trace.as_ref(), &reading)?)?;
    }
    let Some(trace) = trace else {
        if !wanted.json {
            print(&report::trace_nothing(&target.to_string(), &reading, paint))?;
        }
        return Ok(Exit::Failed);
    };
    if wanted.dot {
        print(&report::trace_dot(&trace))?;
    } else if let Some(path) = &wanted.html {
        let page = report::trace_html(&trace, &reading, now);
        fs::write(path, page).map_err(|source| CommandError::Page {
            path: path.clone(),
            source,
        })?;
    } else if !wanted.json {
        print(&report::trace(&trace, &reading, paint))?;
    }
    Ok(exit(&reading))
}

fn exit(reading: &Reading) -> Exit {
    if reading.is_whole() {
        Exit::Done
    } else {
        Exit::Held
    }
}

/// Where instances are at home, if a cloud is named, in each of its accounts. What cannot be looked at costs
/// a warning: a responder needs the tree now.
pub(super) async fn homes(config: &Config) -> Option<Homes> {
    let seen = way::observed(config).await?;
    Some(homes_of(&seen, &config.settings))
}

/// The homes of all hosts that were seen.
pub(super) fn homes_in(seen: &Observation, settings: &Settings) -> Homes {
    homes_of(slice::from_ref(seen), settings)
}

pub(super) fn homes_of(seen: &[Observation], settings: &Settings) -> Homes {
    let mut hosts = Vec::new();
    for seen in seen {
        let estate = estate(seen);
        for gap in &estate.gaps {
            tracing::warn!("home and away are told as far as was seen: {gap}");
        }
        hosts.extend(footprint::hosts(&estate, settings));
    }
    let hubs = settings.hub_vpcs.iter().flatten().cloned().collect();
    Homes::new(hosts, seen.iter().flat_map(endpoints).collect(), hubs)
}

/// VPC endpoints by id, each with its VPC.
pub(super) fn endpoints(seen: &Observation) -> BTreeMap<String, VpcId> {
    let regions = seen.regions.values();
    regions
        .flat_map(|region| &region.vpc_endpoints.vpc_endpoints)
        .filter_map(|endpoint| {
            let vpc = endpoint.vpc_id.as_deref()?.parse().ok()?;
            Some((endpoint.vpc_endpoint_id.clone()?, vpc))
        })
        .collect()
}
