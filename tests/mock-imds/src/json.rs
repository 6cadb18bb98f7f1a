//! JSON whose keys stay in the order that they were given in.

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::Value;
use serde_json::ser::PrettyFormatter;

/// A document, or a part of one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    Value(Value),
    List(Vec<Json>),
    Object(Vec<(&'static str, Json)>),
}

impl Json {
    /// On one line, without blanks.
    pub(crate) fn compact(&self) -> String {
        as_go(&serde_json::to_vec(self).unwrap_or_default())
    }

    /// Indented by tabs.
    pub(crate) fn indented(&self) -> String {
        let mut out = Vec::new();
        let formatter = PrettyFormatter::with_indent(b"\t");
        let mut serializer = serde_json::Serializer::with_formatter(&mut out, formatter);
        // Writing to memory does not fail, and no key is anything but text.
        let _ = self.serialize(&mut serializer);
        as_go(&out)
    }
}

/// Go's encoder writes what means something in HTML as escapes. Outside of strings, JSON has none of it.
fn as_go(json: &[u8]) -> String {
    String::from_utf8_lossy(json)
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
}

impl<T: Into<Value>> From<T> for Json {
    fn from(value: T) -> Self {
        Self::Value(value.into())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Value(value) => value.serialize(serializer),
            Self::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(item)?;
                }
                list.end()
            }
            Self::Object(members) => {
                let mut object = serializer.serialize_map(Some(members.len()))?;
                for (name, value) in members {
                    object.serialize_entry(name, value)?;
                }
                object.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stay_in_order_and_html_is_escaped() {
        let json = Json::Object(vec![
            ("b", "a<b>&".into()),
            ("a", Json::List(vec![1.into(), Json::Value(Value::Null)])),
        ]);
        assert_eq!(
            json.compact(),
            r#"{"b":"a\u003cb\u003e\u0026","a":[1,null]}"#
        );
        assert_eq!(
            json.indented(),
            "{\n\t\"b\": \"a\\u003cb\\u003e\\u0026\",\n\t\"a\": [\n\t\t1,\n\t\tnull\n\t]\n}"
        );
    }
}
