//! What was measured, as a table that a person reads or as JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};

use crate::contender::{Contender, Name};
use crate::machine::Machine;

/// All that was measured, and on what.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The machine.
    pub machine: Machine,
    /// Which version of whom.
    pub versions: BTreeMap<Name, String>,
    /// How often each contender had its turn under load.
    pub rounds: usize,
    /// How long each turn was, in seconds.
    pub turn: f64,
    /// What was measured.
    pub rows: Vec<Row>,
}

/// One thing that was measured.
#[derive(Debug, Serialize)]
pub struct Row {
    what: &'static str,
    unit: &'static str,
    /// The median of each contender's rounds.
    figures: BTreeMap<Name, f64>,
    goals: Vec<Goal>,
    notes: Vec<String>,
}

/// What ours is to reach.
#[derive(Clone, Copy, Debug)]
pub struct Goal {
    least: bool,
    limit: f64,
    /// What was measured: a multiple of this one's figure, or ours as it is.
    than: Option<Other>,
    measured: Option<f64>,
}

/// Whose figure ours is a multiple of.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(untagged)]
enum Other {
    Contender(Name),
    /// What nobody can do without.
    Bare(&'static str),
}

/// A server that was on its CPU for a smaller share of the time was not what limited it.
const BUSY: f64 = 0.9;

impl Row {
    /// A row that is named `what`, of figures in `unit`.
    pub fn new(what: &'static str, unit: &'static str) -> Self {
        Self {
            what,
            unit,
            figures: BTreeMap::new(),
            goals: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// With these figures.
    #[must_use]
    pub fn figures(mut self, figures: BTreeMap<Name, f64>) -> Self {
        self.figures = figures;
        self
    }

    /// With a goal, if it could be measured.
    #[must_use]
    pub fn goal(mut self, goal: Goal) -> Self {
        if goal.measured.is_some() {
            self.goals.push(goal);
        }
        self
    }

    /// With a sentence below the table.
    #[must_use]
    pub fn note(mut self, note: String) -> Self {
        self.notes.push(note);
        self
    }

    /// With a note of whom the load was too small for, given the share of the time that each was on
    /// its CPU.
    #[must_use]
    pub fn busy(mut self, shares: &BTreeMap<Name, f64>) -> Self {
        for (name, share) in shares.iter().filter(|(_, share)| **share < BUSY) {
            self.notes.push(format!(
                "{name} was on its CPU for {:.0} % of the time, so the load was its limit: compare the CPU time",
                share * 100.0
            ));
        }
        self
    }
}

impl Goal {
    /// `limit` or more.
    pub fn at_least(limit: f64) -> Self {
        Self {
            least: true,
            limit,
            than: None,
            measured: None,
        }
    }

    /// `limit` or less.
    pub fn at_most(limit: f64) -> Self {
        let least = false;
        Self {
            least,
            ..Self::at_least(limit)
        }
    }

    /// It is for our figure as it is, `measured`.
    #[must_use]
    pub fn of(self, measured: Option<f64>) -> Self {
        Self { measured, ..self }
    }

    /// It is for our figure as a multiple, `measured`, of `other`'s.
    #[must_use]
    pub fn times(self, other: Name, measured: Option<f64>) -> Self {
        self.multiple(Other::Contender(other), measured)
    }

    /// It is for our figure as a multiple, `measured`, of what the bare thing named `bare` takes.
    #[must_use]
    pub fn times_bare(self, bare: &'static str, measured: Option<f64>) -> Self {
        self.multiple(Other::Bare(bare), measured)
    }

    fn multiple(self, other: Other, measured: Option<f64>) -> Self {
        let than = Some(other);
        Self {
            than,
            measured,
            ..self
        }
    }

    fn met(self) -> bool {
        self.measured.is_some_and(|measured| {
            if self.least {
                measured >= self.limit
            } else {
                measured <= self.limit
            }
        })
    }
}

impl Report {
    /// Which of `contenders` in which version.
    pub fn versions(contenders: &[Contender]) -> BTreeMap<Name, String> {
        let versions = contenders.iter();
        versions
            .map(|who| (who.name, who.version.clone()))
            .collect()
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.least { "at least" } else { "at most" };
        let (limit, met) = (figure(self.limit), if self.met() { "ok" } else { "MISSED" });
        match (self.than, self.measured) {
            (Some(other), Some(measured)) => {
                write!(f, "{measured:.2} x {other}, {sign} {limit}: {met}")
            }
            _ => write!(f, "{sign} {limit}: {met}"),
        }
    }
}

impl fmt::Display for Other {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Contender(name) => name.fmt(f),
            Self::Bare(name) => f.write_str(name),
        }
    }
}

impl Serialize for Goal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "kebab-case")]
        struct Flat {
            #[serde(skip_serializing_if = "Option::is_none")]
            multiple_of: Option<Other>,
            measured: Option<f64>,
            at_least: Option<f64>,
            at_most: Option<f64>,
            met: bool,
        }
        let flat = Flat {
            multiple_of: self.than,
            measured: self.measured,
            at_least: self.least.then_some(self.limit),
            at_most: (!self.least).then_some(self.limit),
            met: self.met(),
        };
        flat.serialize(serializer)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { cpu, cpus, kernel } = &self.machine;
        let versions = self.versions.iter();
        let versions: Vec<_> = versions
            .map(|(name, version)| format!("{name} {version}"))
            .collect();
        writeln!(f, "{}", versions.join(", "))?;
        writeln!(
            f,
            "{cpu}, {cpus} CPUs, Linux {kernel}; medians of {} rounds of {} s, one CPU each\n",
            self.rounds, self.turn
        )?;
        let label = |row: &Row| format!("{}, {}", row.what, row.unit);
        let width = self.rows.iter().map(|row| label(row).chars().count()).max();
        let width = width.unwrap_or(0);
        write!(f, "{:width$}", "")?;
        for name in Name::ALL {
            write!(f, "  {name:>9}")?;
        }
        writeln!(f, "  target")?;
        for row in &self.rows {
            write!(f, "{:width$}", label(row))?;
            for name in Name::ALL {
                let text = row
                    .figures
                    .get(&name)
                    .map_or("-".to_owned(), |at| figure(*at));
                write!(f, "  {text:>9}")?;
            }
            let goals: Vec<_> = row.goals.iter().map(ToString::to_string).collect();
            writeln!(f, "  {}", goals.join("; "))?;
        }
        writeln!(f)?;
        for row in &self.rows {
            for note in &row.notes {
                writeln!(f, "{}: {note}", row.what.trim())?;
            }
        }
        let missing = |name: &Name| !self.versions.contains_key(name);
        for name in Name::ALL.into_iter().filter(missing) {
            writeln!(
                f,
                "{name} is not installed, so nothing is measured beside it"
            )?;
        }
        Ok(())
    }
}

/// Three digits, or all before the point.
fn figure(value: f64) -> String {
    let places = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.places$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at) % 3 == 0 && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        let figures = [61234.4, 123.4, 12.34, 1.234, -123_456.0, -100.0].map(figure);
        assert_eq!(
            figures,
            ["61,234", "123", "12.3", "1.23", "-123,456", "-100"]
        );
    }

    #[test]
    fn a_goal_says_what_was_measured_and_whether_it_is_met() {
        let goal = |measured| {
            Goal::at_least(1.2)
                .times(Name::Nginx, Some(measured))
                .to_string()
        };
        assert_eq!(goal(1.31), "1.31 x nginx, at least 1.20: ok");
        assert_eq!(goal(1.19), "1.19 x nginx, at least 1.20: MISSED");
        assert_eq!(
            Goal::at_most(8.0).of(Some(8.1)).to_string(),
            "at most 8.00: MISSED"
        );
    }

    #[test]
    fn what_is_not_installed_is_no_goal() {
        let goal = Goal::at_least(1.2).times(Name::Nginx, None);
        assert!(Row::new("a", "b").goal(goal).goals.is_empty());
    }
}
