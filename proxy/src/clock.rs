//! The time of day, as a value that is handed in.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

/// Tells the time. The host's own clock, or one that a test holds still.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// A clock that says what `now` says.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The host's clock.
    #[expect(
        clippy::disallowed_methods,
        reason = "the edge where the time comes from"
    )]
    pub fn system() -> Self {
        Self::new(Timestamp::now)
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
