//! Units: systemd itself finds nothing wrong with them, and the proxy's is as shut as it can be.

use std::{fs, os::unix::fs::PermissionsExt};

use clap::Parser;
use tempfile::TempDir;

use crate::{at, output, program, text};

const UNITS: [&str; 11] = [
    "credpin-proxy.service",
    "credpin-proxy.socket",
    "credpin-proxy-down.service",
    "credpin-proxy-retry.service",
    "credpin-proxy-retry.timer",
    "credpin-redirect.service",
    "system-credpin.slice",
    "credpin.service",
    "credpin.timer",
    "credpin-detect.service",
    "credpin-detect.timer",
];

/// What ties the proxy to its redirect.
const DROP_IN: &str = "credpin-proxy.service.d/redirect.conf";

/// What lets the proxy see the processes that ask.
const IDENTITY: &str = "credpin-proxy.service.d/identity.conf";

/// The most that the hardened units may be exposed, of 10.
const EXPOSURE: f64 = 1.5;
/// The same, where the proxy may look into every process.
const EXPOSURE_WITH_IDENTITY: f64 = 2.1;

/// The value of a unit's setting.
fn setting(unit: &str, key: &str) -> String {
    let text = text(&format!("deploy/systemd/{unit}"));
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    value
        .unwrap_or_else(|| panic!("{unit} has no {key}"))
        .to_owned()
}

/// A file system with the units installed, and stand-ins for what they start and are ordered after.
fn installed() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let units = root.path().join("etc/systemd/system");
    let programs = root.path().join("usr/bin");
    fs::create_dir_all(&units).unwrap();
    fs::create_dir_all(&programs).unwrap();
    fs::create_dir(units.join("credpin-proxy.service.d")).unwrap();
    for unit in UNITS.iter().chain([&DROP_IN, &IDENTITY]) {
        fs::copy(at("deploy/systemd").join(unit), units.join(unit)).unwrap();
    }
    for name in [
        "sysinit",
        "basic",
        "shutdown",
        "network-pre",
        "network",
        "network-online",
        "sockets",
        "timers",
        "multi-user",
    ] {
        fs::write(
            units.join(format!("{name}.target")),
            "[Unit]\nDescription=Stand-in\n",
        )
        .unwrap();
    }
    for name in ["credpin", "credpin-proxy", "systemctl", "kill"] {
        let program = programs.join(name);
        fs::write(&program, "#!/bin/sh\n").unwrap();
        fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
    }
    root
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    let root = installed();
    let mut verify = program("systemd-analyze", "systemd");
    verify
        .arg(format!("--root={}", root.path().display()))
        .arg("verify")
        .args(UNITS);
    output(&mut verify);
}

#[test]
fn the_hardened_units_are_hardly_exposed() {
    for (unit, drop_in, most) in [
        ("credpin-proxy.service", None, EXPOSURE),
        (
            "credpin-proxy.service",
            Some(IDENTITY),
            EXPOSURE_WITH_IDENTITY,
        ),
        ("credpin.service", None, EXPOSURE),
        ("credpin-detect.service", None, EXPOSURE),
    ] {
        // Alone in a directory: systemd reads the drop-ins that lie beside a unit.
        let alone = tempfile::tempdir().unwrap();
        for file in [Some(unit), drop_in].into_iter().flatten() {
            let copy = alone.path().join(file);
            fs::create_dir_all(copy.parent().unwrap()).unwrap();
            fs::copy(at("deploy/systemd").join(file), copy).unwrap();
        }
        let mut security = program("systemd-analyze", "systemd");
        security
            .args(["security", "--offline=true", "--no-pager"])
            .arg(alone.path().join(unit));
        let report = output(&mut security);
        let level = report
            .rsplit_once(": ")
            .and_then(|(_, level)| level.split(' ').next()?.parse().ok());
        let level: f64 = level.unwrap_or_else(|| panic!("no exposure in: {report}"));
        assert!(level <= most, "{unit} with {drop_in:?}: {report}");
    }
}

#[test]
fn the_socket_that_is_kept_is_where_the_proxy_listens_by_default() {
    let kept = setting("credpin-proxy.socket", "ListenStream");
    let kept: Vec<std::net::SocketAddr> = vec![kept.parse().unwrap()];
    assert_eq!(kept, credpin_proxy::Config::default().listen);
    assert_eq!(
        setting("credpin-proxy.service", "Sockets"),
        "credpin-proxy.socket"
    );
}

#[test]
fn the_unit_keeps_the_key_of_sessions_where_the_proxy_looks_for_it() {
    let run = setting("credpin-proxy.service", "RuntimeDirectory");
    let key = credpin_proxy::Config::default().session_key.unwrap();
    assert_eq!(
        key.parent(),
        Some(std::path::Path::new("/run").join(run).as_path())
    );
}

#[test]
fn the_proxy_has_no_capability_and_a_user_that_exists() {
    assert_eq!(
        setting("credpin-proxy.service", "CapabilityBoundingSet"),
        ""
    );
    assert_eq!(setting("credpin-proxy.service", "AmbientCapabilities"), "");

    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("etc")).unwrap();
    let mut sysusers = program("systemd-sysusers", "systemd");
    sysusers
        .arg(format!("--root={}", root.path().display()))
        .arg(at("deploy/systemd/credpin.sysusers.conf"));
    // It tells what it does on stderr.
    let told = sysusers.output().unwrap();
    assert!(
        told.status.success(),
        "{}",
        String::from_utf8_lossy(&told.stderr)
    );
    let users = fs::read_to_string(root.path().join("etc/passwd")).unwrap();
    let exists = |name: &str| {
        users
            .lines()
            .any(|line| line.starts_with(&format!("{name}:")))
    };
    for unit in [
        "credpin-proxy.service",
        "credpin.service",
        "credpin-detect.service",
    ] {
        let user = setting(unit, "User");
        assert!(exists(&user), "{user} of {unit} is not in: {users}");
    }
    // The redirect lets the same user through.
    let user = credpin_proxy::Config::default().proxy_user;
    assert_eq!(setting("credpin-proxy.service", "User"), user);
}

/// A unit of it that is started makes its cgroup, so the redirect finds it before the proxy runs.
#[test]
fn the_redirect_and_the_proxy_are_in_the_cgroup_that_the_redirect_lets_through() {
    let cgroup = credpin_proxy::Config::default().proxy_cgroup.unwrap();
    let slice = cgroup.strip_prefix("system.slice/").unwrap();
    for unit in ["credpin-proxy", "credpin-redirect", "credpin-proxy-down"] {
        assert_eq!(setting(&format!("{unit}.service"), "Slice"), slice);
    }
    assert!(UNITS.contains(&slice));
    // Else the slice's end at shutdown would be the redirect's.
    assert_eq!(setting(slice, "DefaultDependencies"), "no");
}

#[test]
fn the_units_start_what_the_binaries_understand() {
    let proxy = setting("credpin-proxy.service", "ExecStart");
    credpin_proxy::cli::Cli::try_parse_from(proxy.split(' ')).unwrap();
    for (unit, key) in [
        ("credpin-redirect.service", "ExecStart"),
        ("credpin-redirect.service", "ExecReload"),
        ("credpin-redirect.service", "ExecStop"),
        ("credpin-proxy-down.service", "ExecStart"),
    ] {
        let redirect = setting(unit, key);
        credpin_proxy::cli::Cli::try_parse_from(redirect.split(' ')).unwrap();
    }
    let taken_back = setting(DROP_IN, "ExecStartPost");
    let taken_back = taken_back.trim_start_matches(['+', '-']).split(' ');
    credpin_proxy::cli::Cli::try_parse_from(taken_back).unwrap();
    for unit in ["credpin.service", "credpin-detect.service"] {
        let controller = setting(unit, "ExecStart");
        credpin::cli::Cli::try_parse_from(controller.split(' ')).unwrap();
    }
}

#[test]
fn the_unit_keeps_the_ledger_where_the_proxy_looks_for_it() {
    let state = setting("credpin-proxy.service", "StateDirectory");
    let default = credpin_proxy::Config::default().ledger;
    assert_eq!(default, std::path::Path::new("/var/lib").join(state));
}

#[test]
fn what_a_failed_proxy_starts_is_there() {
    let started = setting(DROP_IN, "OnFailure");
    for unit in started.split(' ') {
        assert!(UNITS.contains(&unit), "{unit}");
        assert!(at("deploy/systemd").join(unit).is_file(), "{unit}");
    }
    // An interval of zero, as the proxy's own unit has it, would never let it fail for good.
    assert_ne!(setting(DROP_IN, "StartLimitIntervalSec"), "0");
}

/// Seconds, of a setting as `10min` or `10s`.
fn seconds(unit: &str, key: &str) -> u64 {
    let text = setting(unit, key);
    let of = |unit: &str| text.strip_suffix(unit)?.parse::<u64>().ok();
    let time = of("min").map(|minutes| minutes * 60).or_else(|| of("s"));
    time.unwrap_or_else(|| panic!("{key}={text}"))
}

#[test]
fn a_proxy_that_hangs_at_each_start_or_after_it_fails_for_good() {
    let service = "credpin-proxy.service";
    let start = seconds(DROP_IN, "TimeoutStartSec");
    let slowest = start + seconds(service, "WatchdogSec") + seconds(service, "RestartSec");
    let starts: u64 = setting(DROP_IN, "StartLimitBurst").parse().unwrap();
    let within = seconds(DROP_IN, "StartLimitIntervalSec");
    assert!(starts * slowest < within, "{starts} times {slowest} s");
}

#[test]
fn the_proxy_has_the_time_to_end_that_it_takes() {
    let drain = credpin_proxy::Config::default().drain;
    let longest = credpin_proxy::longest_end(drain).as_secs();
    // A longer `drain` it asks for itself (EXTEND_TIMEOUT_USEC).
    assert!(longest <= seconds("credpin-proxy.service", "TimeoutStopSec"));
}

#[test]
fn the_units_say_what_restarts_and_boots_rely_on() {
    for (unit, key, value) in [
        // Sessions outlive a restart.
        ("credpin-proxy.service", "RuntimeDirectoryPreserve", "yes"),
        // A start has succeeded once it serves, and it is ended once it no longer does.
        ("credpin-proxy.service", "Type", "notify"),
        ("credpin-proxy.service", "WatchdogSec", "30s"),
        ("credpin-proxy.service", "Restart", "always"),
        // Nothing is sent before the redirect is in.
        ("credpin-redirect.service", "DefaultDependencies", "no"),
        ("credpin-redirect.service", "Before", "network-pre.target"),
        ("credpin-redirect.service", "Restart", "on-failure"),
    ] {
        assert_eq!(setting(unit, key), value, "{unit}: {key}");
    }
}
