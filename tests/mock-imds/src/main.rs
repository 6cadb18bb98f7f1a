//! The binary: arguments, bind, run, exit code.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use credpin_mock_imds::{Settings, State, SystemClock, run};
use tokio::net::TcpListener;

/// A mock of the EC2 instance metadata service, for tests of what reads it.
///
/// Point AWS SDKs, the AWS CLI or cloud-init at it:
///
///     credpin-mock-imds &
///     export AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:1338
///
/// Its credentials have the shape of real ones, expire and rotate, and open nothing.
#[derive(Parser)]
#[command(version, verbatim_doc_comment)]
struct Arguments {
    /// Name or address to listen on.
    ///
    /// Only this machine reaches the default; a container wants 0.0.0.0. What a mock gives out is
    /// worthless, but a program that takes it for the real one might be led astray by it.
    #[arg(short = 'n', long, value_name = "HOST", default_value = "127.0.0.1")]
    hostname: String,

    /// Port to listen on; 0 takes a free one.
    #[arg(short, long, default_value_t = 1338)]
    port: u16,

    /// Require a session token: refuse requests of IMDSv1.
    #[arg(short = 'I', long)]
    imdsv2: bool,
}

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
    let Arguments {
        hostname,
        port,
        imdsv2,
    } = arguments;
    let listener = TcpListener::bind((hostname.as_str(), port))
        .await
        .with_context(|| {
            format!("cannot listen on {hostname} port {port} (set by --hostname and --port)")
        })?;
    let addr = listener
        .local_addr()
        .context("cannot tell the address listened on")?;
    let state = State::new(Settings {
        imdsv2_only: imdsv2,
        ..Settings::default()
    });

    // Before the ready line: who reads it may send the signal at once.
    let stopped = stop_signal().context("cannot wait for signals")?;
    let versions = if imdsv2 {
        "IMDSv2 only"
    } else {
        "IMDSv1 and IMDSv2"
    };
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
