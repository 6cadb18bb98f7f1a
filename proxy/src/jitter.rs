//! Pauses that are not the same on every host.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// `pause`, or up to a quarter less: a fleet that was started at once, or that waited for the same
/// thing, does not come at once.
pub(crate) fn jittered(pause: Duration) -> Duration {
    shortened(pause, random())
}

fn shortened(pause: Duration, random: u32) -> Duration {
    pause.mul_f64(1.0 - f64::from(random) / f64::from(u32::MAX) / 4.0)
}

/// Not for secrets.
fn random() -> u32 {
    let number = RandomState::new().hash_one(());
    // Its lower half.
    u32::try_from(number & u64::from(u32::MAX)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_at_most_what_was_said_and_never_much_less() {
        let pause = Duration::from_mins(1);
        assert_eq!(shortened(pause, 0), pause);
        assert_eq!(shortened(pause, u32::MAX), Duration::from_secs(45));
        let pauses: Vec<_> = (0..100).map(|_| jittered(pause)).collect();
        assert!(
            pauses
                .iter()
                .all(|it| (Duration::from_secs(45)..=pause).contains(it))
        );
        assert!(pauses.iter().any(|it| *it != pauses[0]), "they differ");
    }
}
