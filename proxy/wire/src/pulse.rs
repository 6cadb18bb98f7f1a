//! Whether the proxy works: a process that runs may still serve nobody.

use std::convert::Infallible;

use tokio::sync::{broadcast, mpsc};

/// Asks each loop that takes connections to come round once.
#[derive(Clone, Debug)]
pub struct Pulse(broadcast::Sender<Token>);

/// One beat: it is over when each loop has dropped its copy.
type Token = mpsc::Sender<Infallible>;

/// A loop's end of it.
pub(crate) struct Beats(broadcast::Receiver<Token>);

impl Default for Pulse {
    fn default() -> Self {
        Self::new()
    }
}

impl Pulse {
    /// One that no loop feels yet.
    pub fn new() -> Self {
        // A beat ends before the next one begins; one that was given up leaves its token behind.
        Self(broadcast::Sender::new(1))
    }

    pub(crate) fn beats(&self) -> Beats {
        Beats(self.0.subscribe())
    }

    /// Returns once every loop has come round, and with it the runtime that they run on. Not at all
    /// where there is none.
    pub async fn beat(&self) {
        let (token, mut out) = mpsc::channel(1);
        if self.0.send(token).is_err() {
            std::future::pending::<()>().await;
        }
        // Nothing is ever sent: it ends with the last copy.
        out.recv().await;
    }
}

impl Beats {
    /// Waits for a beat. It is felt by whoever drops what this returns.
    pub(crate) async fn next(&mut self) {
        // Beats that were missed are over.
        while let Err(broadcast::error::RecvError::Lagged(_)) = self.0.recv().await {}
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn it_is_felt_when_every_loop_has_come_round() {
        let pulse = Pulse::new();
        assert!(timeout(SOON, pulse.beat()).await.is_err(), "no loop");
        let (mut one, mut other) = (pulse.beats(), pulse.beats());
        let turns = tokio::spawn(async move {
            loop {
                one.next().await;
            }
        });
        assert!(timeout(SOON, pulse.beat()).await.is_err(), "one hangs");
        let both = async { tokio::join!(pulse.beat(), other.next()) };
        assert!(timeout(SOON, both).await.is_ok());
        turns.abort();
    }
}
