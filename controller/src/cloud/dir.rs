//! A cloud kept in a directory: what the AWS CLI prints, under the CLI's own names.
//!
//! ```text
//! PATH/                              of one account; of several, each lies in a folder named by its id
//!   eu-west-1/                        a region: any folder named so, or with describe-*.json
//!     describe-instances.json         aws ec2 describe-instances --region eu-west-1
//!     describe-network-interfaces.json, describe-subnets.json, describe-route-tables.json,
//!     describe-nat-gateways.json, describe-vpcs.json, describe-vpc-endpoints.json,
//!     describe-addresses.json
//!   iam/
//!     get-account-authorization-details.json
//!     list-policy-tags/POLICY.json    optional: tags of a policy under /credpin/
//!   sts/
//!     get-caller-identity.json        optional: the role that is never pinned
//!   pins/ROLE/                        written by credpin, see [`pins`]
//!     POLICY.json                     the document in force
//!     POLICY.state.json               the policy with its versions, tags and attachment
//!   cuts/NAME.json                    written by `credpin revoke`: a policy, and whom it is on
//! ```
//!
//! A file that is missing, cut or not what its name says is a gap, with the command that writes it
//! anew. Pins are read back on top of what IAM said, as if it had said them.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use credpin_core::{
    estate::Gap,
    id::{AccountId, RegionName},
};
use thiserror::Error;

use super::{
    Calls, Observation, Observe,
    shapes::{Answer, ec2, iam},
};

mod cuts;
mod file;
mod overlay;
mod pins;
mod save;

pub use save::{SaveError, save};

/// The folder of IAM's answers.
const IAM: &str = "iam";
/// The folder of STS's answers.
const STS: &str = "sts";
/// The folder of answers to `ListPolicyTags`, one a policy.
const POLICY_TAGS: &str = "list-policy-tags";

/// A directory as a cloud.
#[derive(Clone, Debug)]
pub struct Dir {
    path: PathBuf,
}

/// A path that is no directory.
#[derive(Debug, Error)]
#[error("cannot read the directory cloud {}; it holds what the AWS CLI prints, see `credpin observe --help`", path.display())]
pub struct OpenError {
    path: PathBuf,
    source: io::Error,
}

impl Dir {
    /// The cloud in the directory at `path`.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, OpenError> {
        let path = path.into();
        match fs::read_dir(&path) {
            Ok(_) => Ok(Self { path }),
            Err(source) => Err(OpenError { path, source }),
        }
    }

    /// The accounts that have a folder here, named by their id; none where this is the one account.
    pub fn accounts(&self) -> Result<BTreeSet<AccountId>, OpenError> {
        let unreadable = |source| OpenError {
            path: self.path.clone(),
            source,
        };
        let name = |path: &PathBuf| path.file_name()?.to_string_lossy().parse().ok();
        let folders = folders(&self.path).map_err(unreadable)?;
        Ok(folders.iter().filter_map(name).collect())
    }

    /// The account in the folder of that id.
    pub fn in_account(&self, account: &AccountId) -> Result<Self, OpenError> {
        Self::open(self.path.join(account.as_str()))
    }

    fn see(&self) -> Observation {
        let (mut seen, notices) = self.see_pins();
        for notice in notices {
            tracing::warn!("{notice}");
        }
        match self.regions() {
            Ok(names) if names.is_empty() => {
                seen.gaps.insert(gap(
                    None,
                    "DescribeRegions",
                    format!(
                        "{} has no folder of a region, such as eu-west-1/describe-instances.json",
                        self.path.display()
                    ),
                ));
            }
            Ok(names) => {
                for name in names {
                    let region = self.region(&name, &mut seen.gaps);
                    seen.regions.insert(name, region);
                }
            }
            Err(error) => {
                seen.gaps
                    .insert(gap(None, "DescribeRegions", error.to_string()));
            }
        }
        seen
    }

    fn see_iam(&self) -> Observation {
        self.see_pins().0
    }

    /// What IAM says, and what somebody else did to the pins, in words.
    fn see_pins(&self) -> (Observation, Vec<String>) {
        let mut seen = Observation::default();
        let folder = self.path.join(IAM);
        seen.iam.details = read(&folder, None, &mut seen.gaps);
        seen.iam.caller = read_optional(&self.path.join(STS), &mut seen.gaps);
        self.policy_tags(&mut seen);
        let notices = overlay::overlay(&self.path, &mut seen);
        seen.iam.details.policies.extend(cuts::listed(&self.path));
        (seen, notices)
    }

    /// Folders that hold an answer of EC2, or are named like a region: one that is empty lacks its
    /// answers. One that holds answers under no region's name may hide hosts: an error.
    fn regions(&self) -> io::Result<BTreeSet<RegionName>> {
        let mut regions = BTreeSet::new();
        for folder in folders(&self.path)? {
            if !is_named_like_a_region(&folder) && !holds_answers(&folder)? {
                continue;
            }
            let name = folder.file_name().unwrap_or_default();
            let region = name.to_string_lossy().parse().map_err(|_| {
                io::Error::other(format!(
                    "{} holds answers of EC2 but is not named like a region, such as eu-west-1",
                    folder.display()
                ))
            })?;
            regions.insert(region);
        }
        Ok(regions)
    }

    fn region(&self, name: &RegionName, gaps: &mut BTreeSet<Gap>) -> ec2::Region {
        let folder = self.path.join(name.as_str());
        ec2::Region {
            instances: read(&folder, Some(name), gaps),
            network_interfaces: read(&folder, Some(name), gaps),
            subnets: read(&folder, Some(name), gaps),
            route_tables: read(&folder, Some(name), gaps),
            nat_gateways: read(&folder, Some(name), gaps),
            vpcs: read(&folder, Some(name), gaps),
            vpc_endpoints: read(&folder, Some(name), gaps),
            addresses: read(&folder, Some(name), gaps),
        }
    }

    fn policy_tags(&self, seen: &mut Observation) {
        let folder = self.path.join(IAM).join(POLICY_TAGS);
        let names = seen
            .iam
            .details
            .policies
            .iter()
            .filter_map(iam::ManagedPolicy::name);
        for name in names {
            let path = folder.join(format!("{name}.json"));
            match file::read::<iam::ListPolicyTags>(&path) {
                Ok(Some(tags)) => {
                    seen.iam.policy_tags.insert(name, tags);
                }
                Ok(None) => {}
                Err(error) => {
                    seen.gaps
                        .insert(gap(None, iam::ListPolicyTags::CALL, error.to_string()));
                }
            }
        }
    }
}

impl Observe for Dir {
    async fn observe(&self) -> Observation {
        self.see()
    }

    async fn observe_iam(&self) -> Observation {
        self.see_iam()
    }

    /// A directory is read and written without calls.
    fn calls(&self) -> Calls {
        Calls::new()
    }
}

/// An answer that must be there.
fn read<A: Answer>(folder: &Path, region: Option<&RegionName>, gaps: &mut BTreeSet<Gap>) -> A {
    let path = folder.join(A::file());
    let why = match file::read(&path) {
        Ok(Some(answer)) => return answer,
        Ok(None) => format!("{} is missing", path.display()),
        Err(error) => error.to_string(),
    };
    let region_flag = region
        .map(|name| format!(" --region {name}"))
        .unwrap_or_default();
    gaps.insert(gap(
        region,
        A::CALL,
        format!(
            "{why}; write it with `aws {} {}{}{region_flag} > {}`",
            A::SERVICE,
            A::COMMAND,
            A::FLAG,
            path.display(),
        ),
    ));
    A::default()
}

/// An answer that may be absent, but not wrong.
fn read_optional<A: Answer>(folder: &Path, gaps: &mut BTreeSet<Gap>) -> Option<A> {
    file::read(&folder.join(A::file())).unwrap_or_else(|error| {
        gaps.insert(gap(None, A::CALL, error.to_string()));
        None
    })
}

/// Folders in `path`; none where there is no `path` yet.
fn folders(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Words and a number with hyphens between, as `eu-west-1` and `us-gov-west-1`.
fn is_named_like_a_region(folder: &Path) -> bool {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let mut parts = name.rsplit('-');
    let number = parts.next().unwrap_or_default();
    name.parse::<RegionName>().is_ok() && number.parse::<u8>().is_ok() && parts.count() >= 2
}

fn holds_answers(folder: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("describe-") && name.ends_with(".json") {
            return Ok(true);
        }
    }
    Ok(false)
}

fn gap(region: Option<&RegionName>, what: &str, why: String) -> Gap {
    Gap {
        region: region.cloned(),
        what: what.to_owned(),
        why,
    }
}
