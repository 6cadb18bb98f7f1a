//! The binary: arguments, bind, run, exit code.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use cli::Arguments;
use credpin_mock_imds::admin::Listener;
use credpin_mock_imds::config::Layers;
use credpin_mock_imds::launch::{Invocation, Launch};
use credpin_mock_imds::{Clock, Fidelity, Fleet, FleetError, State, SystemClock, admin, watch};

mod cli;

// On one thread: requests take microseconds and share one state, and what one thread allocates and
// another frees leaves the process a tenth of a byte larger, for ever, with each.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(text) = arguments.printed() {
        print!("{text}");
        return ExitCode::SUCCESS;
    }
    let invocation = invocation(arguments);
    match serve(&invocation).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error:#}", invocation.program);
            ExitCode::FAILURE
        }
    }
}

fn invocation(arguments: Arguments) -> Invocation {
    let (command, flags) = arguments.read();
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
    let hosts = launch.hosts().map(|(at, settings)| (at, settings.clone()));
    let fleet = Fleet::bind(hosts).await.map_err(|error| {
        let FleetError { address, source } = error;
        let by = "set by --hostname and --port, or by the description";
        anyhow::Error::new(source).context(format!("cannot listen on {address} ({by})"))
    })?;
    let admin = match &launch.admin {
        Some(admin) => Some(admin.clone().bind().await?),
        None => None,
    };
    match launch.save() {
        Some(Ok(path)) => say(&format!(
            "Successfully saved final configuration to local file  {}",
            path.display()
        ))?,
        // Nothing that is served hangs on it.
        Some(Err(error)) => eprintln!("{program}: warning: {:#}", anyhow::Error::new(error)),
        None => {}
    }
    // Before the ready line: who reads it may send the signal at once.
    let stopped = stop_signal().context("cannot wait for signals")?;
    say(&ready(invocation, &launch, &fleet, admin.as_ref()))?;

    let clock = Arc::new(SystemClock);
    let states: Vec<_> = fleet
        .members()
        .map(|(_, state)| Arc::clone(state))
        .collect();
    let hosts = fleet.hosts();
    let admin_clock = Arc::clone(&clock);
    let serving_admin = async move {
        match admin {
            Some(admin) => admin::run(admin, hosts, admin_clock, std::future::pending()).await,
            None => std::future::pending().await,
        }
    };
    let watching = async {
        match launch.file.filter(|_| launch.watch) {
            Some(file) => {
                let reload = || reload(invocation, &states);
                watch(Path::new(file.name()), file.text(), reload).await;
            }
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = fleet.run(clock, stopped) => {}
        () = serving_admin => {}
        () = watching => {}
    }
    Ok(())
}

/// One line for each host, and one for the admin API: all at once, for whoever reads only the first.
fn ready(
    invocation: &Invocation,
    launch: &Launch,
    fleet: &Fleet,
    admin: Option<&Listener>,
) -> String {
    let program = &invocation.program;
    let mut lines = Vec::new();
    for ((addr, state), (_, settings)) in fleet.members().zip(launch.hosts()) {
        let versions = if settings.imdsv2_only {
            "IMDSv2 only"
        } else {
            "IMDSv1 and IMDSv2"
        };
        let like = match settings.fidelity {
            Fidelity::Imds => "",
            Fidelity::Aemm(_) => {
                // AEMM's log begins with it, and scripts wait for that.
                let (what, port) = (invocation.command.about(), addr.port());
                eprintln!("Initiating ec2-metadata-mock for {what} on port {port}");
                ", like amazon-ec2-metadata-mock"
            }
        };
        let id = match launch.others[..] {
            [] => String::new(),
            _ => format!(", {}", state.host().instance_id),
        };
        lines.push(format!(
            "{program}: ready on http://{addr} ({versions}{like}{id})"
        ));
    }
    if let Some(admin) = admin {
        lines.push(format!("{program}: admin API on {}", admin.at()));
    }
    lines.join("\n")
}

/// Serves by the settings as they are now; where they are wrong, as before.
fn reload(invocation: &Invocation, states: &[Arc<State>]) {
    let complain = |what: &str| {
        eprintln!(
            "{}: {what}\nThe settings stay as they were.",
            invocation.program
        );
    };
    match Launch::read(invocation) {
        Ok(launch) if launch.hosts().count() == states.len() => {
            for (state, (_, settings)) in states.iter().zip(launch.hosts()) {
                state.configure(settings.clone());
            }
        }
        Ok(_) => complain("there are more or fewer hosts than there were: start again for that"),
        Err(error) => complain(&format!("{:#}", anyhow::Error::new(error))),
    }
}

fn say(line: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout();
    // In one write: who closes the pipe after the first of several lines is no reason to end.
    stdout
        .write_all(format!("{line}\n").as_bytes())
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
