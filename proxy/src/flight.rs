//! One doing of something at a time, shared by all who ask for it meanwhile.

use std::future::Future;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

/// What is being done, if anything is. What comes of it is shared, a failure too: a crowd that waited
/// for one answer does not ask again, each for itself.
///
/// It goes on when who began it goes away: others may wait for it.
pub(crate) struct Flight<T>(Mutex<Option<watch::Receiver<Option<T>>>>);

/// Something that is being done.
pub(crate) struct Landing<T>(watch::Receiver<Option<T>>);

impl<T: Clone + Send + Sync + 'static> Flight<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// What is being done already, or else what `make` makes, from now on.
    pub(crate) fn start<F>(&self, make: impl FnOnce() -> F) -> Landing<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        // No panic can leave it half changed, so a poisoned lock is as good as any.
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(current) = &*current
            && current.has_changed().is_ok()
            && current.borrow().is_none()
        {
            return Landing(current.clone());
        }
        let (done, doing) = watch::channel(None);
        let task = make();
        tokio::spawn(async move { done.send_replace(Some(task.await)) });
        *current = Some(doing.clone());
        Landing(doing)
    }
}

impl<T: Clone> Landing<T> {
    /// What came of it. Nothing if it panicked.
    pub(crate) async fn wait(mut self) -> Option<T> {
        let done = self.0.wait_for(Option::is_some).await.ok()?;
        done.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn who_asks_meanwhile_shares_and_who_asks_later_does_not() {
        let (flight, times, go) = (Flight::new(), Arc::new(AtomicU32::new(0)), Notify::new());
        let go = Arc::new(go);
        let make = || {
            let (times, go) = (Arc::clone(&times), Arc::clone(&go));
            async move {
                go.notified().await;
                times.fetch_add(1, Ordering::SeqCst) + 1
            }
        };
        let (one, other) = (flight.start(make), flight.start(make));
        go.notify_one();
        assert_eq!((one.wait().await, other.wait().await), (Some(1), Some(1)));
        let later = flight.start(make);
        go.notify_one();
        assert_eq!(later.wait().await, Some(2));
    }

    #[tokio::test]
    async fn what_panics_is_nothing_and_can_be_begun_again() {
        let flight = Flight::new();
        let failing = flight.start(|| async { panic!("as this test wants it") });
        assert_eq!(failing.wait().await, None::<u32>);
        assert_eq!(flight.start(|| async { 7 }).wait().await, Some(7));
    }

    #[tokio::test]
    async fn it_goes_on_when_who_began_it_goes_away() {
        let (flight, go) = (Flight::new(), Arc::new(Notify::new()));
        let begun = Arc::clone(&go);
        drop(flight.start(|| async move { begun.notified().await }));
        let other = flight.start(|| async { panic!("it is begun already") });
        go.notify_one();
        assert_eq!(other.wait().await, Some(()));
    }
}
