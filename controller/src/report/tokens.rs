//! Every token: a table, what it comes to, and what is missing.

use std::fmt::Write as _;

use credpin_core::inventory::{Asker, Gap, Row, Summary, Use};
use credpin_ledger::ImdsVersion;
use jiff::Timestamp;
use serde::Serialize;

use super::{
    Paint, count,
    reading::{minute, number, reading},
    table::align,
    text::plain,
};
use crate::{cloudtrail::Reading, inventory::Folded};

/// Gaps that are told one by one.
const GAPS: usize = 20;
/// Consumers of a token that are named.
const NAMED: usize = 2;

/// The inventory, as it was asked for.
#[derive(Clone, Debug)]
pub struct Listed<'a> {
    /// When.
    pub made: Timestamp,
    /// The tokens that are shown.
    pub rows: Vec<Row>,
    /// What they come to.
    pub summary: Summary,
    /// Tokens that the filters left out.
    pub not_shown: usize,
    /// Records that are missing, of all hosts.
    pub gaps: Vec<Gap>,
    /// Records that could not be taken in.
    pub left_out: u64,
    /// What was read of the record store, if one was named.
    pub records: Option<&'a Folded>,
    /// What was read of the trail, if one was named.
    pub reading: Option<&'a Reading>,
}

impl Listed<'_> {
    /// Whether all that there should be was there, and was read.
    pub fn is_whole(&self) -> bool {
        self.left_out == 0
            && !self.gaps.iter().any(|gap| gap.certain)
            && self.records.is_none_or(Folded::is_whole)
            && self.reading.is_none_or(Reading::is_whole)
    }
}

/// For a person.
pub fn tokens(listed: &Listed<'_>, paint: Paint) -> String {
    let mut out = String::new();
    let with_trail = listed.rows.iter().any(|row| row.last_seen.is_some());
    let several = several_accounts(&listed.rows);
    if !listed.rows.is_empty() {
        let mut head = vec![
            "KEY", "ROLE", "INSTANCE", "ISSUED", "EXPIRES", "IMDS", "PIN",
        ];
        if several {
            head.insert(1, "ACCOUNT");
        }
        if with_trail {
            head.push("LAST SEEN");
        }
        head.push("ASKED FOR BY");
        let mut table = vec![head.into_iter().map(str::to_owned).collect()];
        let cells = |row: &Row| cells(row, several, with_trail);
        table.extend(listed.rows.iter().map(cells));
        align(&mut out, &table);
        out.push('\n');
    }
    summary(&mut out, listed);
    missing(&mut out, listed, paint);
    if let Some(read) = listed.reading {
        out.push('\n');
        reading(&mut out, read, paint);
    }
    out
}

fn several_accounts(rows: &[Row]) -> bool {
    let first = rows.first().and_then(|row| row.account.as_deref());
    rows.iter().any(|row| row.account.as_deref() != first)
}

fn cells(row: &Row, several: bool, with_trail: bool) -> Vec<String> {
    let text = |text: &Option<String>| plain(text.as_deref().unwrap_or("?"));
    let time = |time: Option<Timestamp>| time.map_or("?".to_owned(), minute);
    let expires = match (row.live, row.recorded) {
        (true, true) => time(row.expires),
        (true, false) => format!("by {}", time(row.expires)),
        (false, _) => "expired".to_owned(),
    };
    let versions = row.imds_versions.iter().map(|version| match version {
        ImdsVersion::V1 => "v1",
        ImdsVersion::V2 => "v2",
    });
    let versions: Vec<_> = versions.collect();
    let pin = match row.pinned {
        Some(true) => "in force",
        Some(false) => "none",
        None => "unknown",
    };
    let mut cells = vec![
        plain(&row.access_key_id),
        text(&row.role),
        text(&row.instance),
        time(row.issued),
        expires,
        if versions.is_empty() {
            "?".to_owned()
        } else {
            versions.join(", ")
        },
        pin.to_owned(),
    ];
    if several {
        cells.insert(1, text(&row.account));
    }
    if with_trail {
        cells.push(row.last_seen.as_ref().map_or("not seen".to_owned(), seen));
    }
    cells.push(consumers(row));
    cells
}

fn seen(last: &Use) -> String {
    let from = last.from.as_deref().unwrap_or("?");
    let place = match &last.endpoint {
        Some(endpoint) => format!("{endpoint}/{from}"),
        None => from.to_owned(),
    };
    format!("{} {}", minute(last.time), plain(&place))
}

fn consumers(row: &Row) -> String {
    if !row.recorded {
        return "no record of it".to_owned();
    }
    let mut named: Vec<String> = Vec::new();
    for asker in &row.consumers {
        let name = name(asker);
        if !named.contains(&name) {
            named.push(name);
        }
    }
    let more = named.len().saturating_sub(NAMED);
    named.truncate(NAMED);
    let mut text = named.join(", ");
    if more > 0 || row.more_consumers {
        let _ = write!(
            text,
            " and {more}{} more",
            if row.more_consumers { "+" } else { "" }
        );
    }
    if !row.also_recorded_by.is_empty() {
        let others: Vec<_> = row
            .also_recorded_by
            .iter()
            .map(|host| plain(host))
            .collect();
        let _ = write!(text, " ! also recorded by {}", others.join(", "));
    }
    text
}

/// What tells most of who asked.
fn name(asker: &Asker) -> String {
    let what = [&asker.container, &asker.unit, &asker.exe];
    let what = what.into_iter().flatten().next();
    let who = asker.user.clone().or(asker.uid.map(|uid| uid.to_string()));
    match (what, who) {
        (Some(what), Some(who)) => plain(&format!("{what} ({who})")),
        (Some(what), None) => plain(what),
        (None, Some(who)) => plain(&who),
        (None, None) => asker.peer.to_string(),
    }
}

fn summary(out: &mut String, listed: &Listed<'_>) {
    let Summary {
        tokens,
        live,
        instances,
        roles,
        unpinned,
        pin_unknown,
        imdsv1,
        unrecorded,
        contested,
    } = listed.summary;
    let _ = writeln!(
        out,
        "{} of {} on {}, {live} live.",
        number(tokens as u64, "token"),
        count(roles, "role"),
        number(instances as u64, "instance"),
    );
    for (number, what) in [
        (unpinned, "without a pin in force"),
        (
            pin_unknown,
            "of roles whose pin is not known (--plan, or a run with `state`, tells it)",
        ),
        (imdsv1, "handed out by IMDSv1"),
        (
            unrecorded,
            "that CloudTrail shows and no host recorded: issued around the proxy, or its record is missing",
        ),
        (
            contested,
            "that several hosts say they were given: one of them does not tell the truth",
        ),
        (listed.not_shown, "more that the filters leave out"),
    ] {
        if number > 0 {
            let _ = writeln!(out, "  {number} {what}");
        }
    }
    if let Some(records) = listed.records {
        let _ = writeln!(
            out,
            "Batches of records: {} new, {} known.",
            records.new, records.known
        );
    }
}

fn missing(out: &mut String, listed: &Listed<'_>, paint: Paint) {
    let (certain, unsure): (Vec<_>, Vec<_>) = listed.gaps.iter().partition(|gap| gap.certain);
    if !certain.is_empty() {
        let line = "! Records are missing: lost, not shipped yet, or taken out of the store";
        let _ = writeln!(out, "\n{}", paint.red(line));
    }
    for gap in certain.iter().take(GAPS) {
        let _ = writeln!(out, "    {}", plain(&told(gap)));
    }
    if certain.len() > GAPS {
        let _ = writeln!(out, "    and {} more", certain.len() - GAPS);
    }
    if !unsure.is_empty() {
        let _ = writeln!(
            out,
            "Of {} the first records are not here: older than what was read, or missing.",
            count(unsure.len(), "boot")
        );
    }
    let folded = listed.records.cloned().unwrap_or_default();
    for (number, what) in [
        (
            listed.left_out,
            "left out: no records, or at odds with their object's name",
        ),
        (
            folded.no_batches as u64,
            "in the store left out: no batches of records",
        ),
        (
            folded.unreadable as u64,
            "not given out by the store; asked for again the next time",
        ),
        (
            folded.ahead as u64,
            "of hours that are still to come: a host's clock is wrong, or somebody made them up",
        ),
    ] {
        if number > 0 {
            let _ = writeln!(out, "{}", paint.yellow(&format!("! {number} {what}")));
        }
    }
}

fn told(gap: &Gap) -> String {
    let numbers = if gap.first == gap.last {
        format!("record {}", gap.first)
    } else {
        format!("records {} to {}", gap.first, gap.last)
    };
    let after = match gap.after {
        Some(after) => format!("between {} and {}", minute(after), minute(gap.before)),
        None => format!("before {}", minute(gap.before)),
    };
    format!(
        "{}: {numbers} of boot {}, made {after}",
        gap.boot.instance, gap.boot.boot
    )
}

/// The same for a machine.
pub fn tokens_json(listed: &Listed<'_>) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Json<'a> {
        schema: u32,
        made: Timestamp,
        whole: bool,
        summary: Summary,
        not_shown: usize,
        tokens: &'a [Row],
        gaps: &'a [Gap],
        left_out: u64,
        records: Option<&'a Folded>,
        reading: Option<&'a Reading>,
    }
    serde_json::to_string_pretty(&Json {
        schema: 1,
        made: listed.made,
        whole: listed.is_whole(),
        summary: listed.summary,
        not_shown: listed.not_shown,
        tokens: &listed.rows,
        gaps: &listed.gaps,
        left_out: listed.left_out,
        records: listed.records,
        reading: listed.reading,
    })
    .map(|json| json + "\n")
}
