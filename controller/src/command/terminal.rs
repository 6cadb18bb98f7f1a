//! The person at the other end: printing, asking, colour.

use std::io::{self, BufRead, IsTerminal, Write};

use super::CommandError;
use crate::report::Paint;

/// Whether a person at the terminal says yes.
pub(super) fn confirmed() -> Result<bool, CommandError> {
    is_anybody_there()?;
    Ok(ask()?)
}

/// An error where nobody can be asked.
pub(super) fn is_anybody_there() -> Result<(), CommandError> {
    if io::stdin().is_terminal() {
        Ok(())
    } else {
        Err(CommandError::NobodyToAsk)
    }
}

/// Asks whoever is there.
pub(super) fn ask() -> io::Result<bool> {
    write!(io::stderr(), "\nDo this? Only `yes` is taken for a yes: ")?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}

/// Colour on a terminal, unless `NO_COLOR` asks for none (no-color.org).
pub(super) fn paint() -> Paint {
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    Paint {
        colour: io::stdout().is_terminal() && !no_colour,
    }
}

/// Prints to stdout. A reader that has seen enough (`| head`) is no error.
pub(super) fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
