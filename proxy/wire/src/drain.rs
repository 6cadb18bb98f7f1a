//! The end of a proxy, without a client that goes unanswered.
//!
//! A client on an open connection may be sending at any time, and a connection that is closed under
//! its request is a failed request. So the end has two steps. First the proxy goes on as before,
//! but says `Connection: close` with each answer: connections end one by one, each by its client's
//! leave, and new ones are taken in the meantime. Then it takes no more: what comes waits in the kernel's
//! queue of the socket, for the next proxy that gets the same socket from systemd.

use std::convert::Infallible;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::header::CONNECTION;
use http::{HeaderMap, HeaderValue};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tracing::debug;

/// How far the end has come. Shared by all who take and answer connections.
pub(crate) struct Drain {
    /// Nobody's once the end has begun: later connections are not waited for.
    members: Mutex<Option<Member>>,
    stopped: watch::Sender<bool>,
}

/// Held by a connection as long as it is open.
pub(crate) type Member = mpsc::Sender<Infallible>;

/// Tells when all who hold a member are gone.
pub(crate) struct Left(mpsc::Receiver<Infallible>);

/// How long a client that connected, and was never answered, may take to ask once nothing more is taken.
const FIRST: Duration = Duration::from_secs(1);

pub(crate) fn members() -> (Member, Left) {
    let (member, left) = mpsc::channel(1);
    (member, Left(left))
}

impl Left {
    pub(crate) async fn wait(mut self) {
        // Nothing is ever sent: it ends with the last member.
        self.0.recv().await;
    }
}

impl Drain {
    pub(crate) fn new() -> (Self, Left) {
        let (member, left) = members();
        let drain = Self {
            members: Mutex::new(Some(member)),
            stopped: watch::Sender::new(false),
        };
        (drain, left)
    }

    /// For a connection that was just taken.
    pub(crate) fn member(&self) -> Option<Member> {
        let members = self.members.lock();
        members.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets the client know that this answer is its connection's last, if the end has begun.
    pub(crate) fn mark(&self, headers: &mut HeaderMap) {
        let members = self.members.lock();
        if members.unwrap_or_else(PoisonError::into_inner).is_none() {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }

    /// Begins the end, and waits until every connection from before is gone; but at most for
    /// `limit`, since a client may keep one open that it does not use. What is to be done at the end
    /// is done `meanwhile`. Then nothing more is taken.
    pub(crate) async fn run(&self, left: Left, limit: Duration, meanwhile: impl Future) {
        let member = self.members.lock();
        drop(member.unwrap_or_else(PoisonError::into_inner).take());
        let (all_left, _) = tokio::join!(timeout(limit, left.wait()), meanwhile);
        if all_left.is_err() {
            debug!("some connections that are not used are closed now");
        }
        self.stopped.send_replace(true);
    }

    /// Returns when no more connections are to be taken.
    pub(crate) async fn stopped(&self) {
        // It cannot fail: the sender is ours.
        let _ = self.stopped.subscribe().wait_for(|stopped| *stopped).await;
    }

    /// Returns when a connection may be closed as soon as it is between two requests. One that was
    /// not `asked` anything yet is about to be: hyper would close it at once.
    pub(crate) async fn leave(&self, asked: &AtomicBool) {
        self.stopped().await;
        if !asked.load(Ordering::Relaxed) {
            sleep(FIRST).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_waits_for_connections_from_before_only_and_no_longer_than_it_may() {
        const LIMIT: Duration = Duration::from_secs(2);
        let (drain, left) = Drain::new();
        let before = drain.member();
        assert!(before.is_some());
        let mut headers = HeaderMap::new();
        drain.mark(&mut headers);
        assert!(headers.is_empty());

        let began = tokio::time::Instant::now();
        let after = async {
            tokio::task::yield_now().await;
            drain.mark(&mut headers);
            assert_eq!(headers[CONNECTION], "close");
            assert!(drain.member().is_none(), "nobody waits for a new one");
            drop(before);
        };
        tokio::join!(drain.run(left, LIMIT, ready(())), after);
        assert_eq!(began.elapsed(), Duration::ZERO);
        drain.stopped().await;

        let (drain, left) = Drain::new();
        let _idle = drain.member();
        drain.run(left, LIMIT, ready(())).await;
        assert_eq!(began.elapsed(), LIMIT);

        let (drain, left) = Drain::new();
        drain.run(left, LIMIT, sleep(2 * LIMIT)).await;
        assert_eq!(began.elapsed(), 3 * LIMIT, "what is done meanwhile is done");
    }
}
