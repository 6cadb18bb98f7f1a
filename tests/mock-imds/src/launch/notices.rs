//! The notices that settings ask for, as AEMM has them.

use jiff::{SignedDuration, Timestamp};

use super::{Command, Invocation};
use crate::aemm::EVENT_ID;
use crate::config::Reader;
use crate::moment::Moment;
use crate::notice::{Event, Notices, Rebalance, Spot, Termination};

/// How many client addresses get to see a notice of AEMM's.
const CLIENTS: i64 = 2;

const SPOT: [&str; 4] = [
    "spot.action",
    "spot.time",
    "mock-delay-sec",
    "mock-trigger-time",
];
const REBALANCE: [&str; 3] = [
    "spot.rebalance-rec-time",
    "rebalance-delay-sec",
    "rebalance-trigger-time",
];
const EVENTS: [&str; 5] = [
    "events.code",
    "events.state",
    "events.not-before",
    "events.not-after",
    "events.not-before-deadline",
];
const TERMINATION: [&str; 2] = ["asg-termination-delay-sec", "asg-termination-trigger-time"];

/// Reads all of them, and keeps those that the command is about. Without one, a host of AEMM's gets
/// every notice; a host like a real one gets those that something is set for.
pub(super) fn read(reader: &mut Reader<'_>, invocation: &Invocation, aemm: bool) -> Notices {
    let start = invocation.start;
    let clients = reader.integer("mock-ip-count", if aemm { CLIENTS } else { -1 });
    let due = due(reader, "mock", start);
    let wanted = |reader: &Reader<'_>, command: Command, keys: &[&str]| match invocation.command {
        Command::All => aemm || keys.iter().any(|key| reader.is_set(key)),
        given => given == command,
    };
    let spot = wanted(reader, Command::Spot, &SPOT);
    let rebalance = wanted(reader, Command::Spot, &REBALANCE);
    let event = wanted(reader, Command::Events, &EVENTS);
    let termination = wanted(reader, Command::AsgLifecycle, &TERMINATION);
    Notices {
        spot: self::spot(reader, due).filter(|_| spot),
        rebalance: Some(self::rebalance(reader, start)).filter(|_| rebalance),
        event: self::event(reader, due, start).filter(|_| event),
        termination: Some(Termination {
            due: self::due(reader, "asg-termination", start),
        })
        .filter(|_| termination),
        // A negative number is no limit.
        clients: usize::try_from(clients).ok(),
    }
}

fn spot(reader: &mut Reader<'_>, due: Timestamp) -> Option<Spot> {
    let action = reader.parsed("spot.action", "terminate", |action| {
        action
            .parse()
            .map_err(|allowed| invalid(action, "action", &allowed))
    });
    let time = moment(reader, "spot.time", "time");
    Some(Spot {
        due,
        action: action?,
        time,
    })
}

fn rebalance(reader: &mut Reader<'_>, start: Timestamp) -> Rebalance {
    Rebalance {
        due: due(reader, "rebalance", start),
        time: moment(reader, "spot.rebalance-rec-time", "rebalance-rec-time"),
    }
}

fn event(reader: &mut Reader<'_>, due: Timestamp, start: Timestamp) -> Option<Event> {
    let code = reader.parsed("events.code", "system-reboot", |code| {
        code.parse()
            .map_err(|allowed| invalid(code, "code", &allowed))
    });
    let state = reader.parsed("events.state", "active", |state| {
        state
            .parse()
            .map_err(|allowed| invalid(state, "state", &allowed))
    });
    let mut date = |flag: &str, days: i64| {
        let default = Moment::after(start, SignedDuration::from_hours(24 * days));
        reader.parsed(&format!("events.{flag}"), &default.to_string(), |time| {
            time.parse()
                .map_err(|allowed| invalid(time, flag, &allowed))
        })
    };
    let not_before = date("not-before", 0);
    let not_after = date("not-after", 7);
    let not_before_deadline = date("not-before-deadline", 9);
    let id = reader.text("metadata.values.event-id", EVENT_ID);
    Some(Event {
        due,
        code: code?,
        state: state?,
        id,
        not_before: not_before?,
        not_after: not_after?,
        not_before_deadline: not_before_deadline?,
    })
}

/// When something is due: at its trigger time, if it has one, else so many seconds after the start.
fn due(reader: &mut Reader<'_>, prefix: &str, start: Timestamp) -> Timestamp {
    let delay = reader.integer(&format!("{prefix}-delay-sec"), 0);
    let flag = format!("{prefix}-trigger-time");
    match moment(reader, &flag, &flag) {
        Some(trigger) => trigger.time(),
        None => start
            .checked_add(SignedDuration::from_secs(delay))
            .unwrap_or(Timestamp::MAX),
    }
}

/// A time that may be left empty.
fn moment(reader: &mut Reader<'_>, key: &str, flag: &str) -> Option<Moment> {
    reader.parsed(key, "", |time| {
        if time.is_empty() {
            return Ok(None);
        }
        time.parse()
            .map(Some)
            .map_err(|allowed| invalid(time, flag, &allowed))
    })?
}

/// In AEMM's words: scripts look for them.
fn invalid(input: &str, flag: &str, allowed: &dyn std::error::Error) -> String {
    format!("Invalid CLI input \"{input}\" for flag {flag}. Allowed value(s): {allowed}.")
}
