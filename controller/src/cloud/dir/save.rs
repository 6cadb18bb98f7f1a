//! An observation written as a directory cloud: `credpin observe --out PATH`.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use credpin_core::{estate::Gap, id::RegionName};
use thiserror::Error;

use super::{IAM, POLICY_TAGS, STS, file};
use crate::cloud::{Observation, shapes::Answer};

/// A file that could not be written.
#[derive(Debug, Error)]
#[error("cannot write {}", path.display())]
pub struct SaveError {
    path: PathBuf,
    source: io::Error,
}

/// Writes `seen` to the directory at `path`, in the place of what an earlier one left there.
///
/// What did not answer whole is not written, and an older file of it is removed: a plan made of the
/// directory must find the same gap.
pub fn save(seen: &Observation, path: &Path) -> Result<(), SaveError> {
    for (name, region) in &seen.regions {
        let folder = Folder {
            path: &path.join(name.as_str()),
            region: Some(name),
            gaps: &seen.gaps,
        };
        folder.save(&region.instances)?;
        folder.save(&region.network_interfaces)?;
        folder.save(&region.subnets)?;
        folder.save(&region.route_tables)?;
        folder.save(&region.nat_gateways)?;
        folder.save(&region.vpcs)?;
        folder.save(&region.vpc_endpoints)?;
        folder.save(&region.addresses)?;
    }
    let folder = |path| Folder {
        path,
        region: None,
        gaps: &seen.gaps,
    };
    let iam = path.join(IAM);
    folder(&iam).save(&seen.iam.details)?;
    for (name, tags) in &seen.iam.policy_tags {
        write(&iam.join(POLICY_TAGS).join(format!("{name}.json")), tags)?;
    }
    match &seen.iam.caller {
        Some(caller) => folder(&path.join(STS)).save(caller),
        None => Ok(()),
    }
}

struct Folder<'a> {
    path: &'a Path,
    region: Option<&'a RegionName>,
    gaps: &'a BTreeSet<Gap>,
}

impl Folder<'_> {
    fn save<A: Answer>(&self, answer: &A) -> Result<(), SaveError> {
        let path = self.path.join(A::file());
        let gap = |gap: &Gap| gap.region.as_ref() == self.region && gap.what == A::CALL;
        if self.gaps.iter().any(gap) {
            return file::remove(&path).map_err(|source| SaveError { path, source });
        }
        write(&path, answer)
    }
}

fn write<A: Answer>(path: &Path, answer: &A) -> Result<(), SaveError> {
    serde_json::to_string_pretty(answer)
        .map_err(io::Error::from)
        .and_then(|text| file::write(path, &text))
        .map_err(|source| SaveError {
            path: path.into(),
            source,
        })
}
