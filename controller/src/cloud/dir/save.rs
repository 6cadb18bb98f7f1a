//! An observation written as a directory cloud: `credpin observe --out PATH`.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use credpin_core::{
    estate::Gap,
    id::{PolicyName, RegionName},
};
use thiserror::Error;

use super::{IAM, POLICY_TAGS, STS, file, pins::PINS};
use crate::cloud::{
    Observation,
    shapes::{Answer, ec2, iam},
};

/// A file that could not be written, or removed.
#[derive(Debug, Error)]
#[error("cannot write {}", path.display())]
pub struct SaveError {
    path: PathBuf,
    source: io::Error,
}

/// Writes `seen` to the directory at `path`, in the place of what an earlier one left there.
///
/// What did not answer whole is not written, and an older file of it is removed: a plan made of the
/// directory must find the same gap. So are files of what is no longer there: nothing but what an
/// earlier call wrote, and never a pin.
pub fn save(seen: &Observation, path: &Path) -> Result<(), SaveError> {
    remove_stale(seen, path)?;
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

/// Removes what an earlier view left and this one does not write over.
fn remove_stale(seen: &Observation, path: &Path) -> Result<(), SaveError> {
    let at = |source| SaveError {
        path: path.into(),
        source,
    };
    for folder in super::folders(path).map_err(at)? {
        if !super::holds_answers(&folder).map_err(at)? {
            continue;
        }
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let is_region = name.parse::<RegionName>().is_ok() && ![IAM, STS, PINS].contains(&&*name);
        if is_region && !seen.regions.contains_key(&*name) {
            for file in region_files() {
                remove(&folder.join(file))?;
            }
            // Where something else lies in it, it stays.
            let _ = fs::remove_dir(&folder);
        }
    }
    let folder = path.join(IAM).join(POLICY_TAGS);
    for name in file_names(&folder).map_err(at)? {
        let policy: Option<PolicyName> = name
            .strip_suffix(".json")
            .and_then(|name| name.parse().ok());
        if policy.is_some_and(|policy| !seen.iam.policy_tags.contains_key(&policy)) {
            remove(&folder.join(name))?;
        }
    }
    match seen.iam.caller {
        None => remove(&path.join(STS).join(iam::GetCallerIdentity::file())),
        Some(_) => Ok(()),
    }
}

/// The files of a region's folder.
fn region_files() -> [String; 8] {
    [
        ec2::DescribeInstances::file(),
        ec2::DescribeNetworkInterfaces::file(),
        ec2::DescribeSubnets::file(),
        ec2::DescribeRouteTables::file(),
        ec2::DescribeNatGateways::file(),
        ec2::DescribeVpcs::file(),
        ec2::DescribeVpcEndpoints::file(),
        ec2::DescribeAddresses::file(),
    ]
}

/// The names of what lies in `folder`; none where there is no such folder.
fn file_names(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect()
}

fn remove(path: &Path) -> Result<(), SaveError> {
    file::remove(path).map_err(|source| SaveError {
        path: path.into(),
        source,
    })
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
            return remove(&path);
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
