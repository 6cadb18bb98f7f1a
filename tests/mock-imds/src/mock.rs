//! A mock on a port, for as long as a test holds it.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::aemm::Fidelity;
use crate::clock::{Clock, SystemClock};
use crate::describe::Described;
use crate::fault::FaultSpec;
use crate::hop_limit::HopLimit;
use crate::host::Host;
use crate::notice::Notices;
use crate::schedule::{Schedule, ScheduleError};
use crate::server::run;
use crate::state::{Settings, State};

/// A mock IMDS that serves until it is dropped.
pub struct MockImds {
    addr: SocketAddr,
    state: Arc<State>,
    stop: oneshot::Sender<()>,
    server: AbortOnDrop,
}

/// Sets up a [`MockImds`].
pub struct Builder {
    settings: Settings,
    clock: Arc<dyn Clock>,
    addr: SocketAddr,
}

/// Why a mock did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {addr}")]
    Listen {
        /// The address asked for.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

impl MockImds {
    /// A mock of the default [`Host`] on a free loopback port, by the system's clock, that allows
    /// IMDSv1.
    pub fn builder() -> Builder {
        Builder {
            settings: Settings::default(),
            clock: Arc::new(SystemClock),
            addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        }
    }

    /// What clients take as `AWS_EC2_METADATA_SERVICE_ENDPOINT`, as `http://127.0.0.1:49152`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its state, to change and to ask. It outlives the server.
    pub fn handle(&self) -> Arc<State> {
        Arc::clone(&self.state)
    }

    /// Stops it as [`run`] does, and waits until it has: then the port is free. Dropping it instead
    /// cuts every connection at once.
    pub async fn stop(self) {
        let Self {
            stop, mut server, ..
        } = self;
        drop(stop);
        // An error means that the server panicked, which tokio has printed.
        let _ = (&mut server.0).await;
    }
}

impl fmt::Debug for MockImds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockImds")
            .field("addr", &self.addr)
            .finish_non_exhaustive()
    }
}

impl Builder {
    /// The host that it describes.
    #[must_use]
    pub fn host(mut self, host: Host) -> Self {
        self.settings.host = host;
        self
    }

    /// Whom it resembles. Default: the real service.
    #[must_use]
    pub fn fidelity(mut self, fidelity: Fidelity) -> Self {
        self.settings.fidelity = fidelity;
        self
    }

    /// What the host is told beforehand. Default: nothing.
    ///
    /// ```
    /// use credpin_mock_imds::{MockImds, Notices, Spot};
    ///
    /// let about_to_be_terminated = MockImds::builder().notices(Notices {
    ///     spot: Some(Spot::default()),
    ///     ..Notices::default()
    /// });
    /// ```
    #[must_use]
    pub fn notices(mut self, notices: Notices) -> Self {
        self.settings.notices = notices;
        self
    }

    /// Whether requests without a session token are refused. Default: they are not.
    #[must_use]
    pub fn imdsv2_only(mut self, only: bool) -> Self {
        self.settings.imdsv2_only = only;
        self
    }

    /// How many hops the answer to a PUT for a token gets. Default: as many as any other packet.
    #[must_use]
    pub fn hop_limit(mut self, limit: HopLimit) -> Self {
        self.settings.hop_limit = Some(limit);
        self
    }

    /// Lets this go wrong from the start:
    ///
    /// ```
    /// # use credpin_mock_imds::MockImds;
    /// let flaky = MockImds::builder().fault("/latest/meta-data/iam:503:p=0.2".parse()?);
    /// # Ok::<(), credpin_mock_imds::ParseFaultError>(())
    /// ```
    #[must_use]
    pub fn fault(mut self, fault: FaultSpec) -> Self {
        self.settings.faults.push(fault);
        self
    }

    /// Takes the host, what its service is like and where it listens from a description; what that
    /// does not say stays as it is. A fleet is several of them:
    ///
    /// ```
    /// use std::path::Path;
    ///
    /// use credpin_mock_imds::{MockImds, describe};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let text = r#"
    ///     region = "eu-west-1"
    ///     [[host]]
    ///     instance-id = "i-1"
    ///     [[host]]
    ///     instance-id = "i-2"
    ///     imds.tokens = "required"
    /// "#;
    /// let mut fleet = Vec::new();
    /// for host in describe::parse(Path::new("fleet.toml"), text)? {
    ///     fleet.push(MockImds::builder().described(host)?.start().await?);
    /// }
    /// assert_eq!(fleet[1].handle().host().instance_id, "i-2");
    /// assert!(fleet[1].handle().requires_tokens());
    /// assert_ne!(fleet[0].addr(), fleet[1].addr());
    /// # Ok(())
    /// # }
    /// ```
    pub fn described(mut self, described: Described) -> Result<Self, ScheduleError> {
        let Described { host, imds } = described;
        self.addr = imds.listen.unwrap_or(self.addr);
        self.settings = imds.over(self.settings)?;
        self.settings.host = host;
        Ok(self)
    }

    /// Whether a connection may be used again. Default: each is closed after one answer, as the real
    /// service does it.
    #[must_use]
    pub fn keep_alive(mut self, keep: bool) -> Self {
        self.settings.keep_alive = keep;
        self
    }

    /// Makes tokens and credentials the same on every run; hosts of a fleet may share a seed.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = Some(seed);
        self
    }

    /// When credentials expire and are renewed.
    #[must_use]
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.settings.schedule = schedule;
        self
    }

    /// Where the time comes from, as a [`ManualClock`] or any `Fn() -> Timestamp`.
    ///
    /// [`ManualClock`]: crate::ManualClock
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The address to listen on.
    #[must_use]
    pub fn listen(mut self, addr: SocketAddr) -> Self {
        self.addr = addr;
        self
    }

    /// Starts it. Once this returns, it accepts connections.
    pub async fn start(self) -> Result<MockImds, StartError> {
        let Self {
            settings,
            clock,
            addr,
        } = self;
        let failed = |source| StartError::Listen { addr, source };
        let listener = TcpListener::bind(addr).await.map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        let state = Arc::new(State::new(settings));
        let (stop, stopped) = oneshot::channel::<()>();
        let server = run(listener, Arc::clone(&state), clock, async {
            // The sender is never used: dropping it is the signal.
            let _ = stopped.await;
        });
        Ok(MockImds {
            addr,
            state,
            stop,
            server: AbortOnDrop(tokio::spawn(server)),
        })
    }
}

/// A task that ends with its owner.
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
