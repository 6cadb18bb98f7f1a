//! The document that says why there is no credential, written anew.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Deserialize;

/// What of such a document goes on (Amazon EC2 User Guide, "Troubleshoot IAM and EC2"; IMDS writes
/// `Code`, `Message` and `LastUpdated`). Anything else in it could be a secret, under whatever name and
/// however deep, so what is not listed here is not passed on.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Apology<'a> {
    #[serde(borrow)]
    code: Cow<'a, str>,
    #[serde(borrow)]
    message: Option<Cow<'a, str>>,
    last_updated: Option<Timestamp>,
    #[serde(borrow, rename = "Type")]
    kind: Option<Cow<'a, str>>,
}

/// The longest `Message`, in characters; the known ones have some 200.
const MAX_MESSAGE: usize = 1024;
/// The longest `Code` and `Type`.
const MAX_NAME: usize = 128;

impl Apology<'_> {
    /// The document, as IMDS spaces it; nothing if its code is none.
    pub(crate) fn print(&self) -> Option<String> {
        let code = Some(&*self.code).filter(|code| is_name(code))?;
        let printable = |text: &str| {
            let text = text.chars().filter(|c| !c.is_control());
            text.take(MAX_MESSAGE).collect::<String>()
        };
        let second = |time: Timestamp| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let kind = self.kind.as_deref().filter(|kind| is_name(kind));
        let fields = [
            ("Code", Some(code.to_owned())),
            ("Message", self.message.as_deref().map(printable)),
            ("LastUpdated", self.last_updated.map(second)),
            ("Type", kind.map(str::to_owned)),
        ];
        let line = |(name, value): (_, Option<String>)| {
            Some(format!(
                "  \"{name}\" : {}",
                serde_json::Value::from(value?)
            ))
        };
        let lines: Vec<_> = fields.into_iter().filter_map(line).collect();
        Some(format!("{{\n{}\n}}", lines.join(",\n")))
    }
}

fn is_name(text: &str) -> bool {
    let letters = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(letters)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(text: &str) -> Option<String> {
        serde_json::from_str::<Apology<'_>>(text).ok()?.print()
    }

    #[test]
    fn what_imds_writes_comes_out_as_it_was() {
        let text = "{\n  \"Code\" : \"AssumeRoleUnauthorizedAccess\",\n  \"Message\" : \"say \\\"no\\\"\",\n  \"LastUpdated\" : \"2026-05-04T09:00:00Z\"\n}";
        assert_eq!(print(text).as_deref(), Some(text));
    }

    #[test]
    fn what_is_not_listed_stays_behind() {
        let text = r#"{"Code":"Failed","secretAccessKey":"sss","TOKEN":"ttt","More":{"Token":"ttt"},
            "Message":"a\nb","Type":"AWS-HMAC","LastUpdated":"2026-05-04T09:00:00.123Z"}"#;
        let printed = "{\n  \"Code\" : \"Failed\",\n  \"Message\" : \"ab\",\n  \"LastUpdated\" : \"2026-05-04T09:00:00Z\",\n  \"Type\" : \"AWS-HMAC\"\n}";
        assert_eq!(print(text).as_deref(), Some(printed));
        let long = format!(r#"{{"Code":"Failed","Message":"{}"}}"#, "x".repeat(5000));
        assert!(print(&long).unwrap().len() < 1100);
        for code in ["", "a b", "é", &"x".repeat(200)] {
            assert_eq!(print(&format!(r#"{{"Code":"{code}"}}"#)), None, "{code}");
        }
    }
}
