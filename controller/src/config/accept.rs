//! `[[accept]]`: findings of `credpin detect` that a person has accepted.

use credpin_core::{detect::Accept, settings::Glob};
use jiff::civil::Date;

use super::{said, table::Table};

/// All of it must be there: what is accepted without an owner, an end and a reason is forgotten.
pub(super) fn accept(table: &mut Table<'_, '_>) -> Option<Accept> {
    let rule = table.required("rule", |text| text.parse().map_err(said));
    let subject = table.required("subject", |text| filled(text).map(|text| Glob::new(&text)));
    let owner = table.required("owner", filled);
    let until = table.required("until", date);
    let why = table.required("why", filled);
    Some(Accept {
        rule: rule?,
        subject: subject?,
        owner: owner?,
        until: until?,
        why: why?,
    })
}

fn filled(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        Err("is empty".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

/// A day alone: a time of day would be read as some zone's.
fn date(text: &str) -> Result<Date, String> {
    let is_day = text.len() == "2026-12-31".len();
    let date = text.parse().ok().filter(|_| is_day);
    date.ok_or_else(|| format!("`{text}` is no day: write the last one as \"2026-12-31\""))
}
