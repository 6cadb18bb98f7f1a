//! Who may read what: the first rule that matches decides, and where none does all is allowed.

use std::fmt;
use std::str::FromStr;

use credpin_ledger::Consumer;

use crate::path::CanonicalPath;

/// The rules, in the order of the config file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules(pub Vec<Rule>);

/// One `[[rule]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Whom it is about.
    pub consumer: Who,
    /// What it is about: a path without its version, so that `/latest/user-data` and
    /// `/2021-03-23/user-data` are both `/user-data`. Any if it is not there.
    pub path: Option<Glob>,
    /// What becomes of the request.
    pub action: Action,
}

/// A consumer, by what is known of it. What is named here matches only what is known and equal;
/// what is not named matches everything.
///
/// A container has users and files of its own under the host's ids and paths: root there is no root
/// here. So what allows a user or an executable means the host's, unless it names a container too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Who {
    /// The user's id.
    pub uid: Option<u32>,
    /// The user's name in `/etc/passwd`.
    pub user: Option<String>,
    /// The executable's path. Whatever the action, this matches no container unless one is named.
    pub exe: Option<Glob>,
    /// The systemd unit.
    pub unit: Option<Glob>,
    /// The container or pod.
    pub container: Option<Glob>,
}

/// What becomes of a request that a rule matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It goes on.
    Allow,
    /// It is refused with 403, IMDS's word for what is not allowed. 404 would say that there is
    /// nothing, and SDKs would go on to look for credentials elsewhere.
    Deny,
    /// It goes on, is logged and counted.
    Warn,
}

/// A text in which each `*` stands for any text, an empty one and one with slashes too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(String);

impl Rules {
    /// The action of the first rule that matches, and its number in the file, from 1.
    pub fn decide(&self, consumer: &Consumer, path: &CanonicalPath) -> Option<(usize, Action)> {
        if self.0.is_empty() {
            return None;
        }
        let path = unversioned(path);
        let at = self.0.iter().position(|rule| rule.matches(consumer, path));
        at.map(|at| (at + 1, self.0[at].action))
    }

    /// Whether a rule names an executable.
    pub fn name_an_executable(&self) -> bool {
        self.0.iter().any(|rule| rule.consumer.exe.is_some())
    }
}

impl Rule {
    fn matches(&self, consumer: &Consumer, path: &str) -> bool {
        let path_matches = |glob: &Glob| glob.matches_in_any_case(path);
        self.consumer.matches(consumer, self.action) && self.path.as_ref().is_none_or(path_matches)
    }
}

impl Who {
    fn matches(&self, consumer: &Consumer, action: Action) -> bool {
        let glob = |glob: &Option<Glob>, known: &Option<String>| match (glob, known) {
            (None, _) => true,
            (Some(glob), Some(known)) => glob.matches(known),
            (Some(_), None) => false,
        };
        (self.uid.is_none() || self.uid == consumer.uid)
            && (self.user.is_none() || self.user == consumer.user)
            && glob(&self.exe, &consumer.exe)
            && (consumer.container.is_none()
                || self.container.is_some()
                || !self.is_of_the_host(action))
            && glob(&self.unit, &consumer.unit)
            && glob(&self.container, &consumer.container)
    }

    /// Whether what it names is the host's own. A user who is denied is denied in containers too.
    fn is_of_the_host(&self, action: Action) -> bool {
        let user = self.uid.is_some() || self.user.is_some();
        self.exe.is_some() || (user && action == Action::Allow)
    }
}

/// The path without its first segment, which is a version, and without a slash at its end: IMDS
/// answers leaves with and without. The listing of the versions is `/`.
fn unversioned(path: &CanonicalPath) -> &str {
    let path = path.as_str().trim_start_matches('/');
    let rest = path.find('/').map_or("", |at| &path[at..]);
    match rest.trim_end_matches('/') {
        "" => "/",
        rest => rest,
    }
}

impl Glob {
    /// Takes any text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether all of `text` is as this says.
    pub fn matches(&self, text: &str) -> bool {
        matches(self.0.as_bytes(), text.as_bytes(), |a, b| a == b)
    }

    /// The same, letters compared without case. IMDS minds it in paths today; if it ever does not, no
    /// rule is passed by.
    fn matches_in_any_case(&self, text: &str) -> bool {
        let same = |a: u8, b: u8| a.eq_ignore_ascii_case(&b);
        matches(self.0.as_bytes(), text.as_bytes(), same)
    }
}

/// Takes as little as it can for each `*`, and comes back to the last one only: linear in the text
/// for each part of the pattern.
fn matches(glob: &[u8], text: &[u8], same: impl Fn(u8, u8) -> bool) -> bool {
    let (mut g, mut t) = (0, 0);
    let mut last = None;
    while t < text.len() {
        match glob.get(g) {
            Some(b'*') => {
                last = Some((g, t));
                g += 1;
            }
            Some(byte) if same(*byte, text[t]) => {
                g += 1;
                t += 1;
            }
            _ => {
                let Some((star, taken)) = last else {
                    return false;
                };
                last = Some((star, taken + 1));
                g = star + 1;
                t = taken + 1;
            }
        }
    }
    glob[g..].iter().all(|byte| *byte == b'*')
}

impl FromStr for Action {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "allow" => Ok(Self::Allow),
            "deny" => Ok(Self::Deny),
            "warn" => Ok(Self::Warn),
            _ => Err("write allow, deny or warn"),
        }
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn who(uid: u32, user: &str) -> Consumer {
        Consumer {
            uid: Some(uid),
            user: Some(user.to_owned()),
            ..nobody()
        }
    }

    fn nobody() -> Consumer {
        Consumer::at([127, 0, 0, 1].into())
    }

    fn rule(consumer: Who, path: &str, action: Action) -> Rule {
        Rule {
            consumer,
            path: Some(Glob::new(path)),
            action,
        }
    }

    fn user(name: &str) -> Who {
        Who {
            user: Some(name.to_owned()),
            ..Who::default()
        }
    }

    fn ask(rules: &Rules, consumer: &Consumer, path: &str) -> Option<(usize, Action)> {
        rules.decide(consumer, &CanonicalPath::parse(path).unwrap())
    }

    const CREDENTIALS: &str = "/meta-data/*security-credentials/*";

    #[test]
    fn credentials_are_for_the_apps_user_alone() {
        let rules = Rules(vec![
            rule(user("app"), CREDENTIALS, Action::Allow),
            rule(Who::default(), CREDENTIALS, Action::Deny),
        ]);
        for path in [
            "/latest/meta-data/iam/security-credentials/web",
            "/2021-03-23/meta-data/iam/security-credentials/web",
            "//latest//meta-data/iam/security-credentials/web/",
            "/latest/meta-data/iam/%73ecurity-credentials/web",
            "/latest/Meta-Data/iam/Security-Credentials/web",
            "/latest/meta-data/identity-credentials/ec2/security-credentials/ec2-instance",
        ] {
            assert_eq!(ask(&rules, &who(7, "app"), path), Some((1, Action::Allow)));
            assert_eq!(ask(&rules, &who(8, "web"), path), Some((2, Action::Deny)));
            assert_eq!(ask(&rules, &nobody(), path), Some((2, Action::Deny)));
        }
        for path in [
            "/latest/meta-data/iam/security-credentials/",
            "/latest/meta-data/instance-id",
            "/",
        ] {
            assert_eq!(ask(&rules, &who(8, "web"), path), None, "{path}");
        }
    }

    #[test]
    fn user_data_is_for_root_alone() {
        let root = Who {
            uid: Some(0),
            ..Who::default()
        };
        let rules = Rules(vec![
            rule(root, "/user-data", Action::Allow),
            rule(Who::default(), "/user-data", Action::Deny),
        ]);
        for path in ["/latest/user-data", "/1.0/user-data/", "/latest/USER-DATA"] {
            let root = ask(&rules, &who(0, "root"), path);
            assert_eq!(root, Some((1, Action::Allow)));
            let other = ask(&rules, &who(1000, "app"), path);
            assert_eq!(other, Some((2, Action::Deny)));
        }
        assert_eq!(ask(&rules, &who(1000, "app"), "/user-data/x"), None);
    }

    #[test]
    fn what_a_rule_names_has_to_be_known() {
        let in_pod = Who {
            container: Some(Glob::new("pod:*")),
            unit: Some(Glob::new("*.scope")),
            ..Who::default()
        };
        let exe = Who {
            exe: Some(Glob::new("*")),
            ..Who::default()
        };
        let rules = Rules(vec![
            rule(in_pod, "*", Action::Warn),
            rule(exe, "*", Action::Deny),
        ]);
        let mut consumer = nobody();
        assert_eq!(ask(&rules, &consumer, "/latest/"), None);
        consumer.container = Some("pod:1/2".to_owned());
        assert_eq!(ask(&rules, &consumer, "/latest/"), None);
        consumer.unit = Some("cri-containerd-2.scope".to_owned());
        assert_eq!(ask(&rules, &consumer, "/latest/"), Some((1, Action::Warn)));
        consumer.unit = None;
        consumer.exe = Some("/bin/sh".to_owned());
        assert_eq!(ask(&rules, &consumer, "/latest/"), None, "in a container");
        consumer.container = None;
        assert_eq!(ask(&rules, &consumer, "/latest/"), Some((2, Action::Deny)));
    }

    #[test]
    fn what_allows_a_user_allows_no_container_that_it_does_not_name() {
        let root = Who {
            uid: Some(0),
            ..Who::default()
        };
        let on_host = who(0, "root");
        let mut in_container = on_host.clone();
        in_container.container = Some("docker:1".to_owned());
        for host in [user("root"), root] {
            let named = Who {
                container: Some(Glob::new("docker:*")),
                ..host.clone()
            };
            let decide = |who: &Who, action, consumer| {
                let rules = Rules(vec![rule(who.clone(), "*", action)]);
                ask(&rules, consumer, "/latest/user-data").map(|(_, action)| action)
            };
            let allow = Some(Action::Allow);
            assert_eq!(decide(&host, Action::Allow, &on_host), allow);
            assert_eq!(decide(&host, Action::Allow, &in_container), None);
            assert_eq!(decide(&named, Action::Allow, &in_container), allow);
            for action in [Action::Deny, Action::Warn] {
                assert_eq!(decide(&host, action, &in_container), Some(action));
            }
        }
    }

    proptest! {
        /// Against the definition, said as plainly as it can be.
        #[test]
        fn a_glob_is_what_it_says(glob in "[ab*]{0,8}", text in "[ab]{0,8}") {
            fn plain(glob: &[u8], text: &[u8]) -> bool {
                match (glob.split_first(), text.split_first()) {
                    (None, text) => text.is_none(),
                    (Some((b'*', rest)), _) => {
                        (0..=text.len()).any(|taken| plain(rest, &text[taken..]))
                    }
                    (Some((byte, glob)), Some((first, text))) => byte == first && plain(glob, text),
                    (Some(_), None) => false,
                }
            }
            let expected = plain(glob.as_bytes(), text.as_bytes());
            prop_assert_eq!(Glob::new(glob).matches(&text), expected);
        }
    }
}
