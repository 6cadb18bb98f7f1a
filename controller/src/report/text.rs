//! Texts that strangers choose, made safe to show.

use std::fmt::Write as _;

/// `text` without what a terminal would obey (control characters) or show out of order (the marks
/// of right-to-left writing): whoever calls AWS chooses a user agent and a session's name.
pub(super) fn plain(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        if c.is_control() || is_direction(c) {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        } else {
            out.push(c);
        }
        out
    })
}

fn is_direction(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// `text` as it may stand in HTML, in an element or between quotes.
pub(super) fn html(text: &str) -> String {
    plain(text).chars().fold(String::new(), |mut out, c| {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
        out
    })
}

/// `text` as it may stand between quotes in DOT.
pub(super) fn dot(text: &str) -> String {
    plain(text).replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_spelt_out() {
        assert_eq!(
            plain("a\u{1b}[2Jb\nc\u{202e}d"),
            "a\\u{1b}[2Jb\\u{a}c\\u{202e}d"
        );
        assert_eq!(plain("Zürich 9/1"), "Zürich 9/1");
    }

    #[test]
    fn what_a_browser_or_a_graph_would_take_for_its_own_is_escaped() {
        assert_eq!(
            html("<img src=x onerror='alert(1)'>\"&"),
            "&lt;img src=x onerror=&#39;alert(1)&#39;&gt;&quot;&amp;"
        );
        assert_eq!(dot("a\" -> \"b\\"), "a\\\" -> \\\"b\\\\");
    }
}
