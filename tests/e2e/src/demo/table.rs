//! What the demo prints.

use std::io::{self, Write};

use super::{Decision, Demo};

/// Prints the demo for a person.
pub fn print_table(demo: &Demo, colour: bool, out: &mut impl Write) -> io::Result<()> {
    let paint = |decision: Decision| match (colour, decision) {
        (true, Decision::Denied) => format!("\x1b[31m{decision:<8}\x1b[0m"),
        (true, Decision::Allowed) => format!("\x1b[32m{decision:<8}\x1b[0m"),
        (false, _) => format!("{decision:<8}"),
    };
    writeln!(out, "Two hosts of role web, each behind its own proxy:\n")?;
    for host in &demo.hosts {
        writeln!(
            out,
            "  {}  got {}, on record before it was released",
            host.instance, host.access_key_id
        )?;
        writeln!(
            out,
            "  {:width$}  an SSRF without a session token got {}, one through a proxy {}",
            "",
            host.guards.without_token,
            host.guards.forwarded,
            width = host.instance.len()
        )?;
    }
    writeln!(
        out,
        "\nThe record store holds {} live tokens of {} hosts: AWS has no such list.",
        demo.coverage.live_tokens, demo.coverage.recorded_hosts
    )?;
    writeln!(
        out,
        "\nThe controller looked at the account, proved the pin, and did:\n"
    )?;
    for step in &demo.steps {
        writeln!(out, "  {step}")?;
    }
    let width = demo
        .rows
        .iter()
        .map(|row| row.from.len())
        .max()
        .unwrap_or(0);
    let places = demo
        .rows
        .iter()
        .map(|row| row.position.len())
        .max()
        .unwrap_or(0);
    writeln!(
        out,
        "\nThe first host's token, used from (IAM is played by credpin's evaluator here):\n"
    )?;
    writeln!(
        out,
        "  {:width$}  {:places$}  {:8}  {:8}  statement",
        "", "as AWS sees it", "before", "after"
    )?;
    for row in &demo.rows {
        let why = row.statement.as_deref().unwrap_or(row.note);
        let wrong = if row.is_as_promised() {
            ""
        } else {
            "  <- NOT AS PROMISED"
        };
        let line = format!(
            "  {:width$}  {:places$}  {}  {}  {why}{wrong}",
            row.from,
            row.position,
            paint(row.before),
            paint(row.after)
        );
        writeln!(out, "{}", line.trim_end())?;
    }
    writeln!(out, "\nA stolen token is good for:\n")?;
    writeln!(out, "  before  {}", demo.exposure_before)?;
    writeln!(out, "  after   {}", demo.exposure_after)?;
    let folder = demo.folder.display();
    let next = [
        (
            format!("{folder}/cloud/pins/web/"),
            "the policy, as it would be in IAM",
        ),
        (
            format!("{folder}/hosts/"),
            "each host's ledger: who got which key, and no secret",
        ),
        (
            "docs/threat-model.md".to_owned(),
            "what is promised, and what is not",
        ),
    ];
    let width = next.iter().map(|(place, _)| place.len()).max().unwrap_or(0);
    writeln!(out, "\nLook next at:\n")?;
    for (place, what) in next {
        writeln!(out, "  {place:width$}  {what}")?;
    }
    Ok(())
}

/// Prints the rows for a machine: an array of `{from, before, after, statement}`.
pub fn print_json(demo: &Demo, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &demo.rows)?;
    writeln!(out)
}
