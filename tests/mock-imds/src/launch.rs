//! What the binary starts: its settings, read from the layers.

use std::path::PathBuf;

use crate::config::{File, FileError, Layers, Mistakes, Reader};
use crate::state::Settings;

/// All that a mock is started with.
#[derive(Clone, Debug)]
pub struct Launch {
    /// Name or address to listen on.
    pub hostname: String,
    /// Port to listen on; 0 for a free one.
    pub port: u16,
    /// The mock itself.
    pub settings: Settings,
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
    /// Reads the config file that the flags or the environment name into `layers`, and then all
    /// settings.
    pub fn read(mut layers: Layers) -> Result<Self, LaunchError> {
        let mut reader = Reader::new(&layers);
        let path = reader.text("config-file").filter(|path| !path.is_empty());
        layers.file = path
            .map(|path| File::read(&PathBuf::from(path)))
            .transpose()?;
        Ok(Self::resolve(&layers)?)
    }

    /// The settings that `layers` give.
    pub fn resolve(layers: &Layers) -> Result<Self, Mistakes> {
        let mut reader = Reader::new(layers);
        let launch = Self {
            hostname: reader
                .text("server.hostname")
                .unwrap_or_else(|| "127.0.0.1".into()),
            port: reader
                .parsed("server.port", |port| {
                    port.parse()
                        .map_err(|_| format!("`{port}` is no port from 0 to 65535"))
                })
                .unwrap_or(1338),
            settings: Settings {
                imdsv2_only: reader.boolean("imdsv2").unwrap_or_default(),
                ..Settings::default()
            },
        };
        reader.finish(launch)
    }
}
