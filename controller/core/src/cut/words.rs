//! A cut in words: what it denies, and who else is hit, from when to when.

use std::fmt;

use super::{Cut, Principal, Reach};

impl fmt::Display for Cut {
    /// What is done, in a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cut { on, reach } = self;
        match reach {
            Reach::Session {
                name,
                before: Some(before),
            } => write!(
                f,
                "deny {on} all that its session {name} got before {before}"
            ),
            Reach::Session { name, before: None } => {
                write!(f, "deny {on} all that its session {name} has and will get")
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
            Reach::Session { name, .. } => format!("session {name} of {on}"),
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
                name,
                before: Some(_),
            } if name.as_str().starts_with("i-") => format!(
                "the instance {name} itself, until it gets its next credentials: the metadata service \
                 serves the same ones until they rotate, at most 6 hours after they were issued; no \
                 other host of {on}"
            ),
            Reach::Session {
                name,
                before: Some(_),
            } => format!(
                "whoever else uses a session of {on} called {name}, until it is assumed anew; no session \
                 of another name"
            ),
            Reach::Session { name, before: None } => format!(
                "all that runs as {name} on {on}, until this is undone; no other session of it"
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
