//! Programs that run to their end.

use std::env;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
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
    let (mut child, program) = start(command)?;
    let status = child.wait()?;
    let taken = begun.elapsed();
    let is_known = status.code().is_some_and(|code| codes.contains(&code));
    ensure!(is_known, "{program} ended with {status}");
    Ok(taken)
}

/// The same, and the most memory that it had resident, in bytes, as of the last look at it.
pub(super) fn peak(command: Command, codes: &[i32]) -> Result<(Duration, u64)> {
    let begun = Instant::now();
    let (mut child, program) = start(command)?;
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
    let is_known = status.code().is_some_and(|code| codes.contains(&code));
    ensure!(is_known, "{program} ended with {status}");
    Ok((taken, peak))
}

fn start(mut command: Command) -> Result<(Child, String)> {
    let program = command.get_program().display().to_string();
    clean(&mut command).stdout(Stdio::null());
    let child = command.spawn();
    let child = child.with_context(|| format!("cannot run {program}: build it"))?;
    Ok((child, program))
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
