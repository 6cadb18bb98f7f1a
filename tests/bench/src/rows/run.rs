//! Programs that run to their end.

use std::env;
use std::fs::{self, File};
use std::io::{Read, Seek};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::de::DeserializeOwned;

/// Between two looks at a process.
const LOOK: Duration = Duration::from_millis(5);

/// Whether there is such a program.
pub(super) fn is_installed(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// What a program prints, as JSON.
pub(super) fn answer<T: DeserializeOwned>(mut command: Command) -> Result<T> {
    let output = clean(&mut command).stderr(Stdio::inherit()).output();
    let program = command.get_program().display();
    let output = output.with_context(|| format!("cannot run {program}: build it"))?;
    ensure!(output.status.success(), "{program} failed");
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("{program} printed something else"))
}

/// How long a program takes that ends with one of `codes`.
pub(super) fn timed(command: Command, codes: &[i32]) -> Result<Duration> {
    let begun = Instant::now();
    let mut started = Started::new(command)?;
    let status = started.child.wait()?;
    let taken = begun.elapsed();
    started.ended(status, codes)?;
    Ok(taken)
}

/// The same, and the most memory that it had resident, in bytes, as of the last look at it.
pub(super) fn peak(command: Command, codes: &[i32]) -> Result<(Duration, u64)> {
    let begun = Instant::now();
    let mut started = Started::new(command)?;
    let child = &mut started.child;
    let mut peak = 0;
    let status = loop {
        peak = high_water(child.id()).unwrap_or(peak);
        if let Some(status) = child.try_wait()? {
            break status;
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "a poll of a process, and no test"
        )]
        std::thread::sleep(LOOK);
    };
    let taken = begun.elapsed();
    started.ended(status, codes)?;
    Ok((taken, peak))
}

/// A program that runs. What it complains of is told if it fails.
struct Started {
    program: String,
    child: Child,
    complaints: File,
}

impl Started {
    fn new(mut command: Command) -> Result<Self> {
        let program = command.get_program().display().to_string();
        let complaints = tempfile::tempfile()?;
        let stderr = complaints.try_clone()?;
        let child = clean(&mut command)
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn();
        Ok(Self {
            child: child.with_context(|| format!("cannot run {program}: build it"))?,
            program,
            complaints,
        })
    }

    fn ended(mut self, status: ExitStatus, codes: &[i32]) -> Result<()> {
        if status.code().is_some_and(|code| codes.contains(&code)) {
            return Ok(());
        }
        let mut said = String::new();
        self.complaints.rewind()?;
        self.complaints.read_to_string(&mut said)?;
        bail!("{} ended with {status}: {said}", self.program)
    }
}

/// Without anything of this process's environment but where programs are.
fn clean(command: &mut Command) -> &mut Command {
    command
        .env_clear()
        .env("PATH", env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::null())
}

/// `VmHWM` of a process, which the kernel keeps.
fn high_water(id: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}
