//! Whether it is a good moment for an upgrade that nobody watches. Nobody has asked for it now, so that any doubt is a no.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::{Neighbours, TimeSpan};

/// What is added to the time that the new release may take: for the pull, the dump and the snapshot, while which others would
/// wait for the lock.
const BESIDES: Duration = Duration::from_secs(30 * 60);

/// How long an upgrade may keep others waiting whose new release has `timeout` to come up. Going back takes as long again.
pub fn may_take(timeout: Duration) -> Duration {
    timeout.saturating_mul(2).saturating_add(BESIDES)
}

/// Why it does not begin now although a timer has said so: its moment is over. `scheduled` is the first moment of the schedule
/// in the time that is looked back, which is `window`.
pub fn too_late(scheduled: Option<Timestamp>, window: &TimeSpan, now: Timestamp) -> Option<String> {
    if scheduled.is_some_and(|moment| moment <= now) {
        return None;
    }
    Some(format!("its moment was longer ago than {window} (upgrade.window): the host slept through it, or was busy"))
}

/// Why it does not begin now: others are at work, or will be before it could be at its end.
pub fn in_the_way(neighbours: &Neighbours, timeout: Duration, now: Timestamp) -> Option<String> {
    if let Some(unit) = neighbours.running.first() {
        return Some(format!("{unit} is at work"));
    }
    let takes = may_take(timeout);
    // A moment that no clock will see never comes.
    let end = now.checked_add(takes).unwrap_or(Timestamp::MAX);
    let (timer, at) = neighbours.due.iter().filter(|(_, at)| *at <= end).min_by_key(|(_, at)| *at)?;
    let (at, minutes) = (at.strftime("%Y-%m-%d %H:%M"), takes.as_secs().div_ceil(60));
    Some(format!("{timer} is due at {at} UTC, and an upgrade may take {minutes} min"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn it_begins_in_its_window_only() {
        let (window, now) = ("2h".parse().unwrap(), at("2026-11-21T04:50:00Z"));
        for (scheduled, late) in [
            (Some("2026-11-21T04:30:00Z"), false),
            (Some("2026-11-21T04:50:00Z"), false),
            // The next one: the last was before the window.
            (Some("2026-11-21T04:50:01Z"), true),
            (Some("2026-11-28T04:30:00Z"), true),
            // It never comes again.
            (None, true),
        ] {
            let said = too_late(scheduled.map(at), &window, now);
            assert_eq!(said.is_some(), late, "{scheduled:?}");
            assert!(said.is_none_or(|said| said.contains("2h")));
        }
    }

    #[test]
    fn it_waits_for_whoever_is_at_work_or_will_be() {
        let now = at("2026-11-21T04:30:00Z");
        let unit = |name: &str| name.parse().unwrap();
        let timeout = Duration::from_secs(30 * 60);
        let none = Neighbours::default();
        assert_eq!(in_the_way(&none, timeout, now), None);
        let running = Neighbours { running: vec![unit("icloudpd@anna.service")], due: Vec::new() };
        assert_eq!(in_the_way(&running, timeout, now).unwrap(), "icloudpd@anna.service is at work");
        for (due, waits) in [
            ("2026-11-21T04:00:00Z", true),
            ("2026-11-21T04:30:00Z", true),
            ("2026-11-21T06:00:00Z", true),
            ("2026-11-21T06:00:01Z", false),
            ("2026-11-22T02:00:00Z", false),
        ] {
            let due = vec![
                (unit("photos-verify.timer"), at("2026-11-29T04:00:00Z")),
                (unit("photos-snapshot.timer"), at(due)),
            ];
            let said = in_the_way(&Neighbours { running: Vec::new(), due }, timeout, now);
            assert_eq!(said.as_ref().is_some_and(|said| said.starts_with("photos-snapshot.timer is due")), waits);
            assert_eq!(said.is_some(), waits, "{said:?}");
        }
        let forever = Duration::MAX;
        let due = vec![(unit("photos-verify.timer"), at("2200-01-01T00:00:00Z"))];
        assert!(in_the_way(&Neighbours { running: Vec::new(), due }, forever, now).is_some());
    }
}
