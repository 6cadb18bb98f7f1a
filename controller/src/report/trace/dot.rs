//! A lineage as a graph for Graphviz.

use std::fmt::Write as _;

use credpin_core::lineage::{Above, Trace};

use super::{super::text::dot, life, whose};

/// The graph, in DOT.
pub fn trace_dot(trace: &Trace) -> String {
    let mut out = String::from(
        "digraph lineage {\n  rankdir=LR;\n  node [shape=box, fontname=\"monospace\", style=filled, fillcolor=white];\n",
    );
    for node in &trace.nodes {
        let (life, is_live) = life(node);
        let whose = whose(node).unwrap_or_default();
        let fill = if is_live { "mistyrose" } else { "white" };
        let width = if node.is_target { 3 } else { 1 };
        let _ = writeln!(
            out,
            "  \"{}\" [label=\"{}\\n{}\\n{}\\n{}\\n{} calls, {} denied\", fillcolor={fill}, penwidth={width}];",
            dot(&node.key),
            dot(&node.key),
            node.how,
            dot(whose),
            life,
            node.total.calls,
            node.total.denied,
        );
        let (from, is_sure) = match &node.above {
            Above::Key(key) => (key.to_string(), true),
            Above::LikelyKey(key) => (key.to_string(), false),
            Above::Instance(above)
            | Above::Service(above)
            | Above::Provider(above)
            | Above::Owner(above) => (above.to_string(), true),
            Above::Elsewhere(caller) => (caller.to_string(), true),
            Above::Missing => (format!("missing above {}", node.key), false),
        };
        let style = if is_sure { "solid" } else { "dashed" };
        let (from, to) = (dot(&from), dot(&node.key));
        let _ = writeln!(out, "  \"{from}\" -> \"{to}\" [style={style}];");
    }
    out.push_str("}\n");
    out
}
