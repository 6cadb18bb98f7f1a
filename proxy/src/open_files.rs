//! Whether the process may open as many files as `max-connections` takes.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// For each client one connection, and one to the metadata service.
const A_CONNECTION: u64 = 2;
/// The ledger, the admin's connections, logs, shipping.
const BESIDES: u64 = 64;

/// Raises the limit of open files (`RLIMIT_NOFILE`) as far as `max_connections` takes and the hard
/// limit lets; says so where that is not enough.
pub fn make_room(max_connections: usize) {
    let limit = getrlimit(Resource::Nofile);
    let needed = (max_connections as u64)
        .saturating_mul(A_CONNECTION)
        .saturating_add(BESIDES);
    let Some(raised) = raised(limit, needed) else {
        return;
    };
    let after = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised.current,
        Err(_) => limit.current,
    };
    if let Some(after) = after
        && after < needed
    {
        warn!(
            "this process may open {after} files, and max-connections = {max_connections} takes {needed}: \
             raise LimitNOFILE= of its unit, or lower max-connections"
        );
    }
}

/// The limit that is nearer to `needed`; nothing where it is enough already.
fn raised(limit: Rlimit, needed: u64) -> Option<Rlimit> {
    let enough = limit.current.is_none_or(|current| current >= needed);
    let most = limit.maximum.map_or(needed, |maximum| maximum.min(needed));
    (!enough).then_some(Rlimit {
        current: Some(most),
        maximum: limit.maximum,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_as_far_as_needed_and_allowed() {
        let limit = |current, maximum| Rlimit { current, maximum };
        for (current, maximum, to) in [
            (None, None, None),
            (Some(2112), None, None),
            (Some(1024), None, Some(2112)),
            (Some(1024), Some(4096), Some(2112)),
            (Some(1024), Some(2000), Some(2000)),
            (Some(1024), Some(1024), Some(1024)),
        ] {
            let expected = to.map(|to| limit(Some(to), maximum));
            assert_eq!(raised(limit(current, maximum), 2112), expected);
        }
    }
}
