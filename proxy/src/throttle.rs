//! Log lines that anybody can cause, no more of them than anybody can read.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Lets a few through in each second, and counts the others.
#[derive(Default)]
pub(crate) struct Throttle(Mutex<State>);

#[derive(Default)]
struct State {
    second: Option<Instant>,
    passed: u32,
    left_out: u64,
}

const A_SECOND: u32 = 5;

impl Throttle {
    /// Whether a line may be written at `now`; if so, how many were left out since the last one.
    pub(crate) fn pass(&self, now: Instant) -> Option<u64> {
        // No panic can leave it half changed, so a poisoned lock is as good as any.
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |start| now.duration_since(start) < Duration::from_secs(1);
        if !state.second.is_some_and(same) {
            state.second = Some(now);
            state.passed = 0;
        }
        if state.passed >= A_SECOND {
            state.left_out += 1;
            return None;
        }
        state.passed += 1;
        Some(std::mem::take(&mut state.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_a_second_pass_and_the_rest_is_counted() {
        let throttle = Throttle::default();
        let start = Instant::now();
        for _ in 0..A_SECOND {
            assert_eq!(throttle.pass(start), Some(0));
        }
        for _ in 0..7 {
            assert_eq!(throttle.pass(start + Duration::from_millis(999)), None);
        }
        assert_eq!(throttle.pass(start + Duration::from_secs(1)), Some(7));
        assert_eq!(throttle.pass(start + Duration::from_secs(1)), Some(0));
    }
}
