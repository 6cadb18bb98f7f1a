//! A consumer in a word: in lines of the log, in the ledger's table and in labels of metrics.

use std::fmt;

use credpin_ledger::Consumer;

/// A consumer, with all that is known of it but the cgroup, which its unit and container are read
/// from. `127.0.0.1 uid=1000 user=app unit=app.service`
#[derive(Clone, Copy, Debug)]
pub(crate) struct Who<'a>(pub(crate) &'a Consumer);

/// The same, without the address where anything else is known: the same program whenever it asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Program<'a>(pub(crate) &'a Consumer);

/// A name that somebody else gave. Whoever may name a file can put a blank or the end of a line into
/// it, and behind that whatever they want to be read; so what could be read as more than one word is in
/// quotes, and what does not show is escaped.
struct Name<'a>(&'a str);

impl fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.peer)?;
        for (what, name) in known(self.0) {
            write!(f, " {what}={}", Name(&name))?;
        }
        Ok(())
    }
}

impl fmt::Display for Program<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known: Vec<_> = known(self.0)
            .map(|(what, name)| format!("{what}={}", Name(&name)))
            .collect();
        if known.is_empty() {
            return write!(f, "{}", self.0.peer);
        }
        f.write_str(&known.join(" "))
    }
}

fn known(consumer: &Consumer) -> impl Iterator<Item = (&'static str, String)> {
    let Consumer {
        uid,
        user,
        exe,
        unit,
        container,
        ..
    } = consumer.clone();
    [
        ("uid", uid.map(|uid| uid.to_string())),
        ("user", user),
        ("exe", exe),
        ("unit", unit),
        ("container", container),
    ]
    .into_iter()
    .filter_map(|(what, name)| Some((what, name?)))
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_a_word = |b: u8| b.is_ascii_graphic() && b != b'"';
        if !self.0.is_empty() && self.0.bytes().all(is_a_word) {
            f.write_str(self.0)
        } else {
            write!(f, "{:?}", self.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn app() -> Consumer {
        Consumer {
            uid: Some(1000),
            user: Some("app".to_owned()),
            unit: Some(r"app\x2dweb.service".to_owned()),
            ..Consumer::at([127, 0, 0, 1].into())
        }
    }

    #[test]
    fn what_is_known_is_told_and_nothing_else() {
        let told = r"uid=1000 user=app unit=app\x2dweb.service";
        assert_eq!(Who(&app()).to_string(), format!("127.0.0.1 {told}"));
        assert_eq!(Program(&app()).to_string(), told);
        let unknown = Consumer::at([10, 9, 0, 2].into());
        assert_eq!(Who(&unknown).to_string(), "10.9.0.2");
        assert_eq!(Program(&unknown).to_string(), "10.9.0.2");
    }

    #[test]
    fn no_name_of_a_file_can_be_read_as_something_else() {
        let mut consumer = app();
        for (exe, told) in [
            ("/a b", r#""/a b""#),
            ("/a\nWARN", r#""/a\nWARN""#),
            ("/a container=docker:1", r#""/a container=docker:1""#),
            ("/\u{1b}[2J\u{202e}", r#""/\u{1b}[2J\u{202e}""#),
            (r#"/a"b"#, r#""/a\"b""#),
        ] {
            consumer.exe = Some(exe.to_owned());
            let line = Who(&consumer).to_string();
            assert!(line.contains(&format!(" exe={told} unit=")), "{line}");
        }
    }

    proptest! {
        #[test]
        fn it_is_one_line_of_what_shows(exe in ".*", unit in "(?s).*") {
            let consumer = Consumer { exe: Some(exe), unit: Some(unit), ..app() };
            let line = Who(&consumer).to_string();
            prop_assert!(!line.chars().any(char::is_control), "{line:?}");
        }
    }
}
