//! Which snapshots stay: each gets a verdict, and every verdict says why.
//!
//! Counted are periods that have a snapshot, not days that passed: weeks in which none was taken cost no history. Within
//! a period the newest one stands for it, since what it was taken for is to lose as little as possible.

use std::collections::BTreeSet;
use std::fmt;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde::Serialize;

use crate::config::Keep;
use crate::model::SnapshotId;

/// A snapshot, as far as this decision needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its name.
    pub id: SnapshotId,
    /// When everything stood still.
    pub moment: Timestamp,
    /// Who needs it.
    pub needed: Vec<Need>,
    /// Whether a start from it was tried, and went well.
    pub proven: bool,
}

/// Why a snapshot may not go, whatever the policy says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// A person asked for it.
    AskedToKeep,
    /// A restore that has not ended goes back to it.
    Operation(u64),
    /// The configuration in force came back with it.
    Generation(u32),
}

/// A rule of the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Rule {
    Last,
    Hourly,
    Daily,
    Weekly,
    Monthly,
    Yearly,
}

/// Why one is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The newest that there is.
    Newest,
    /// It bears a time that has not come yet: the clock was set back. Nothing can be counted from it.
    Future,
    /// The newest that is known to start.
    NewestProven,
    /// Somebody needs it.
    Needed(Need),
    /// It is the `nth` of `of` of a rule.
    Counted {
        /// The rule.
        rule: Rule,
        /// From 1, the newest first.
        nth: u32,
        /// How many the policy keeps.
        of: u32,
    },
}

/// Why one goes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Surplus {
    /// A newer one stands for its hour, day and so on.
    pub covered: Vec<Rule>,
    /// It is older than so many periods with a snapshot.
    pub beyond: Vec<(Rule, u32)>,
}

/// What becomes of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// It stays; at least one reason.
    Keep(Vec<Reason>),
    /// It goes.
    Delete(Surplus),
}

/// The decision on one snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Its name.
    pub id: SnapshotId,
    /// When everything stood still.
    pub moment: Timestamp,
    /// What becomes of it.
    pub decision: Decision,
}

impl Verdict {
    /// Whether it stays.
    pub const fn keeps(&self) -> bool {
        matches!(self.decision, Decision::Keep(_))
    }
}

/// A verdict on each, the newest first, whatever order they come in. Hours, days, weeks, months and years are those of
/// `zone`, the host's; weeks begin on Monday (ISO 8601).
pub fn retain(mut all: Vec<Candidate>, keep: &Keep, now: Timestamp, zone: &TimeZone) -> Vec<Verdict> {
    all.sort_unstable_by(|one, other| (other.moment, &other.id).cmp(&(one.moment, &one.id)));
    let mut counts: Vec<Count> = Rule::ALL.into_iter().map(|rule| Count::new(rule, rule.number(keep))).collect();
    let (mut newest, mut proven) = (true, true);
    all.into_iter()
        .map(|candidate| {
            let mut reasons = Vec::new();
            let mut surplus = Surplus::default();
            // What lies in the future takes no place: it would push out what is known to be the newest.
            if candidate.moment > now {
                reasons.push(Reason::Future);
            } else {
                if std::mem::take(&mut newest) {
                    reasons.push(Reason::Newest);
                }
                if candidate.proven && std::mem::take(&mut proven) {
                    reasons.push(Reason::NewestProven);
                }
                let at = candidate.moment.to_zoned(zone.clone());
                for count in &mut counts {
                    count.see(&at, &mut reasons, &mut surplus);
                }
            }
            reasons.extend(candidate.needed.into_iter().map(Reason::Needed));
            let decision = if reasons.is_empty() { Decision::Delete(surplus) } else { Decision::Keep(reasons) };
            Verdict { id: candidate.id, moment: candidate.moment, decision }
        })
        .collect()
}

/// One rule on its way from the newest to the oldest.
#[derive(Debug)]
struct Count {
    rule: Rule,
    of: u32,
    /// Periods that have one already. A set, since a clock that is set back over midnight visits a day twice.
    seen: BTreeSet<Period>,
}

/// Names an hour, a day and so on.
type Period = [i32; 3];

impl Count {
    const fn new(rule: Rule, of: u32) -> Self {
        Self { rule, of, seen: BTreeSet::new() }
    }

    fn see(&mut self, at: &Zoned, reasons: &mut Vec<Reason>, surplus: &mut Surplus) {
        let (rule, of) = (self.rule, self.of);
        if of == 0 {
            return;
        }
        let taken = u32::try_from(self.seen.len()).unwrap_or(u32::MAX);
        let period = rule.period(at, taken);
        if self.seen.contains(&period) {
            surplus.covered.push(rule);
        } else if taken >= of {
            surplus.beyond.push((rule, of));
        } else {
            self.seen.insert(period);
            reasons.push(Reason::Counted { rule, nth: taken + 1, of });
        }
    }
}

impl Rule {
    /// All, the shortest period first.
    const ALL: [Self; 6] = [Self::Last, Self::Hourly, Self::Daily, Self::Weekly, Self::Monthly, Self::Yearly];

    const fn number(self, keep: &Keep) -> u32 {
        match self {
            Self::Last => keep.last,
            Self::Hourly => keep.hourly,
            Self::Daily => keep.daily,
            Self::Weekly => keep.weekly,
            Self::Monthly => keep.monthly,
            Self::Yearly => keep.yearly,
        }
    }

    fn period(self, at: &Zoned, taken: u32) -> Period {
        let date = at.date();
        let year = i32::from(date.year());
        match self {
            // Each is a period of its own.
            Self::Last => [i32::try_from(taken).unwrap_or(i32::MAX), 0, 0],
            // The hour that comes twice when summer ends is two hours: the offset tells them apart.
            Self::Hourly => {
                let day = i32::from(date.day_of_year());
                [year, day * 24 + i32::from(at.hour()), at.offset().seconds()]
            }
            Self::Daily => [year, i32::from(date.day_of_year()), 0],
            Self::Weekly => {
                let week = date.iso_week_date();
                [i32::from(week.year()), i32::from(week.week()), 0]
            }
            Self::Monthly => [year, i32::from(date.month()), 0],
            Self::Yearly => [year, 0, 0],
        }
    }

    /// What it is called in the configuration.
    const fn key(self) -> &'static str {
        match self {
            Self::Last => "last",
            Self::Hourly => "hourly",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::Yearly => "yearly",
        }
    }

    const fn period_name(self) -> &'static str {
        match self {
            Self::Last => "snapshot",
            Self::Hourly => "hour",
            Self::Daily => "day",
            Self::Weekly => "week",
            Self::Monthly => "month",
            Self::Yearly => "year",
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AskedToKeep => f.write_str("asked to keep"),
            Self::Operation(number) => write!(f, "needed by operation {number}"),
            Self::Generation(number) => write!(f, "needed by generation {number}"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newest => f.write_str("the newest"),
            Self::Future => f.write_str("its time has not come yet, so the clock was set back"),
            Self::NewestProven => f.write_str("the newest that is proven to start"),
            Self::Needed(need) => need.fmt(f),
            Self::Counted { rule: Rule::Last, nth, of } => write!(f, "{} of the last {of}", ordinal(*nth)),
            Self::Counted { rule, nth, of } => write!(f, "{} of {of} {}", ordinal(*nth), rule.key()),
        }
    }
}

impl fmt::Display for Surplus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let covered: Vec<&str> = self.covered.iter().map(|rule| rule.period_name()).collect();
        let beyond = |(rule, of): &(Rule, u32)| match (rule, of) {
            (Rule::Last, 1) => "the last one".to_owned(),
            (Rule::Last, _) => format!("the last {of}"),
            (rule, 1) => format!("the one {} that is kept", rule.period_name()),
            (rule, _) => format!("{of} {}s", rule.period_name()),
        };
        let beyond: Vec<String> = self.beyond.iter().map(beyond).collect();
        let mut said = Vec::new();
        if !covered.is_empty() {
            said.push(format!("a newer one stands for its {}", listed(&covered)));
        }
        if !beyond.is_empty() {
            said.push(format!("older than {}", listed(&beyond)));
        }
        if said.is_empty() {
            said.push("the policy keeps no more than the newest".to_owned());
        }
        f.write_str(&said.join("; "))
    }
}

fn ordinal(number: u32) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

fn listed(words: &[impl AsRef<str>]) -> String {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    match words.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}
