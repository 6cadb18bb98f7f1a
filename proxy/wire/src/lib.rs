//! What every request passes through: from the client's bytes to a request that may go on, and from
//! there to the metadata service and back. `credpin-proxy` decides in between.
//!
//! ```text
//!           server.rs    screen.rs            guard.rs                    upstream/
//!  client ──▶ accept ──▶ whole heads ──▶ hyper ──▶ Admitted ──▶ (proxy) ──▶ request.rs ──▶ pool.rs
//!             ends.rs    head.rs                   path.rs                  connection.rs
//!             original.rs                          refusal.rs               reply.rs
//! ```
//!
//! It is a crate of its own for its speed. The proxy is built to be small; what runs for each request
//! is built to be fast, and hyper's server, being generic, is compiled where it is used: here. So what
//! crosses the border is not generic: see [`server::Host`] and [`upstream::connection::Connection::ask`].

mod alarm;
mod drain;
mod ends;
mod gather;
mod idle;
mod linger;
mod pass;
mod screen;
mod stall;

pub mod guard;
pub mod head;
pub mod headers;
pub mod original;
pub mod path;
pub mod pulse;
pub mod refusal;
pub mod server;
pub mod upstream;

pub use ends::Ends;
