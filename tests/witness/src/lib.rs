//! Policies that tests make, written down for the independent judge.
//!
//! ```text
//! a test makes a document -> note() -> FOLDER/PROGRAM/HASH -> noted() -> tests/e2e/tests/judged.rs
//! ```
//!
//! `make test` names the folder, in `CREDPIN_WITNESS`, and has the judge decide on all that is in it when every
//! test program has run. Without the variable nothing is written. Texts go in and come out: it depends on
//! nothing of ours, so that every crate's tests can have it, those inside of credpin-core too.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, ErrorKind, Write as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// The variable that names the folder.
pub const FOLDER: &str = "CREDPIN_WITNESS";

/// Documents that are in force together, and calls that somebody knew to bear on them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noted {
    /// As IAM is given them.
    pub documents: Vec<String>,
    /// Calls, with what our evaluator says of them.
    pub calls: Vec<Call>,
}

/// A call.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Call {
    /// Such as `s3:GetObject`.
    pub action: String,
    /// What it is made on, where a document could look at that.
    pub resource: Option<String>,
    /// Its condition keys.
    pub context: BTreeMap<String, String>,
    /// Whether the documents deny it.
    pub denied: bool,
}

impl Call {
    /// A call with these condition keys.
    pub fn new<'a>(
        action: &str,
        resource: Option<&str>,
        context: impl Iterator<Item = (&'a str, &'a str)>,
        denied: bool,
    ) -> Self {
        Self {
            action: action.to_owned(),
            resource: resource.map(str::to_owned),
            context: context
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
            denied,
        }
    }
}

/// Notes a document, where somebody wants to know.
///
/// # Panics
/// If the folder cannot be written to.
pub fn note(document: impl Into<String>) {
    note_together(std::iter::once(document.into()), Vec::new);
}

/// Notes documents that are in force together, and calls on them, where somebody wants to know. The same
/// documents are noted once, with the calls of the first time.
///
/// # Panics
/// If the folder cannot be written to.
pub fn note_together(documents: impl Iterator<Item = String>, calls: impl FnOnce() -> Vec<Call>) {
    if let Some(folder) = folder() {
        let documents = documents.collect();
        let path = folder.join(hash_of(&documents));
        write(&path, documents, calls).expect(WRITABLE);
    }
}

/// Notes a document and what a test asks of it. One document may be noted with many calls.
///
/// # Panics
/// If the folder cannot be written to.
pub fn note_call(document: impl Into<String>, call: Call) {
    if let Some(folder) = folder() {
        let (documents, calls) = (vec![document.into()], vec![call]);
        let path = folder.join(hash_of(&(&documents, &calls)));
        write(&path, documents, || calls).expect(WRITABLE);
    }
}

/// Notes the pins and cuts in a directory cloud, but those that a test put in the place of ours.
///
/// # Panics
/// If that cannot be read, or the folder not be written to.
pub fn note_directory(cloud: &Path, is_ours: impl Fn(&str) -> bool) {
    if folder().is_some() {
        let documents = written(cloud).expect("a directory cloud");
        let ours = documents.into_iter().filter(|document| is_ours(document));
        ours.for_each(note);
    }
}

/// What each test program noted, by its name.
///
/// # Errors
/// If the folder cannot be read, or holds something else.
pub fn noted(folder: &Path) -> io::Result<BTreeMap<String, Vec<Noted>>> {
    let mut all = BTreeMap::new();
    for program in fs::read_dir(folder)? {
        let program = program?;
        let noted = entries(&program.path())?.into_iter().map(|path| {
            let text = fs::read_to_string(path)?;
            Ok(serde_json::from_str(&text)?)
        });
        let name = program.file_name().to_string_lossy().into_owned();
        all.insert(name, noted.collect::<io::Result<_>>()?);
    }
    Ok(all)
}

/// The documents of a directory cloud, `pins/ROLE/POLICY.json` and those in `cuts/NAME.json`.
fn written(cloud: &Path) -> io::Result<Vec<String>> {
    let mut documents = Vec::new();
    for role in entries(&cloud.join("pins"))? {
        for path in entries(&role)? {
            let name = path.to_string_lossy();
            if name.ends_with(".json") && !name.ends_with(".state.json") {
                documents.push(fs::read_to_string(path)?);
            }
        }
    }
    for path in entries(&cloud.join("cuts"))? {
        let cut: serde_json::Value = serde_json::from_str(&fs::read_to_string(path)?)?;
        documents.push(cut["PolicyDocument"].to_string());
    }
    Ok(documents)
}

/// The paths in a folder, in order; none where there is no such folder: tests put files in its place, too.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let read = match fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        read => read?,
    };
    let mut paths = read
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

const WRITABLE: &str = "a folder that can be written to";

/// Where this program's notes go, where somebody wants to know.
fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os(FOLDER)?;
    Some(Path::new(&folder).join(program()))
}

fn hash_of(noted: &impl Hash) -> String {
    let mut hash = DefaultHasher::new();
    noted.hash(&mut hash);
    format!("{:016x}", hash.finish())
}

fn write(path: &Path, documents: Vec<String>, calls: impl FnOnce() -> Vec<Call>) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let text = serde_json::to_string(&Noted {
        documents,
        calls: calls(),
    })?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    match File::create_new(path) {
        Ok(mut file) => file.write_all(text.as_bytes()),
        // Another thread of this program was faster.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// The test program's name, without the hash that cargo adds.
fn program() -> String {
    let program = std::env::current_exe().expect("a process knows its program");
    let stem = program.file_stem().unwrap_or_default().to_string_lossy();
    match stem.rsplit_once('-') {
        Some((name, _)) => name.to_owned(),
        None => stem.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    fn call(denied: bool) -> Call {
        let context = [("aws:SourceVpc", "vpc-1")].into_iter();
        Call::new("s3:GetObject", None, context, denied)
    }

    #[test]
    fn what_was_noted_is_read_by_program_and_the_same_documents_once() {
        let folder = tempfile::tempdir().unwrap();
        let in_folder = |program: &str, name: &str| folder.path().join(program).join(name);
        let one = || vec!["{1}".to_owned()];
        write(&in_folder("plan", "1"), one(), || vec![call(true)]).unwrap();
        write(&in_folder("plan", "1"), one(), || panic!("it is there")).unwrap();
        write(&in_folder("plan", "2"), vec!["{2}".into()], Vec::new).unwrap();
        write(&in_folder("aws", "1"), one(), Vec::new).unwrap();

        let noted = noted(folder.path()).unwrap();
        assert_eq!(noted.keys().collect::<Vec<_>>(), ["aws", "plan"]);
        let first = Noted {
            documents: one(),
            calls: vec![call(true)],
        };
        assert_eq!(noted["plan"].len(), 2);
        assert_eq!(noted["plan"][0], first);
        assert_eq!(noted["aws"][0].calls, []);
    }

    #[test]
    fn of_a_directory_cloud_what_is_in_force_is_written() {
        let cloud = tempfile::tempdir().unwrap();
        assert_eq!(written(cloud.path()).unwrap(), Vec::<String>::new());
        for (file, text) in [
            ("pins/web/credpin-web.json", "{1}"),
            ("pins/web/credpin-web.state.json", "{2}"),
            (
                "cuts/cut-0.json",
                r#"{"Arn": "a", "PolicyDocument": {"3": 4}}"#,
            ),
            ("iam/get-caller-identity.json", "{5}"),
        ] {
            let file = cloud.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        let written = written(cloud.path()).unwrap();
        assert_eq!(written, ["{1}", r#"{"3":4}"#]);
    }

    #[test]
    fn what_is_no_note_is_not_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("plan")).unwrap();
        fs::write(folder.path().join("plan/0"), "{").unwrap();
        assert!(noted(folder.path()).is_err());
        assert!(noted(&folder.path().join("none")).is_err());
    }
}
