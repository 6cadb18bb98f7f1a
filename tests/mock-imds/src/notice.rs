//! What a host is told beforehand: that it will be interrupted, maintained, replaced.
//!
//! Nothing waits here: a notice is due at a time, and before that time there is none.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::str::FromStr;

use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::json::Json;
use crate::moment::Moment;

/// How long before a Spot interruption the notice of it appears.
const NOTICE: SignedDuration = SignedDuration::from_mins(2);

/// The notices that a host gets. In JSON what is due at no given time is due at once:
///
/// ```
/// use credpin_mock_imds::{Notices, SpotAction};
///
/// let notices: Notices = serde_json::from_str(r#"{"spot": {"action": "stop"}}"#)?;
/// assert_eq!(notices.spot.unwrap().action, SpotAction::Stop);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Notices {
    /// A Spot interruption.
    pub spot: Option<Spot>,
    /// A recommendation to rebalance, as Spot instances get it.
    pub rebalance: Option<Rebalance>,
    /// A scheduled event.
    pub event: Option<Event>,
    /// The end of the host's life in its Auto Scaling group.
    pub termination: Option<Termination>,
    /// Of each kind, only so many client addresses get to see it, those that ask first; absent: all.
    pub clients: Option<usize>,
}

/// `spot/instance-action` and `spot/termination-time`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Spot {
    /// When the notice appears, to the second.
    pub due: Timestamp,
    /// What is going to happen.
    pub action: SpotAction,
    /// When it is going to; absent: two minutes after the request.
    pub time: Option<Moment>,
}

/// `events/recommendations/rebalance`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rebalance {
    /// When the notice appears, to the second.
    pub due: Timestamp,
    /// When it says that it was made; absent: at the request.
    pub time: Option<Moment>,
}

/// `events/maintenance/scheduled`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Event {
    /// When the notice appears, to the second.
    #[serde(default)]
    pub due: Timestamp,
    /// What is going to happen.
    pub code: EventCode,
    /// How far it is.
    pub state: EventState,
    /// `instance-event-…`
    pub id: String,
    /// The earliest start.
    pub not_before: Moment,
    /// The latest end.
    pub not_after: Moment,
    /// The latest start.
    pub not_before_deadline: Moment,
}

/// `autoscaling/target-lifecycle-state`: `InService`, and at last `Terminated`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Termination {
    /// From when on it is `Terminated`, to the second.
    pub due: Timestamp,
}

/// A text that is none of the words it should be one of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join(","))]
pub struct NotOneOf(Vec<&'static str>);

/// What happens to an interrupted Spot instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SpotAction {
    /// `terminate`
    #[default]
    Terminate,
    /// `hibernate`
    Hibernate,
    /// `stop`
    Stop,
}

/// What a scheduled event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventCode {
    /// `instance-reboot`
    InstanceReboot,
    /// `system-reboot`
    SystemReboot,
    /// `system-maintenance`
    SystemMaintenance,
    /// `instance-retirement`
    InstanceRetirement,
    /// `instance-stop`
    InstanceStop,
}

/// How far a scheduled event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventState {
    /// `active`
    Active,
    /// `completed`
    Completed,
    /// `canceled`
    Canceled,
}

const ACTIONS: [(SpotAction, &str); 3] = [
    (SpotAction::Terminate, "terminate"),
    (SpotAction::Hibernate, "hibernate"),
    (SpotAction::Stop, "stop"),
];

const CODES: [(EventCode, &str); 5] = [
    (EventCode::InstanceReboot, "instance-reboot"),
    (EventCode::SystemReboot, "system-reboot"),
    (EventCode::SystemMaintenance, "system-maintenance"),
    (EventCode::InstanceRetirement, "instance-retirement"),
    (EventCode::InstanceStop, "instance-stop"),
];

const STATES: [(EventState, &str); 3] = [
    (EventState::Active, "active"),
    (EventState::Completed, "completed"),
    (EventState::Canceled, "canceled"),
];

impl FromStr for SpotAction {
    type Err = NotOneOf;

    fn from_str(text: &str) -> Result<Self, NotOneOf> {
        named(&ACTIONS, text)
    }
}

impl FromStr for EventCode {
    type Err = NotOneOf;

    fn from_str(text: &str) -> Result<Self, NotOneOf> {
        named(&CODES, text)
    }
}

impl FromStr for EventState {
    type Err = NotOneOf;

    fn from_str(text: &str) -> Result<Self, NotOneOf> {
        named(&STATES, text)
    }
}

fn named<T: Copy>(words: &[(T, &'static str)], text: &str) -> Result<T, NotOneOf> {
    let found = words.iter().find(|(_, word)| *word == text);
    found
        .map(|(value, _)| *value)
        .ok_or_else(|| NotOneOf(words.iter().map(|(_, word)| *word).collect()))
}

/// The word of a value; every value has one.
fn word<T: PartialEq>(words: &[(T, &'static str)], value: &T) -> &'static str {
    let found = words.iter().find(|(known, _)| known == value);
    found.map_or("", |(_, word)| word)
}

/// A place in the tree where a notice is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    SpotAction,
    SpotTime,
    Rebalance,
    Event,
    Lifecycle,
}

/// What is read there.
#[derive(Debug, PartialEq)]
pub(crate) enum Said {
    Text(String),
    Json(Json),
}

/// How the dates of scheduled events are written. They all end in GMT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dates {
    /// Converted to it, as IMDS does.
    Converted,
    /// As they were given, whatever their offset.
    AsGiven,
}

impl Place {
    pub(crate) const ALL: [Self; 5] = [
        Self::SpotAction,
        Self::SpotTime,
        Self::Rebalance,
        Self::Event,
        Self::Lifecycle,
    ];

    /// Where it is, under `meta-data`.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::SpotAction => "spot/instance-action",
            Self::SpotTime => "spot/termination-time",
            Self::Rebalance => "events/recommendations/rebalance",
            Self::Event => "events/maintenance/scheduled",
            Self::Lifecycle => "autoscaling/target-lifecycle-state",
        }
    }
}

impl Notices {
    /// What is at `place` now; `None` before it is due.
    pub(crate) fn read(&self, place: Place, dates: Dates, now: Timestamp) -> Option<Said> {
        match place {
            Place::SpotAction => {
                let spot = self.spot_at(now)?;
                Some(Said::Json(Json::Object(vec![
                    ("action", word(&ACTIONS, &spot.action).into()),
                    ("time", spot.time(now).into()),
                ])))
            }
            Place::SpotTime => Some(Said::Text(self.spot_at(now)?.time(now))),
            Place::Rebalance => {
                let rebalance = self.rebalance.as_ref();
                let rebalance = rebalance.filter(|rebalance| is_due(rebalance.due, now))?;
                let time = rebalance.time.clone().unwrap_or_else(|| now.into());
                Some(Said::Json(Json::Object(vec![(
                    "noticeTime",
                    time.to_string().into(),
                )])))
            }
            Place::Event => {
                let event = self.event.as_ref();
                let event = event.filter(|event| is_due(event.due, now))?;
                Some(Said::Json(Json::List(vec![event.document(dates)])))
            }
            Place::Lifecycle => {
                let due = is_due(self.termination.as_ref()?.due, now);
                let state = if due { "Terminated" } else { "InService" };
                Some(Said::Text(state.into()))
            }
        }
    }

    /// Where there is something to read now.
    pub(crate) fn due(&self, now: Timestamp) -> Vec<Place> {
        let due = |place: &Place| self.read(*place, Dates::Converted, now).is_some();
        Place::ALL.into_iter().filter(due).collect()
    }

    fn spot_at(&self, now: Timestamp) -> Option<&Spot> {
        self.spot.as_ref().filter(|spot| is_due(spot.due, now))
    }
}

impl Spot {
    fn time(&self, now: Timestamp) -> String {
        let time = self.time.clone();
        time.unwrap_or_else(|| Moment::after(now, NOTICE))
            .to_string()
    }
}

impl Event {
    fn document(&self, dates: Dates) -> Json {
        let date = |moment: &Moment| match dates {
            Dates::Converted => gmt(moment.utc()),
            Dates::AsGiven => gmt(moment.wall()),
        };
        let code = word(&CODES, &self.code);
        Json::Object(vec![
            ("Code", code.into()),
            (
                "Description",
                format!("The instance is scheduled for {code}").into(),
            ),
            ("State", word(&STATES, &self.state).into()),
            ("EventId", self.id.as_str().into()),
            ("NotBefore", date(&self.not_before).into()),
            ("NotAfter", date(&self.not_after).into()),
            ("NotBeforeDeadline", date(&self.not_before_deadline).into()),
        ])
    }
}

/// To the second, as delays are given.
fn is_due(due: Timestamp, now: Timestamp) -> bool {
    now.as_second() >= due.as_second()
}

fn gmt(time: DateTime) -> String {
    time.strftime("%-d %b %Y %H:%M:%S GMT").to_string()
}

/// The client addresses that got to see notices, by kind.
#[derive(Debug, Default)]
pub(crate) struct Audience([BTreeSet<IpAddr>; 3]);

impl Audience {
    /// Whether a client may see what is at `place`: it was among the first `limit` addresses, or is
    /// now. A request that came over no socket may.
    pub(crate) fn admits(
        &mut self,
        place: Place,
        client: Option<IpAddr>,
        limit: Option<usize>,
    ) -> bool {
        let (Some(client), Some(limit)) = (client, limit) else {
            return true;
        };
        let kind = match place {
            Place::SpotAction | Place::SpotTime | Place::Rebalance => 0,
            Place::Event => 1,
            Place::Lifecycle => 2,
        };
        let seen = &mut self.0[kind];
        seen.contains(&client) || seen.len() < limit && seen.insert(client)
    }
}
