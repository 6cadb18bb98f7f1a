//! A cut in words: what it denies, and who else is hit, from when to when.

use std::{collections::BTreeSet, fmt};

use super::{Cut, Principal, Reach};
use crate::id::SessionName;

/// Names that are named; a policy has all of them.
const NAMED: usize = 3;

impl fmt::Display for Cut {
    /// What is done, in a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cut { on, reach } = self;
        match reach {
            Reach::Session { names, before } => {
                let (noun, has) = match names.len() {
                    1 => ("session", "has"),
                    _ => ("sessions", "have"),
                };
                let names = some(names);
                match before {
                    Some(before) => write!(
                        f,
                        "deny {on} all that its {noun} {names} got before {before}"
                    ),
                    None => write!(
                        f,
                        "deny {on} all that its {noun} {names} {has} and will get"
                    ),
                }
            }
            Reach::Temporary { before } => {
                write!(
                    f,
                    "deny {on} all temporary credentials issued before {before}"
                )
            }
            Reach::Assuming { role } => write!(f, "deny {on} to assume {}", role.resource()),
            Reach::Key { key } => write!(f, "make the key {key} of {on} inactive"),
        }
    }
}

impl Cut {
    /// What is cut, whenever that is.
    pub fn what(&self) -> String {
        let Cut { on, reach } = self;
        match reach {
            Reach::Session { names, .. } => format!("session {} of {on}", some(names)),
            Reach::Temporary { .. } => format!("temporary credentials of {on}"),
            Reach::Assuming { role } => format!("assuming {} as {on}", role.resource()),
            Reach::Key { key } => format!("key {key} of {on}"),
        }
    }

    /// Who is hit beside the thief, and until when: what an operator has to know before it is done.
    pub fn also_hits(&self) -> String {
        let Cut { on, reach } = self;
        match reach {
            Reach::Session {
                names,
                before: None,
            } => format!(
                "all that runs as {} on {on}, until this is undone; no other session of it",
                some(names)
            ),
            Reach::Session { names, .. } if names.iter().all(is_instance) => format!(
                "the instance {} itself, until it gets its next credentials: the metadata service \
                 serves the same ones until they rotate, at most 6 hours after they were issued; no \
                 other host of {on}",
                some(names)
            ),
            Reach::Session { names, .. } => format!(
                "whoever else uses a session of {on} called {}, until it is assumed anew; no session \
                 of another name",
                some(names)
            ),
            Reach::Temporary { .. } => match on {
                Principal::Role(_) => format!(
                    "every session of {on} that lives now: instances until their credentials rotate (at \
                     most 6 hours), others until they are assumed anew"
                ),
                Principal::User(_) => format!(
                    "every temporary token of {on} that lives now, until it is made anew; its \
                     long-lived keys and the user stay"
                ),
            },
            Reach::Assuming { role } => format!(
                "everybody who assumes {} as {on}, until this is undone; what else it may do it still may",
                role.resource()
            ),
            Reach::Key { .. } => format!(
                "whatever of {on} uses this key, until this is undone; what was made with the key lives \
                 on and has cuts of its own"
            ),
        }
    }
}

fn is_instance(name: &SessionName) -> bool {
    name.as_str().starts_with("i-")
}

/// `a`, `a, b, c`, `a, b, c and 4 more`.
fn some(names: &BTreeSet<SessionName>) -> String {
    let first: Vec<&str> = names.iter().take(NAMED).map(SessionName::as_str).collect();
    match names.len().saturating_sub(NAMED) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}
