//! What takes root's rights, done in a user namespace where this process does not have them.

use std::process::Command;

use rustix::thread::{CapabilitySet, capabilities};

/// What to do where that is refused.
pub(crate) const HELP: &str = "run it as root with all capabilities, or allow unprivileged user \
    namespaces (user.max_user_namespaces above 0, kernel.unprivileged_userns_clone=1, \
    kernel.apparmor_restrict_unprivileged_userns=0), and have unshare and mount (Debian: apt-get \
    install util-linux mount)";

/// Runs `program` where this process has the capability `right` over it: as it is, or in a user
/// namespace below, whose owner may do everything there.
pub(crate) fn as_one_who_may(right: CapabilitySet, program: &[&str]) -> Command {
    if capabilities(None).unwrap().effective.contains(right) {
        return command(program);
    }
    let below = ["unshare", "--user", "--map-root-user", "--"];
    let tried = command(&[&below[..], &["true"]].concat()).output();
    let tried = tried.unwrap_or_else(|error| panic!("no unshare: {error}; {HELP}"));
    let said = String::from_utf8_lossy(&tried.stderr);
    assert!(tried.status.success(), "{}; {HELP}", said.trim());
    command(&[&below[..], program].concat())
}

fn command(words: &[&str]) -> Command {
    let mut command = Command::new(words[0]);
    command.env_clear().args(&words[1..]);
    command
}
