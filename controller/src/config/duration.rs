//! How long something takes, as `60s` or `2m`.

use jiff::SignedDuration;

/// Whole seconds.
pub(crate) fn seconds(text: &str) -> Result<u64, String> {
    let duration: Option<SignedDuration> = text.parse().ok();
    let whole = duration.filter(|duration| duration.subsec_nanos() == 0);
    whole
        .and_then(|duration| u64::try_from(duration.as_secs()).ok())
        .ok_or_else(|| format!("`{text}` is no time in whole seconds: write it as 60s or 2m"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_whole_seconds() {
        for (text, wanted) in [("60s", 60), ("2m", 120), ("1h 30m", 5400), ("0s", 0)] {
            assert_eq!(seconds(text), Ok(wanted), "{text}");
        }
        for text in ["", "60", "-1s", "1500ms", "soon"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
