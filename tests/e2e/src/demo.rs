//! The demo: two hosts, one account, a thief, in one process and with nothing to configure.
//!
//! ```text
//!  host.rs   mock IMDS -> proxy -> a client takes credentials (IMDSv2); two guards are tried
//!  thief.rs  positions that a token is used from, and what each is promised
//!  table.rs  what a person sees; with --json what a machine sees
//! ```
//!
//! The account is a directory of what the AWS CLI prints (`tests/e2e/demo/cloud`), copied into the
//! demo's folder so that the pins appear beside it. IAM is played by credpin's own evaluator reading
//! the policies that the controller wrote; `tests/demo.rs` has the independent judge decide each row.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use credpin::{
    cloud::dir::Dir,
    config,
    flow::{self, Planned},
};
use credpin_core::{exposure::Exposure, id::RoleName, plan::Coverage};
use credpin_ledger::{Access, RecordStore, StoreUrl};
use jiff::Timestamp;

mod host;
mod table;
mod thief;

pub use host::Guards;
pub use table::{print_json, print_table};
pub use thief::{Decision, Row};

/// What the demo showed.
#[derive(Debug)]
pub struct Demo {
    /// Where its files are.
    pub folder: PathBuf,
    /// What each host handed out.
    pub hosts: Vec<HostShown>,
    /// What the controller read of it in the record store.
    pub coverage: Coverage,
    /// From where a stolen token was used, and what came of it.
    pub rows: Vec<Row>,
    /// The steps that the controller carried out.
    pub steps: Vec<String>,
    /// What was open before.
    pub exposure_before: Exposure,
    /// What is open after.
    pub exposure_after: Exposure,
}

/// What a host of the demo handed out.
#[derive(Debug)]
pub struct HostShown {
    /// The instance.
    pub instance: String,
    /// The access key id that its client got.
    pub access_key_id: String,
    /// What the guards answered to two attempts at theft.
    pub guards: Guards,
    /// Records in its ledger.
    pub records: usize,
}

/// The role that is pinned.
const ROLE: &str = "web";
/// Its two hosts; the first one's token is stolen.
const HOSTS: [&str; 2] = ["i-0a1111111111111aa", "i-0b2222222222222bb"];

/// Runs the demo in `folder`, which is made anew.
pub async fn run(folder: &Path, now: Timestamp) -> Result<Demo> {
    fresh(folder)?;
    let cloud = Dir::open(folder.join("cloud"))?;
    let file = folder.join("credpin.toml");
    let text = fs::read_to_string(&file)?;
    let settings = config::parse(&file.display().to_string(), &text)?.settings;
    let role: RoleName = ROLE.parse()?;

    let store: StoreUrl = format!(
        "file://{}",
        folder.canonicalize()?.join("records").display()
    )
    .parse()?;
    let before = flow::plan(&cloud, &settings, &[], now).await?;
    let mut hosts = Vec::new();
    for instance in HOSTS {
        let mut seen = before.estate.instances();
        let (region, host) = seen
            .find(|(_, host)| host.id.as_str() == instance)
            .with_context(|| format!("{instance} is not in the demo's account"))?;
        let ledger = folder.join("hosts").join(instance);
        let described = host::described(&before.estate, region, host, ROLE);
        hosts.push(host::show(described, &ledger, &store).await?);
    }

    let records = RecordStore::open(&store, &Access::default())?
        .read(None)
        .await?
        .records;
    let run = flow::run(&cloud, &settings, &records, now).await?;
    ensure!(run.is_complete(), "not all was applied: {run:?}");
    let after = flow::plan(&cloud, &settings, &records, now).await?;
    let rows = thief::rows(&before, &after, &role, HOSTS)?;
    let exposure = |planned: &Planned| {
        let role = planned.plan.role(&role).context("the role is gone")?;
        anyhow::Ok(role.exposure_now.clone())
    };
    Ok(Demo {
        folder: folder.to_owned(),
        coverage: after.plan.role(&role).context("the role is gone")?.coverage,
        hosts,
        rows,
        steps: run.plan.steps().map(ToString::to_string).collect(),
        exposure_before: exposure(&before)?,
        exposure_after: exposure(&after)?,
    })
}

/// Left in the demo's folder, so that no other folder is ever taken for one and cleared.
const MARK: &str = ".credpin-demo";

/// Makes `folder` anew, with the demo's account and config in it.
fn fresh(folder: &Path) -> Result<()> {
    let place = folder.display();
    if folder.join(MARK).exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot clear {place}"))?;
    } else if folder.exists() {
        bail!("{place} exists and is no earlier demo's; name a folder that does not exist");
    }
    copy(
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/demo")),
        folder,
    )
    .and_then(|()| Ok(fs::write(folder.join(MARK), "")?))
    .with_context(|| format!("cannot set up {place}"))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

impl Demo {
    /// Whether every row is as promised, and both guards held on every host.
    pub fn is_as_promised(&self) -> bool {
        self.rows.iter().all(Row::is_as_promised)
            && self.coverage.recorded_hosts == HOSTS.len()
            && self
                .hosts
                .iter()
                .all(|host| host.guards.held() && host.records > 0)
    }
}
