//! A lineage that is taken back: what becomes of each key, round by round, and how it ended.

use std::fmt::Write as _;

use credpin_core::{
    containment::{Fate, Round},
    id::AccessKeyId,
    lineage::Trace,
};
use jiff::Timestamp;
use serde::Serialize;

use super::{
    Paint,
    reading::{number, reading},
    revoke::cuts as cuts_text,
};
use crate::{
    cloudtrail::Reading,
    revoke::{
        Planned,
        lineage::{Ending, Living, OneKey, Outcome},
    },
};

/// Keys that are shown one by one; --json has them all.
const SHOWN: usize = 60;

/// The cut of one key, and what lives on without it.
pub fn one_key(found: &OneKey, key: &AccessKeyId, read: &Reading, paint: Paint) -> String {
    let mut out = cuts_text(&found.cuts, paint);
    if let Some(above) = &found.above {
        let _ = writeln!(
            out,
            "\nIt came of {}, which can make another: {}.",
            above.key, above.what
        );
    }
    if !found.below.is_empty() {
        out.push_str("\nWhat was made with it lives on:\n\n");
        for Living { key, what } in found.below.iter().take(SHOWN) {
            let _ = writeln!(out, "  {key}  {what}");
        }
        let more = found.below.len().saturating_sub(SHOWN);
        if more > 0 {
            let _ = writeln!(out, "  and {more} more");
        }
    }
    if found.above.is_some() || !found.below.is_empty() {
        let _ = writeln!(
            out,
            "\n`credpin revoke {key} --lineage` with the same trail ends all of these, parents first."
        );
    }
    out.push('\n');
    reading(&mut out, read, paint);
    out
}

/// The same for machines.
pub fn one_key_json(found: &OneKey, reading: &Reading) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Json<'a> {
        schema: u32,
        cuts: &'a [Planned],
        above: Option<&'a Living>,
        below: &'a [Living],
        reading: &'a Reading,
    }
    let OneKey { cuts, above, below } = found;
    let json = Json {
        schema: 1,
        cuts,
        above: above.as_ref(),
        below,
        reading,
    };
    Ok(serde_json::to_string_pretty(&json)? + "\n")
}

/// What was found in a round, and what is to be done now.
pub fn round(
    count: usize,
    trace: &Trace,
    read: &Reading,
    round: &Round,
    cuts: &[Planned],
    paint: Paint,
) -> String {
    let mut out = String::new();
    let title = format!(
        "Round {count}: {}, {} to be cut",
        number(round.rows.len() as u64, "key"),
        round
            .rows
            .iter()
            .filter(|row| is_to_be_cut(&row.fate))
            .count()
    );
    let _ = writeln!(out, "{}\n", paint.bold(&title));
    for (row, node) in round.rows.iter().zip(&trace.nodes).take(SHOWN) {
        let indent = 2 * (row.depth + 1);
        let key = &row.key;
        let _ = writeln!(
            out,
            "{:indent$}{key}  {}: {}",
            "",
            node.how,
            fate(&row.fate, round, paint)
        );
    }
    let more = round.rows.len().saturating_sub(SHOWN);
    if more > 0 {
        let _ = writeln!(
            out,
            "  and {} (--json has them)",
            number(more as u64, "key")
        );
    }
    if !cuts.is_empty() {
        let _ = write!(out, "\n{}", cuts_text(cuts, paint));
    }
    out.push('\n');
    reading(&mut out, read, paint);
    out
}

/// The same for machines, on a line: a round each.
pub fn round_json(
    count: usize,
    trace: &Trace,
    reading: &Reading,
    round: &Round,
    cuts: &[Planned],
) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Json<'a> {
        schema: u32,
        round: usize,
        keys: Vec<Fated<'a>>,
        cuts: &'a [Planned],
        wait_until: Option<Timestamp>,
        late_until: Option<Timestamp>,
        reading: &'a Reading,
    }
    #[derive(Serialize)]
    struct Fated<'a> {
        key: &'a str,
        depth: usize,
        how: credpin_core::cloudtrail::How,
        fate: &'static str,
        /// The id of its cut, or why there is none.
        by: Option<String>,
    }
    let keys = round.rows.iter().zip(&trace.nodes).map(|(row, node)| {
        let (fate, by) = match &row.fate {
            Fate::Ended => ("ended", None),
            Fate::IsCut(id) => ("is-cut", Some(id.clone())),
            Fate::CutNow(number) => ("cut-now", Some(round.cuts[*number].name().id)),
            Fate::CutLater(_) => ("cut-later", None),
            Fate::Stays(why) => ("stays", Some(why.to_string())),
        };
        Fated {
            key: &row.key,
            depth: row.depth,
            how: node.how,
            fate,
            by,
        }
    });
    let json = Json {
        schema: 1,
        round: count,
        keys: keys.collect(),
        cuts,
        wait_until: round.wait_until,
        late_until: round.late_until,
        reading,
    };
    Ok(serde_json::to_string(&json)? + "\n")
}

/// How it ended.
pub fn outcome(outcome: &Outcome, key: &AccessKeyId, paint: Paint) -> String {
    let mut out = match outcome.ending {
        Ending::Over => paint.green(
            "Over: every key that the trail shows is cut or has ended, and no late one can turn up.",
        ),
        Ending::LateUntil(until) => format!(
            "{} Every key that the trail shows is cut or has ended. CloudTrail is late: until {until} it may show \
             one that was made before. Say the same again then; with --watch it stays until then.",
            paint.yellow("Not over:")
        ),
        Ending::Refused => {
            "Nothing was done. The same with --apply does it, round by round.".to_owned()
        }
        Ending::Stopped => format!(
            "{} What is cut stays cut. Say the same again, and it goes on from there.",
            paint.yellow("Stopped between rounds.")
        ),
        Ending::Failed => format!(
            "{} Keys below are not cut. Say the same again, and it goes on from there.",
            paint.red("Not over:")
        ),
        Ending::NoSuchKey => format!(
            "No call in this trail was signed with {key}, or handed it out: CloudTrail is some minutes late, and a \
             trail may be of other regions or another account."
        ),
    };
    out.push('\n');
    if outcome.staying > 0 {
        let line = format!(
            "! {} cannot be cut from here, and may make more: see above what can be done.",
            number(outcome.staying as u64, "key")
        );
        let _ = writeln!(out, "{}", paint.red(&line));
    }
    if !outcome.is_whole {
        let line = "! Not all of the trail could be read: a key that is missing here is not cut.";
        let _ = writeln!(out, "{}", paint.red(line));
    }
    out
}

fn fate(fate: &Fate, round: &Round, paint: Paint) -> String {
    match fate {
        Fate::Ended => paint.dim("has ended"),
        Fate::IsCut(id) => paint.green(&format!("is cut, by {id}")),
        Fate::CutNow(number) => paint.red(&format!("now {}", round.cuts[*number].what())),
        Fate::CutLater(cut) => paint.yellow(&format!("then {}", cut.what())),
        Fate::Stays(why) => paint.red(&format!("stays: {why}")),
    }
}

fn is_to_be_cut(fate: &Fate) -> bool {
    matches!(fate, Fate::CutNow(_) | Fate::CutLater(_))
}
