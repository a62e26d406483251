//! Who was told what, so that nobody is told the same again and again.

use std::time::Duration;

use jiff::Timestamp;

use crate::record::Told;

/// How long the same is not told again.
const AGAIN: Duration = Duration::from_secs(20 * 60 * 60);

/// How long after something was told of a matter nothing else is told of it: what comes and goes by the minute is one matter.
const APART: Duration = Duration::from_secs(10 * 60);

/// Whether there is something to tell.
pub(super) fn is_due(last: Option<&Told>, outcome: &str, summary: &str, now: Timestamp) -> bool {
    let Some(last) = last else { return true };
    // A clock that went back must not silence anybody.
    let Ok(since) = Duration::try_from(now.duration_since(last.at)) else { return true };
    let is_same = last.outcome == outcome && last.summary == summary;
    let is_better = last.outcome != outcome && outcome == super::Outcome::Done.word();
    is_better || since >= if is_same { AGAIN } else { APART }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_once_a_day_and_something_else_sooner() {
        let at: Timestamp = "2026-11-22T03:00:00Z".parse().unwrap();
        let last = Told { at, outcome: "failed".to_owned(), summary: "no network".to_owned() };
        assert!(is_due(None, "failed", "no network", at));
        for (minutes, outcome, summary, due) in [
            (1, "failed", "no network", false),
            (19 * 60, "failed", "no network", false),
            (20 * 60, "failed", "no network", true),
            (9, "failed", "disk full", false),
            (10, "failed", "disk full", true),
            (1, "done", "all well", true),
            (-60, "failed", "no network", true),
        ] {
            let now = at + jiff::SignedDuration::from_mins(minutes);
            assert_eq!(is_due(Some(&last), outcome, summary, now), due, "{minutes} {outcome} {summary}");
        }
    }
}
