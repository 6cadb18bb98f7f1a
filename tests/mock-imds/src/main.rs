//! The binary: arguments, bind, run, exit code.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use cli::Arguments;
use credpin_mock_imds::config::Layers;
use credpin_mock_imds::launch::Launch;
use credpin_mock_imds::{State, SystemClock, run};
use tokio::net::TcpListener;

mod cli;

#[tokio::main]
async fn main() -> ExitCode {
    match serve(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("credpin-mock-imds: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(arguments: Arguments) -> anyhow::Result<()> {
    let Launch {
        hostname,
        port,
        settings,
    } = Launch::read(Layers {
        flags: arguments.flags(),
        environment: variables(),
        file: None,
    })?;
    let listener = TcpListener::bind((hostname.as_str(), port))
        .await
        .with_context(|| {
            format!("cannot listen on {hostname} port {port} (set by --hostname and --port)")
        })?;
    let addr = listener
        .local_addr()
        .context("cannot tell the address listened on")?;
    let versions = if settings.imdsv2_only {
        "IMDSv2 only"
    } else {
        "IMDSv1 and IMDSv2"
    };
    let state = State::new(settings);

    // Before the ready line: who reads it may send the signal at once.
    let stopped = stop_signal().context("cannot wait for signals")?;
    let mut stdout = std::io::stdout();
    writeln!(
        stdout,
        "credpin-mock-imds: ready on http://{addr} ({versions})"
    )
    .and_then(|()| stdout.flush())
    .context("cannot write to standard output")?;

    run(listener, Arc::new(state), Arc::new(SystemClock), stopped).await;
    Ok(())
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
