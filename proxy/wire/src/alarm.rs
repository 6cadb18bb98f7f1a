//! A timer for waits that are many and short: it is set with each, and hardly ever rings.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep, sleep_until};

/// The timer of one wait after the other.
///
/// To set a timer of the runtime's for each wait, and to take it back, costs more than such a wait does
/// else. So the one that there is stays where it is when its wait is over, and is moved when it rings: by
/// then at most once in the time that a wait may take.
#[derive(Default)]
pub(crate) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Whether it is `at` or later. If not, who asks is woken then, and perhaps before.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>, at: Instant) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if at < sleep.deadline() {
            sleep.as_mut().reset(at);
        }
        loop {
            ready!(sleep.as_mut().poll(context));
            if sleep.deadline() >= at {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn it_rings_at_its_time_wherever_it_was_set_before() {
        let mut alarm = Alarm::default();
        let begin = Instant::now();
        for (set, to) in [(9, 1), (2, 5), (6, 3)] {
            let now = Instant::now();
            // A wait that is over before its time.
            let over = poll_fn(|context| Poll::Ready(alarm.poll(context, now + set * SECOND)));
            assert!(over.await.is_pending());
            poll_fn(|context| alarm.poll(context, now + to * SECOND)).await;
            assert_eq!(now.elapsed(), to * SECOND);
        }
        poll_fn(|context| alarm.poll(context, begin)).await;
        assert_eq!(begin.elapsed(), 9 * SECOND, "what is past rings at once");
    }
}
