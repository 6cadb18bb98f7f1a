//! The config that a command works with.

use std::{fs, io};

use super::CommandError;
use crate::{
    cli::Common,
    config::{self, CloudName, Config, Regions},
};

/// The config file, with what the command line and the environment have to say over it. Who responds to an
/// incident goes to accounts by a role of his own, where there is one.
pub(super) fn settle(common: &Common, is_response: bool) -> Result<Config, CommandError> {
    let path = common
        .config
        .clone()
        .unwrap_or_else(|| config::DEFAULT_PATH.into());
    let mut config = match fs::read_to_string(&path) {
        Ok(text) => config::parse(&path.display().to_string(), &text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound && common.config.is_none() => {
            Config::default()
        }
        Err(source) => return Err(CommandError::ConfigFile { path, source }),
    };
    if common.all_regions {
        config.regions = Regions::All;
    } else if !common.region.is_empty() {
        config.regions = Regions::Only(common.region.clone());
    }
    if common.all_regions || !common.region.is_empty() {
        for account in &mut config.accounts {
            account.regions = None;
        }
    }
    config.cloud = common.cloud.clone().or(config.cloud);
    config.records = common.records.clone().or(config.records);
    config.state = common.state.clone().or(config.state);
    if let Some(CloudName::Dir(path)) = &config.cloud {
        if !common.all_regions && !common.region.is_empty() {
            return Err(CommandError::RegionsOfDir);
        }
        // The file may be the one of AWS, of which the directory is a copy.
        if let Regions::Only(_) = config.regions {
            tracing::warn!(
                "`regions` of the config says nothing about {}, which is planned on whole",
                path.display()
            );
        }
    }
    if common.as_responder {
        return config.for_responder().ok_or(CommandError::NoResponder);
    }
    if is_response && let Some(config) = config.clone().for_responder() {
        return Ok(config);
    }
    Ok(config)
}
