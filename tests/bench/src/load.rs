//! The load: many connections at once as fast as they are answered, or requests at a steady rate.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::sync::mpsc;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::message::{self, Connection};
use crate::server::Server;

/// What a server did for a while.
#[derive(Clone, Copy, Debug)]
pub struct Throughput {
    /// Requests a second.
    pub rate: f64,
    /// Its CPU time for a request, in microseconds.
    pub cpu: f64,
    /// The share of the time, from 0 to 1, that it was on its CPU. Far below 1 it was not the limit.
    pub busy: f64,
}

/// Before it counts: connections open, caches fill, code is paged in.
const WARM_UP: Duration = Duration::from_millis(300);

/// Asks `server` for `path` over `connections`, each at once again when it was answered, for the
/// time `during`.
pub fn throughput(
    server: &Server,
    path: &str,
    connections: usize,
    during: Duration,
) -> Result<Throughput> {
    run(async {
        let request = Rc::new(session(server.at, path).await?);
        let (count, done) = (Rc::new(Cell::new(0_u64)), Rc::new(Cell::new(false)));
        let mut clients = JoinSet::new();
        for _ in 0..connections {
            let mut connection = Connection::open(server.at).await?;
            let request = Rc::clone(&request);
            // Who is at its other end is found out once for each, and is no part of a request.
            connection.ask(&request).await?;
            let (count, done) = (Rc::clone(&count), Rc::clone(&done));
            clients.spawn_local(async move {
                while !done.get() {
                    connection.ask(&request).await?;
                    count.set(count.get() + 1);
                }
                std::io::Result::Ok(())
            });
        }
        sleep(WARM_UP).await;
        let (begun, requests, cpu) = (Instant::now(), count.get(), server.cpu()?);
        sleep(during).await;
        let (elapsed, requests) = (begun.elapsed(), count.get() - requests);
        let cpu = server.cpu()?.saturating_sub(cpu);
        done.set(true);
        while let Some(client) = clients.join_next().await {
            client?.context("a request failed under load")?;
        }
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let requests = requests as f64;
        Ok(Throughput {
            rate: requests / elapsed.as_secs_f64(),
            cpu: cpu.as_secs_f64() * 1e6 / requests,
            busy: cpu.as_secs_f64() / elapsed.as_secs_f64(),
        })
    })
}

/// Over how many connections the requests of [`latencies`] go in turn.
const PACED: usize = 16;

/// How long who listens at `at` takes for each of `requests` requests for `path`, one a millisecond,
/// in microseconds. The time runs from when a request was due, also if its connection was still
/// waiting for an earlier answer: who is slow does not get fewer requests for it.
pub fn latencies(at: SocketAddr, path: &str, requests: usize) -> Result<Vec<f64>> {
    run(async {
        let request = Rc::new(session(at, path).await?);
        let mut clients = JoinSet::new();
        let mut turns = Vec::new();
        for _ in 0..PACED {
            let mut connection = Connection::open(at).await?;
            connection.ask(&request).await?;
            let request = Rc::clone(&request);
            let (turn, mut due) = mpsc::unbounded_channel::<Instant>();
            turns.push(turn);
            clients.spawn_local(async move {
                let mut taken = Vec::new();
                while let Some(due) = due.recv().await {
                    connection.ask(&request).await?;
                    taken.push(due.elapsed().as_secs_f64() * 1e6);
                }
                std::io::Result::Ok(taken)
            });
        }
        let mut tick = interval(Duration::from_millis(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
        for turn in turns.iter().cycle().take(requests) {
            tick.tick().await;
            turn.send(Instant::now()).context("a request failed")?;
        }
        drop(turns);
        let mut all = Vec::with_capacity(requests);
        while let Some(client) = clients.join_next().await {
            all.extend(client?.context("a request failed")?);
        }
        Ok(all)
    })
}

/// Opens `connections`, asks for `path` ten times over each, and calls `meanwhile` while all are open.
pub fn held<T>(
    at: SocketAddr,
    path: &str,
    connections: usize,
    meanwhile: impl FnOnce() -> Result<T>,
) -> Result<T> {
    run(async {
        let request = session(at, path).await?;
        let mut open = Vec::new();
        for _ in 0..connections {
            open.push(Connection::open(at).await?);
        }
        for _ in 0..10 {
            for connection in &mut open {
                connection.ask(&request).await?;
            }
        }
        meanwhile()
    })
}

/// The request for `path`, in a session that it makes.
async fn session(at: SocketAddr, path: &str) -> Result<Vec<u8>> {
    let ask = async {
        let mut connection = Connection::open(at).await?;
        let token = connection.ask(&message::put_token(at)).await?;
        let token = String::from_utf8_lossy(token).into_owned();
        let request = message::get(path, &token);
        connection.ask(&request).await?;
        std::io::Result::Ok(request)
    };
    ask.await
        .with_context(|| format!("cannot ask {at} for {path}"))
}

/// Runs `load` in this thread.
fn run<T>(load: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    LocalSet::new().block_on(&runtime, load)
}
