//! Many faults, one after the other and side by side; a failed one is told with how to see it again, and the rest go on.

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::faults::fault::{Fault, Kind, Point};
use crate::faults::invariants::Before;
use crate::faults::random::{Random, seed};
use crate::faults::report::{Record, Report};
use crate::faults::scenario::{self, Scenario};
use crate::faults::snapshots::CERTAIN;
use crate::faults::strike::{measured, strike};
use crate::faults::{hosts, say};
use crate::support::Host;

/// How many faults one host takes: after one that failed, and after these, the next has a fresh one.
const FAULTS_PER_HOST: usize = 20;

/// What happens to what.
struct Case {
    scenario: &'static dyn Scenario,
    fault: Fault,
}

impl Case {
    /// As it is given to `FAULT=`.
    fn name(&self) -> String {
        format!("{} {}", self.scenario.name(), self.fault)
    }
}

/// Scenarios that are swept together.
pub struct Group {
    scenarios: &'static [&'static dyn Scenario],
    /// The variable that says how many faults are drawn.
    number: &'static str,
    /// What a sample is drawn from: none of it if the variable is not set.
    sample: fn(u64) -> Vec<Drawn>,
    /// Faults that are in every sweep.
    certain: &'static [&'static str],
    /// Whether a sweep goes through the journalled steps, one after the other, for what leaves nobody there to go on.
    in_turn: bool,
}

/// Over `apply`.
pub static APPLY: Group =
    Group { scenarios: &scenario::APPLY, number: "FAULTS", sample: sample_of_apply, certain: &[], in_turn: false };

/// Over snapshots.
pub static SNAPSHOTS: Group = Group {
    scenarios: &scenario::SNAPSHOTS,
    number: "SNAPSHOT_FAULTS",
    sample: sample_of_snapshots,
    certain: &CERTAIN,
    in_turn: false,
};

/// Over upgrades.
pub static UPGRADES: Group = Group {
    scenarios: &scenario::UPGRADES,
    number: "UPGRADE_FAULTS",
    sample: sample_of_upgrades,
    certain: &[],
    in_turn: true,
};

/// A fault whose moment is still to be drawn.
type Drawn = (&'static dyn Scenario, Kind);

/// `FAULT='subnet powercut step=3'`: this one. `FAULTS=200`: so many. Neither: a sample.
pub fn sweep(group: &Group) {
    let report = match std::env::var("FAULT") {
        Ok(fault) => match parse(group, &fault) {
            Some(case) => run(VecDeque::from([vec![case]]), 1),
            // It is of another group's scenario.
            None => return,
        },
        Err(_) => run_drawn(group),
    };
    report.print();
    report.assert_no_failures();
}

fn parse(group: &Group, text: &str) -> Option<Case> {
    let (scenario, fault) = text.split_once(' ').expect("FAULT is a scenario and a fault");
    let named = |all: &[&'static dyn Scenario]| all.iter().copied().find(|known| known.name() == scenario);
    let known = [&scenario::APPLY[..], &scenario::SNAPSHOTS, &scenario::UPGRADES].into_iter().find_map(named);
    assert!(known.is_some(), "FAULT begins with a scenario");
    Some(Case { scenario: named(group.scenarios)?, fault: fault.parse().expect("FAULT ends with a fault") })
}

fn run_drawn(group: &Group) -> Report {
    let number =
        |name| std::env::var(name).ok().map(|text| text.parse::<usize>().unwrap_or_else(|_| panic!("{name}={text}")));
    let seed = seed();
    let Some(last) = group.scenarios.last() else { return Report::new() };
    // Whose disks have the scenarios' measures.
    let host = last.host(&format!("{}measured", last.home()));
    let faults = number(group.number);
    let mut turns = BTreeMap::new();
    let draw = |(index, (scenario, kind)): (u64, Drawn)| {
        let extent = measured(&host, scenario);
        let is_next = group.in_turn && faults.is_some() && matches!(kind, Kind::Kill | Kind::Crash | Kind::PowerCut);
        let fault = if is_next {
            let turn: &mut u64 = turns.entry(scenario.name()).or_default();
            *turn = *turn % extent.steps + 1;
            Fault { kind, point: Point::Step(*turn) }
        } else {
            Fault::draw(kind, &extent, &mut Random::of(seed, index))
        };
        Case { scenario, fault }
    };
    let drawn = faults.map_or_else(|| (group.sample)(seed), |faults| every(group.scenarios, faults));
    let certain = group.certain.iter().filter_map(|fault| parse(group, fault));
    let cases: Vec<Case> = certain.chain((0..).zip(drawn).map(draw)).collect();
    hosts::keep_spare(last.home(), host);
    // The sample runs beside other tests.
    let workers = faults.and_then(|_| number("FAULT_WORKERS")).unwrap_or(1);
    let report = run(batches(cases, workers), workers);
    drop(hosts::take_spare(last.home()));
    report
}

/// One on an empty host, four on one that runs, of five kinds.
fn sample_of_apply(seed: u64) -> Vec<Drawn> {
    let mut random = Random::of(seed, u64::MAX);
    let [first, others @ ..] = scenario::APPLY;
    let other = *random.one_of(&others);
    let start = random.below(6);
    let kinds = Kind::ANY.into_iter().cycle().skip(usize::try_from(start).expect("it is small"));
    [first, other, other, other, other].into_iter().zip(kinds).collect()
}

/// One on each, beside the certain ones: killed, cut off, and another one.
fn sample_of_snapshots(seed: u64) -> Vec<Drawn> {
    let mut random = Random::of(seed, u64::MAX);
    let start = random.below(3);
    let mut kind = |scenario: &'static dyn Scenario, turn: u64| {
        let [kill, power_cut, others @ ..] = scenario.kinds() else { unreachable!("there are more") };
        match turn % 3 {
            0 => *kill,
            1 => *power_cut,
            _ => *random.one_of(others),
        }
    };
    scenario::SNAPSHOTS.into_iter().zip(start..).map(|(scenario, turn)| (scenario, kind(scenario, turn))).collect()
}

/// Three: killed, crashed and cut off, of an upgrade twice and of its way back once.
fn sample_of_upgrades(seed: u64) -> Vec<Drawn> {
    let mut random = Random::of(seed, u64::MAX);
    let [upgrade, rollback] = scenario::UPGRADES;
    let start = random.below(3);
    let kinds = [Kind::Kill, Kind::Crash, Kind::PowerCut].into_iter().cycle();
    [upgrade, rollback, upgrade].into_iter().zip(kinds.skip(usize::try_from(start).expect("it is small"))).collect()
}

/// As many on each scenario, every kind as often as any other.
fn every(scenarios: &[&'static dyn Scenario], faults: usize) -> Vec<Drawn> {
    let rounds = faults.div_ceil(scenarios.len());
    let round = |number: usize| {
        scenarios.iter().map(move |scenario| (*scenario, scenario.kinds()[number % scenario.kinds().len()]))
    };
    (0..rounds).flat_map(round).take(faults).collect()
}

/// Cases that share a host, the longest row of them first.
fn batches(cases: Vec<Case>, workers: usize) -> VecDeque<Vec<Case>> {
    let mut batches: Vec<Vec<Case>> = Vec::new();
    let all = cases.len();
    for case in cases {
        let most = if case.scenario.is_repeatable() { FAULTS_PER_HOST.min(all.div_ceil(workers)) } else { 1 };
        let fits = |batch: &&mut Vec<Case>| batch.len() < most && batch[0].scenario.home() == case.scenario.home();
        match batches.iter_mut().find(fits) {
            Some(batch) => batch.push(case),
            None => batches.push(vec![case]),
        }
    }
    batches.sort_by_key(|batch| std::cmp::Reverse(batch.len()));
    batches.into()
}

fn run(batches: VecDeque<Vec<Case>>, workers: usize) -> Report {
    let (queue, report) = (Mutex::new(batches), Mutex::new(Report::new()));
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(batch) = next() {
                    run_batch(&batch, &report);
                }
            });
        }
    });
    report.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn run_batch(batch: &[Case], report: &Mutex<Report>) {
    let mut host = None;
    for case in batch {
        let name = case.name();
        // What panics drops its host, which says its last words then.
        let done = catch_unwind(AssertUnwindSafe(|| {
            let (host, round) = host.take().unwrap_or_else(|| (case.scenario.host(&host_name(case.scenario)), 1));
            let record = survives(&host, case, round);
            (record, case.scenario.is_repeatable().then_some((host, round + 1)))
        }));
        let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
        match done {
            Ok((record, left)) => {
                report.add(record);
                host = left;
            }
            Err(panic) => report.fail(name, words(panic.as_ref())),
        }
    }
}

/// No two have the same, one beside the other.
fn host_name(scenario: &dyn Scenario) -> String {
    static HOSTS: AtomicUsize = AtomicUsize::new(1);
    format!("{}{}", scenario.name(), HOSTS.fetch_add(1, Ordering::Relaxed))
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words").to_owned()
}

/// One fault.
fn survives(host: &Host, case: &Case, round: u64) -> Record {
    let (scenario, fault, begun) = (case.scenario, &case.fault, Instant::now());
    let mut before = Before::look(host);
    scenario.prepare(host, round);
    before.look_again(host, scenario);
    let struck = strike(host, scenario, fault);
    let certain = CERTAIN.contains(&case.name().as_str());
    assert!(struck.at_work || !certain, "it was to be hit there, and was not");
    let recovered = before.assert_recovers(host, scenario, fault, &struck, round);
    let at = if struck.at_work { struck.doing.as_str() } else { "it had ended" };
    let (recovery, all) = (recovered.took.as_secs_f32(), begun.elapsed().as_secs_f32());
    say(&format!("well: {} ({at}); recovered in {recovery:.1} s, {all:.0} s in all", case.name()));
    Record { scenario: scenario.name(), kind: fault.kind, at_work: struck.at_work, recovered }
}
