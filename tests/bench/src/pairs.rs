//! The load of the mock: what an SDK asks for, a session token and with it a credential, over and over.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::sleep;

use crate::message::{self, Connection};

/// The role that the mock has if it is not told another one.
const ROLE: &str = "example-role";
/// Clients at a time.
const CLIENTS: usize = 64;
const WARM_UP: Duration = Duration::from_millis(300);

/// How a client has its two requests carried.
#[derive(Clone, Copy, Debug)]
pub enum Carried {
    /// Over one connection, with all that come after.
    Kept,
    /// Each over a connection of its own, as the real service has it.
    Each,
}

/// Pairs a second that the mock at `at` answers, for the time `during`.
pub fn rate(at: SocketAddr, carried: Carried, during: Duration) -> Result<f64> {
    run(async {
        let (count, done) = (Rc::new(Cell::new(0_u64)), Rc::new(Cell::new(false)));
        let mut clients = clients(at, carried, &count, {
            let done = Rc::clone(&done);
            move |_| done.get()
        });
        sleep(WARM_UP).await;
        let (begun, pairs) = (Instant::now(), count.get());
        sleep(during).await;
        let (elapsed, pairs) = (begun.elapsed(), count.get() - pairs);
        done.set(true);
        ended(&mut clients).await?;
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let pairs = pairs as f64;
        Ok(pairs / elapsed.as_secs_f64())
    })
}

/// Asks for `pairs` pairs and no more, over connections that are kept.
pub fn ask(at: SocketAddr, pairs: u64) -> Result<()> {
    run(async {
        let count = Rc::new(Cell::new(0));
        ended(&mut clients(at, Carried::Kept, &count, move |count| {
            count >= pairs
        }))
        .await
    })
}

/// Clients that go on until `enough` says so of the pairs that were asked for, which are counted in
/// `count`.
fn clients(
    at: SocketAddr,
    carried: Carried,
    count: &Rc<Cell<u64>>,
    enough: impl Fn(u64) -> bool + Clone + 'static,
) -> JoinSet<io::Result<()>> {
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (count, enough) = (Rc::clone(count), enough.clone());
        clients.spawn_local(async move {
            let mut client = Client {
                at,
                carried,
                connection: Connection::open(at).await?,
                put: message::put_token(at),
            };
            while !enough(count.get()) {
                count.set(count.get() + 1);
                client.pair().await?;
            }
            Ok(())
        });
    }
    clients
}

async fn ended(clients: &mut JoinSet<io::Result<()>>) -> Result<()> {
    while let Some(client) = clients.join_next().await {
        client?.context("a request failed under load")?;
    }
    Ok(())
}

struct Client {
    at: SocketAddr,
    carried: Carried,
    connection: Connection,
    put: Vec<u8>,
}

impl Client {
    async fn pair(&mut self) -> io::Result<()> {
        let token = self.connection.ask(&self.put).await?;
        let token = str::from_utf8(token).map_err(io::Error::other)?;
        let path = format!("/latest/meta-data/iam/security-credentials/{ROLE}");
        let get = message::get(&path, token);
        self.next().await?;
        self.connection.ask(&get).await?;
        self.next().await
    }

    async fn next(&mut self) -> io::Result<()> {
        if matches!(self.carried, Carried::Each) {
            self.connection = Connection::open(self.at).await?;
        }
        Ok(())
    }
}

/// Runs `load` in this thread.
fn run<T>(load: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    LocalSet::new().block_on(&runtime, load)
}
