//! Which snapshots stay: a table that people can read, and what holds for any of them.

#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use photos_agent::config::Keep;
use photos_agent::model::SnapshotId;
use photos_agent::plan::retention::{Candidate, Decision, Need, Reason, Rule, Verdict, retain};
use proptest::prelude::*;

/// Summer begins and ends at 1 h, at half an hour, at midnight; a day is missing; the offset is odd.
const ZONES: [&str; 9] = [
    "UTC",
    "Europe/Oslo",
    "America/New_York",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "America/Havana",
    "Africa/Cairo",
    "Pacific/Apia",
    "Asia/Kathmandu",
];

const NOTHING: Keep = Keep { last: 0, hourly: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0 };

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn candidate(moment: Timestamp, number: u32) -> Candidate {
    Candidate { id: SnapshotId::of(moment, number), moment, needed: Vec::new(), proven: false }
}

/// One a line, as `prune --dry-run` says it.
fn told(verdicts: &[Verdict], zone: &TimeZone) -> String {
    let line = |verdict: &Verdict| {
        let moment = verdict.moment.to_zoned(zone.clone()).strftime("%a %Y-%m-%d %H:%M").to_string();
        match &verdict.decision {
            Decision::Keep(reasons) => {
                let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
                format!("keep   {moment}  {}", reasons.join(", "))
            }
            Decision::Delete(surplus) => format!("delete {moment}  {surplus}"),
        }
    };
    verdicts.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn decided(moments: &[&str], keep: Keep, now: &str, name: &str) -> String {
    let all = moments.iter().map(|moment| candidate(at(moment), 1)).collect();
    told(&retain(all, &keep, at(now), &zone(name)), &zone(name))
}

#[test]
fn the_newest_of_each_period_that_has_one_stays() {
    let moments = [
        "2026-11-21T02:00:00Z",
        "2026-11-20T14:00:00Z",
        "2026-11-20T02:00:00Z",
        "2026-11-19T02:00:00Z",
        // Nothing for four weeks: the policy counts on behind them.
        "2026-10-20T02:00:00Z",
        "2026-10-19T02:00:00Z",
        "2026-10-12T02:00:00Z",
        "2026-09-01T02:00:00Z",
        "2025-12-31T02:00:00Z",
    ];
    let keep = Keep { last: 2, daily: 3, weekly: 2, monthly: 3, ..NOTHING };
    insta::assert_snapshot!(decided(&moments, keep, "2026-11-21T03:00:00Z", "UTC"), @"
    keep   Sat 2026-11-21 02:00  the newest, 1st of the last 2, 1st of 3 daily, 1st of 2 weekly, 1st of 3 monthly
    keep   Fri 2026-11-20 14:00  2nd of the last 2, 2nd of 3 daily
    delete Fri 2026-11-20 02:00  a newer one stands for its day, week and month; older than the last 2
    keep   Thu 2026-11-19 02:00  3rd of 3 daily
    keep   Tue 2026-10-20 02:00  2nd of 2 weekly, 2nd of 3 monthly
    delete Mon 2026-10-19 02:00  a newer one stands for its week and month; older than the last 2 and 3 days
    delete Mon 2026-10-12 02:00  a newer one stands for its month; older than the last 2, 3 days and 2 weeks
    keep   Tue 2026-09-01 02:00  3rd of 3 monthly
    delete Wed 2025-12-31 02:00  older than the last 2, 3 days, 2 weeks and 3 months
    ");
}

#[test]
fn a_policy_of_nothing_deletes_all_but_the_newest() {
    let moments = ["2026-11-21T02:00:00Z", "2026-11-20T02:00:00Z"];
    insta::assert_snapshot!(decided(&moments, NOTHING, "2026-11-21T03:00:00Z", "UTC"), @"
    keep   Sat 2026-11-21 02:00  the newest
    delete Fri 2026-11-20 02:00  the policy keeps no more than the newest
    ");
}

#[test]
fn days_are_those_of_the_host() {
    // The same two: one day in New York, two in Oslo.
    let moments = ["2026-11-21T00:30:00Z", "2026-11-20T22:30:00Z"];
    let keep = Keep { daily: 7, ..NOTHING };
    let now = "2026-11-21T03:00:00Z";
    insta::assert_snapshot!(decided(&moments, keep, now, "America/New_York"), @"
    keep   Fri 2026-11-20 19:30  the newest, 1st of 7 daily
    delete Fri 2026-11-20 17:30  a newer one stands for its day
    ");
    insta::assert_snapshot!(decided(&moments, keep, now, "Europe/Oslo"), @"
    keep   Sat 2026-11-21 01:30  the newest, 1st of 7 daily
    keep   Fri 2026-11-20 23:30  2nd of 7 daily
    ");
}

#[test]
fn the_hour_that_comes_twice_is_two_and_the_one_that_is_skipped_is_none() {
    let hourly = Keep { hourly: 24, ..NOTHING };
    // 02:30 in summer, 02:30 in winter, 03:30.
    let back = ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"];
    insta::assert_snapshot!(decided(&back, hourly, "2026-10-25T12:00:00Z", "Europe/Oslo"), @"
    keep   Sun 2026-10-25 03:30  the newest, 1st of 24 hourly
    keep   Sun 2026-10-25 02:30  2nd of 24 hourly
    keep   Sun 2026-10-25 02:30  3rd of 24 hourly
    ");
    // 01:59 and 03:00 are one minute apart.
    let forth = ["2026-03-29T00:59:00Z", "2026-03-29T01:00:00Z"];
    insta::assert_snapshot!(decided(&forth, hourly, "2026-03-29T12:00:00Z", "Europe/Oslo"), @"
    keep   Sun 2026-03-29 03:00  the newest, 1st of 24 hourly
    keep   Sun 2026-03-29 01:59  2nd of 24 hourly
    ");
}

#[test]
fn weeks_begin_on_monday_and_those_of_new_year_are_whole() {
    // The week of Monday 2025-12-29 is the first of 2026.
    let moments = ["2026-01-05T02:00:00Z", "2026-01-04T02:00:00Z", "2026-01-01T02:00:00Z", "2025-12-29T02:00:00Z"];
    let keep = Keep { weekly: 9, ..NOTHING };
    insta::assert_snapshot!(decided(&moments, keep, "2026-01-05T03:00:00Z", "UTC"), @"
    keep   Mon 2026-01-05 02:00  the newest, 1st of 9 weekly
    keep   Sun 2026-01-04 02:00  2nd of 9 weekly
    delete Thu 2026-01-01 02:00  a newer one stands for its week
    delete Mon 2025-12-29 02:00  a newer one stands for its week
    ");
}

#[test]
fn what_is_needed_and_what_lies_in_the_future_stays() {
    let moments = [
        "2026-11-22T02:00:00Z",
        "2026-11-21T02:00:00Z",
        "2026-11-20T02:00:00Z",
        "2026-11-19T02:00:00Z",
        "2026-11-18T02:00:00Z",
        "2026-11-17T02:00:00Z",
        "2026-11-16T02:00:00Z",
        "2026-11-15T02:00:00Z",
    ];
    let mut all: Vec<Candidate> = moments.iter().map(|moment| candidate(at(moment), 1)).collect();
    (all[3].proven, all[4].proven) = (true, true);
    all[5].needed = vec![Need::AskedToKeep];
    all[6].needed = vec![Need::Operation(12), Need::Generation(3)];
    let verdicts = retain(all, &Keep { daily: 1, ..NOTHING }, at("2026-11-21T03:00:00Z"), &TimeZone::UTC);
    insta::assert_snapshot!(told(&verdicts, &TimeZone::UTC), @"
    keep   Sun 2026-11-22 02:00  its time has not come yet, so the clock was set back
    keep   Sat 2026-11-21 02:00  the newest, 1st of 1 daily
    delete Fri 2026-11-20 02:00  older than the one day that is kept
    keep   Thu 2026-11-19 02:00  the newest that is proven to start
    delete Wed 2026-11-18 02:00  older than the one day that is kept
    keep   Tue 2026-11-17 02:00  asked to keep
    keep   Mon 2026-11-16 02:00  needed by operation 12, needed by generation 3
    delete Sun 2026-11-15 02:00  older than the one day that is kept
    ");
}

/// Seconds around moments at which something happens to clocks, and anywhere else in some years.
fn moment() -> impl Strategy<Value = Timestamp> {
    let turns = prop::sample::select(vec![
        "2026-03-29T01:00:00Z", // Oslo, forth
        "2026-10-25T01:00:00Z", // Oslo, back
        "2026-11-01T06:00:00Z", // New York, back
        "2011-11-06T02:31:00Z", // St. John's, back over midnight
        "2026-04-04T15:00:00Z", // Lord Howe, back by half an hour
        "2026-11-01T05:00:00Z", // Havana, back to midnight
        "2026-04-23T22:00:00Z", // Cairo, forth from midnight
        "2011-12-30T10:00:00Z", // Apia, a day is skipped
        "2026-12-31T23:00:00Z",
    ]);
    let near = (turns, -200_000_i64..200_000).prop_map(|(turn, by)| at(turn) + SignedDuration::from_secs(by));
    // A minute of its own, so that equal times come up.
    let any = (0_i64..3_000_000).prop_map(|minute| Timestamp::from_second(1_650_000_000 + minute * 60).unwrap());
    prop_oneof![2 => near, 1 => any]
}

fn candidates() -> impl Strategy<Value = Vec<Candidate>> {
    let need = prop_oneof![
        8 => Just(Vec::new()),
        1 => Just(vec![Need::AskedToKeep]),
        1 => Just(vec![Need::Operation(7)]),
        1 => Just(vec![Need::Generation(2)]),
    ];
    let one = (moment(), 1_u32..4, need, prop::bool::weighted(0.1));
    prop::collection::vec(one, 0..60).prop_map(|drawn| {
        // Names are unique; times need not be.
        let all: BTreeMap<SnapshotId, Candidate> = drawn
            .into_iter()
            .map(|(moment, number, needed, proven)| Candidate { needed, proven, ..candidate(moment, number) })
            .map(|candidate| (candidate.id.clone(), candidate))
            .collect();
        all.into_values().collect()
    })
}

fn policy() -> impl Strategy<Value = Keep> {
    let number = || prop_oneof![2 => Just(0_u32), 3 => 0_u32..12];
    (number(), number(), number(), number(), number(), number()).prop_map(
        |(last, hourly, daily, weekly, monthly, yearly)| Keep { last, hourly, daily, weekly, monthly, yearly },
    )
}

fn kept(verdicts: &[Verdict]) -> BTreeSet<SnapshotId> {
    verdicts.iter().filter(|verdict| verdict.keeps()).map(|verdict| verdict.id.clone()).collect()
}

fn larger(keep: Keep, by: [u32; 6]) -> Keep {
    let [last, hourly, daily, weekly, monthly, yearly] = by;
    Keep {
        last: keep.last + last,
        hourly: keep.hourly + hourly,
        daily: keep.daily + daily,
        weekly: keep.weekly + weekly,
        monthly: keep.monthly + monthly,
        yearly: keep.yearly + yearly,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_must_stay_stays_and_each_has_one_verdict(
        all in candidates(), keep in policy(), now in moment(), name in prop::sample::select(ZONES.to_vec()),
    ) {
        let verdicts = retain(all.clone(), &keep, now, &zone(name));
        let names: BTreeSet<&SnapshotId> = verdicts.iter().map(|verdict| &verdict.id).collect();
        prop_assert_eq!(names.len(), all.len());
        prop_assert_eq!(verdicts.len(), all.len());
        let kept = kept(&verdicts);
        for candidate in &all {
            if !candidate.needed.is_empty() || candidate.moment > now {
                prop_assert!(kept.contains(&candidate.id));
            }
        }
        let newest = |wanted: &dyn Fn(&&Candidate) -> bool| {
            all.iter().filter(wanted).max_by_key(|candidate| (candidate.moment, candidate.id.clone()))
        };
        for must in [newest(&|_| true), newest(&|one| one.moment <= now), newest(&|one| one.proven && one.moment <= now)] {
            prop_assert!(must.is_none_or(|must| kept.contains(&must.id)));
        }
        for verdict in &verdicts {
            let Decision::Keep(reasons) = &verdict.decision else { continue };
            prop_assert!(!reasons.is_empty());
            prop_assert!(reasons.iter().all(|reason| !reason.to_string().is_empty()));
        }
    }

    #[test]
    fn each_rule_keeps_one_of_each_of_its_newest_periods(
        all in candidates(), keep in policy(), now in moment(), name in prop::sample::select(ZONES.to_vec()),
    ) {
        let verdicts = retain(all.clone(), &keep, now, &zone(name));
        // The same again, told from the outside: the names of the days on which there is one.
        let day = |moment: Timestamp| moment.to_zoned(zone(name)).date();
        let past = || all.iter().filter(|one| one.moment <= now);
        let days: BTreeSet<_> = past().map(|one| day(one.moment)).collect();
        let by_rule = |rule: Rule| {
            let counts = move |reason: &&Reason| matches!(reason, Reason::Counted { rule: found, .. } if *found == rule);
            verdicts.iter().filter(move |verdict| {
                matches!(&verdict.decision, Decision::Keep(reasons) if reasons.iter().any(|reason| counts(&reason)))
            })
        };
        let daily: Vec<_> = by_rule(Rule::Daily).map(|verdict| day(verdict.moment)).collect();
        prop_assert_eq!(daily.len(), days.len().min(keep.daily as usize));
        prop_assert_eq!(daily.iter().collect::<BTreeSet<_>>().len(), daily.len(), "one of each day");
        prop_assert_eq!(by_rule(Rule::Last).count(), past().count().min(keep.last as usize));
        for verdict in by_rule(Rule::Daily) {
            let newer = past().filter(|one| day(one.moment) == day(verdict.moment) && one.moment > verdict.moment);
            prop_assert_eq!(newer.count(), 0, "the newest of its day");
        }
    }

    #[test]
    fn pruning_twice_deletes_nothing_more(
        all in candidates(), keep in policy(), now in moment(), name in prop::sample::select(ZONES.to_vec()),
    ) {
        let first = kept(&retain(all.clone(), &keep, now, &zone(name)));
        let left: Vec<Candidate> = all.into_iter().filter(|one| first.contains(&one.id)).collect();
        prop_assert_eq!(kept(&retain(left, &keep, now, &zone(name))), first);
    }

    #[test]
    fn a_larger_number_keeps_no_less(
        all in candidates(), keep in policy(), by in prop::array::uniform6(0_u32..4), now in moment(),
        name in prop::sample::select(ZONES.to_vec()),
    ) {
        let less = kept(&retain(all.clone(), &keep, now, &zone(name)));
        let more = kept(&retain(all, &larger(keep, by), now, &zone(name)));
        prop_assert!(less.is_subset(&more), "{:?}", less.difference(&more).collect::<Vec<_>>());
    }

    #[test]
    fn the_order_they_come_in_does_not_matter(
        (all, shuffled) in candidates().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
        keep in policy(), now in moment(), name in prop::sample::select(ZONES.to_vec()),
    ) {
        prop_assert_eq!(retain(all, &keep, now, &zone(name)), retain(shuffled, &keep, now, &zone(name)));
    }

    #[test]
    fn a_clock_that_was_set_back_deletes_nothing_that_the_right_one_would_not(
        all in candidates(), keep in policy(), now in moment(), back in 0_i64..40_000_000,
    ) {
        // What seems to be in the future is not counted: of what is left, the policy keeps no less.
        let early = now - SignedDuration::from_secs(back);
        let right = kept(&retain(all.clone(), &keep, now, &TimeZone::UTC));
        let wrong = kept(&retain(all, &keep, early, &TimeZone::UTC));
        prop_assert!(right.is_subset(&wrong));
    }
}

#[test]
fn ten_thousand_are_no_matter() {
    // A year of every hour and more, with the policy that has most to say.
    let start = at("2025-10-01T00:30:00Z");
    let all: Vec<Candidate> = (0..10_000).map(|hour| candidate(start + SignedDuration::from_hours(hour), 1)).collect();
    let keep = Keep { last: 10, hourly: 48, daily: 30, weekly: 10, monthly: 24, yearly: 5 };
    let verdicts = retain(all, &keep, at("2027-01-01T00:00:00Z"), &zone("Europe/Oslo"));
    assert_eq!(verdicts.len(), 10_000);
    let kept = verdicts.iter().filter(|verdict| verdict.keeps()).count();
    assert!((60..120).contains(&kept), "{kept}");
}
