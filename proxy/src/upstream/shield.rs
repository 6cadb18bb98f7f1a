//! What protects the metadata service, and the host's share of it, from this host's processes.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::{Mutex, Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until, timeout};

/// Lets few enough requests through, in the order in which they came. Who goes away while waiting
/// gives its place back.
pub(crate) struct Shield {
    places: Semaphore,
    /// The next in the queue holds the lock while it waits for its time, so nobody overtakes it.
    window: Mutex<Window>,
    wait: Duration,
}

/// When the requests of the last second went out.
struct Window {
    rate: usize,
    sent: VecDeque<Instant>,
}

const SECOND: Duration = Duration::from_secs(1);

impl Shield {
    /// At most `rate` requests within any second, `places` at a time; each waits at most `wait`.
    pub(crate) fn new(rate: usize, places: usize, wait: Duration) -> Self {
        let window = Window {
            rate,
            sent: VecDeque::new(),
        };
        Self {
            places: Semaphore::new(places),
            window: Mutex::new(window),
            wait,
        }
    }

    /// A place, and with it the right to send one request now. Nothing where there was none in time.
    pub(crate) async fn pass(&self) -> Option<SemaphorePermit<'_>> {
        let waiting = async {
            let place = self.places.acquire().await.ok()?;
            let mut window = self.window.lock().await;
            while let Err(until) = window.send(Instant::now()) {
                sleep_until(until).await;
            }
            Some(place)
        };
        timeout(self.wait, waiting).await.ok().flatten()
    }
}

impl Window {
    /// Counts a request at `now`, or says when there is room for one.
    fn send(&mut self, now: Instant) -> Result<(), Instant> {
        while let Some(oldest) = self.sent.front()
            && *oldest + SECOND <= now
        {
            self.sent.pop_front();
        }
        match self.sent.front() {
            Some(oldest) if self.sent.len() >= self.rate => Err(*oldest + SECOND),
            _ => {
                self.sent.push_back(now);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    #[tokio::test(start_paused = true)]
    async fn no_second_sees_more_than_the_rate() {
        let shield = Shield::new(5, 2, LONG);
        let mut times = Vec::new();
        for _ in 0..23 {
            drop(shield.pass().await.unwrap());
            times.push(Instant::now());
        }
        assert!(times.windows(6).all(|six| six[5] - six[0] >= SECOND));
        assert!(
            times[22] - times[0] < 5 * SECOND,
            "and not much less than it"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_goes_without_and_takes_nothing() {
        let shield = Shield::new(1, 16, 3 * SECOND / 2);
        let begin = Instant::now();
        let asked = tokio::join!(shield.pass(), shield.pass(), shield.pass(), shield.pass());
        let passed = [&asked.0, &asked.1, &asked.2, &asked.3].map(Option::is_some);
        assert_eq!(passed, [true, true, false, false], "in their order");
        assert_eq!(Instant::now() - begin, 3 * SECOND / 2);
        assert!(shield.pass().await.is_some(), "the next second is free");
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_free_again_when_who_has_it_or_waits_for_it_goes_away() {
        let shield = Arc::new(Shield::new(1000, 1, LONG));
        let first = shield.pass().await.unwrap();
        let other = Arc::clone(&shield);
        let waiting = tokio::spawn(async move { other.pass().await.is_some() });
        tokio::task::yield_now().await;
        waiting.abort();
        assert!(waiting.await.unwrap_err().is_cancelled());
        drop(first);
        assert!(shield.pass().await.is_some());
    }
}
