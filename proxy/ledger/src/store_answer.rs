//! What a store answered, as it may be told.

use std::error::Error;

/// What an object store answered when it did not do as asked.
///
/// It holds no text of the answer but the error's code: S3 repeats the request's session token in some
/// (`InvalidToken`, `ExpiredToken`) and all of its headers in others (`SignatureDoesNotMatch`), and what
/// stands between could repeat anything (invariant 2).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct StoreAnswer {
    text: String,
    code: Option<String>,
}

/// What `object_store` writes before an answer's status and before its text.
const STATUS: &str = "Server returned non-2xx status code: ";
const BODY: &str = "Server returned error response: ";

impl StoreAnswer {
    /// Whether it is the error of this code, as `NoSuchBucket`.
    pub fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }

    fn parse(told: &str) -> Self {
        let (mut text, body) = if let Some((before, rest)) = told.split_once(STATUS) {
            let (status, body) = rest.split_once(':').unwrap_or((rest, ""));
            (format!("{before}the store answers {status}"), body)
        } else if let Some((before, body)) = told.split_once(BODY) {
            (format!("{before}the store answers with an error"), body)
        } else {
            (told.to_owned(), "")
        };
        let code = code_of(body);
        if let Some(code) = code {
            text = format!("{text} ({code})");
        }
        // An answer in a form that object_store does not announce so: no word of ours has these.
        let end = text.find(['<', '{']).unwrap_or(text.len());
        text.truncate(end);
        let code = code.map(str::to_owned);
        Self { text, code }
    }
}

impl From<&object_store::Error> for StoreAnswer {
    fn from(error: &object_store::Error) -> Self {
        let mut told = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            let text = error.to_string();
            // Most of these say what caused them in their own words.
            if !told.contains(&text) {
                told = format!("{told}: {text}");
            }
            source = error.source();
        }
        Self::parse(&told)
    }
}

/// The code of an error that AWS wrote as XML, if it is one word.
pub(crate) fn code_of(body: &str) -> Option<&str> {
    let (_, rest) = body.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    let word = (1..=64).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric());
    word.then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "IQoJb3JpZ2luX2VjEXAMPLETOKEN";

    #[test]
    fn of_an_answer_its_status_and_code_are_told_and_nothing_else() {
        let body = format!(
            "<?xml version=\"1.0\"?>\n<Error><Code>InvalidToken</Code><Message>x: y</Message>\
             <Token-0>{TOKEN}</Token-0></Error>"
        );
        for (told, means) in [
            (
                format!(
                    "Error performing PUT https://a/b in 3ms - {STATUS}400 Bad Request: {body}"
                ),
                "Error performing PUT https://a/b in 3ms - the store answers 400 Bad Request (InvalidToken)",
            ),
            (
                format!("Generic S3 error: {BODY}{body}"),
                "Generic S3 error: the store answers with an error (InvalidToken)",
            ),
            (
                format!("{STATUS}403 Forbidden: {TOKEN}"),
                "the store answers 403 Forbidden",
            ),
            (
                format!("{STATUS}403 Forbidden: <Code>{TOKEN} {TOKEN}</Code>"),
                "the store answers 403 Forbidden",
            ),
            (format!("new words: {body}"), "new words: "),
            ("connection refused".to_owned(), "connection refused"),
        ] {
            let answered = StoreAnswer::parse(&told);
            assert_eq!(answered.to_string(), means);
            assert!(!format!("{answered:?}").contains(TOKEN));
        }
    }

    #[test]
    fn the_source_is_told_once() {
        let source = std::io::Error::other(format!(
            "it is: {STATUS}404 Not Found: <Code>NoSuchBucket</Code>"
        ));
        let error = object_store::Error::NotFound {
            path: "a".into(),
            source: Box::new(source),
        };
        let answered = StoreAnswer::from(&error);
        assert!(answered.is("NoSuchBucket") && !answered.is("NoSuchKey"));
        assert_eq!(answered.to_string().matches("404").count(), 1, "{answered}");
    }
}
