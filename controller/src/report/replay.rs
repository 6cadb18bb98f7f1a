//! What history says about a plan, and about pins in force.

use std::fmt::Write as _;

use credpin_core::{
    id::RoleName,
    lineage::Use,
    replay::{Cause, Denied, Fate, Figures, Found, Group, Replay},
};
use serde::Serialize;

use super::{
    Paint,
    reading::{minute, number, reading},
    text::plain,
};
use crate::cloudtrail::Reading;

/// Groups and addresses of a role that are told one by one.
const TOLD: usize = 20;

/// The replay for a person: what would break first.
pub fn replay(replay: &Replay, read: &Reading, paint: Paint) -> String {
    let mut out = String::new();
    strange_addresses(&mut out, replay, paint);
    for (role, figures) in replay.roles() {
        let _ = writeln!(
            out,
            "{} {}",
            mark(figures, paint),
            headline(role, figures, paint)
        );
        groups(&mut out, replay, role, Fate::Denied, paint);
        groups(&mut out, replay, role, Fate::Unknown, paint);
    }
    if replay.has_more() {
        let _ = writeln!(
            out,
            "There are more groups than are kept; the figures count all calls."
        );
    }
    let unseen: Vec<_> = replay
        .unseen()
        .into_iter()
        .map(|(service, what)| format!("{service} ({what})"))
        .collect();
    if !unseen.is_empty() {
        let line = format!(
            "\nUnseen, because the trail has no data events of it: {}",
            unseen.join(", ")
        );
        let _ = writeln!(out, "{}", paint.yellow(&line));
    }
    let _ = writeln!(out, "\n{}", paint.bold(&verdict(replay)));
    reading(&mut out, read, paint);
    out
}

/// The same for a machine. `schema` changes when a field's meaning does.
pub fn replay_json(replay: &Replay, reading: &Reading) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Json<'a> {
        schema: u32,
        total: Figures,
        roles: Vec<Pinned<'a>>,
        unseen: Vec<Unseen>,
        more_groups: bool,
        reading: &'a Reading,
    }
    #[derive(Serialize)]
    struct Pinned<'a> {
        role: &'a RoleName,
        #[serde(flatten)]
        figures: Figures,
        addresses: Vec<Strange<'a>>,
        groups: Vec<Row<'a>>,
    }
    #[derive(Serialize)]
    struct Strange<'a> {
        address: &'a str,
        #[serde(flatten)]
        found: Found,
    }
    #[derive(Serialize)]
    struct Row<'a> {
        #[serde(flatten)]
        group: &'a Group,
        #[serde(flatten)]
        found: &'a Found,
    }
    #[derive(Serialize)]
    struct Unseen {
        service: &'static str,
        what: &'static str,
    }
    let strange = replay.strange_addresses();
    let roles = replay.roles().map(|(role, figures)| Pinned {
        role,
        figures,
        addresses: strange
            .iter()
            .filter(|((of, _), _)| *of == role)
            .map(|((_, address), found)| Strange {
                address,
                found: found.clone(),
            })
            .collect(),
        groups: replay
            .groups()
            .filter(|(group, _)| group.role == *role)
            .map(|(group, found)| Row { group, found })
            .collect(),
    });
    let unseen = replay.unseen().into_iter();
    serde_json::to_string_pretty(&Json {
        schema: 1,
        total: replay.total(),
        roles: roles.collect(),
        unseen: unseen
            .map(|(service, what)| Unseen { service, what })
            .collect(),
        more_groups: replay.has_more(),
        reading,
    })
    .map(|json| json + "\n")
}

/// What pins denied, for a person: the worst first.
pub fn triage(sorted: &[Denied], read: &Reading, paint: Paint) -> String {
    let mut out = String::new();
    let mut last = None;
    for denied in sorted {
        let kind = std::mem::discriminant(&denied.cause);
        if last != Some(kind) {
            let (title, advice) = words(&denied.cause);
            let title = match denied.cause {
                Cause::Theft | Cause::OtherHost(_) => paint.red(title),
                _ => paint.yellow(title),
            };
            let _ = writeln!(out, "{title}: {advice}");
            last = Some(kind);
        }
        let whose = match &denied.cause {
            Cause::OtherHost(host) | Cause::Assumed(host) => format!(", where {host} is"),
            _ => String::new(),
        };
        let by = denied.by.as_deref();
        let by = by.map_or_else(String::new, |by| format!(", made by {},", plain(by)));
        let _ = writeln!(
            out,
            "    {} of {}{by} from {}{whose}: {} to {}",
            plain(&denied.instance),
            plain(&denied.role),
            plain(&denied.place.to_string()),
            uses(&denied.uses),
            plain(&denied.service),
        );
    }
    if sorted.is_empty() {
        out.push_str("No pin denied anything in this trail.\n");
    }
    out.push('\n');
    reading(&mut out, read, paint);
    out
}

/// The same for a machine.
pub fn triage_json(sorted: &[Denied], reading: &Reading) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Json<'a> {
        schema: u32,
        denied: &'a [Denied],
        reading: &'a Reading,
    }
    serde_json::to_string_pretty(&Json {
        schema: 1,
        denied: sorted,
        reading,
    })
    .map(|json| json + "\n")
}

fn words(cause: &Cause) -> (&'static str, &'static str) {
    match cause {
        Cause::Theft => (
            "Theft",
            "from an address that is none of ours, so somebody has the token: `credpin trace` says what came of it",
        ),
        Cause::OtherHost(_) => (
            "Another host",
            "from where another host of ours is, so that one has the token: look at both",
        ),
        Cause::UnknownCaller => (
            "Unknown caller",
            "by a session of a role that was assumed, from an address that is none of ours: if its maker may call from there, say so in the role's [[chained]] (callers, prefixes); if not, somebody has the session",
        ),
        Cause::Stale => (
            "Stale pin",
            "from where its own host is, or the host that made the session, so the pin is out of date: `credpin run` now",
        ),
        Cause::Assumed(_) => (
            "Assumed role",
            "by a session of a role that was assumed, from where a host of ours is: `credpin run` now if that host may assume it, and look at the host if it may not",
        ),
        Cause::Service => (
            "Service call",
            "a service made the call for its host; pins leave those alone, so the service does not say so: `credpin release` the role if it needs the call",
        ),
        Cause::Unknown => (
            "Unknown",
            "its host is not to be seen: gone, or in a region or account that was not looked at",
        ),
    }
}

/// What comes before everything else: the model is wrong about these, or somebody has a token.
fn strange_addresses(out: &mut String, replay: &Replay, paint: Paint) {
    let strange = replay.strange_addresses();
    if strange.is_empty() {
        return;
    }
    let title = "Calls with a role's own credentials came from addresses that its pin does not know. Either the model\n\
                 of egress is wrong (say so with [[egress]]), or somebody has the token:";
    let _ = writeln!(out, "{}", paint.red(title));
    let mut rows: Vec<_> = strange.iter().collect();
    rows.sort_by_key(|((role, address), found)| {
        (std::cmp::Reverse(found.uses.calls), *role, *address)
    });
    for ((role, address), found) in rows.iter().take(TOLD) {
        let _ = writeln!(
            out,
            "    {}  {role}: {} (as of {})",
            plain(address),
            uses(&found.uses),
            plain(&found.instance)
        );
    }
    more(out, rows.len());
    out.push('\n');
}

fn mark(figures: Figures, paint: Paint) -> String {
    match figures {
        Figures { denied: 1.., .. } => paint.red("!"),
        Figures { unknown: 1.., .. } => paint.yellow("?"),
        Figures { calls: 0, .. } => paint.dim("-"),
        _ => paint.green("="),
    }
}

fn headline(role: &RoleName, figures: Figures, paint: Paint) -> String {
    let Figures {
        calls,
        pass,
        by_service,
        denied_already,
        denied,
        unknown,
    } = figures;
    let role = paint.bold(role.as_str());
    if calls == 0 {
        return format!("{role}: not one call in this trail");
    }
    let mut text = format!(
        "{role}: {}: {pass} pass, {denied} would be denied, {unknown} unknown",
        number(calls, "call")
    );
    for (count, what) in [
        (by_service, "made by a service, which pins leave alone"),
        (denied_already, "denied anyway"),
    ] {
        if count > 0 {
            let _ = write!(text, ", {count} {what}");
        }
    }
    text
}

fn groups(out: &mut String, replay: &Replay, role: &RoleName, fate: Fate, paint: Paint) {
    let of = |(group, _): &(&Group, &Found)| group.role == *role && group.fate == fate;
    let mut rows: Vec<_> = replay.groups().filter(of).collect();
    rows.sort_by_key(|(group, found)| (std::cmp::Reverse(found.uses.calls), *group));
    for (group, found) in rows.iter().take(TOLD) {
        let why = match fate {
            Fate::Denied => paint.red(&format!("denied by {}", group.reason)),
            Fate::Unknown => paint.yellow(&format!("unknown: {}", group.reason)),
        };
        let _ = writeln!(
            out,
            "    {why}: {} to {} from {}, with {}",
            uses(&found.uses),
            plain(&group.service),
            plain(&group.place.to_string()),
            plain(&group.caller)
        );
    }
    more(out, rows.len());
}

fn more(out: &mut String, rows: usize) {
    if rows > TOLD {
        let _ = writeln!(out, "    and {} more (--json has them)", rows - TOLD);
    }
}

fn uses(uses: &Use) -> String {
    let calls = number(uses.calls, "call");
    match (uses.first, uses.last) {
        (Some(first), Some(last)) if minute(first) != minute(last) => {
            format!("{calls}, {} to {}", minute(first), minute(last))
        }
        (Some(first), _) => format!("{calls}, {}", minute(first)),
        _ => calls,
    }
}

fn verdict(replay: &Replay) -> String {
    let total = replay.total();
    let unseen = replay.unseen().len();
    let and = |text: &str| {
        if unseen > 0 {
            format!("{text}, and {unseen} services are unseen.")
        } else {
            format!("{text}.")
        }
    };
    match total {
        Figures { denied: 1.., .. } => format!("{} would be denied.", number(total.denied, "call")),
        Figures { unknown: 1.., .. } => and(&format!(
            "Nothing that can be told would be denied; {} cannot",
            number(total.unknown, "call")
        )),
        Figures { calls: 0, .. } => {
            "No call of a pinned role's instances is in this trail: it says nothing.".into()
        }
        _ => and("Nothing seen would be denied"),
    }
}
