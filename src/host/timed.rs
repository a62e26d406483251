//! What systemd knows of time: which units are at work, when timers elapse, and what a calendar expression means.

use std::time::Duration;

use jiff::Timestamp;
use nix::time::{ClockId, clock_gettime};

use crate::host::process::{self, ProcessError};
use crate::host::systemd::{Systemd, SystemdError};
use crate::model::{Calendar, Neighbours};

const TIMER_INTERFACE: &str = "org.freedesktop.systemd1.Timer";

/// systemd's own reader of calendar expressions is asked, since nobody else knows all that they mean.
const ANALYZE: &str = "systemd-analyze";

/// It computes, and asks nobody.
const PATIENCE: Duration = Duration::from_secs(20);

/// Services of these patterns that are at work, and when timers of these patterns elapse next.
pub async fn neighbours(systemd: &Systemd, services: &[&str], timers: &[&str]) -> Result<Neighbours, SystemdError> {
    let running = systemd.matching(services).await?.into_iter().filter(|(_, active, job)| *job || is_at_work(active));
    let mut found = Neighbours { running: running.map(|(unit, ..)| unit).collect(), due: Vec::new() };
    for (timer, active, _) in systemd.matching(timers).await? {
        // Of one that was stopped, systemd may still tell what it had in mind.
        if active != "active" {
            continue;
        }
        let calendar = systemd.number(&timer, TIMER_INTERFACE, "NextElapseUSecRealtime").await?;
        let interval = systemd.number(&timer, TIMER_INTERFACE, "NextElapseUSecMonotonic").await?;
        let next = [calendar.and_then(of_calendar), interval.and_then(since_boot)].into_iter().flatten().min();
        found.due.extend(next.map(|next| (timer, next)));
    }
    Ok(found)
}

fn is_at_work(active: &str) -> bool {
    matches!(active, "active" | "activating" | "deactivating" | "reloading" | "refreshing")
}

/// systemd's word for never is the greatest number; 0 is no time, either.
fn of_calendar(microseconds: u64) -> Option<Timestamp> {
    let microseconds = i64::try_from(microseconds).ok().filter(|moment| *moment > 0)?;
    Timestamp::from_microsecond(microseconds).ok()
}

/// A moment of the clock that nobody sets, which counts from the boot.
fn since_boot(microseconds: u64) -> Option<Timestamp> {
    let moment = i64::try_from(microseconds).ok().filter(|moment| *moment > 0)?;
    let clock = clock_gettime(ClockId::CLOCK_MONOTONIC).ok()?;
    let now = clock.tv_sec().checked_mul(1_000_000)?.checked_add(clock.tv_nsec() / 1_000)?;
    let left = Duration::from_micros(u64::try_from(moment.saturating_sub(now)).unwrap_or(0));
    Timestamp::now().checked_add(left).ok()
}

/// The first moment of `calendar` after `base`; none where there is none.
pub async fn next(calendar: &Calendar, base: Timestamp) -> Result<Option<Timestamp>, ProcessError> {
    let arguments = ["calendar".to_owned(), format!("--base-time=@{}", base.as_second()), calendar.to_string()];
    let said = process::feed(ANALYZE, &arguments, &[], PATIENCE).await?;
    Ok(in_utc(&said))
}

/// Of its lines, the one that is in UTC: where the host's own time is another one, a second line has it.
fn in_utc(said: &str) -> Option<Timestamp> {
    let line = |key: &str| said.lines().find_map(|line| line.trim().strip_prefix(key));
    let moment = line("(in UTC):").or_else(|| line("Next elapse:"))?;
    match moment.split_whitespace().collect::<Vec<_>>().as_slice() {
        [_, date, time, "UTC" | "GMT"] => format!("{date}T{time}Z").parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_systemd_says_is_read_in_utc() {
        let of = |lines: &[&str]| in_utc(&lines.join("\n"));
        let moment = "2026-11-21T03:30:00Z".parse().ok();
        for lines in [
            [
                "Normalized form: Sat *-*-* 04:30:00",
                "    Next elapse: Sat 2026-11-21 03:30:00 UTC",
                "From now: 18h ago",
            ],
            ["    Next elapse: Sat 2026-11-21 04:30:00 CET", "       (in UTC): Sat 2026-11-21 03:30:00 UTC", ""],
            ["    Next elapse: Sat 2026-11-21 03:30:00 GMT", "       (in UTC): Sat 2026-11-21 03:30:00 UTC", ""],
        ] {
            assert_eq!(of(&lines), moment, "{lines:?}");
        }
        for lines in [["    Next elapse: never"], [""], ["    Next elapse: Sat 2026-11-21 04:30:00 CET"]] {
            assert_eq!(of(&lines), None, "{lines:?}");
        }
    }

    #[tokio::test]
    async fn the_next_moment_is_after_the_base_and_may_be_never() {
        let base: Timestamp = "2026-11-21T03:30:00Z".parse().unwrap();
        let ask = async |text: &str| next(&text.parse().unwrap(), base).await.unwrap();
        assert_eq!(ask("Sat *-*-* 03:30:00 UTC").await, "2026-11-28T03:30:00Z".parse().ok());
        assert_eq!(ask("Sat *-*-* 04:31:00 Europe/Oslo").await, "2026-11-21T03:31:00Z".parse().ok());
        assert_eq!(ask("2020-01-01 00:00").await, None);
    }

    #[test]
    fn a_clock_that_says_never_says_nothing() {
        assert_eq!([of_calendar(0), of_calendar(u64::MAX), since_boot(0), since_boot(u64::MAX)], [None; 4]);
        assert_eq!(of_calendar(1_000_000), Timestamp::from_second(1).ok());
        // One that is long past is due now.
        assert!(since_boot(1).is_some_and(|due| due <= Timestamp::now()));
    }
}
