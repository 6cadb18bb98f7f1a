//! What the proxy finds where it runs: sessions' key, who asks, the redirect, and what shuts it in.

use std::path::Path;

use rustix::fs::statfs;

use super::{Seen, Verdict, told};
use crate::config::Config;
use crate::identity::Identifier;
use crate::landlock::{self, Confined};
use crate::redirect;

/// `f_type` of a file system in memory (statfs(2)).
const TMPFS: i128 = 0x0102_1994;

/// Where sessions' key will lie: what is nowhere, or on a disk, does not outlive the process.
pub(super) fn sessions(key: Option<&Path>) -> Seen {
    let Some(key) = key else {
        let words = "they end with the proxy, as `session-key = \"off\"` says";
        return (Verdict::Mind, words.to_owned());
    };
    let shown = key.display();
    let dir = key.parent().unwrap_or(Path::new("/"));
    match statfs(dir) {
        Ok(stat) if i128::from(stat.f_type) == TMPFS => {
            (Verdict::Good, format!("{shown} keeps their key"))
        }
        Ok(_) => (
            Verdict::Mind,
            format!(
                "they end with the proxy: {shown} is not on tmpfs, and their key lies \
                 nowhere else; name a file below /run (`session-key`)"
            ),
        ),
        Err(error) => (
            Verdict::Mind,
            format!(
                "they end with the proxy unless {} is there when it starts, as \
                 RuntimeDirectory= of its unit makes it: {error}",
                dir.display()
            ),
        ),
    }
}

/// What can be told here of who asks. Of the user that runs this, so of the proxy's if it is that one.
pub(super) fn identity() -> Seen {
    let reach = Identifier::start().reach();
    let verdict = if reach.user() {
        Verdict::Good
    } else {
        Verdict::Mind
    };
    (verdict, reach.to_string())
}

/// Whether the redirect is on: only root can see it.
pub(super) fn redirect(config: &Config) -> Seen {
    match redirect::loaded(config) {
        Ok(loaded) if loaded.is_as_installed() => (Verdict::Good, "loaded".to_owned()),
        Ok(loaded) => (Verdict::Mind, loaded.to_string()),
        Err(error) => (
            Verdict::NotChecked,
            format!(
                "not checked, `credpin-proxy redirect show` as root does: {}",
                told(error)
            ),
        ),
    }
}

/// How far the process could shut itself in here: tried on a thread that ends with that.
pub(super) fn confined(config: &Config) -> Seen {
    let tried = landlock::tried(config);
    let verdict = match tried {
        Confined::Fully => Verdict::Good,
        Confined::Partly | Confined::NoLandlock | Confined::SeesProcesses => Verdict::Mind,
        Confined::Failed(_) => Verdict::Bad,
    };
    (verdict, tried.to_string())
}
