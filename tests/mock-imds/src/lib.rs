//! A mock of the EC2 instance metadata service (IMDS), for tests of what reads it.
//!
//! It gives out what a real host gives out: session tokens that are checked and expire, a role's
//! credentials that are well-formed, expire and rotate, the metadata tree, the identity document.
//! Every request that it saw and every credential that it issued can be asked for.
//!
//! ```text
//!   socket ──> run ──────> respond(&State, &Request, now) ──> Response ──> socket
//!              server.rs     │          respond.rs
//!              (hyper,       ├─ path.rs        what is asked for
//!               clock.rs,    ├─ fault.rs       is it to go wrong?
//!               the faults   ├─ session.rs     IMDSv2: is the token good?
//!               of sockets)  ├─ metadata.rs    Host ──> tree.rs: listings and leaves
//!                            ├─ credential.rs  the role's current set, issued when due (schedule.rs)
//!                            ├─ notice.rs      Spot interruptions and the like, when due
//!                            ├─ identity.rs    the signatures of the identity document
//!                            └─ response.rs    IMDS's headers and error pages
//! ```
//!
//! With [`Fidelity::Aemm`] it answers as amazon-ec2-metadata-mock does (`aemm.rs`). The binary takes that
//! one's settings ([`config`], [`launch`]).
//!
//! [`respond()`] is the mock: no socket, no clock, and with a seed no chance either. [`MockImds`] puts
//! it on a loopback port for as long as a test needs it:
//!
//! ```
//! use credpin_mock_imds::{Host, MockImds};
//! # use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! # use tokio::net::TcpStream;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let imds = MockImds::builder()
//!     .host(Host {
//!         instance_id: "i-0123456789abcdef0".into(),
//!         role: Some("web".into()),
//!         ..Host::default()
//!     })
//!     .start()
//!     .await?;
//!
//! // Point a client at it: AWS_EC2_METADATA_SERVICE_ENDPOINT = imds.endpoint()
//! let mut client = TcpStream::connect(imds.addr()).await?;
//! client.write_all(b"GET /latest/meta-data/instance-id HTTP/1.1\r\nHost: imds\r\n\r\n").await?;
//! let mut answer = String::new();
//! client.read_to_string(&mut answer).await?;
//!
//! assert!(answer.ends_with("i-0123456789abcdef0"));
//! assert_eq!(imds.handle().requests().len(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! What a test changes on the way, it changes on the [`State`] that [`MockImds::handle`] returns:
//! the role, the credentials' fate, the faults.
//!
//! ```
//! use credpin_mock_imds::{CredentialError, Fault, MockImds, Schedule};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let imds = MockImds::builder()
//!     .imdsv2_only(true)
//!     .seed(7) // the same tokens and credentials on every run
//!     .schedule(Schedule::new(Some("10m".parse()?), Some("1s".parse()?))?)
//!     .start()
//!     .await?;
//! let state = imds.handle();
//!
//! // The client under test should keep its credentials while the service is away …
//! state.add_fault("/:503:count=3".parse()?);
//! state.set_fault("/latest/meta-data/iam", Fault::Hang);
//! state.clear_faults();
//! // … notice a new role, and that a role cannot be assumed.
//! state.set_role(Some("other"));
//! state.fail_credentials(Some(CredentialError::assume_role_unauthorized("other")));
//!
//! // And afterwards: who got what?
//! for delivery in state.deliveries() {
//!     println!("{:?} got {}", delivery.peer, delivery.access_key_id);
//! }
//! imds.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! A host, or a fleet of them, can be described in a file: [`describe`]. What runs in another process
//! changes and asks over [`admin`].

pub mod admin;
mod aemm;
mod clock;
pub mod config;
mod credential;
mod der;
mod derive;
pub mod describe;
mod document;
mod fault;
mod fleet;
mod hop_limit;
mod host;
mod identity;
mod json;
pub mod launch;
mod merge;
mod metadata;
mod mock;
mod moment;
mod notice;
mod path;
mod respond;
mod response;
mod ring;
mod schedule;
mod server;
mod session;
mod socket;
mod state;
mod tree;
mod watch;

pub use aemm::{Fidelity, Routes};
pub use clock::{Clock, ManualClock, SystemClock};
pub use credential::{CredentialError, Delivery, Issued};
pub use fault::{Fault, FaultSpec, FaultStatus, ParseFaultError, Probability};
pub use fleet::{Address, Fleet, FleetError};
pub use hop_limit::{HopLimit, HopLimitError};
pub use host::{Host, Interface, MAX_USER_DATA_BYTES, UserData};
pub use identity::IDENTITY_CERTIFICATE;
pub use mock::{Builder, MockImds, StartError};
pub use moment::{Moment, NotAMoment};
pub use notice::{
    Event, EventCode, EventState, NotOneOf, Notices, Rebalance, Spot, SpotAction, Termination,
};
pub use respond::{Peer, Request, Response, respond};
pub use schedule::{Schedule, ScheduleError};
pub use server::run;
pub use state::{Seen, Settings, State};
pub use watch::watch;
