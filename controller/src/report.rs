//! What people and machines get to read. Everything here is text made from values; nothing is
//! decided and nothing printed.

mod accounts;
mod chain;
mod detect;
mod explain;
mod figures;
mod lineage;
mod metrics;
mod plan;
mod reading;
mod replay;
mod revoke;
mod run;
mod status;
mod summary;
mod table;
mod text;
mod tokens;
mod trace;
mod view;

pub use accounts::{
    AccountJson, AccountsJson, account, accounts, accounts_json, accounts_line, accounts_status,
    accounts_warned,
};
pub use chain::chains_dot;
pub use detect::{detect, detect_json, detect_ocsf, detect_rules, detect_rules_json};
pub use explain::explain;
pub use figures::{RunFigures, Stopped};
pub use lineage::{one_key, one_key_json, outcome, round, round_json};
pub use metrics::{metrics, metrics_of_all};
pub(crate) use plan::hold_name;
pub use plan::{plan, plan_file, plan_json};
pub use replay::{replay, replay_json, triage, triage_json};
pub use revoke::{cuts, made, standing, standing_json};
pub use run::{released, run, run_line};
pub use status::{status, status_json};
pub use summary::Summary;
pub use tokens::{Listed, tokens, tokens_json};
pub use trace::{trace, trace_dot, trace_html, trace_json, trace_nothing};
pub use view::view;

/// Colour, where the reader is a terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paint {
    /// Whether to use it.
    pub colour: bool,
}

impl Paint {
    fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    fn yellow(self, text: &str) -> String {
        self.with("33", text)
    }

    fn red(self, text: &str) -> String {
        self.with("31", text)
    }

    fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

/// `1 role`, `2 roles`.
fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}
