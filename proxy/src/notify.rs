//! What systemd is told about the process (`sd_notify(3)`): ready, alive, ending.

use std::collections::BTreeMap;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use tracing::warn;

/// The service manager, if there is one that wants to be told.
#[derive(Debug, Default)]
pub struct Notify {
    manager: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Notify {
    /// Who `environment` names: `NOTIFY_SOCKET`, and `WATCHDOG_USEC` for this process
    /// (`sd_watchdog_enabled(3)`).
    pub fn from(environment: &BTreeMap<String, String>) -> io::Result<Self> {
        let Some(socket) = environment.get("NOTIFY_SOCKET") else {
            return Ok(Self::default());
        };
        let address = match socket.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(socket)?,
        };
        let of_ours = |pid: &String| *pid == std::process::id().to_string();
        let micros = environment.get("WATCHDOG_USEC");
        let micros = micros.filter(|_| environment.get("WATCHDOG_PID").is_none_or(of_ours));
        let micros = micros.and_then(|micros| micros.parse().ok());
        Ok(Self {
            manager: Some((UnixDatagram::unbound()?, address)),
            watchdog: micros.map(Duration::from_micros),
        })
    }

    /// The proxy answers from now on; `status` is what `systemctl status` shows.
    pub fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={status}"));
    }

    /// The proxy ends, within `longest`: so long the manager waits, whatever its unit says, before it
    /// kills it.
    pub fn stopping(&self, longest: Duration) {
        self.tell(&format!(
            "STOPPING=1\nEXTEND_TIMEOUT_USEC={}\nSTATUS=answering the last clients",
            longest.as_micros()
        ));
    }

    /// The proxy works.
    pub fn alive(&self) {
        self.tell("WATCHDOG=1");
    }

    /// How often the manager has to be told that it does, if at all: twice in the time after which
    /// it is taken for dead.
    pub fn alive_every(&self) -> Option<Duration> {
        self.watchdog.map(|limit| limit / 2)
    }

    fn tell(&self, state: &str) {
        if let Some((socket, manager)) = &self.manager
            && let Err(error) = socket.send_to_addr(state.as_bytes(), manager)
        {
            warn!(%error, state, "the service manager cannot be told");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn a_manager_hears_at_a_path_and_at_an_abstract_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let name = format!("credpin-notify-{}", std::process::id());
        let managers = [
            (UnixDatagram::bind(&path), path.display().to_string()),
            (
                SocketAddr::from_abstract_name(&name).and_then(|it| UnixDatagram::bind_addr(&it)),
                format!("@{name}"),
            ),
        ];
        for (manager, named) in managers {
            let manager = manager.unwrap();
            let notify = Notify::from(&environment(&[("NOTIFY_SOCKET", &named)])).unwrap();
            notify.ready("here");
            let mut text = [0; 64];
            let length = manager.recv(&mut text).unwrap();
            assert_eq!(&text[..length], b"READY=1\nSTATUS=here");
            assert_eq!(notify.alive_every(), None);
        }
    }

    #[test]
    fn the_watchdog_of_another_process_is_not_ours() {
        let us = std::process::id().to_string();
        for (pid, every) in [("1", None), (&us, Some(Duration::from_secs(5)))] {
            let variables = environment(&[
                ("NOTIFY_SOCKET", "/run/systemd/notify"),
                ("WATCHDOG_USEC", "10000000"),
                ("WATCHDOG_PID", pid),
            ]);
            assert_eq!(Notify::from(&variables).unwrap().alive_every(), every);
        }
        assert!(Notify::from(&environment(&[])).unwrap().manager.is_none());
    }
}
