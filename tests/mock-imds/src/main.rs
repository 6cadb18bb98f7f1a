//! The binary: arguments, bind, run, exit code.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use cli::Arguments;
use credpin_mock_imds::config::Layers;
use credpin_mock_imds::launch::{Invocation, Launch};
use credpin_mock_imds::{Clock, Fidelity, State, SystemClock, run, watch};
use tokio::net::TcpListener;

mod cli;

#[tokio::main]
async fn main() -> ExitCode {
    let invocation = invocation();
    match serve(&invocation).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error:#}", invocation.program);
            ExitCode::FAILURE
        }
    }
}

fn invocation() -> Invocation {
    let (command, flags) = Arguments::parse().read();
    let program = std::env::args_os().next().unwrap_or_default();
    let program = Path::new(&program).file_name().unwrap_or_default();
    Invocation {
        program: program.to_string_lossy().into_owned(),
        command,
        layers: Layers {
            flags,
            environment: variables(),
            file: None,
        },
        start: SystemClock.now(),
    }
}

async fn serve(invocation: &Invocation) -> anyhow::Result<()> {
    let program = &invocation.program;
    let launch = Launch::read(invocation)?;
    for warning in &launch.warnings {
        eprintln!("{program}: warning: {warning}; it is ignored");
    }
    let Launch { hostname, port, .. } = &launch;
    let listener = TcpListener::bind((hostname.as_str(), *port))
        .await
        .with_context(|| {
            format!("cannot listen on {hostname} port {port} (set by --hostname and --port)")
        })?;
    let addr = listener
        .local_addr()
        .context("cannot tell the address listened on")?;
    match launch.save() {
        Some(Ok(path)) => say(&format!(
            "Successfully saved final configuration to local file  {}",
            path.display()
        ))?,
        // Nothing that is served hangs on it.
        Some(Err(error)) => eprintln!("{program}: warning: {:#}", anyhow::Error::new(error)),
        None => {}
    }
    let versions = if launch.settings.imdsv2_only {
        "IMDSv2 only"
    } else {
        "IMDSv1 and IMDSv2"
    };
    let like = match launch.settings.fidelity {
        Fidelity::Imds => "",
        Fidelity::Aemm(_) => {
            // AEMM's log begins with it, and scripts wait for that.
            let what = invocation.command.about();
            eprintln!(
                "Initiating ec2-metadata-mock for {what} on port {}",
                addr.port()
            );
            ", like amazon-ec2-metadata-mock"
        }
    };
    let state = Arc::new(State::new(launch.settings));

    // Before the ready line: who reads it may send the signal at once.
    let stopped = stop_signal().context("cannot wait for signals")?;
    say(&format!(
        "{program}: ready on http://{addr} ({versions}{like})"
    ))?;

    let serving = run(listener, Arc::clone(&state), Arc::new(SystemClock), stopped);
    match launch.file.filter(|_| launch.watch) {
        None => serving.await,
        Some(file) => tokio::select! {
            () = serving => {}
            () = watch(Path::new(file.name()), file.text(), || reload(invocation, &state)) => {}
        },
    }
    Ok(())
}

/// Serves by the settings as they are now; where they are wrong, as before.
fn reload(invocation: &Invocation, state: &State) {
    match Launch::read(invocation) {
        Ok(launch) => state.configure(launch.settings),
        Err(error) => eprintln!(
            "{}: {:#}\nThe settings stay as they were.",
            invocation.program,
            anyhow::Error::new(error)
        ),
    }
}

fn say(line: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout();
    writeln!(stdout, "{line}")
        .and_then(|()| stdout.flush())
        .context("cannot write to standard output")
}

/// The environment, but for what is no text: no setting could be made of that.
fn variables() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Resolves on SIGINT or SIGTERM, caught from the call on.
#[cfg(unix)]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Resolves on Ctrl-C.
#[cfg(not(unix))]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async {
        // An error means that it will never come: run on until the process is ended.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
