//! `credpin-proxy`: arguments, config, tracing, sockets, run, exit code. All else is in the library.

use std::alloc::System;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{CommandFactory, Parser};
use credpin_proxy::check::Verdict;
use credpin_proxy::cli::{Cli, Command, Flags, LoadError, Redirect};
use credpin_proxy::config::{LogFormat, LogLevel};
use credpin_proxy::landlock::Confined;
use credpin_proxy::notify::Notify;
use credpin_proxy::redirect::Mode;
use credpin_proxy::{
    Clock, Config, Listeners, Machine, Proxy, Pulse, check, hardening, history, landlock,
    longest_end, open_files, redirect, reload,
};
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::level_filters::LevelFilter;
use tracing::{error, info};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use zeroizing_alloc::ZeroAlloc;

/// Bodies are zeroized by their own type; this is for the copies that libraries make on the way.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

/// That answer clients, and as many again that find out who they are.
const MOST_THREADS: usize = 4;

/// `EX_USAGE` of sysexits(3), as `credpin` has it.
const BAD_USAGE: u8 = 64;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and the version come this way too. That they cannot be printed cannot be said.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { BAD_USAGE } else { 0 });
        }
    };
    match act(cli.command) {
        Ok(code) => code,
        // `credpin-proxy ledger | head` ends our output, and that is all that happened.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("credpin-proxy: {error:#}");
            match error.downcast_ref::<LoadError>() {
                Some(error) if error.is_bad_usage() => ExitCode::from(BAD_USAGE),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn act(command: Command) -> Result<ExitCode> {
    let environment = environment();
    match command {
        Command::Run(flags) => {
            let config = flags.load(&environment)?;
            start_logs(&config);
            hardening::apply();
            open_files::make_room(config.max_connections);
            // Before the first thread starts: each has from then on what the one has that starts it.
            let confined = landlock::confine(&config, flags.file());
            let runtime = runtime()?;
            let ended = runtime.block_on(run(&flags, config, &environment, &confined));
            // A store that hangs has a thread of ours, and the next start must not wait for it.
            runtime.shutdown_background();
            ended?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Check { json, flags } => {
            let config = flags.load(&environment)?;
            let findings = runtime()?.block_on(check::check(&config, &Clock::system()));
            if json {
                print(&(serde_json::to_string_pretty(&findings)? + "\n"))?;
            } else {
                print(&check::report(&findings))?;
            }
            let bad = findings
                .iter()
                .any(|finding| finding.verdict == Verdict::Bad);
            Ok(if bad {
                ExitCode::FAILURE
            } else {
                ExitCode::SUCCESS
            })
        }
        Command::Ledger { json, flags } => {
            let dir = flags.load(&environment)?.ledger;
            let history = history::read(&dir)
                .with_context(|| format!("cannot read the ledger {}", dir.display()))?;
            for unreadable in &history.unreadable {
                eprintln!("credpin-proxy: left out: {unreadable}");
            }
            if json {
                print(&(serde_json::to_string_pretty(&history.records)? + "\n"))?;
            } else {
                print(&history::table(&history.records))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Redirect(action) => act_on_redirect(action, &environment),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "credpin-proxy", &mut text);
            io::stdout().write_all(&text)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn act_on_redirect(action: Redirect, environment: &BTreeMap<String, String>) -> Result<ExitCode> {
    match action {
        Redirect::Show(flags) => {
            let config = flags.load(environment)?;
            let rules = redirect::rules(&config)?;
            print(&rules.text(Mode::Through))?;
            let loaded = redirect::loaded(&config)?;
            eprintln!("credpin-proxy: {loaded}\ncredpin-proxy: {}", rules.passes());
            if !loaded.is_as_installed() {
                return Ok(ExitCode::FAILURE);
            }
        }
        Redirect::Install {
            proxy_down,
            if_down,
            flags,
        } => {
            let config = match flags.load(environment) {
                Ok(config) => config,
                Err(error) => {
                    let right = flags.load_what_is_right(environment);
                    start_logs(&right);
                    match (proxy_down, if_down) {
                        (true, _) => redirect::proxy_is_down(&right),
                        (_, true) => Ok(()),
                        _ => redirect::refuse_all(&right),
                    }
                    .with_context(|| error.to_string())?;
                    return Err(error.into());
                }
            };
            start_logs(&config);
            match (proxy_down, if_down) {
                (true, _) => redirect::proxy_is_down(&config)?,
                (_, true) => redirect::proxy_is_up(&config)?,
                _ => redirect::install(&config)?,
            }
        }
        Redirect::Remove => redirect::remove()?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn run(
    flags: &Flags,
    config: Config,
    environment: &BTreeMap<String, String>,
    confined: &Confined,
) -> Result<()> {
    // Before there is anything to end: a signal that nobody waits for ends the process.
    let signals = Signals::new()?;
    let notify = Notify::from(environment).context("cannot tell the service manager")?;
    let names = environment.get("LISTEN_FDNAMES");
    let kept = Listeners::kept(names.map_or("", String::as_str))?;
    let listeners = kept.and_bound(&config).await?;
    if let Confined::Failed(_) = confined {
        error!("{confined}");
    } else {
        info!("{confined}");
    }
    let ready = format!(
        "ready on {}, upstream {}, ledger {}",
        join(&listeners.addresses()?),
        config.upstream,
        config.ledger.display()
    );
    let machine = Machine::this(&config)?;
    let proxy = Proxy::start(listeners, config.clone(), machine).await?;
    print(&format!(
        "credpin-proxy {} {ready}\n",
        env!("CARGO_PKG_VERSION")
    ))?;
    notify.ready(&ready);
    let (pulse, rules) = (proxy.pulse(), proxy.rules());
    let told_to_stop = async {
        tokio::select! {
            () = signals.until_the_end(|| reload::reload(flags, environment, &config, &rules)) => {}
            never = stay_alive(&notify, &pulse) => match never {},
        }
        notify.stopping(longest_end(config.drain));
    };
    proxy.run(told_to_stop).await;
    Ok(())
}

/// Lets the service manager know that the proxy works, as long as it does.
async fn stay_alive(notify: &Notify, pulse: &Pulse) -> Infallible {
    let Some(every) = notify.alive_every() else {
        return std::future::pending().await;
    };
    let mut turn = tokio::time::interval(every);
    loop {
        turn.tick().await;
        pulse.beat().await;
        notify.alive();
    }
}

/// What the process can be told.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?,
            hangup: signal(SignalKind::hangup()).context("cannot wait for SIGHUP")?,
        })
    }

    /// Waits until it is told to end; does `reload` when it is told to hang up and look again.
    async fn until_the_end(mut self, reload: impl Fn()) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => reload(),
            }
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    // It waits more than it works: a large host's every CPU would cost a stack and an arena each.
    let threads =
        std::thread::available_parallelism().map_or(1, |cpus| cpus.get().min(MOST_THREADS));
    // Where there is one CPU, this thread does it.
    let mut builder = if threads == 1 {
        Builder::new_current_thread()
    } else {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(threads);
        builder
    };
    let runtime = builder
        // For walks of /proc. Left alone, a thousand connections at once would start hundreds.
        .max_blocking_threads(MOST_THREADS)
        .enable_all()
        .build();
    runtime.context("cannot start the runtime")
}

/// Logs of ours at the level that is set; of the libraries only what is wrong.
fn start_logs(config: &Config) {
    let LogLevel(level) = config.log_level;
    let targets = Targets::new()
        .with_target("credpin_proxy", level)
        .with_target("credpin_ledger", level)
        .with_default(LevelFilter::WARN);
    let logs = tracing_subscriber::fmt::layer()
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    let all = tracing_subscriber::registry().with(targets);
    match config.log_format {
        LogFormat::Text => all.with(logs).init(),
        LogFormat::Json => all.with(logs.json()).init(),
    }
}

/// A variable that is not UTF-8 is none of ours.
fn environment() -> BTreeMap<String, String> {
    let utf8 = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(utf8).collect()
}

fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn join<T: ToString>(items: &[T]) -> String {
    items
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
