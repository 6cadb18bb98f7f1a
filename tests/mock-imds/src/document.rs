//! JSON as IMDS prints it: one key a line, two blanks before it, a blank on both sides of the colon,
//! no newline at the end. Sloppy readers of credentials depend on it.

use serde_json::Value;

/// Prints an object with its keys in the order given.
pub(crate) fn document<V: Into<Value>>(
    fields: impl IntoIterator<Item = (&'static str, V)>,
) -> String {
    let lines: Vec<String> = fields
        .into_iter()
        .map(|(key, value)| format!("  \"{key}\" : {}", value.into()))
        .collect();
    format!("{{\n{}\n}}", lines.join(",\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaced_as_imds_does() {
        let printed = document([
            ("Code", Value::from("Success")),
            ("Quoted", Value::from("a\"b")),
            ("None", Value::Null),
        ]);
        assert_eq!(
            printed,
            "{\n  \"Code\" : \"Success\",\n  \"Quoted\" : \"a\\\"b\",\n  \"None\" : null\n}"
        );
    }
}
