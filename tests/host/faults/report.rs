//! The table at the end of a sweep.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::faults::fault::Kind;
use crate::faults::invariants::Recovered;
use crate::faults::say;

/// One fault that was survived.
pub struct Record {
    pub scenario: &'static str,
    pub kind: Kind,
    pub at_work: bool,
    pub recovered: Recovered,
}

/// All of a sweep.
pub struct Report {
    begun: Instant,
    rows: BTreeMap<(&'static str, Kind), Row>,
    failures: Vec<String>,
}

/// A line of the table.
#[derive(Default)]
struct Row {
    count: u32,
    at_work: u32,
    resumed: u32,
    longest: Duration,
    thawed: Duration,
}

impl Row {
    fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.at_work += other.at_work;
        self.resumed += other.resumed;
        self.longest = self.longest.max(other.longest);
        self.thawed = self.thawed.max(other.thawed);
    }

    fn print(&self, scenario: &str, kind: &str) -> String {
        let Self { count, at_work, resumed, longest, thawed } = self;
        let (longest, thawed) = (longest.as_secs_f32(), thawed.as_secs_f32());
        format!("| {scenario} | {kind} | {count} | {at_work} | {resumed} | {longest:.1} s | {thawed:.1} s |\n")
    }
}

impl Report {
    /// None yet.
    pub fn new() -> Self {
        Self { begun: Instant::now(), rows: BTreeMap::new(), failures: Vec::new() }
    }

    pub fn add(&mut self, record: Record) {
        let Recovered { resumed, took, thawed } = record.recovered;
        let row = Row { count: 1, at_work: record.at_work.into(), resumed: resumed.into(), longest: took, thawed };
        self.rows.entry((record.scenario, record.kind)).or_default().add(&row);
    }

    pub fn fail(&mut self, case: String, why: String) {
        say(&format!("FAILED: {case}\n{why}\nagain: FAULT='{case}' make test-faults"));
        self.failures.push(format!("FAULT='{case}': {}", why.lines().next().unwrap_or_default()));
    }

    /// To the test's standard error, as Markdown.
    pub fn print(&self) {
        let mut table = "| operation | fault | survived | hit it at work | resumed | longest recovery | longest until nothing was frozen |\n\
                         |---|---|---|---|---|---|---|\n"
            .to_owned();
        let mut total = Row::default();
        for ((scenario, kind), row) in &self.rows {
            table += &row.print(scenario, kind.name());
            total.add(row);
        }
        table += &total.print("all", "");
        let (count, failed) = (total.count, self.failures.len());
        let _ = write!(table, "\n{count} survived, {failed} failed, in {} s", self.begun.elapsed().as_secs());
        say(&table);
    }

    pub fn assert_no_failures(&self) {
        assert!(self.failures.is_empty(), "{} failed:\n{}", self.failures.len(), self.failures.join("\n"));
    }
}
