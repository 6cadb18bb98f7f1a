//! A cut in words: what it denies, and who else is hit, from when to when.

use std::fmt;

use super::{Cut, Principal, Reach};

impl fmt::Display for Cut {
    /// What is done, in a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cut::Deny { on, reach } => match reach {
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
            },
            Cut::Deactivate { user, key } => {
                write!(f, "make the key {key} of user {} inactive", user.name)
            }
        }
    }
}

impl Cut {
    /// Who is hit beside the thief, and until when: what an operator has to know before it is done.
    pub fn also_hits(&self) -> String {
        let (on, reach) = match self {
            Cut::Deactivate { user, .. } => {
                return format!(
                    "whatever of user {} uses this key, until the user has another or this one is \
                     made active again; what was made with it lives on and is cut by itself",
                    user.name
                );
            }
            Cut::Deny { on, reach } => (on, reach),
        };
        match (on, reach) {
            (
                _,
                Reach::Session {
                    name,
                    before: Some(_),
                },
            ) if name.as_str().starts_with("i-") => {
                format!(
                    "the instance {name} itself, until it gets its next credentials: the metadata \
                     service serves the same ones until they rotate, at most 6 hours after they were \
                     issued. No other host of the {on}"
                )
            }
            (_, Reach::Session { name, before: None }) => format!(
                "all that runs as {name} on the {on}, until this cut is undone. No other session of it"
            ),
            (
                _,
                Reach::Session {
                    name,
                    before: Some(_),
                },
            ) => format!(
                "whoever else uses a session of the {on} that is called {name}, until it is assumed \
                 anew. No session of another name"
            ),
            (Principal::Role(_), Reach::Temporary { .. }) => format!(
                "every session of the {on} that lives now: instances until their credentials rotate \
                 (at most 6 hours), others until they are assumed anew"
            ),
            (Principal::User(_), Reach::Temporary { .. }) => format!(
                "every temporary token of the {on} that lives now, until it is made anew. Its \
                 long-lived keys and the user stay"
            ),
            (_, Reach::Assuming { role }) => format!(
                "everybody who assumes {} as this {on}, until this cut is undone; what else it may do \
                 it still may",
                role.resource()
            ),
        }
    }
}
