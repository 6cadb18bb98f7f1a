//! The host's agent: it fronts the instance metadata service (IMDS), guards it, and puts each
//! credential that it hands out on record before the first byte of it goes out.
//!
//! ```text
//!              clients.rs                  service.rs
//!  client ──▶ connections ──▶ guard ──▶ session ──▶ cache ────▶ record ──▶ reply
//!             Listeners      gate.rs   session.rs  cache.rs    recorder.rs  │
//!             credpin-wire   access.rs                │        describe.rs  answer.rs
//!                                                     │            │
//!                                                 upstream.rs      │
//!                                                      ledger on the host ──▶ record store
//!                                                      credpin-ledger         shipping.rs
//! ```
//!
//! What reads and writes the requests themselves, and the guard, is [`credpin_wire`].
//!
//! [`Proxy::start`] opens the ledger and [`Proxy::run`] serves until it is told to stop; the caller
//! owns the sockets ([`Listeners`]) and says what to do ([`Config`]). So a test or another program
//! can run one in its own process:
//!
//! ```no_run
//! # async fn example(shutdown: impl Future<Output = ()>) -> Result<(), Box<dyn std::error::Error>> {
//! use credpin_proxy::{Config, Listeners};
//!
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let config = Config {
//!     upstream: "http://127.0.0.1:1338".parse()?,
//!     ledger: "/tmp/ledger".into(),
//!     records: Some("file:///tmp/records".parse()?),
//!     ..Config::default()
//! };
//! credpin_proxy::run(Listeners::from(listener), config, shutdown).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Two rules are held by types: what goes upstream is a [`guard::Admitted`], which only the guard
//! makes; and a credential is let go against a proof that only the recorder makes.

mod access;
mod admin;
mod answer;
mod apology;
mod backlog;
mod cache;
mod clients;
mod clock;
mod connection;
mod describe;
mod exposure;
mod flight;
mod gate;
mod jitter;
mod latency;
mod launch_gate;
mod metrics;
#[cfg(feature = "s3")]
mod own_role;
mod proxy;
mod recorder;
mod records;
mod service;
mod session;
mod shares;
mod shipping;
mod sockets;
mod throttle;
mod upstream;
mod who;

pub mod check;
pub mod cli;
pub mod config;
pub mod credential;
pub mod hardening;
pub mod history;
pub mod identity;
pub mod landlock;
pub mod notify;
pub mod open_files;
pub mod redirect;
pub mod reload;
pub mod rules;

pub use access::LiveRules;
pub use clock::{BootClock, Clock};
pub use config::{AfterWait, Config, OnLedgerFailure};
pub use credpin_wire::{guard, head, headers, path, pulse::Pulse, refusal};
pub use proxy::{Machine, Proxy, StartError, longest_end, run};
pub use session::{Kept, SessionKey};
pub use sockets::{AdminListener, BindError, BindErrors, KeptError, Listeners};
pub use upstream::{UpstreamError, UpstreamUrl, UpstreamUrlError};
