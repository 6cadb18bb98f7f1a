//! The redirect: the nftables table that sends every request for the metadata service through the
//! proxy, and that says what holds while the proxy stays down.
//!
//! ```text
//!  Config ──▶ Ruleset ──text(Mode)──▶ nft -f -        install: one transaction, all or nothing
//!             ruleset.rs              nft.rs           show: is what is loaded the same?
//! ```
//!
//! The table belongs to nobody who can stop: it stays when the proxy ends. [`install`] puts it in,
//! [`remove`] takes it out, and what happens on the way down and up again ([`proxy_is_down`],
//! [`proxy_is_up`]) only ever changes a table that somebody installed.

use std::fmt;

use tracing::{error, info, warn};

use crate::config::{Config, OnProxyDown};

mod cgroup;
mod nft;
mod ruleset;

pub use cgroup::Cgroup;
pub use nft::NftError;
pub use ruleset::{Mode, Passes, Ruleset, RulesetError};

/// The redirect could not be told, put in or taken out.
#[derive(Debug, thiserror::Error)]
pub enum RedirectError {
    /// The settings allow for none.
    #[error(transparent)]
    Ruleset(#[from] RulesetError),
    /// nft did not do it.
    #[error(transparent)]
    Nft(#[from] NftError),
}

/// What is loaded, beside what [`install`] would load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loaded {
    /// Nothing of ours.
    Nothing,
    /// Exactly the rules of this mode.
    Exactly(Mode),
    /// Something else: the lines that are missing (`-`) and those that are too many (`+`).
    Otherwise(Vec<String>),
}

/// The rules that [`install`] loads; their [text](Ruleset::text) is for people and for `nft -f`.
pub fn rules(config: &Config) -> Result<Ruleset, RedirectError> {
    let wide = Ruleset::of(config)?;
    let Some(narrow) = narrow(config, &wide) else {
        return Ok(wide);
    };
    let is_taken = |rules: &Ruleset| nft::told(&rules.text(Mode::Through)).is_ok();
    // Where not even the wide ones can be tried, by whom is not root, these are what there should be.
    let taken = is_taken(&narrow) || !is_taken(&wide);
    Ok(if taken { narrow } else { wide })
}

/// Loads the rules that send requests through the proxy, in the place of whatever is loaded.
pub fn install(config: &Config) -> Result<(), RedirectError> {
    put(config, Mode::Through)
}

/// Refuses everybody's requests, unless rules are loaded that send them through the proxy: for
/// settings that are wrong, so that nobody gets past a proxy that cannot start.
pub fn refuse_all(config: &Config) -> Result<(), RedirectError> {
    if nft::loaded()?.is_some_and(|table| !ruleset::is_down(&table)) {
        error!("the settings are wrong: the rules that are loaded stay");
        return Ok(());
    }
    let mode = Mode::Down(OnProxyDown::Block);
    put(config, mode)?;
    error!("the settings are wrong: {mode}");
    Ok(())
}

/// Takes the redirect away: whoever asks the metadata service reaches it.
pub fn remove() -> Result<(), RedirectError> {
    Ok(nft::load(ruleset::REMOVAL)?)
}

/// Puts what `on-proxy-down` says into force, where the redirect is on at all, and says so loudly.
pub fn proxy_is_down(config: &Config) -> Result<(), RedirectError> {
    if nft::loaded()?.is_some() {
        let mode = Mode::Down(config.on_proxy_down);
        put(config, mode)?;
        error!("the proxy is down: {mode}");
    }
    Ok(())
}

/// Takes back what [`proxy_is_down`] did, if it did something.
pub fn proxy_is_up(config: &Config) -> Result<(), RedirectError> {
    let down = match nft::loaded() {
        // Without nft nobody can have installed anything.
        Err(error) if error.is_missing() => false,
        loaded => loaded?.is_some_and(|table| ruleset::is_down(&table)),
    };
    if down {
        install(config)?;
        info!("the proxy is up again: {}", Mode::Through);
    }
    Ok(())
}

/// Compares what is loaded with what the settings ask for, each as nft itself tells it.
pub fn loaded(config: &Config) -> Result<Loaded, RedirectError> {
    let rules = rules(config)?;
    let Some(table) = nft::loaded()? else {
        return Ok(Loaded::Nothing);
    };
    let is = |mode| nft::told(&rules.text(mode)).map(|told| told == table);
    for mode in Mode::ALL {
        if is(mode)? {
            return Ok(Loaded::Exactly(mode));
        }
    }
    let wanted = nft::told(&rules.text(Mode::Through))?;
    Ok(Loaded::Otherwise(difference(&wanted, &table)))
}

/// Where the proxy cannot be told by its cgroup it is told by its user alone: that is better than no
/// redirect.
fn put(config: &Config, mode: Mode) -> Result<(), RedirectError> {
    let wide = Ruleset::of(config)?;
    let refused = match narrow(config, &wide) {
        None => None,
        Some(narrow) => match nft::load(&narrow.text(mode)) {
            Ok(()) => return Ok(()),
            Err(refused) => Some(refused),
        },
    };
    nft::load(&wide.text(mode))?;
    if let Some(name) = &config.proxy_cgroup {
        let why = refused.map_or_else(|| "it is not there".to_owned(), |why| why.to_string());
        warn!(
            "the proxy is not told by its cgroup {name} (`proxy-cgroup`): {why}; {}",
            wide.passes()
        );
    }
    Ok(())
}

/// `wide`, but only for whom is in the proxy's cgroup, where there is one.
fn narrow(config: &Config, wide: &Ruleset) -> Option<Ruleset> {
    let cgroup = Cgroup::there(config.proxy_cgroup.as_deref()?)?;
    Some(wide.clone().within(cgroup))
}

fn difference(wanted: &str, found: &str) -> Vec<String> {
    let only_in = |one: &str, other: &str, mark: char| {
        let other: Vec<_> = other.lines().collect();
        let lines = one.lines().filter(|line| !other.contains(line));
        let lines = lines.map(|line| format!("{mark} {}", line.trim()));
        lines.collect::<Vec<_>>()
    };
    let mut lines = only_in(wanted, found, '-');
    lines.extend(only_in(found, wanted, '+'));
    if lines.is_empty() {
        lines.push("the same lines, in another order".to_owned());
    }
    lines
}

impl Loaded {
    /// Whether it is what [`install`] would load.
    pub fn is_as_installed(&self) -> bool {
        *self == Self::Exactly(Mode::Through)
    }
}

impl fmt::Display for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str(
                "not loaded: requests reach the metadata service past the proxy; \
                 `credpin-proxy redirect install` loads these rules",
            ),
            Self::Exactly(Mode::Through) => f.write_str("loaded, exactly as shown"),
            Self::Exactly(mode @ Mode::Down(_)) => write!(
                f,
                "the proxy is down, and {mode}; its next start takes that back, and so does \
                 `credpin-proxy redirect install`"
            ),
            Self::Otherwise(lines) => {
                f.write_str(
                    "something else is loaded; `credpin-proxy redirect install` replaces it. \
                     Missing (-) and too much (+), as nft lists it:",
                )?;
                lines.iter().try_for_each(|line| write!(f, "\n{line}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_and_what_is_too_much_is_told() {
        let wanted = "table {\n\tchain own {\n\t\tone\n\t}\n}\n";
        let found = "table {\n\tchain own {\n\t\ttwo\n\t}\n}\n";
        assert_eq!(difference(wanted, found), ["- one", "+ two"]);
        assert_eq!(difference("a\nb", "b\na").len(), 1, "never nothing");
    }
}
