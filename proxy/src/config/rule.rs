//! `[[rule]]` of the config file.

use toml_span::Span;
use toml_span::value::{Table, Value, ValueInner};

use crate::rules::{Glob, Rule, Who};

/// What is wrong, and where in the file.
pub(super) type Wrong = (Span, String);

/// Reads the list under the key `rule`.
pub(super) fn rules(mut value: Value<'_>, wrong: &mut Vec<Wrong>) -> Vec<Rule> {
    let span = value.span;
    let ValueInner::Array(rules) = value.take() else {
        wrong.push((span, "is a list of tables: begin each with [[rule]]".into()));
        return Vec::new();
    };
    let rules = rules.into_iter();
    rules.filter_map(|value| rule(value, wrong)).collect()
}

fn rule(mut value: Value<'_>, wrong: &mut Vec<Wrong>) -> Option<Rule> {
    let span = value.span;
    let ValueInner::Table(table) = value.take() else {
        wrong.push((span, "is a table: begin each rule with [[rule]]".into()));
        return None;
    };
    let (mut consumer, mut path, mut action) = (Who::default(), None, None);
    let mut has_action = false;
    for (key, value) in in_order(table) {
        let span = value.span;
        let read = match &*key.name {
            "consumer" => {
                consumer = who(value, wrong);
                Ok(())
            }
            "path" => text(value)
                .and_then(path_glob)
                .map(|glob| path = Some(glob)),
            "action" => {
                has_action = true;
                let parsed = text(value).and_then(|text| text.parse().map_err(str::to_owned));
                parsed.map(|parsed| action = Some(parsed))
            }
            name => {
                let hint = "there are: consumer, path, action";
                wrong.push((key.span, format!("a rule has no {name:?}; {hint}")));
                continue;
            }
        };
        if let Err(message) = read {
            wrong.push((span, format!("{}: {message}", key.name)));
        }
    }
    if !has_action {
        wrong.push((
            span,
            "says no action: write action = \"allow\", \"deny\" or \"warn\"".into(),
        ));
    }
    Some(Rule {
        consumer,
        path,
        action: action?,
    })
}

fn who(mut value: Value<'_>, wrong: &mut Vec<Wrong>) -> Who {
    let span = value.span;
    let mut who = Who::default();
    let ValueInner::Table(table) = value.take() else {
        let hint = "consumer: write a table, as { user = \"app\" }";
        wrong.push((span, hint.into()));
        return who;
    };
    for (key, value) in in_order(table) {
        let span = value.span;
        let glob = |value| text(value).map(|text| Some(Glob::new(text)));
        let read = match &*key.name {
            "uid" => uid(value).map(|uid| who.uid = Some(uid)),
            "user" => text(value).map(|user| who.user = Some(user)),
            "exe" => glob(value).map(|exe| who.exe = exe),
            "unit" => glob(value).map(|unit| who.unit = unit),
            "container" => glob(value).map(|container| who.container = container),
            name => {
                let hint = "there are: user, uid, exe, unit, container";
                wrong.push((key.span, format!("a consumer has no {name:?}; {hint}")));
                continue;
            }
        };
        if let Err(message) = read {
            wrong.push((span, format!("consumer.{}: {message}", key.name)));
        }
    }
    who
}

/// The parser's order is that of the letters.
fn in_order(table: Table<'_>) -> Vec<(toml_span::value::Key<'_>, Value<'_>)> {
    let mut entries: Vec<_> = table.into_iter().collect();
    entries.sort_by_key(|(key, _)| key.span.start);
    entries
}

fn text(mut value: Value<'_>) -> Result<String, String> {
    match value.take() {
        // An empty text matches nobody; that is never what somebody meant.
        ValueInner::String(text) if !text.is_empty() => Ok(text.into_owned()),
        _ => Err("takes a text, which is not empty".to_owned()),
    }
}

fn uid(mut value: Value<'_>) -> Result<u32, String> {
    match value.take() {
        ValueInner::Integer(uid) => u32::try_from(uid).ok(),
        _ => None,
    }
    .ok_or_else(|| "takes a number from 0 to 4294967295".to_owned())
}

fn path_glob(text: String) -> Result<Glob, String> {
    let first = text.trim_start_matches('/').split('/').next();
    let first = first.unwrap_or_default();
    let dated = first.starts_with(|c: char| c.is_ascii_digit());
    if dated || first == "latest" {
        let hint = "leave the version out, as in \"/user-data\": a rule is for all versions";
        return Err(format!("{text:?}: {hint}"));
    }
    if !text.starts_with(['/', '*']) {
        return Err(format!("{text:?} does not begin with / or *"));
    }
    if text.len() > 1 && text.ends_with('/') {
        return Err(format!(
            "{text:?}: leave the slash at the end out, a rule is for both"
        ));
    }
    Ok(Glob::new(text))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;
    use crate::config::Config;
    use crate::rules::{Action, Rules};

    fn resolve(text: &str) -> Result<Rules, String> {
        let file = Some((Path::new("proxy.toml"), text));
        let config = Config::resolve(file, &BTreeMap::new(), &[]);
        config
            .map(|config| config.rules)
            .map_err(|mistakes| mistakes.to_string())
    }

    #[test]
    fn rules_are_read_in_their_order() {
        let text = r#"
            hop-limit = 2
            [[rule]]
            consumer = { user = "app", uid = 7, exe = "/opt/*", unit = "app@*.service", container = "pod:*" }
            path = "/user-data"
            action = "warn"
            [[rule]]
            action = "deny"
        "#;
        let first = Rule {
            consumer: Who {
                uid: Some(7),
                user: Some("app".to_owned()),
                exe: Some(Glob::new("/opt/*")),
                unit: Some(Glob::new("app@*.service")),
                container: Some(Glob::new("pod:*")),
            },
            path: Some(Glob::new("/user-data")),
            action: Action::Warn,
        };
        let second = Rule {
            consumer: Who::default(),
            path: None,
            action: Action::Deny,
        };
        assert_eq!(resolve(text), Ok(Rules(vec![first, second])));
        assert_eq!(resolve(""), Ok(Rules::default()));
    }

    #[test]
    fn every_mistake_in_a_rule_is_told_with_its_place() {
        let text = "[[rule]]\nconsumer = { user = \"\", uid = -1, group = \"x\" }\n\
            path = \"/latest/user-data\"\naction = \"refuse\"\n\
            [[rule]]\npaht = \"/\"\npath = \"user-data\"\n\
            [[rule]]\nconsumer = \"app\"\npath = \"/user-data/\"\naction = \"deny\"\n";
        let expected = [
            "proxy.toml:2:21: rule: consumer.user: takes a text, which is not empty",
            "proxy.toml:2:31: rule: consumer.uid: takes a number from 0 to 4294967295",
            "proxy.toml:2:35: rule: a consumer has no \"group\"; there are: user, uid, exe, unit, container",
            "proxy.toml:3:9: rule: path: \"/latest/user-data\": leave the version out, as in \"/user-data\": a rule is for all versions",
            "proxy.toml:4:11: rule: action: write allow, deny or warn",
            "proxy.toml:6:1: rule: a rule has no \"paht\"; there are: consumer, path, action",
            "proxy.toml:7:9: rule: path: \"user-data\" does not begin with / or *",
            "proxy.toml:5:1: rule: says no action: write action = \"allow\", \"deny\" or \"warn\"",
            "proxy.toml:9:13: rule: consumer: write a table, as { user = \"app\" }",
            "proxy.toml:10:9: rule: path: \"/user-data/\": leave the slash at the end out, a rule is for both",
        ];
        assert_eq!(resolve(text).unwrap_err(), expected.join("\n"));
        let plain = resolve("rule = \"x\"\n").unwrap_err();
        assert_eq!(
            plain,
            "proxy.toml:1:9: rule: is a list of tables: begin each with [[rule]]"
        );
    }
}
