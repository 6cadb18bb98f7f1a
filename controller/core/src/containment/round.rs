//! One round: what is to be cut now, what has to wait, and until when it may still go on.

use std::collections::{BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};

use super::{Facts, Stands, TRAIL_DELAY, Why, stolen, with_parents};
use crate::{
    cut::{AHEAD, Cut, Reach, Stolen, cuts},
    evaluate::denied_by,
    lineage::{Ends, Node, Shared, Trace},
    policy::Document,
};

/// The clock of who reads a trail may be behind that of AWS, which dates its events; not by more.
const SKEW: SignedDuration = SignedDuration::from_mins(15);
/// A token may be dated later than the call that made it is.
const SLACK: SignedDuration = SignedDuration::from_secs(5);
/// Sessions that one cut denies. A name has up to 64 characters, and a policy 6,144 in all.
const MOST_NAMES: usize = 50;
/// Long after any token that there will be.
const FOREVER: Timestamp = Timestamp::MAX;

/// What is to be done about a lineage now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Round {
    /// Each key and what becomes of it, in the order of the trace.
    pub rows: Vec<Row>,
    /// The cuts to make now.
    pub cuts: Vec<Cut>,
    /// Cuts of this lineage of which a later one has taken over all: what they are undone by. Principals
    /// take few policies.
    pub spent: Vec<String>,
    /// When those who wait may be cut, if nothing is to be done now.
    pub wait_until: Option<Timestamp>,
    /// Until when the trail may still show a key that one of these made before its cut. None where
    /// no cut stands.
    pub late_until: Option<Timestamp>,
}

/// A key, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The key.
    pub key: Shared,
    /// How far below the first key it is.
    pub depth: usize,
    /// What becomes of it.
    pub fate: Fate,
}

/// What becomes of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is good for nothing any more: it has expired, was made inactive or deleted, or went with its
    /// role or user.
    Ended,
    /// It is cut, by the cut that is undone by this.
    IsCut(String),
    /// It is to be cut now, by this one of the round's cuts.
    CutNow(usize),
    /// It is to be cut like this, once those above it are.
    CutLater(Cut),
    /// No cut of ours ends it.
    Stays(Why),
}

/// Since when a key cannot have made another.
#[derive(Clone, Copy)]
enum Settled {
    /// From then on.
    At(Timestamp),
    /// It still can.
    No,
}

impl Round {
    /// Whether nothing is left to cut, and nothing waits.
    pub fn is_still(&self) -> bool {
        self.cuts.is_empty() && self.wait_until.is_none()
    }

    /// Whether no key can turn up any more that is not cut, if the trail was read at `now`.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.is_still() && self.late_until.is_none_or(|until| until <= now)
    }

    /// Keys that no cut of ours ends.
    pub fn staying(&self) -> impl Iterator<Item = (&Row, &Why)> {
        self.rows.iter().filter_map(|row| match &row.fate {
            Fate::Stays(why) => Some((row, why)),
            _ => None,
        })
    }
}

/// What is to be done now about the lineage that `trace` shows. IAM takes `wait` to carry out a cut.
/// `isolate`: instances are to be denied their later tokens too.
pub fn round(
    trace: &Trace,
    facts: &Facts,
    isolate: bool,
    wait: SignedDuration,
    now: Timestamp,
) -> Round {
    let standing = facts.standing.iter();
    let judge = Judge {
        facts,
        documents: standing
            .map(|stands| (stands, stands.cut.document()))
            .collect(),
        isolate,
        wait,
        now,
        time: cut_from(trace, now),
    };
    let mut round = Round {
        rows: Vec::new(),
        cuts: Vec::new(),
        spent: judge.spent(trace),
        wait_until: None,
        late_until: None,
    };
    let mut settled: HashMap<&str, Settled> = HashMap::new();
    for (node, parent) in with_parents(trace) {
        let above = parent.and_then(|parent| settled.get(&*parent.key).copied());
        // What has no parent in the trace, or goes round in a circle, has nothing to wait for.
        let above = above.unwrap_or(Settled::At(Timestamp::MIN));
        let (fate, own) = match judge.state(node, parent) {
            State::Ended(at) => (Fate::Ended, Settled::At(at)),
            State::Cut { id, at } => (Fate::IsCut(id), Settled::At(at)),
            State::Stays(why) => (Fate::Stays(why), Settled::At(Timestamp::MIN)),
            State::Live(cut) => (round.when(cut, above, now), Settled::No),
        };
        if let Settled::At(at) = own
            && let Ok(late) = at.checked_add(TRAIL_DELAY)
            && at != Timestamp::MIN
        {
            round.late_until = round.late_until.max(Some(late));
        }
        // What is further above may make others, but not of this one.
        settled.insert(&node.key, own);
        round.rows.push(Row {
            key: node.key.clone(),
            depth: node.depth,
            fate,
        });
    }
    for cut in &mut round.cuts {
        judge.take_over(trace, cut);
    }
    round
}

/// From when on tokens are let be: a time after all that the trail shows, in whole seconds: IAM's dates have no more.
pub fn cut_from(trace: &Trace, now: Timestamp) -> Timestamp {
    let issued = trace.nodes.iter().filter_map(|node| node.issued).max();
    let latest = issued.unwrap_or(now).min(now + SKEW).max(now);
    let seconds = latest.as_second() + AHEAD.as_secs();
    Timestamp::from_second(seconds).unwrap_or(latest)
}

/// What a key is, before it is asked whether its turn has come.
enum State {
    Ended(Timestamp),
    Cut { id: String, at: Timestamp },
    Live(Cut),
    Stays(Why),
}

struct Judge<'a> {
    facts: &'a Facts,
    /// The cuts that there are, each with its policy.
    documents: Vec<(&'a Stands, Document)>,
    isolate: bool,
    wait: SignedDuration,
    now: Timestamp,
    /// From when on tokens are let be.
    time: Timestamp,
}

impl Judge<'_> {
    fn state(&self, node: &Node, parent: Option<&Node>) -> State {
        let expired = match node.ends {
            _ if node.is_live => None,
            Ends::At(at) | Ends::AtTheLatest(at) => Some(at),
            Ends::Never | Ends::Unknown => Some(Timestamp::MIN),
        };
        match (self.without_expiry(node, parent), expired) {
            // It may have been cut long before.
            (State::Cut { at, .. }, Some(expired)) => State::Ended(at.min(expired)),
            (_, Some(expired)) => State::Ended(expired),
            (state, None) => state,
        }
    }

    fn without_expiry(&self, node: &Node, parent: Option<&Node>) -> State {
        let stolen = match stolen(node, parent, self.facts) {
            Ok(Some(Stolen::Instance { role, instance, .. })) => Stolen::Instance {
                role,
                instance,
                isolate: self.isolate,
            },
            Ok(Some(stolen)) => stolen,
            Ok(None) => return State::Ended(Timestamp::MIN),
            Err(why) => return State::Stays(why),
        };
        let cut = cuts(&stolen, self.time).into_iter().next();
        let cut = cut.expect("whatever is stolen has a cut");
        let standing = match &cut.reach {
            Reach::Key { key } if self.facts.active.contains(key) => None,
            Reach::Key { key } => {
                let by = |stands: &&Stands| matches!(&stands.cut.reach, Reach::Key { key: cut } if cut == key);
                let by = self.facts.standing.iter().find(by);
                if by.is_none() {
                    return State::Ended(Timestamp::MIN);
                }
                by
            }
            _ => self.covering(node, &cut),
        };
        match standing {
            Some(stands) => State::Cut {
                id: stands.id.clone(),
                at: stands.made.checked_add(self.wait).unwrap_or(self.now),
            },
            None => State::Live(cut),
        }
    }

    /// The first cut that denies the key everything.
    fn covering(&self, node: &Node, cut: &Cut) -> Option<&Stands> {
        let issued = node.issued.or(node.total.first);
        let issued = issued.unwrap_or(Timestamp::UNIX_EPOCH);
        let issued = issued.min(self.now + SKEW) + SLACK;
        let is_forever = matches!(cut.reach, Reach::Session { before: None, .. });
        let until = if is_forever { FOREVER } else { issued };
        let request = cut.victim(until);
        let on = self.documents.iter();
        let on = on.filter(|(stands, _)| stands.cut.on == cut.on);
        on.filter(|(_, document)| denied_by([document], &request).is_some())
            .map(|(stands, _)| *stands)
            .min_by_key(|stands| stands.made)
    }

    /// Cuts that were made for this lineage.
    fn own<'a>(&'a self, trace: &'a Trace) -> impl Iterator<Item = &'a Stands> {
        let first = trace.nodes.first().map(|node| &*node.key);
        let standing = self.facts.standing.iter();
        standing.filter(move |stands| stands.lineage.as_deref() == first)
    }

    /// Cuts of which a later one that IAM has carried out has taken over all.
    fn spent(&self, trace: &Trace) -> Vec<String> {
        let has_settled = |stands: &&Stands| stands.made + self.wait <= self.now;
        let spent = self.own(trace).filter(|old| {
            self.own(trace)
                .filter(has_settled)
                .any(|new| new.cut != old.cut && new.made >= old.made && new.cut.includes(&old.cut))
        });
        spent.map(|stands| stands.id.clone()).collect()
    }

    /// Makes a new cut on sessions deny what earlier ones of this lineage do, as far as it has place for
    /// that.
    fn take_over(&self, trace: &Trace, cut: &mut Cut) {
        for old in self.own(trace).filter(|old| old.cut.on == cut.on) {
            if let (
                Reach::Session { names, before },
                Reach::Session {
                    names: known,
                    before: until,
                },
            ) = (&mut cut.reach, &old.cut.reach)
                && before.is_some() == until.is_some()
            {
                let all: BTreeSet<_> = names.union(known).cloned().collect();
                if all.len() <= MOST_NAMES {
                    *names = all;
                }
            }
        }
    }
}

impl Round {
    /// Now, where all above has had its time.
    fn when(&mut self, cut: Cut, above: Settled, now: Timestamp) -> Fate {
        match above {
            Settled::At(at) if at <= now => {
                let place = self.cuts.iter_mut().position(|known| joined(known, &cut));
                Fate::CutNow(place.unwrap_or_else(|| {
                    self.cuts.push(cut);
                    self.cuts.len() - 1
                }))
            }
            Settled::At(at) => {
                let first = self.wait_until.map_or(at, |first| first.min(at));
                self.wait_until = Some(first);
                Fate::CutLater(cut)
            }
            Settled::No => Fate::CutLater(cut),
        }
    }
}

/// Whether `known` is the same cut as `more`, or now is, because it has taken its sessions in.
fn joined(known: &mut Cut, more: &Cut) -> bool {
    if let (
        Reach::Session { names, before },
        Reach::Session {
            names: more_names,
            before: until,
        },
    ) = (&mut known.reach, &more.reach)
        && known.on == more.on
        && before == until
        && (names.is_superset(more_names) || names.len() < MOST_NAMES)
    {
        names.extend(more_names.iter().cloned());
        return true;
    }
    known == more
}
