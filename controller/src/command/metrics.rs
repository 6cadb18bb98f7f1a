//! The file of metrics that somebody else reads whenever they like.

use std::{fs, io, path::Path};

use super::chain;

/// Puts `text` in place of the file as a whole, so that a reader sees the old one or the new one. What a
/// run did is done whether or not that can be said.
pub(super) fn write(path: &Path, text: &str) {
    if let Err(error) = replace(path, text) {
        tracing::warn!(
            "the metrics in {} are of an older run: {}",
            path.display(),
            chain(&error)
        );
    }
}

/// By way of a file beside it, whose name no collector takes (they read `*.prom`).
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    fs::write(&beside, text)?;
    fs::rename(&beside, path)
}
