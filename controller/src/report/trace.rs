//! A lineage of keys, as a tree.

use std::fmt::Write as _;

use credpin_core::{
    cloudtrail::How,
    lineage::{Above, Ends, Node, Place, Shared, Tally, Trace, Use, Verdict},
};
use jiff::Timestamp;
use serde::Serialize;

use super::{
    Paint,
    reading::{minute, number, reading},
    text::plain,
};
use crate::cloudtrail::Reading;

mod dot;
mod html;
mod shape;

pub use dot::trace_dot;
pub use html::trace_html;
use shape::{Item, Shape};

/// Children of one key that are shown; the rest are counted.
const SIBLINGS: usize = 20;
/// Places, programs and services that are named for each key.
const NAMED: usize = 4;

/// The tree for a person.
pub fn trace(trace: &Trace, read: &Reading, paint: Paint) -> String {
    let mut out = String::new();
    for item in Shape::new(trace, SIBLINGS).walk() {
        match item {
            Item::Key { node, head, body } => {
                let _ = writeln!(out, "{}{}", paint.dim(&head), title(node, paint));
                for line in details(node, paint) {
                    let _ = writeln!(out, "{}{line}", paint.dim(&body));
                }
            }
            Item::More { keys, head } => {
                let more = format!("and {} (--json has them)", number(keys as u64, "key"));
                let _ = writeln!(out, "{}{}", paint.dim(&head), paint.dim(&more));
            }
        }
    }
    let _ = writeln!(out, "\n{}", paint.bold(&summary(trace)));
    reading(&mut out, read, paint);
    if let Some(last) = read.counts.last {
        let _ = writeln!(
            out,
            "CloudTrail is some minutes late: what came after {} is not here yet.",
            minute(last)
        );
    }
    out
}

/// What is said where the trail shows nothing.
pub fn trace_nothing(target: &str, read: &Reading, paint: Paint) -> String {
    let mut out = format!("No key of {} is in this trail.\n", plain(target));
    reading(&mut out, read, paint);
    out
}

/// The same for a machine. `schema` changes when a field's meaning does.
pub fn trace_json(trace: Option<&Trace>, reading: &Reading) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Json<'a> {
        schema: u32,
        trace: Option<&'a Trace>,
        reading: &'a Reading,
    }
    serde_json::to_string_pretty(&Json {
        schema: 1,
        trace,
        reading,
    })
    .map(|json| json + "\n")
}

/// How many keys, and what about them.
fn summary(trace: &Trace) -> String {
    let live = trace.nodes.iter().filter(|node| node.is_live).count();
    let away = trace.nodes.iter().filter(|node| is_away(node)).count();
    let mut text = format!(
        "{}, {live} may still be good",
        number(trace.nodes.len() as u64, "key")
    );
    if away > 0 {
        let _ = write!(text, ", {away} used away from home");
    }
    text + "."
}

fn is_away(node: &Node) -> bool {
    node.verdicts
        .values()
        .any(|verdict| *verdict == Verdict::Away)
}

fn title(node: &Node, paint: Paint) -> String {
    let key = if node.is_target {
        paint.bold(&node.key)
    } else {
        node.key.to_string()
    };
    let whose = whose(node).map_or_else(String::new, |whose| format!(" of {}", plain(whose)));
    let (life, is_live) = life(node);
    let life = if is_live {
        paint.red(&life)
    } else {
        paint.dim(&life)
    };
    let target = if node.is_target {
        "  <- asked about"
    } else {
        ""
    };
    format!("{key}  {}{whose}  {life}{}", node.how, paint.bold(target))
}

/// Whose a key is: the session that it is of, or else the user or role.
fn whose(node: &Node) -> Option<&str> {
    let session = node.session.as_deref();
    node.who
        .arn
        .as_deref()
        .or(session)
        .or(node.who.role.as_deref())
}

/// Until when a key is good, and whether it may be.
fn life(node: &Node) -> (String, bool) {
    let text = match (node.ends, node.is_live) {
        (Ends::Never, _) => "good until it is deactivated".into(),
        (Ends::At(at), true) => format!("good until {}", minute(at)),
        (Ends::At(at), false) => format!("ended {}", minute(at)),
        (Ends::AtTheLatest(at), true) => format!("may be good until {}", minute(at)),
        (Ends::AtTheLatest(at), false) => format!("ended by {}", minute(at)),
        (Ends::Unknown, _) => "may be good".into(),
    };
    (text, node.is_live)
}

fn details(node: &Node, paint: Paint) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(above(node, paint));
    lines.extend(made(node));
    lines.push(used(node, paint));
    if let Some(text) = places(node, paint) {
        lines.push(format!("from {text}"));
    }
    if let Some(text) = named(&node.agents, |agent| agent) {
        lines.push(format!("with {text}"));
    }
    lines
}

/// What is above the first key of a tree; a key's own parent stands above it on the page.
fn above(node: &Node, paint: Paint) -> Option<String> {
    Some(match &node.above {
        Above::Key(_) | Above::Owner(_) => return None,
        Above::LikelyKey(_) => paint.yellow(
            "the key above was exchanged for a console sign-in just before; CloudTrail does not link them",
        ),
        Above::Instance(instance) => {
            let by = node.who.delivered_by.as_deref();
            let by = by.map_or_else(String::new, |version| {
                format!(" by IMDSv{}", plain(version.trim_end_matches(".0")))
            });
            format!("delivered to {}{by}", plain(instance))
        }
        Above::Service(service) => format!("asked for by {}", plain(service)),
        Above::Provider(provider) => format!("vouched for by {}", plain(provider)),
        Above::Elsewhere(caller) => paint.yellow(&format!(
            "asked for by {}: the trail of that account is not here, and what is above is missing",
            plain(caller)
        )),
        Above::Missing if node.how == How::LongLived => {
            paint.yellow("whose it is and how it came to be is not in this trail")
        }
        Above::Missing => paint.yellow(
            "how it came to be is not in this trail: before it begins, or in another region or account",
        ),
    })
}

fn made(node: &Node) -> Option<String> {
    let mut text = format!("made {}", minute(node.issued?));
    if let Some(from) = &node.issued_to {
        let _ = write!(text, " at {}", plain(&from.to_string()));
    }
    if let Some(mfa) = &node.mfa {
        let _ = write!(text, " with MFA {}", plain(mfa));
    }
    if let Some(source) = &node.who.source_identity {
        let _ = write!(text, ", source identity {}", plain(source));
    }
    Some(text)
}

fn used(node: &Node, paint: Paint) -> String {
    let Use {
        calls,
        denied,
        first,
        last,
    } = node.total;
    if calls == 0 {
        return "never used in this trail".into();
    }
    let mut text = number(calls, "call");
    if denied > 0 {
        text.push_str(&paint.yellow(&format!(", {denied} denied")));
    }
    if node.by_service > 0 {
        let _ = write!(text, ", {} by a service", node.by_service);
    }
    if let (Some(first), Some(last)) = (first, last) {
        let _ = write!(text, ", {}", between(first, last));
    }
    if let Some(services) = named(&node.services, |service| service) {
        let _ = write!(text, ": {services}");
    }
    text
}

fn between(first: Timestamp, last: Timestamp) -> String {
    let (from, to) = (minute(first), minute(last));
    if from == to {
        from
    } else {
        format!("{from} to {to}")
    }
}

fn places(node: &Node, paint: Paint) -> Option<String> {
    let show = |(place, uses): &(Place, Use)| {
        let name = place.to_string();
        let text = format!("{} ({})", plain(&name), uses.calls);
        match node.verdicts.get(&name) {
            Some(Verdict::Home) => paint.green(&format!("{text} home")),
            Some(Verdict::Away) => paint.red(&format!("{text} AWAY")),
            Some(Verdict::Service) | None => text,
        }
    };
    let mut uses = node.places.by_calls();
    // Away first: it is what is looked for.
    uses.sort_by_key(|(place, _)| node.verdicts.get(&place.to_string()) != Some(&Verdict::Away));
    some(&uses, node.places.has_more(), show)
}

fn named(tally: &Tally<Shared>, name: impl Fn(&Shared) -> &str) -> Option<String> {
    some(&tally.by_calls(), tally.has_more(), |(text, uses)| {
        format!("{} ({})", plain(name(text)), uses.calls)
    })
}

/// The first few of them.
fn some<T>(
    uses: &[&(T, Use)],
    has_more: bool,
    show: impl Fn(&(T, Use)) -> String,
) -> Option<String> {
    let told: Vec<_> = uses.iter().take(NAMED).map(|one| show(one)).collect();
    if told.is_empty() {
        return None;
    }
    let more = uses.len() - told.len();
    let more = match (more, has_more) {
        (0, _) => String::new(),
        (more, false) => format!(" and {more} more"),
        (more, true) => format!(" and more than {more} more"),
    };
    Some(told.join(", ") + &more)
}
