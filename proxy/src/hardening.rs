//! What keeps secrets inside the process: invariant 2.

use std::panic;

use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use tracing::{error, warn};

/// Makes the process undumpable, and its panics silent about data. Call it before the first secret
/// can arrive.
///
/// Not dumpable means: no core files, no ptrace by the same user, `/proc/self/mem` owned by root.
pub fn apply() {
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        warn!(%error, "the process can be dumped");
    }
    // A panic's message can quote what it was about (a slice of a body), so only its place is told.
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        error!(place, "panic: a bug; please report it");
    }));
}
