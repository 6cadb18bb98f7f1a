//! `credpin`: arguments, tracing, run, exit code. What the commands do is in the library.

use std::{io::IsTerminal, process::ExitCode};

use clap::Parser;
use credpin::{
    cli::Cli,
    command::{self, Exit},
};
use jiff::Timestamp;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and the version come this way too. That they cannot be printed cannot be said.
            let _ = error.print();
            let exit = if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Done
            };
            return ExitCode::from(exit as u8);
        }
    };
    let default = if cli.common.verbose {
        "warn,credpin=debug"
    } else {
        "warn,credpin::run=info"
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    #[expect(clippy::disallowed_methods, reason = "the clock is read once, here")]
    let now = Timestamp::now();
    let exit = command::execute(cli, now).await.unwrap_or_else(|error| {
        eprintln!("credpin: {}", command::chain(&error));
        error.exit()
    });
    ExitCode::from(exit as u8)
}
