//! Where the borrowed parts lie, and the only names under which their programs can be started.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::process::Launch;

/// The parts under `target/tools`, as `make tools` lays them out, and the binaries under test.
///
/// The paths stay inside: a program is had as a [`Launch`], whose environment is already scrubbed.
#[derive(Clone, Debug)]
pub struct Tools {
    root: PathBuf,
    scripts: PathBuf,
}

impl Tools {
    /// Finds `target/tools` of this checkout.
    pub fn find() -> Result<Self> {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = scripts.join("../../target/tools");
        if !root.join("stamp").is_file() {
            bail!(
                "{} is not set up: run `make tools` (or `make test`, which does)",
                root.display()
            );
        }
        Ok(Self {
            root: root
                .canonicalize()
                .with_context(|| format!("cannot resolve {}", root.display()))?,
            scripts: scripts.to_path_buf(),
        })
    }

    /// A script of `tests/e2e/python`, by its file name, run by the tools' own Python.
    pub fn python(&self, script: &str) -> Result<Launch> {
        Ok(self
            .launch(&self.root.join("venv/bin/python"))?
            .arg(self.scripts.join("python").join(script)))
    }

    /// The judge of `tests/e2e/judge`.
    pub fn judge(&self) -> Result<Launch> {
        Ok(self
            .launch(Path::new("node"))?
            .arg(self.scripts.join("judge/judge.mjs"))
            .arg(&self.root))
    }

    /// A script of `tests/e2e/node`, by its file name; it is told where its modules lie.
    pub fn node(&self, script: &str) -> Result<Launch> {
        Ok(self
            .launch(Path::new("node"))?
            .arg(self.scripts.join("node").join(script))
            .arg(&self.root))
    }

    /// cloud-init's EC2 datasource, which knows the real addresses only.
    pub fn cloud_init(&self) -> Result<Launch> {
        let package = self.root.join("cloud-init/usr/lib/python3/dist-packages");
        if !package.is_dir() {
            bail!(
                "cloud-init is not in {}: it comes from a package of Debian, so run `make tools` \
                 on a machine with apt-get, after `apt-get update`",
                self.root.display()
            );
        }
        Ok(self.python("imds_cloud_init.py")?.arg(package))
    }

    /// The real AWS CLI.
    pub fn aws(&self) -> Result<Launch> {
        self.launch(&self.root.join("venv/bin/aws"))
    }

    /// `tests/e2e/tools/dump-account`, which finds the real AWS CLI as `aws`.
    pub fn dump_account(&self) -> Result<Launch> {
        self.launch(&self.scripts.join("tools/dump-account"))
    }

    /// A program of the system, by its name; `package` is where Debian has it.
    pub fn system(&self, name: &str, package: &str) -> Result<Launch> {
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
        let found = std::env::split_paths(&path)
            .map(|folder| folder.join(name))
            .find(|path| path.is_file());
        match found {
            Some(path) => self.launch(&path),
            None => bail!("{name} is missing: install it (Debian: apt-get install {package})"),
        }
    }

    /// The cargo that built this.
    pub fn cargo(&self) -> Result<Launch> {
        let cargo = self.launch(Path::new(env!("CARGO")))?;
        // What it has downloaded, and which toolchain there is, is in the user's home.
        let kept = ["HOME", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"];
        let kept = kept
            .into_iter()
            .filter_map(|key| Some((key, std::env::var_os(key)?)));
        Ok(kept.fold(cargo, |cargo, (key, value)| cargo.env(key, value)))
    }

    /// pytest on a folder of this repository, whose tests find the mock as `CREDPIN_MOCK_IMDS`.
    pub fn pytest(&self, folder: &str) -> Result<Launch> {
        let folder = self.scripts.join("../..").join(folder);
        let pytest = self.launch(&self.root.join("venv/bin/python"))?;
        // Its cache would be written beside the tests.
        let pytest = pytest.args(["-m", "pytest", "-p", "no:cacheprovider", "-v"]);
        let mock = built("credpin-mock-imds")?;
        Ok(pytest.arg(folder).env("CREDPIN_MOCK_IMDS", mock))
    }

    /// The test program that asks, to run some of its tests by themselves.
    pub fn this_test(&self) -> Result<Launch> {
        let program = std::env::current_exe().context("a process knows its program")?;
        self.launch(&program)
    }

    /// One of this workspace's own binaries, built in the profile of the test that asks.
    pub fn binary(&self, name: &str) -> Result<Launch> {
        self.launch(&built(name)?)
    }

    /// An example of this crate: a client in Rust.
    pub(crate) fn example(&self, name: &str) -> Result<Launch> {
        self.binary(&format!("examples/{name}"))
    }

    fn launch(&self, program: &Path) -> Result<Launch> {
        Launch::new(program, &self.root.join("venv/bin"))
    }
}

/// Where a binary of this workspace lies.
fn built(name: &str) -> Result<PathBuf> {
    let test = std::env::current_exe().context("cannot tell where the test's binary lies")?;
    // target/PROFILE/deps/TEST, or target/PROFILE/NAME for a binary such as the demo.
    let found = test
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    match found {
        Some(path) => Ok(path),
        None => bail!("binary {name} is not built: run `cargo build --workspace --bins`"),
    }
}

/// `tools/setup`, on machines that have only what the test gives them.
#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use tempfile::TempDir;

    use super::*;
    use crate::process::Finished;

    /// A Python whose virtual environments hold a pip that does nothing.
    const PYTHON: &str = r#"[ "$1" = -m ] || exit 0
        mkdir -p "$3/bin" && echo '#!/bin/sh' >"$3/bin/pip" && chmod +x "$3/bin/pip""#;
    const OLD_PYTHON: &str = "case $2 in *version_info*) exit 1;; esac; echo Python 3.9.2";
    const PYTHON_WITHOUT_VENV: &str = "case $2 in *ensurepip*) exit 1;; esac";
    const NODE: &str = "exit 0";
    const OLD_NODE: &str = "case $1 in -e) exit 1;; esac; echo v16.20.0";
    const NPM: &str = "exit 0";

    struct Machine(TempDir);

    impl Machine {
        fn with(programs: &[(&str, &str)]) -> Self {
            let machine = Self(TempDir::new().unwrap());
            let bin = machine.path("bin");
            fs::create_dir(&bin).unwrap();
            for name in ["cat", "chmod", "cksum", "cp", "dirname", "mkdir", "rm"] {
                let path = std::env::var_os("PATH").unwrap();
                let mut folders = std::env::split_paths(&path);
                let found = folders.find_map(|f| f.join(name).canonicalize().ok());
                symlink(found.unwrap(), bin.join(name)).unwrap();
            }
            for (name, script) in programs {
                fs::write(bin.join(name), format!("#!/bin/sh\n{script}\n")).unwrap();
                fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
            }
            let (ours, copy) = (Path::new(env!("CARGO_MANIFEST_DIR")), machine.path(TOOLS));
            fs::create_dir_all(&copy).unwrap();
            for file in fs::read_dir(ours.join("tools")).unwrap() {
                let file = file.unwrap();
                fs::copy(file.path(), copy.join(file.file_name())).unwrap();
            }
            machine
        }

        async fn setup(&self) -> Finished {
            let setup = Launch::new(Path::new("/bin/bash"), &self.path("bin")).unwrap();
            let setup = setup.arg(self.path(TOOLS).join("setup"));
            setup.env("PATH", self.path("bin")).finish().await.unwrap()
        }

        fn path(&self, path: &str) -> PathBuf {
            self.0.path().join(path)
        }
    }

    const TOOLS: &str = "tests/e2e/tools";

    #[tokio::test]
    async fn setup_says_in_a_sentence_what_is_missing() {
        let (python, node) = (("python3", PYTHON), ("node", NODE));
        for (programs, sentence) in [
            (
                vec![],
                "python3 is missing: install Python 3.11 or newer (Debian: apt-get install python3 python3-venv)",
            ),
            (
                vec![("python3", OLD_PYTHON)],
                "Python 3.9.2 is too old: install Python 3.11 or newer",
            ),
            (
                vec![("python3", PYTHON_WITHOUT_VENV)],
                "python3 cannot make virtual environments: install its venv module (Debian: apt-get install python3-venv)",
            ),
            (
                vec![python],
                "node is missing: install Node.js 18 or newer (Debian: apt-get install nodejs npm)",
            ),
            (
                vec![python, ("node", OLD_NODE)],
                "node v16.20.0 is too old: install Node.js 18 or newer",
            ),
            (
                vec![python, node],
                "npm is missing: install it beside node (Debian: apt-get install npm)",
            ),
        ] {
            let machine = Machine::with(&programs);
            let said = machine.setup().await;
            assert_eq!(said.stderr, format!("tools: {sentence}\n"));
            assert_eq!((said.status.code(), said.stdout.as_str()), (Some(1), ""));
            assert!(
                !machine.path("target").exists(),
                "nothing is left half done"
            );
        }
    }

    #[tokio::test]
    async fn setup_does_again_only_what_changed() {
        let machine = Machine::with(&[("python3", PYTHON), ("node", NODE), ("npm", NPM)]);
        let first = machine.setup().await.success().unwrap();
        assert!(first.contains("installing moto"), "{first}");
        assert_eq!(machine.setup().await.success().unwrap(), "");

        let pins = machine.path(TOOLS).join("requirements.txt");
        fs::write(pins, "moto==0.0.0").unwrap();
        let third = machine.setup().await.success().unwrap();
        assert!(third.contains("installing moto"), "{third}");
    }

    #[tokio::test]
    async fn a_setup_that_failed_is_not_taken_for_done() {
        let machine = Machine::with(&[("python3", PYTHON), ("node", NODE), ("npm", "exit 1")]);
        for _ in 0..2 {
            let said = machine.setup().await;
            assert!(!said.status.success());
            assert!(said.stdout.contains("installing moto"), "{}", said.stdout);
        }
    }

    #[test]
    fn a_binary_that_is_not_built_says_how_to_build_it() {
        let error = Tools::find().unwrap().binary("no-such-binary").unwrap_err();
        assert!(error.to_string().contains("cargo build"), "{error}");
    }
}
