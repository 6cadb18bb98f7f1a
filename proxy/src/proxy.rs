//! The whole proxy: its parts put together, started, run and ended.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use credpin_ledger::{
    BootId, Directory, KeyError, Ledger, OpenError, Recovered, WriteError, Writer,
};
use credpin_wire::pulse::Pulse;
use credpin_wire::server::{self, Host};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{debug, error, warn};

use crate::access::LiveRules;
use crate::admin;
use crate::cache::Cache;
use crate::clock::{BootClock, Clock};
use crate::config::{Config, OnLedgerFailure, itself};
use crate::describe::Describer;
use crate::exposure::Exposed;
use crate::gate::Gate;
use crate::launch_gate::{self, LaunchGate};
use crate::metrics::Metrics;
#[cfg(feature = "s3")]
use crate::own_role::OwnRole;
use crate::recorder::Recorder;
use crate::records::Records;
use crate::service::Service;
use crate::session::{Kept, SessionKey, Sessions};
use crate::shipping::Shipping;
use crate::sockets::Listeners;
use crate::upstream::{Upstream, UpstreamUrl};

/// What a proxy takes of the machine that it runs on. Tests give it other clocks and disks.
pub struct Machine {
    /// The time.
    pub clock: Clock,
    /// The time since it was booted, which sessions end by.
    pub boot_clock: BootClock,
    /// What sessions are signed with.
    pub session_key: SessionKey,
    /// Opens the ledger; after a failure it is called again.
    pub open_ledger: Box<dyn FnMut() -> Result<(Ledger, Recovered), OpenError> + Send>,
}

/// A proxy that has its ledger open and can serve.
pub struct Proxy {
    config: Config,
    listeners: Listeners,
    service: Arc<Service>,
    shipping: Option<Arc<Shipping>>,
    writer: Writer,
    pulse: Pulse,
}

/// A proxy could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The kernel does not say which boot this is.
    #[error("cannot read the boot id in {BOOT_ID}")]
    Boot(#[source] io::Error),
    /// What it says is no boot id.
    #[error("{BOOT_ID} has no boot id")]
    BootId(#[from] KeyError),
    /// The ledger's thread could not be started.
    #[error("cannot start the ledger's thread")]
    Thread(#[source] io::Error),
    /// Each request would come back to the proxy.
    #[error("the upstream {0} is where the proxy itself listens: name the real metadata service")]
    Itself(UpstreamUrl),
    /// The ledger cannot be opened, and so no credential could be recorded.
    #[error(transparent)]
    Ledger(#[from] WriteError),
}

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// What each of the last steps may take that are done while clients are still served.
const LAST: Duration = Duration::from_secs(5);
/// What the ledger may take once nobody is: clients wait for the next start meanwhile.
const END: Duration = Duration::from_secs(2);

/// Starts a proxy on this machine and serves until `shutdown`.
pub async fn run(
    listeners: Listeners,
    config: Config,
    shutdown: impl Future<Output = ()>,
) -> Result<(), StartError> {
    let machine = Machine::this(&config)?;
    let proxy = Proxy::start(listeners, config, machine).await?;
    proxy.run(shutdown).await;
    Ok(())
}

/// What the end of a proxy takes at the most, where clients have `drain` to go.
pub fn longest_end(drain: Duration) -> Duration {
    // Writing and shipping go on meanwhile; and what takes no time takes a little.
    drain.max(2 * LAST) + server::LAST + 2 * END + Duration::from_secs(1)
}

impl Machine {
    /// This machine: its clock, its boot, and the directory that `config` names.
    pub fn this(config: &Config) -> Result<Self, StartError> {
        let boot = std::fs::read_to_string(BOOT_ID).map_err(StartError::Boot)?;
        let boot: BootId = boot.trim().parse()?;
        let (session_key, kept) = SessionKey::open(config.session_key.as_deref(), &boot);
        match &kept {
            Kept::File(_) | Kept::Memory => debug!("{kept}"),
            Kept::NoFile { source, .. } => warn!(%source, "{kept}"),
        }
        let dir = config.ledger.clone();
        let open = move || Ledger::open(Box::new(Directory::open(&dir)?), boot.clone());
        Ok(Self {
            clock: Clock::system(),
            boot_clock: BootClock::system(),
            session_key,
            open_ledger: Box::new(open),
        })
    }
}

impl Proxy {
    /// Opens the ledger. Where it cannot be opened, `on-ledger-failure = "serve"` starts all the
    /// same and tries again with each record; but a ledger that another process holds, or that
    /// others can change, is a mistake in any case.
    pub async fn start(
        listeners: Listeners,
        config: Config,
        machine: Machine,
    ) -> Result<Self, StartError> {
        let listening = listeners.addresses().unwrap_or_default();
        if itself::is_served(config.upstream.address(), &listening) {
            return Err(StartError::Itself(config.upstream));
        }
        for exposed in Exposed::among(&listening, listeners.admin_address()) {
            warn!("{exposed}");
        }
        let Machine {
            clock,
            boot_clock,
            session_key,
            open_ledger,
        } = machine;
        let writer = Writer::start(clock.now(), open_ledger).map_err(StartError::Thread)?;
        match writer.open().await {
            Ok(()) => {}
            Err(error) if must_stop(&error, config.on_ledger_failure) => return Err(error.into()),
            Err(error) => error!(
                error = &error as &dyn std::error::Error,
                "the ledger cannot be opened: serving all the same, records are held in memory"
            ),
        }
        let metrics = Metrics::new();
        metrics.started.set(clock.now().as_second());
        let upstream = Upstream::new(&config, metrics.clone());
        let cache = Cache::new(
            upstream.clone(),
            metrics.clone(),
            clock.clone(),
            config.cache_recheck,
        );
        let describer = Describer::new(upstream.clone());
        let recorder = Arc::new(Recorder::new(
            writer.clone(),
            describer.clone(),
            metrics.clone(),
            config.on_ledger_failure,
            config.ledger_timeout,
        ));
        let records = config.records.clone().map(|url| Records {
            url,
            #[cfg(feature = "s3")]
            own: Arc::new(OwnRole::new(
                cache.clone(),
                Arc::clone(&recorder),
                clock.clone(),
            )),
        });
        let launch_gate = match (&records, config.launch_gate_wait) {
            (Some(records), Some(wait)) => Some(LaunchGate::new(launch_gate::Inner {
                wait,
                then: config.launch_gate_then,
                max_age: config.launch_gate_max_age,
                ledger: config.ledger.clone(),
                records: records.clone(),
                describer: describer.clone(),
                metrics: metrics.clone(),
                clock: clock.clone(),
                roles: std::sync::Mutex::default(),
                store: tokio::sync::Mutex::default(),
            })),
            _ => None,
        };
        let shipping = records.map(|records| {
            Arc::new(Shipping {
                writer: writer.clone(),
                records,
                interval: config.ship_interval,
                describer,
                metrics: metrics.clone(),
                clock: clock.clone(),
                store: tokio::sync::Mutex::default(),
                oldest: std::sync::Mutex::default(),
            })
        });
        let service = Arc::new(Service {
            upstream,
            sessions: Sessions::new(&session_key, config.session_binding, boot_clock),
            cache,
            recorder,
            launch_gate,
            gate: Gate::new(&config, metrics.clone()),
            metrics,
            clock,
        });
        Ok(Self {
            config,
            listeners,
            service,
            shipping,
            writer,
            pulse: Pulse::new(),
        })
    }

    /// Its rules, which can be exchanged while it runs.
    pub fn rules(&self) -> LiveRules {
        self.service.gate.rules()
    }

    /// What tells whether it works once it [runs](Proxy::run).
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Serves until `shutdown`. Then what is held in memory is written, and what is written is shipped,
    /// each as far as it goes within a few seconds and while clients are still served. At last requests
    /// that have begun are finished, and what was held since is written.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self {
            config,
            listeners,
            service,
            shipping,
            writer,
            pulse,
        } = self;
        let mut beside = JoinSet::new();
        let mut writing = JoinSet::new();
        let recording = Arc::clone(&service);
        writing.spawn(async move { recording.recorder.retry().await });
        if let Some(shipping) = shipping.clone() {
            writing.spawn(async move { shipping.run().await });
        }
        if let Some(listener) = listeners.admin {
            let (watched, shipping) = (Arc::clone(&service), shipping.clone());
            let answer = move |head: &_| {
                let recorder = &watched.recorder;
                watched.cache.tell();
                recorder.tell();
                if let Some(shipping) = &shipping {
                    shipping.tell();
                }
                admin::answer(head, &watched.metrics, recorder.held(), recorder.fails())
            };
            // Until it is dropped, so also while the last requests end.
            beside.spawn(admin::serve(listener, answer));
        }
        let fresh = service.cache.clone();
        beside.spawn(async move { fresh.keep_fresh().await });
        beside.spawn(look_upstream(Arc::clone(&service)));
        let ending = Arc::clone(&service);
        #[expect(
            clippy::async_yields_async,
            reason = "what is done then, the server awaits while it drains"
        )]
        let shutdown = async move {
            shutdown.await;
            async move {
                // Nobody else may write what is held, or ship, at the same time.
                writing.shutdown().await;
                write_and_ship(&ending, shipping.as_deref()).await;
            }
        };
        server::serve(
            listeners.imds,
            config.max_connections,
            config.drain,
            pulse,
            Arc::clone(&service) as Arc<dyn Host>,
            shutdown,
        )
        .await;
        beside.shutdown().await;
        end(&service, &writer).await;
    }
}

/// Says once whether the metadata service is there at all: who waits for its clients' errors to learn
/// of it waits long.
async fn look_upstream(service: Arc<Service>) {
    if let Err(error) = service.upstream.reach().await {
        warn!(
            %error,
            "the metadata service at {} cannot be reached: clients get 503 until it can",
            service.upstream.url()
        );
    }
}

async fn write_and_ship(service: &Service, shipping: Option<&Shipping>) {
    // What it leaves is tried once more at the very end.
    let _ = timeout(LAST, service.recorder.flush()).await;
    if let Some(shipping) = shipping
        && !timeout(LAST, shipping.round()).await.unwrap_or(false)
    {
        warn!("the last records are not shipped yet: the next start ships them");
    }
}

async fn end(service: &Service, writer: &Writer) {
    let flushed = timeout(END, service.recorder.flush()).await;
    if !flushed.unwrap_or(false) {
        let records = service.recorder.held();
        error!(
            records,
            "the ledger still fails: records that only memory had are lost"
        );
    }
    if timeout(END, writer.close()).await.is_err() {
        error!("the disk did not finish its last write within {END:?}");
    }
}

fn must_stop(error: &WriteError, on_failure: OnLedgerFailure) -> bool {
    let mistake = match error {
        WriteError::Open(error) => {
            matches!(
                **error,
                OpenError::Locked { .. } | OpenError::Untrusted { .. }
            )
        }
        _ => false,
    };
    mistake || on_failure == OnLedgerFailure::Refuse
}
