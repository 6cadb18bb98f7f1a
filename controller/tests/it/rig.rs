//! A scenario's cloud that can be written to, watched and made to fail.

use std::{collections::BTreeMap, fs, path::Path, sync::Mutex, time::Duration};

use credpin::{
    Blind, Planned,
    cloud::{CallError, Calls, NewPolicy, Observation, Observe, WriteIam, dir::Dir},
    config,
};
use credpin_core::{
    id::{Arn, RoleName, VersionId},
    plan::Pin,
    policy::Document,
    settings::Settings,
};
use jiff::Timestamp;
use tempfile::TempDir;

/// A copy of a scenario's cloud in a folder of its own.
pub(crate) struct Account {
    folder: TempDir,
    pub(crate) settings: Settings,
}

/// Has the independent judge asked about the pins and cuts in a directory cloud.
pub(crate) fn note(cloud: &Path) {
    credpin_witness::note_directory(cloud, is_ours);
}

/// Tests write texts that credpin never would, too.
fn is_ours(document: &str) -> bool {
    Document::parse(document).is_ok()
}

/// The plan of a cloud, about whose pins the judge is asked.
pub(crate) async fn plan(
    cloud: &impl Observe,
    settings: &Settings,
    now: Timestamp,
) -> Result<Planned, Blind> {
    let planned = credpin::plan(cloud, settings, &[], now).await?;
    let pins = planned
        .plan
        .roles
        .iter()
        .filter_map(|role| role.pin.as_ref());
    for document in pins.flat_map(Pin::documents) {
        credpin_witness::note(document.to_json());
    }
    Ok(planned)
}

fn note_written(document: &str) {
    if is_ours(document) {
        credpin_witness::note(document);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            note(self.path());
        }
    }
}

impl Account {
    pub(crate) fn of(scenario: &str) -> Self {
        let scenario = Path::new("tests/scenarios").join(scenario);
        let folder = tempfile::tempdir().unwrap();
        copy(&scenario.join("cloud"), folder.path());
        let text = fs::read_to_string(scenario.join("credpin.toml")).unwrap();
        let settings = config::parse("credpin.toml", &text).unwrap().settings;
        Self { folder, settings }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn cloud(&self) -> Watched {
        self.failing(usize::MAX, Fault::NotDone)
    }

    /// The cloud, whose writing call number `at` (from 0) comes back with an error.
    pub(crate) fn failing(&self, at: usize, fault: Fault) -> Watched {
        Watched {
            dir: Dir::open(self.path()).unwrap(),
            at,
            fault,
            writes: Mutex::default(),
            waited: Mutex::default(),
            happening: None,
        }
    }

    /// Adds to the tags of the pin of `web`, as another program would.
    pub(crate) fn tag_web(&self, key: &str, value: &str) {
        let file = self.path().join("iam/list-policy-tags/credpin-web.json");
        let text = fs::read_to_string(&file).unwrap();
        let mut tags: serde_json::Value = serde_json::from_str(&text).unwrap();
        let tag = serde_json::json!({"Key": key, "Value": value});
        tags["Tags"].as_array_mut().unwrap().push(tag);
        fs::write(file, tags.to_string()).unwrap();
    }
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// What happened to the call that failed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// It did nothing.
    NotDone,
    /// It was done, and the answer got lost.
    DoneUnheard,
}

/// A directory cloud that keeps the calls which write.
pub(crate) struct Watched {
    dir: Dir,
    at: usize,
    fault: Fault,
    writes: Mutex<Vec<&'static str>>,
    waited: Mutex<Vec<Duration>>,
    happening: Option<Box<dyn Fn() + Send + Sync>>,
}

impl Watched {
    /// The same, and `happening` comes to pass while a run waits.
    pub(crate) fn during_the_wait(self, happening: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            happening: Some(Box::new(happening)),
            ..self
        }
    }

    /// How long each wait was to take.
    pub(crate) fn waited(&self) -> Vec<Duration> {
        self.waited.lock().unwrap().clone()
    }

    pub(crate) fn writes(&self) -> Vec<&'static str> {
        self.writes.lock().unwrap().clone()
    }

    async fn write(
        &self,
        call: &'static str,
        on: &Arn,
        done: impl Future<Output = Result<(), CallError>>,
    ) -> Result<(), CallError> {
        let number = {
            let mut writes = self.writes.lock().unwrap();
            writes.push(call);
            writes.len() - 1
        };
        if number != self.at {
            return done.await;
        }
        if let Fault::DoneUnheard = self.fault {
            done.await?;
        }
        Err(CallError {
            call,
            on: on.to_string(),
            why: "the test pulled the plug".into(),
            not_found: false,
        })
    }
}

impl Observe for Watched {
    async fn observe(&self) -> Observation {
        self.dir.observe().await
    }

    async fn observe_iam(&self) -> Observation {
        self.dir.observe_iam().await
    }

    fn calls(&self) -> Calls {
        self.dir.calls()
    }
}

impl WriteIam for Watched {
    async fn policy_tags(&self, policy: &Arn) -> Result<BTreeMap<String, String>, CallError> {
        self.dir.policy_tags(policy).await
    }

    async fn document_in_force(&self, policy: &Arn) -> Result<String, CallError> {
        self.dir.document_in_force(policy).await
    }

    async fn create_policy(&self, new: &NewPolicy<'_>) -> Result<(), CallError> {
        note_written(new.document);
        self.write("create_policy", new.arn, self.dir.create_policy(new))
            .await
    }

    async fn create_version(&self, policy: &Arn, document: &str) -> Result<(), CallError> {
        note_written(document);
        self.write(
            "create_version",
            policy,
            self.dir.create_version(policy, document),
        )
        .await
    }

    async fn delete_version(&self, policy: &Arn, version: &VersionId) -> Result<(), CallError> {
        self.write(
            "delete_version",
            policy,
            self.dir.delete_version(policy, version),
        )
        .await
    }

    async fn set_default_version(
        &self,
        policy: &Arn,
        version: &VersionId,
    ) -> Result<(), CallError> {
        self.write(
            "set_default_version",
            policy,
            self.dir.set_default_version(policy, version),
        )
        .await
    }

    async fn attach(&self, role: &RoleName, policy: &Arn) -> Result<(), CallError> {
        self.write("attach", policy, self.dir.attach(role, policy))
            .await
    }

    async fn detach(&self, role: &RoleName, policy: &Arn) -> Result<(), CallError> {
        self.write("detach", policy, self.dir.detach(role, policy))
            .await
    }

    async fn tag_policy(&self, policy: &Arn, key: &str, value: &str) -> Result<(), CallError> {
        self.write(
            "tag_policy",
            policy,
            self.dir.tag_policy(policy, key, value),
        )
        .await
    }

    async fn settle(&self, time: Duration) {
        self.waited.lock().unwrap().push(time);
        if let Some(happening) = &self.happening {
            happening();
        }
    }

    async fn untag_policy(&self, policy: &Arn, key: &str) -> Result<(), CallError> {
        self.write("untag_policy", policy, self.dir.untag_policy(policy, key))
            .await
    }
}
