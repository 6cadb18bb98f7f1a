//! All settings as they are in the end, as a config file: where AEMM puts it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

/// Why the settings were not saved.
#[derive(Debug, thiserror::Error)]
#[error("cannot save the settings in {}", .path.display())]
pub struct SaveError {
    path: PathBuf,
    source: io::Error,
}

/// In the home folder, or without one in the working folder.
pub(super) fn path(home: Option<&str>) -> PathBuf {
    let home = home.filter(|home| !home.is_empty()).unwrap_or(".");
    Path::new(home).join(".ec2-metadata-mock/.aemm-config-used.json")
}

/// JSON by the keys' dots. Keys are in lower case, for to AEMM they are the same in any, and null is
/// nothing.
pub(super) fn text(settings: &BTreeMap<String, Value>) -> String {
    let mut all = Map::new();
    for (key, value) in settings.iter().filter(|(_, value)| !value.is_null()) {
        insert(&mut all, key, value);
    }
    serde_json::to_string_pretty(&all).unwrap_or_default()
}

pub(super) fn write(path: &Path, text: &str) -> Result<(), SaveError> {
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(path, text))
        .map_err(|source| SaveError {
            path: path.to_owned(),
            source,
        })
}

fn insert(object: &mut Map<String, Value>, key: &str, value: &Value) {
    let Some((name, rest)) = key.split_once('.') else {
        object.insert(key.to_owned(), value.clone());
        return;
    };
    let below = object.entry(name).or_insert_with(|| Map::new().into());
    if let Value::Object(below) = below {
        insert(below, rest, value);
    }
}
