//! `make demo`: see the crate's `demo` module.

use std::{
    io::{self, IsTerminal},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Result;
use clap::Parser;
use credpin_e2e::demo;
use jiff::Timestamp;

/// Two hosts, one account, a thief: what a stolen token is good for, before a pin and after.
///
/// Ends with 1 if anything is not as docs/threat-model.md promises.
#[derive(Parser)]
struct Arguments {
    /// Print the rows as JSON: an array of {from, before, after, statement}.
    #[arg(long)]
    json: bool,
    /// Where its files go; an earlier demo's folder is made anew.
    #[arg(long, value_name = "FOLDER", default_value = "target/demo")]
    dir: PathBuf,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    #[expect(
        clippy::disallowed_methods,
        reason = "the edge: the demo's one look at the clock"
    )]
    let now = Timestamp::now();
    let shown = demo::run(&arguments.dir, now).await?;
    let mut out = io::stdout().lock();
    if arguments.json {
        demo::print_json(&shown, &mut out)?;
    } else {
        let colour = out.is_terminal() && std::env::var_os("NO_COLOR").is_none();
        demo::print_table(&shown, colour, &mut out)?;
    }
    if shown.is_as_promised() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("demo: not everything is as promised (docs/threat-model.md)");
    Ok(ExitCode::FAILURE)
}
