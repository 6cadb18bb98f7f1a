//! What is pinned and what is open as OpenMetrics, for the textfile collector of a node exporter: the
//! controller is a job, and nobody can ask it.
//!
//! By role and for the account. What is open to each instance is in `plan --json` and `status --json`:
//! a series an instance would be too many.

use std::{collections::BTreeMap, sync::atomic::AtomicU64};

use credpin_core::{
    exposure::{Exposure, Measure},
    id::AccountId,
    plan::Plan,
};
use jiff::Timestamp;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

use super::{plan::hold_name, status::Pin};
use crate::{flow::Run, state::OfAccount};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfRole {
    role: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct PinOfRole {
    role: String,
    mode: &'static str,
    pin: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct HoldOfRole {
    role: String,
    hold: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Tokens {
    usable: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OpenOfRole {
    role: String,
    open_to: &'static str,
    measure: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Open {
    open_to: &'static str,
    measure: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Call {
    call: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct InAccount {
    account: String,
}

type Gauges<L> = Family<L, Gauge>;
type Figures<L> = Family<L, Gauge<f64, AtomicU64>>;

/// The metrics of `plan`, made at `made`; `recorded`: whether records were read. Of a run, `plan` is
/// what it left.
pub fn metrics(plan: &Plan, made: Timestamp, recorded: bool, run: Option<&Run>) -> String {
    let account = plan.account.as_ref().map(|account| {
        let label = account.to_string();
        ("account".into(), label.into())
    });
    let mut all = Registry::with_prefix_and_labels("credpin", account.into_iter());
    gauge(
        &mut all,
        "view_timestamp_seconds",
        "When the account was looked at",
        made.as_second(),
    );
    gauge(
        &mut all,
        "view_gaps",
        "What could not be seen: no pin changes while there is any",
        number(plan.gaps.len()),
    );
    of_roles(&mut all, plan, recorded);
    of_account(&mut all, plan);
    if let Some(run) = run {
        of_run(&mut all, run);
    }
    let mut text = String::new();
    encode(&mut text, &all).expect("a String takes whatever is written to it");
    text
}

/// The metrics of several accounts as one text, which has each family once, and beside them what the command
/// ended with for each of `accounts`.
pub fn metrics_of_all(texts: &[String], accounts: &BTreeMap<AccountId, OfAccount>) -> String {
    let mut own = Registry::with_prefix("credpin");
    let exits = Gauges::<InAccount>::default();
    for (id, of) in accounts {
        let account = id.to_string();
        let exit = exits.get_or_create(&InAccount { account });
        exit.set(i64::from(of.exit));
    }
    let help = "What the command ended with for an account, as an exit code";
    own.register("account_exit", help, exits);
    let mut last = String::new();
    encode(&mut last, &own).expect("a String takes whatever is written to it");
    // What begins a family, and its samples, by the family's name.
    let mut families: BTreeMap<&str, (Vec<&str>, Vec<&str>)> = BTreeMap::new();
    for text in texts.iter().map(String::as_str).chain([last.as_str()]) {
        let mut family = "";
        for line in text.lines().filter(|line| *line != "# EOF") {
            let Some(comment) = line.strip_prefix("# ") else {
                families.entry(family).or_default().1.push(line);
                continue;
            };
            family = comment.split(' ').nth(1).unwrap_or_default();
            let (head, _) = families.entry(family).or_default();
            if !head.contains(&line) {
                head.push(line);
            }
        }
    }
    let mut all = String::new();
    for (head, samples) in families.values() {
        for line in head.iter().chain(samples) {
            all.push_str(line);
            all.push('\n');
        }
    }
    all.push_str("# EOF\n");
    all
}

fn of_roles(all: &mut Registry, plan: &Plan, recorded: bool) {
    let pins = Gauges::<PinOfRole>::default();
    let instances = Gauges::<OfRole>::default();
    let holds = Gauges::<HoldOfRole>::default();
    let open = Figures::<OpenOfRole>::default();
    let proxies = Gauges::<OfRole>::default();
    let tokens = Gauges::<OfRole>::default();
    for role in &plan.roles {
        let name = || role.role.to_string();
        let of_role = || OfRole { role: name() };
        pins.get_or_create(&PinOfRole {
            role: name(),
            mode: super::status::mode(role.mode),
            pin: Pin::of(role).name(),
        })
        .set(1);
        let hosts = number(role.footprint.hosts.len());
        instances.get_or_create(&of_role()).set(hosts);
        for hold in &role.holds {
            let of_hold = HoldOfRole {
                role: name(),
                hold: hold_name(hold).unwrap_or_default(),
            };
            holds.get_or_create(&of_hold).inc();
        }
        if let Exposure::Limited(limits) = &role.exposure_now {
            let measured = [
                ("hosts", limits.hosts),
                ("v4", limits.v4),
                ("v6", limits.v6),
                ("endpoints", limits.endpoints),
            ];
            for (open_to, (measure, figure)) in figures(measured) {
                let of_role = OpenOfRole {
                    role: name(),
                    open_to,
                    measure,
                };
                open.get_or_create(&of_role).set(figure);
            }
        }
        let coverage = &role.coverage;
        let recorded_hosts = number(coverage.recorded_hosts);
        proxies.get_or_create(&of_role()).set(recorded_hosts);
        tokens
            .get_or_create(&of_role())
            .set(number(coverage.live_tokens));
    }
    all.register("role_pin", "How the pin of a role is: always 1", pins);
    all.register("role_instances", "Instances of a role", instances);
    all.register("role_holds", "What holds a role, by reason", holds);
    all.register(
        "role_exposure",
        "What is open to a token of a pinned role beside its own host, over its instances",
        open,
    );
    if recorded {
        let help = "Instances of a role that have written a record";
        all.register("role_recorded_instances", help, proxies);
        let help = "Tokens of a role on record that have not expired";
        all.register("role_live_tokens", help, tokens);
    }
}

fn of_account(all: &mut Registry, plan: &Plan) {
    let exposure = &plan.exposure_now;
    let instances = Gauges::<Tokens>::default();
    for (usable, count) in [
        ("anywhere", exposure.everything),
        ("unknown", exposure.unknown),
        ("pinned", exposure.limited),
    ] {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        instances.get_or_create(&Tokens { usable }).set(count);
    }
    let open = Figures::<Open>::default();
    let measured = [
        ("hosts", exposure.hosts),
        ("v4", exposure.v4),
        ("v6", exposure.v6),
        ("endpoints", exposure.endpoints),
    ];
    for (open_to, (measure, figure)) in figures(measured) {
        open.get_or_create(&Open { open_to, measure }).set(figure);
    }
    let help = "Instances of the account by where their tokens are usable";
    all.register("instances", help, instances);
    let help = "What is open to the tokens of pinned instances beside their own host";
    all.register("exposure", help, open);
}

fn of_run(all: &mut Registry, run: &Run) {
    let complete = i64::from(run.is_complete());
    let help = "Whether all that was to be done was done and seen";
    gauge(all, "run_complete", help, complete);
    let done = number(run.applied.done.len());
    gauge(all, "run_steps_done", "Steps that went through", done);
    let calls = Gauges::<Call>::default();
    for (call, count) in &run.calls {
        let of_call = Call { call: call.clone() };
        calls
            .get_or_create(&of_call)
            .set(i64::try_from(*count).unwrap_or(i64::MAX));
    }
    all.register("run_api_calls", "Calls to AWS that the run took", calls);
}

/// Each figure with its worst and its mean.
fn figures(
    measured: [(&'static str, Measure); 4],
) -> impl Iterator<Item = (&'static str, (&'static str, f64))> {
    measured.into_iter().flat_map(|(open_to, measure)| {
        #[expect(
            clippy::cast_precision_loss,
            reason = "all figures are floating-point numbers; 2^52 hosts are not met"
        )]
        let worst = measure.worst as f64;
        [("worst", worst), ("mean", measure.mean)].map(|figure| (open_to, figure))
    })
}

fn gauge(all: &mut Registry, name: &str, help: &str, value: i64) {
    let gauge = Gauge::<i64>::default();
    gauge.set(value);
    all.register(name, help, gauge);
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
