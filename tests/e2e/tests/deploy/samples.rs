//! Sample configs: the real parsers read them, and what they say about defaults is true.

use std::{collections::BTreeMap, path::Path};

use credpin::config as controller;
use credpin_core::settings::Settings;
use credpin_proxy::Config as Proxy;

use crate::text;

/// A sample with every setting in it switched on: `#key = …` and `#[[table]]`, but no prose.
fn switched_on(sample: &str) -> String {
    let on = |line: &str| match line.strip_prefix('#') {
        Some(setting) if !setting.is_empty() && !setting.starts_with(' ') => setting.to_owned(),
        _ => line.to_owned(),
    };
    sample.lines().map(on).collect::<Vec<_>>().join("\n")
}

/// The settings that a sample names at its top level.
fn keys(sample: &str) -> Vec<String> {
    switched_on(sample)
        .lines()
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.starts_with("# "))
        .filter_map(|line| line.split_once(" = ").map(|(key, _)| key.to_owned()))
        .collect()
}

fn proxy(text: &str) -> Result<Proxy, String> {
    let file = Some((Path::new("proxy.toml"), text));
    Proxy::resolve(file, &BTreeMap::new(), &[]).map_err(|mistakes| mistakes.to_string())
}

/// The settings that there are, as the parser lists them to who names one that there is not.
fn known(mistake: &str, before: &str) -> Vec<String> {
    let (_, list) = mistake
        .split_once(before)
        .unwrap_or_else(|| panic!("{mistake}"));
    list.trim().split(", ").map(str::to_owned).collect()
}

#[test]
fn the_proxys_sample_is_the_default_commented_out_or_not() {
    let sample = text("deploy/config/proxy.toml");
    assert_eq!(proxy(&sample), Ok(Proxy::default()));
    assert_eq!(proxy(&switched_on(&sample)), Ok(Proxy::default()));
}

#[test]
fn the_proxys_sample_has_every_setting() {
    let all = known(&proxy("x = 1").unwrap_err(), "there are: ");
    assert_eq!(keys(&text("deploy/config/proxy.toml")), all);
}

#[test]
fn the_controllers_sample_only_observes() {
    let sample = controller::parse("credpin.toml", &text("deploy/config/credpin.toml")).unwrap();
    assert_eq!(sample, controller::Config::default());
}

#[test]
fn the_controllers_sample_has_every_setting_and_states_true_defaults() {
    let sample = text("deploy/config/credpin.toml");
    let on = controller::parse("credpin.toml", &switched_on(&sample)).unwrap();
    assert_eq!(
        on.cloud,
        Some(controller::CloudName::Aws),
        "the default of the command line"
    );
    let Settings {
        mode,
        allow_launch_gap,
        ..
    } = Settings::default();
    assert_eq!(
        (on.settings.mode, on.settings.allow_launch_gap),
        (mode, allow_launch_gap)
    );
    assert_eq!((on.settings.roles.len(), on.settings.egress.len()), (1, 2));
    assert_eq!(on.settings.chained.len(), 1);
    assert_eq!((on.accounts.len(), on.organization.is_some()), (2, true));
    assert_eq!(on.concurrency, controller::Concurrency::default());

    let mistakes = controller::parse("credpin.toml", "x = 1").unwrap_err();
    let mut all = known(&mistakes.to_string(), "known here: ");
    let tables = [
        "role",
        "chained",
        "egress",
        "account",
        "organization",
        "accept",
    ];
    all.retain(|key| !tables.contains(&key.as_str()));
    let mut named = keys(&sample);
    all.sort();
    named.sort();
    assert_eq!(named, all);
}
