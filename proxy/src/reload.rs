//! The settings, looked at again while the proxy runs.

use std::collections::BTreeMap;
use std::error::Error;

use tracing::{error, info, warn};

use crate::access::LiveRules;
use crate::cli::Flags;
use crate::config::Config;

/// Reads the settings again and puts the rules among them into force. What else has changed, as
/// against `running`, is for the next start. What is wrong is told with its place, and then everything
/// stays as it is, the rules too.
pub fn reload(
    flags: &Flags,
    environment: &BTreeMap<String, String>,
    running: &Config,
    rules: &LiveRules,
) {
    match flags.load(environment) {
        Ok(config) => {
            rules.replace(&config.rules);
            let count = config.rules.0.len();
            let running = Config {
                rules: config.rules.clone(),
                ..running.clone()
            };
            if config == running {
                info!(rules = count, "reloaded: the rules are in force");
            } else {
                warn!(
                    rules = count,
                    "reloaded: the rules are in force, what else has changed is for the next start \
                     of the proxy"
                );
            }
        }
        Err(wrong) => error!(
            error = &wrong as &dyn Error,
            "not reloaded, everything stays as it was"
        ),
    }
}
