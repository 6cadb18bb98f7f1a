//! Waits for a file to change.

use std::path::Path;
use std::time::Duration;

/// How often a file is looked at. Looking works where being told does not: on network file systems, in
/// containers, and where a file is replaced by a link to another.
const INTERVAL: Duration = Duration::from_millis(200);

/// Calls `on_change` whenever the text of the file at `path` is another than before; at first, another
/// than `read`. A file that is gone for a while has not changed.
pub async fn watch(path: &Path, read: &str, mut on_change: impl FnMut()) {
    let mut seen = read.as_bytes().to_vec();
    let mut interval = tokio::time::interval(INTERVAL);
    loop {
        interval.tick().await;
        match std::fs::read(path) {
            Ok(now) if now != seen => {
                seen = now;
                on_change();
            }
            _ => {}
        }
    }
}
