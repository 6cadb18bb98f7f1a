//! Several accounts: each told by itself, and all of them together.

use std::{collections::BTreeMap, fmt::Write as _};

use credpin_core::id::AccountId;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Paint, count, run::calls as by_name, table::align};
use crate::{
    cloud::Calls,
    state::{OfAccount, Overview},
};

/// What a command says of an account, under its name; `error` is why it says no more.
pub fn account(id: &AccountId, said: &str, error: Option<&str>, paint: Paint) -> String {
    let mut out = format!("{}\n\n", paint.bold(&format!("# {id}")));
    out.push_str(said);
    if let Some(error) = error {
        let _ = writeln!(out, "{} {error}", paint.red("!"));
    }
    out.push('\n');
    out
}

/// How many accounts came to what, and what it took.
pub fn accounts(of: &BTreeMap<AccountId, OfAccount>, calls: &Calls, paint: Paint) -> String {
    let mut out = format!("{}\n", paint.bold(&figures(of)));
    for (id, account) in of.iter().filter(|(_, account)| account.failed()) {
        let why = account.why();
        let _ = writeln!(out, "  {} {id}: {why}", paint.red("!"));
    }
    // A directory cloud makes none.
    if !calls.is_empty() {
        let _ = writeln!(out, "Calls to AWS: {}.", by_name(calls));
    }
    out
}

/// What a person should know of all together.
pub fn accounts_warned(warnings: &[String], paint: Paint) -> String {
    let lines = warnings.iter().map(|warning| {
        let warning = format!("Warning: {warning}, in any account");
        format!("{}\n", paint.yellow(&warning))
    });
    lines.collect()
}

/// The same in a line, for a log.
pub fn accounts_line(of: &BTreeMap<AccountId, OfAccount>, calls: &Calls) -> String {
    let mut line = format!("all: {}", figures(of).trim_end_matches('.'));
    let failed: Vec<&str> = of
        .iter()
        .filter(|(_, account)| account.failed())
        .map(|(id, _)| id.as_str())
        .collect();
    if !failed.is_empty() {
        let _ = write!(line, " ({})", failed.join(", "));
    }
    let runs = || of.values().filter_map(|account| account.run.as_ref());
    let _ = write!(
        line,
        "; {} of {} done",
        runs().map(|run| run.done).sum::<usize>(),
        count(runs().map(|run| run.steps).sum(), "step"),
    );
    if !calls.is_empty() {
        let _ = write!(line, "; calls to AWS: {}", by_name(calls));
    }
    line
}

/// What all accounts together came to, for a machine.
#[derive(Debug, Serialize)]
pub struct AccountsJson<'a> {
    /// 1; it changes when a field's meaning does.
    pub schema: u32,
    /// When it began.
    pub began: Timestamp,
    /// What the command ends with.
    pub exit: u8,
    /// Calls to AWS, of all accounts, by name.
    pub calls: &'a Calls,
    /// What a person should know of all together.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub warnings: &'a [String],
    /// Each account.
    pub accounts: Vec<AccountJson<'a>>,
}

/// What one account came to, for a machine.
#[derive(Debug, Serialize)]
pub struct AccountJson<'a> {
    /// Its id.
    pub account: &'a AccountId,
    /// What the command would have ended with, were there no other account.
    pub exit: u8,
    /// Why it came to nothing.
    pub error: Option<&'a str>,
    /// What the command says of the account, as it would say it were there no other.
    pub result: Option<&'a RawValue>,
}

/// For a machine.
pub fn accounts_json(all: &AccountsJson<'_>) -> serde_json::Result<String> {
    serde_json::to_string_pretty(all).map(|json| json + "\n")
}

/// One line an account, as the last run left it.
pub fn accounts_status(overview: &Overview, paint: Paint) -> String {
    let header = [
        "ACCOUNT", "RUN", "AT", "PINNED", "HELD", "OBSERVED", "CALLS",
    ];
    let mut table = vec![header.map(str::to_owned).to_vec()];
    for (id, account) in &overview.accounts {
        let mut cells = vec![
            id.to_string(),
            account.word().to_owned(),
            account.began.to_string(),
        ];
        let figures = account.run.as_ref().map(|run| {
            let made = usize::try_from(run.calls.values().sum::<u64>()).unwrap_or(usize::MAX);
            [run.plan.pinned(), run.plan.held, run.plan.observed, made]
        });
        cells.extend(match figures {
            Some(figures) => figures.map(|figure| figure.to_string()),
            None => [const { String::new() }; 4],
        });
        table.push(cells);
    }
    let mut out = String::new();
    align(&mut out, &table);
    let _ = writeln!(out, "\n{}", paint.bold(&figures(&overview.accounts)));
    for (id, account) in overview
        .accounts
        .iter()
        .filter(|(_, account)| account.failed())
    {
        let _ = writeln!(out, "  {} {id}: {}", paint.red("!"), account.why());
    }
    out
}

fn figures(of: &BTreeMap<AccountId, OfAccount>) -> String {
    let mut words = BTreeMap::<&str, usize>::new();
    for account in of.values() {
        *words.entry(account.word()).or_default() += 1;
    }
    let words: Vec<String> = words
        .iter()
        .map(|(word, number)| format!("{number} {word}"))
        .collect();
    if words.is_empty() {
        return "No account.".to_owned();
    }
    format!("{}: {}.", count(of.len(), "account"), words.join(", "))
}
