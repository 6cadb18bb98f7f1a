//! amazon-ec2-metadata-mock (AEMM), as far as its clients can tell: its categories, listings, headers
//! and error pages.
//!
//! It is a table of routes, where IMDS is a tree: each category has a path of its own, and what is no
//! category is a listing of the routes that contain it. Values stay what they are, and so do
//! credentials, which expired in 2020.
//!
//! ```text
//!   Reader ──> Routes ──> answer(routes, request, now)     respond.rs
//!              defaults.rs: key, path and value of each category
//! ```

mod defaults;
mod respond;

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::Value;

use self::defaults::{Category, DYNAMIC, METADATA, NOTICES, Shape, USER_DATA};
use crate::config::{Layers, Reader};
use crate::json::Json;
use crate::notice::{Notices, Place};

pub(crate) use defaults::EVENT_ID;
pub(crate) use respond::answer;

/// Whom the mock resembles where the two differ.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Fidelity {
    /// The instance metadata service of a [`Host`](crate::Host).
    #[default]
    Imds,
    /// amazon-ec2-metadata-mock. A [`Host`](crate::Host), its credentials and their
    /// [`Schedule`](crate::Schedule) have no part in it, nor have the faults of credentials.
    ///
    /// Known to differ: a path with doubled slashes or dots is served, and not redirected to; what is no
    /// HTTP gets a 400 without a page; a notice whose path was set is served there.
    Aemm(Routes),
}

/// The categories of amazon-ec2-metadata-mock by their paths. The default is its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Routes(BTreeMap<String, Content>);

/// What a route answers with.
#[derive(Clone, Debug, PartialEq)]
enum Content {
    Text(String),
    Octets(Bytes),
    Json(Json),
    /// JSON on one line, as text.
    Line(Json),
    Notice(Place),
}

const META_DATA: &str = "/latest/meta-data";
const DYNAMIC_DATA: &str = "/latest/dynamic";
const USER_DATA_PATH: &str = "/latest/user-data";
const TOKEN: &str = "/latest/api/token";

/// Keys of values that stand in the paths of others.
const PLACEHOLDERS: [&str; 4] = [
    "mac",
    "public-ipv4",
    "iam-security-credentials-role",
    "elastic-inference-associations",
];

/// The one object that is served as text.
const AS_TEXT: &str = "elastic-inference-accelerator";

impl Default for Routes {
    fn default() -> Self {
        Self::read(&mut Reader::new(&Layers::default()))
    }
}

impl Routes {
    /// The routes with what the settings `metadata`, `dynamic` and `userdata` change.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let mut routes = Self(BTreeMap::new());
        for (key, place) in NOTICES {
            let path = format!("{META_DATA}/{}", place.path());
            let path = reader.text(&format!("metadata.paths.{key}"), &path);
            routes.add(path, Content::Notice(place));
        }
        for (section, prefix, categories) in [
            ("metadata", META_DATA, METADATA),
            ("dynamic", DYNAMIC_DATA, DYNAMIC),
        ] {
            for category in categories {
                routes.add(
                    path(reader, section, prefix, category),
                    content(reader, section, category),
                );
            }
        }
        for (name, value) in reader.members("metadata.values.tags-instance") {
            routes.add(
                format!("{META_DATA}/tags/instance/{name}"),
                Content::Text(value),
            );
        }
        let user_data = reader.text("userdata.values.userdata", USER_DATA);
        // What is no base64 is served as nothing.
        let user_data = decode(&user_data).unwrap_or_default();
        routes.add(
            reader.text("userdata.paths.userdata", USER_DATA_PATH),
            Content::Octets(user_data.into()),
        );
        routes
    }

    /// Where two categories have one path, the first has it. An empty path is how to be rid of one: no
    /// request asks for it, and no listing has it.
    fn add(&mut self, path: String, content: Content) {
        self.0.entry(path).or_insert(content);
    }

    fn get(&self, path: &str, notices: &Notices) -> Option<&Content> {
        let content = self.0.get(path)?;
        is_served(content, notices).then_some(content)
    }

    /// The routes below `prefix`, without it, in their order.
    fn below<'a>(&'a self, prefix: &str, notices: &Notices) -> Vec<&'a str> {
        let served = self
            .0
            .iter()
            .filter(|(_, content)| is_served(content, notices));
        served
            .filter_map(|(path, _)| path.strip_prefix(prefix)?.strip_prefix('/'))
            .collect()
    }
}

/// A notice has a route from the start, if it will ever be given.
fn is_served(content: &Content, notices: &Notices) -> bool {
    match content {
        Content::Notice(Place::SpotAction | Place::SpotTime) => notices.spot.is_some(),
        Content::Notice(Place::Rebalance) => notices.rebalance.is_some(),
        Content::Notice(Place::Event) => notices.event.is_some(),
        Content::Notice(Place::Lifecycle) => notices.termination.is_some(),
        _ => true,
    }
}

/// A category's path. Values that stand in it are filled in, and in one that was set, the defaults of
/// such values are replaced.
fn path(reader: &mut Reader<'_>, section: &str, prefix: &str, category: &Category) -> String {
    let (key, template, _) = category;
    let mut default = format!("{prefix}/{template}");
    let mut replacements = Vec::new();
    for placeholder in PLACEHOLDERS {
        let braced = format!("{{{placeholder}}}");
        if template.contains(&braced) {
            let usual = usual(placeholder);
            let value = reader.text(&format!("metadata.values.{placeholder}"), usual);
            default = default.replace(&braced, &value);
            replacements.push((usual, value));
        }
    }
    let path = reader.text(&format!("{section}.paths.{key}"), &default);
    if path == default {
        return path;
    }
    replacements
        .into_iter()
        .fold(path, |path, (usual, value)| path.replace(usual, &value))
}

/// What the metadata value called `key` is by default.
fn usual(key: &str) -> &'static str {
    let found = METADATA.iter().find(|(known, _, _)| *known == key);
    match found {
        Some((_, _, Shape::Text(text))) => text,
        _ => "",
    }
}

fn content(reader: &mut Reader<'_>, section: &str, category: &Category) -> Content {
    let (key, _, shape) = category;
    match (
        *key,
        value(reader, &format!("{section}.values.{key}"), *shape),
    ) {
        (_, Json::Value(Value::String(text))) => Content::Text(text),
        (AS_TEXT, json) => Content::Line(json),
        (_, json) => Content::Json(json),
    }
}

fn value(reader: &mut Reader<'_>, key: &str, shape: Shape) -> Json {
    match shape {
        Shape::Text(text) => reader.text(key, text).into(),
        Shape::Absent => Json::Value(reader.any(key)),
        Shape::Fields(fields) => Json::Object(
            fields
                .iter()
                .map(|(name, shape)| {
                    let key = format!("{key}.{}", name.to_lowercase());
                    (*name, value(reader, &key, *shape))
                })
                .collect(),
        ),
    }
}

/// The bytes of user data in base64, as the config file has it; `None` where it is none. Line breaks
/// are skipped, as Go does.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text.replace(['\r', '\n'], "")).ok()
}
