//! A lineage as one page: the tree, and beside it when each key was good and when it was used.
//!
//! The page loads nothing and runs nothing, and says so to the browser: what is in it was chosen by
//! whoever called AWS.

use std::fmt::Write as _;

use credpin_core::lineage::{Ends, Node, Trace, Use};
use jiff::Timestamp;

use super::{
    super::{
        Paint,
        reading::{minute, number, reading},
        text::html,
    },
    Item, Shape, details, is_away, life, summary, whose,
};
use crate::cloudtrail::Reading;

/// Children of one key that a page shows.
const SIBLINGS: usize = 200;
const STYLE: &str = include_str!("page.css");

/// The page.
pub fn trace_html(trace: &Trace, read: &Reading, now: Timestamp) -> String {
    let scale = Scale::of(trace, now);
    let target = html(&trace.target);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Lineage of {target}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <h1>Lineage of <code>{target}</code></h1>\n<p class=\"summary\">{}</p>\n\
         <p class=\"legend\"><span class=\"good\"></span> good <span class=\"live\"></span> may still be good \
         <span class=\"used\"></span> used <span class=\"denied\"></span> used, with calls denied{}</p>\n\
         <div class=\"rows\">\n",
        html(&summary(trace)),
        scale.legend(),
    );
    scale.axis(&mut out);
    for item in Shape::new(trace, SIBLINGS).walk() {
        match item {
            Item::Key { node, head, .. } => row(&mut out, node, &head, &scale),
            Item::More { keys, head } => {
                let _ = writeln!(
                    out,
                    "<div class=\"row\"><div class=\"key\"><span class=\"tree\">{head}</span>and {}</div><div></div></div>",
                    number(keys as u64, "key")
                );
            }
        }
    }
    let mut told = String::new();
    reading(&mut told, read, Paint::default());
    let _ = write!(
        out,
        "</div>\n<pre class=\"reading\">{}</pre>\n</body>\n</html>\n",
        told.lines().map(html).collect::<Vec<_>>().join("\n")
    );
    out
}

fn row(out: &mut String, node: &Node, head: &str, scale: &Scale) {
    let mut class = String::from("row");
    for (is, name) in [
        (node.is_target, " target"),
        (node.is_live, " alive"),
        (is_away(node), " away"),
    ] {
        if is {
            class.push_str(name);
        }
    }
    let mut items = String::new();
    for line in details(node, Paint::default()) {
        let _ = write!(items, "<li>{}</li>", html(&line));
    }
    let open = if node.is_target { " open" } else { "" };
    let away = if is_away(node) {
        "<b class=\"mark\">away</b>"
    } else {
        ""
    };
    let _ = writeln!(
        out,
        "<div class=\"{class}\"><div class=\"key\"><span class=\"tree\">{head}</span>\
         <details{open}><summary><code>{}</code> <span class=\"how\">{}</span>{away}<span class=\"calls\">{}</span></summary>\
         <ul><li>{}</li><li>{}</li>{items}</ul></details></div><div class=\"time\">{}</div></div>",
        html(&node.key),
        node.how,
        calls(node),
        html(whose(node).unwrap_or("nobody that is known")),
        life(node).0,
        scale.bars(node),
    );
}

fn calls(node: &Node) -> String {
    match node.total {
        Use { calls: 0, .. } => "never used".into(),
        Use {
            calls, denied: 0, ..
        } => number(calls, "call"),
        Use { calls, denied, .. } => format!("{}, {denied} denied", number(calls, "call")),
    }
}

/// From the first thing known of a lineage to the last, or to now.
struct Scale {
    from: Timestamp,
    to: Timestamp,
    now: Timestamp,
}

impl Scale {
    fn of(trace: &Trace, now: Timestamp) -> Self {
        let begins = trace.nodes.iter().filter_map(begin);
        let ends = trace
            .nodes
            .iter()
            .filter_map(|node| node.total.last.max(end(node)));
        let from = begins.min().unwrap_or(now);
        let to = ends.max().unwrap_or(now);
        // An old incident is not squeezed by all the time since.
        let span = to.duration_since(from);
        let is_near = now >= to && now.duration_since(to) <= span;
        let to = if is_near || now < to { to.max(now) } else { to };
        Self { from, to, now }
    }

    /// Where a time is, in percent.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a place on a page is exact enough to a pixel"
    )]
    fn place(&self, time: Timestamp) -> f64 {
        let whole = self.to.duration_since(self.from).as_secs().max(1) as f64;
        let part = time.duration_since(self.from).as_secs() as f64;
        (100.0 * part / whole).clamp(0.0, 100.0)
    }

    fn legend(&self) -> String {
        if self.now > self.to {
            return String::new();
        }
        format!(" <span class=\"now\"></span> now, {} UTC", minute(self.now))
    }

    fn axis(&self, out: &mut String) {
        let middle = self.from + self.to.duration_since(self.from) / 2;
        let _ = writeln!(
            out,
            "<div class=\"row axis\"><div class=\"key\">key</div><div class=\"time\"><i>{}</i><i>{}</i><i>{}</i></div></div>",
            minute(self.from),
            minute(middle),
            minute(self.to)
        );
    }

    fn bars(&self, node: &Node) -> String {
        let mut out = String::new();
        let mut bar = |class: &str, from: Timestamp, to: Timestamp| {
            let left = self.place(from);
            let width = (self.place(to) - left).max(0.0);
            let _ = write!(
                out,
                "<span class=\"{class}\" style=\"left:{left:.2}%;width:{width:.2}%\"></span>"
            );
        };
        if let Some(begin) = begin(node) {
            let class = if node.is_live { "live" } else { "good" };
            bar(class, begin, end(node).unwrap_or(self.to));
        }
        for (_, uses) in node.places.by_calls() {
            if let (Some(first), Some(last)) = (uses.first, uses.last) {
                let class = if uses.denied > 0 { "denied" } else { "used" };
                bar(class, first, last);
            }
        }
        if self.now <= self.to {
            bar("now", self.now, self.now);
        }
        out
    }
}

fn begin(node: &Node) -> Option<Timestamp> {
    [node.issued, node.total.first].into_iter().flatten().min()
}

fn end(node: &Node) -> Option<Timestamp> {
    match node.ends {
        Ends::At(at) | Ends::AtTheLatest(at) => Some(at),
        Ends::Never | Ends::Unknown => None,
    }
}
