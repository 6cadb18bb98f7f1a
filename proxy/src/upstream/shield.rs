//! What protects the metadata service, and the host's share of it, from this host's processes.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until, timeout};

/// Lets few enough requests through, each lane in its order. Who goes away while waiting gives its
/// place back.
///
/// However many clients ask, something is left for what serves them all: the proxy's own session and
/// the renewal of what is cached.
pub(crate) struct Shield {
    places: Semaphore,
    /// One fewer, where there are two or more.
    for_clients: Semaphore,
    window: Mutex<Window>,
    /// The next client in the queue holds it while it waits for its time, so no other overtakes it.
    turn: tokio::sync::Mutex<()>,
    wait: Duration,
}

/// On whose behalf something is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// A client waits for the answer, and it is for nobody else.
    Client,
    /// The proxy itself: its session, what it renews, what it says about the host. It does not wait
    /// behind clients, and may use what is kept back from them.
    Own,
}

/// The right to send one request; held until its answer is there.
pub(crate) struct Place<'a> {
    /// From when on: now.
    pub(crate) since: Instant,
    _any: SemaphorePermit<'a>,
    _for_client: Option<SemaphorePermit<'a>>,
}

/// When the requests of the last second went out, and for whom.
struct Window {
    rate: usize,
    sent: VecDeque<(Instant, Lane)>,
    /// How many of them were clients'.
    clients: usize,
}

const SECOND: Duration = Duration::from_secs(1);

impl Shield {
    /// At most `rate` requests within any second, `places` at a time; each waits at most `wait`. A
    /// tenth of the rate, rounded up, and one of the places are not for clients, unless there is no
    /// more than one.
    pub(crate) fn new(rate: usize, places: usize, wait: Duration) -> Self {
        let window = Window {
            rate,
            sent: VecDeque::new(),
            clients: 0,
        };
        Self {
            places: Semaphore::new(places),
            for_clients: Semaphore::new(places.saturating_sub(1).max(1)),
            window: Mutex::new(window),
            turn: tokio::sync::Mutex::default(),
            wait,
        }
    }

    /// A place, and with it the right to send one request now. Nothing where there was none in time.
    pub(crate) async fn pass(&self, lane: Lane) -> Option<Place<'_>> {
        // Nobody waits, nearly always, and then there is nothing to be timed.
        if let Some(place) = self.pass_at_once(lane) {
            return Some(place);
        }
        let waiting = async {
            let for_client = match lane {
                Lane::Client => Some(self.for_clients.acquire().await.ok()?),
                Lane::Own => None,
            };
            let any = self.places.acquire().await.ok()?;
            let _turn = match lane {
                Lane::Client => Some(self.turn.lock().await),
                Lane::Own => None,
            };
            let since = loop {
                match self.send(lane) {
                    Ok(now) => break now,
                    Err(until) => sleep_until(until).await,
                }
            };
            Some(Place {
                since,
                _any: any,
                _for_client: for_client,
            })
        };
        // In a box it takes no room in what answers every request.
        Box::pin(timeout(self.wait, waiting)).await.ok().flatten()
    }

    /// A place, where one is free and nobody waits for it.
    fn pass_at_once(&self, lane: Lane) -> Option<Place<'_>> {
        let for_client = match lane {
            Lane::Client => Some(self.for_clients.try_acquire().ok()?),
            Lane::Own => None,
        };
        let any = self.places.try_acquire().ok()?;
        let _turn = match lane {
            Lane::Client => Some(self.turn.try_lock().ok()?),
            Lane::Own => None,
        };
        Some(Place {
            since: self.send(lane).ok()?,
            _any: any,
            _for_client: for_client,
        })
    }

    /// Counts a request as sent now, or says when there may be room for one.
    fn send(&self, lane: Lane) -> Result<Instant, Instant> {
        // No panic can leave it half changed, so a poisoned lock is as good as any.
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        window.send(now, lane).map(|()| now)
    }
}

impl Window {
    /// Counts a request at `now`, or says when there may be room for one.
    fn send(&mut self, now: Instant, lane: Lane) -> Result<(), Instant> {
        while let Some((oldest, of)) = self.sent.front()
            && *oldest + SECOND <= now
        {
            self.clients -= usize::from(*of == Lane::Client);
            self.sent.pop_front();
        }
        let client = lane == Lane::Client;
        let mut before = self.sent.iter();
        let oldest = if self.sent.len() >= self.rate {
            before.next()
        } else if client && self.clients >= (self.rate * 9 / 10).max(1) {
            before.find(|(_, of)| *of == Lane::Client)
        } else {
            None
        };
        if let Some((oldest, _)) = oldest {
            return Err(*oldest + SECOND);
        }
        self.clients += usize::from(client);
        self.sent.push_back((now, lane));
        Ok(())
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
            drop(shield.pass(Lane::Own).await.unwrap());
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
        let pass = || shield.pass(Lane::Client);
        let asked = tokio::join!(pass(), pass(), pass(), pass());
        let passed = [&asked.0, &asked.1, &asked.2, &asked.3].map(Option::is_some);
        assert_eq!(passed, [true, true, false, false], "in their order");
        assert_eq!(Instant::now() - begin, 3 * SECOND / 2);
        assert!(
            shield.pass(Lane::Own).await.is_some(),
            "the next second is free"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_free_again_when_who_has_it_or_waits_for_it_goes_away() {
        let shield = Arc::new(Shield::new(1000, 1, LONG));
        let first = shield.pass(Lane::Own).await.unwrap();
        let other = Arc::clone(&shield);
        let waiting = tokio::spawn(async move { other.pass(Lane::Own).await.is_some() });
        tokio::task::yield_now().await;
        waiting.abort();
        assert!(waiting.await.unwrap_err().is_cancelled());
        drop(first);
        assert!(shield.pass(Lane::Own).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn however_many_clients_wait_the_proxy_itself_does_not() {
        let shield = Arc::new(Shield::new(20, 4, LONG));
        let begin = Instant::now();
        for _ in 0..200 {
            let shield = Arc::clone(&shield);
            tokio::spawn(async move {
                let _place = shield.pass(Lane::Client).await;
                tokio::task::yield_now().await;
            });
        }
        for second in 0..5 {
            tokio::time::sleep_until(begin + second * SECOND + SECOND / 2).await;
            for _ in 0..2 {
                let before = Instant::now();
                assert!(shield.pass(Lane::Own).await.is_some());
                assert_eq!(Instant::now(), before, "second {second}");
            }
            let sent = shield.window.lock().unwrap().sent.clone();
            let clients = sent.iter().filter(|(_, of)| *of == Lane::Client);
            assert_eq!(clients.count(), 18, "and they have all of the rest");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_place_is_not_for_clients_unless_it_is_the_only_one() {
        let shield = Shield::new(1000, 3, SECOND);
        let clients = tokio::join!(
            shield.pass(Lane::Client),
            shield.pass(Lane::Client),
            shield.pass(Lane::Client)
        );
        assert!(clients.0.is_some() && clients.1.is_some() && clients.2.is_none());
        assert!(shield.pass(Lane::Own).await.is_some());
        let shield = Shield::new(1, 1, SECOND);
        assert!(shield.pass(Lane::Client).await.is_some());
    }
}
