//! The settings, looked at again while the proxy runs.

use std::collections::BTreeMap;
use std::error::Error;

use tracing::{error, info, warn};

use crate::cli::Flags;
use crate::config::Config;

/// Reads the settings again. What is wrong is told with its place, and then everything stays as it
/// is: as `running` says.
pub fn reload(flags: &Flags, environment: &BTreeMap<String, String>, running: &Config) {
    match flags.load(environment) {
        Ok(config) if config == *running => info!("reloaded: nothing has changed"),
        Ok(_) => warn!("reloaded: what has changed is for the next start of the proxy"),
        Err(wrong) => error!(
            error = &wrong as &dyn Error,
            "not reloaded, everything stays as it was"
        ),
    }
}
