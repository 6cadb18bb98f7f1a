//! What the binary starts: its settings, read from where it was told.
//!
//! ```text
//!   Invocation { program, command, layers, start }
//!        │                 notices.rs   spot, events, asglifecycle
//!        │                 own.rs       what AEMM does not have: descriptions, faults, …
//!        ▼                 host.rs      what AEMM's categories say of a Host
//!   Launch::read ────────> Launch { hostname, port, settings, warnings, … }
//!                          save.rs      all settings as they are in the end, for a file
//! ```

mod host;
mod notices;
mod own;
mod save;

use std::path::{Path, PathBuf};

use jiff::Timestamp;

pub use save::SaveError;

use crate::admin::Listen;
use crate::aemm::{Fidelity, Routes};
use crate::config::{File, FileError, Layers, Mistake, Mistakes, Reader};
use crate::describe::Described;
use crate::fleet::Address;
use crate::state::Settings;
use own::Own;

/// The name that amazon-ec2-metadata-mock's binary has.
const AEMM: &str = "ec2-metadata-mock";

/// The config file that AEMM reads where none is named.
const HOME_FILE: &str = "$HOME/aemm-config.json";

/// How the program was called.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The name it was called by, without folders.
    pub program: String,
    /// Which notices it is to give.
    pub command: Command,
    /// Flags and environment; the file is read from where they say.
    pub layers: Layers,
    /// When it was: delays count from here.
    pub start: Timestamp,
}

/// Which notices a mock gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Without a command: those that settings ask for; like AEMM, all of them.
    All,
    /// `spot`
    Spot,
    /// `events`
    Events,
    /// `asglifecycle`
    AsgLifecycle,
}

/// All that a mock is started with.
#[derive(Clone, Debug)]
pub struct Launch {
    /// Name or address to listen on.
    pub hostname: String,
    /// Port to listen on; 0 for a free one.
    pub port: u16,
    /// The mock itself; of a fleet, the first host.
    pub settings: Settings,
    /// The other hosts of a fleet, and where they listen.
    pub others: Vec<(Address, Settings)>,
    /// Where the admin API listens, if it does.
    pub admin: Option<Listen>,
    /// The config file that was read.
    pub file: Option<File>,
    /// Whether to read that file again when it changes.
    pub watch: bool,
    /// Where to save all settings, and their text.
    pub save: Option<(PathBuf, String)>,
    /// What is odd about the settings, and no reason not to start.
    pub warnings: Vec<Mistake>,
}

/// Why there is nothing to start.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The config file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// Settings are wrong.
    #[error(transparent)]
    Settings(#[from] Mistakes),
}

impl Launch {
    /// Reads the config file, if there is one, and then all settings.
    pub fn read(invocation: &Invocation) -> Result<Self, LaunchError> {
        let mut invocation = invocation.clone();
        let path = invocation.file();
        invocation.layers.file = path.as_deref().map(File::read).transpose()?;
        Ok(Self::resolve(&invocation)?)
    }

    fn resolve(invocation: &Invocation) -> Result<Self, Mistakes> {
        let mut reader = Reader::new(&invocation.layers);
        let aemm = invocation.resembles_aemm(&mut reader);
        let everywhere = if aemm { "0.0.0.0" } else { "127.0.0.1" };
        let mut hostname = reader.text("server.hostname", everywhere);
        if hostname.is_empty() {
            // As AEMM's Helm chart has it.
            hostname = "0.0.0.0".into();
        }
        let port = reader.parsed("server.port", "1338", |port| {
            port.parse()
                .map_err(|_| format!("`{port}` is no port from 0 to 65535"))
        });
        reader.text("config-file", if aemm { HOME_FILE } else { "" });
        let watch = reader.boolean("watch-config-file", false);
        let save = reader.boolean("save-config-to-file", false);
        let own = Own::read(&mut reader);
        let mut base = Settings {
            imdsv2_only: reader.boolean("imdsv2", false),
            keep_alive: reader.boolean("keep-alive", false),
            notices: notices::read(&mut reader, invocation, aemm),
            ..Settings::default()
        };
        if aemm {
            base.fidelity = Fidelity::Aemm(Routes::read(&mut reader));
            if !reader.text("host", "").is_empty() {
                let what = "a description is served with --fidelity imds only";
                reader.wrong("host", what.into());
            }
        }
        let port = port.unwrap_or_default();
        let mut hosts = hosts(&mut reader, &own, &base, &Address { hostname, port }).into_iter();
        let first = hosts.next().expect("a description has a host at least");
        let (Address { hostname, port }, settings) = first;
        let mut warnings = Vec::new();
        if aemm {
            warnings = reader.unused("there is no such setting");
        } else {
            let unused = reader.unused("there is no such setting with --fidelity imds");
            reader.note(unused);
        }
        let ((), used) = reader.finish(())?;
        let home = invocation.layers.environment.get("HOME");
        Ok(Self {
            hostname,
            port,
            settings,
            others: hosts.collect(),
            admin: own.admin,
            file: invocation.layers.file.clone(),
            watch,
            save: save.then(|| (save::path(home.map(String::as_str)), save::text(&used))),
            warnings,
        })
    }

    /// All hosts, and where they listen.
    pub fn hosts(&self) -> impl Iterator<Item = (Address, &Settings)> {
        let first = Address {
            hostname: self.hostname.clone(),
            port: self.port,
        };
        let others = self.others.iter();
        std::iter::once((first, &self.settings))
            .chain(others.map(|(address, settings)| (address.clone(), settings)))
    }

    /// Writes the settings to the file that they are to be saved in, and returns its path.
    pub fn save(&self) -> Option<Result<&Path, SaveError>> {
        let (path, text) = self.save.as_ref()?;
        Some(save::write(path, text).map(|()| path.as_path()))
    }
}

/// All hosts that are described. `base` has what is said of none of them in particular.
fn hosts(
    reader: &mut Reader<'_>,
    own: &Own,
    base: &Settings,
    default: &Address,
) -> Vec<(Address, Settings)> {
    let is_said = reader.is_set("server.hostname") || reader.is_set("server.port");
    let imdsv2_only = reader.is_set("imdsv2").then_some(base.imdsv2_only);
    let mut hosts = Vec::new();
    for (place, Described { host, imds }) in own.hosts.iter().enumerate() {
        let mut settings = own.settings(imds, base.clone());
        settings.imdsv2_only = imdsv2_only.unwrap_or(settings.imdsv2_only);
        settings.host = host.clone();
        if settings.fidelity == Fidelity::Imds {
            host::read(reader, &mut settings.host);
        }
        hosts.push((own::address(default, is_said, imds, place), settings));
    }
    hosts
}

impl Command {
    /// What AEMM's log calls it.
    pub fn about(self) -> &'static str {
        match self {
            Self::All => "all mocks",
            Self::Spot => "EC2 Spot interruption notice",
            Self::Events => "EC2 Events",
            Self::AsgLifecycle => "EC2 ASG Lifecycle",
        }
    }
}

impl Invocation {
    /// Whether the mock is to resemble AEMM. A file may say so too, if it was named.
    fn resembles_aemm(&self, reader: &mut Reader<'_>) -> bool {
        let default = if self.is_called_aemm() {
            "aemm"
        } else {
            "imds"
        };
        let fidelity = reader.parsed("fidelity", default, |fidelity| match fidelity {
            "aemm" => Ok(true),
            "imds" => Ok(false),
            other => Err(format!("`{other}` is neither aemm nor imds")),
        });
        fidelity.unwrap_or_default()
    }

    /// By its plain name, or by that of a release, as `ec2-metadata-mock-linux-amd64`.
    fn is_called_aemm(&self) -> bool {
        let name = self.program.strip_prefix("amazon-");
        name.unwrap_or(&self.program).starts_with(AEMM)
    }

    /// The config file. Where none is named AEMM looks for one in the home folder, which need not be
    /// there, nor a folder that may be looked into.
    fn file(&self) -> Option<PathBuf> {
        let mut reader = Reader::new(&self.layers);
        let named = reader.text("config-file", "");
        if !named.is_empty() {
            return Some(named.into());
        }
        let home = self.layers.environment.get("HOME");
        let home = home.filter(|home| !home.is_empty() && self.resembles_aemm(&mut reader));
        let file = Path::new(home?).join("aemm-config.json");
        file.is_file().then_some(file)
    }
}
