//! An upgrade that nobody watches: at its moment and in nobody's way, or not now. What came of it is written down, to be told.
//!
//! It never takes a release that has just come out, nor one that failed here. Once begun it is carried to its end, whatever
//! the clock says by then: to stop half-way would be worse.

use std::time::Duration;

use jiff::Timestamp;

use crate::apply::{ApplyError, LOCK, Progress};
use crate::config::Upgrade;
use crate::host::lock::{self, Lock, LockError};
use crate::host::{Host, timed};
use crate::model::Root;
use crate::observe::chain;
use crate::plan::night::{in_the_way, too_late};
use crate::record::{CameTo, End, Night, Pending, RecordError, Upgraded, last_night, last_upgrade, set_last_night};
use crate::upgrade::{Hop, Wish, upgrade};

/// Held as long as one is at it, so that nobody takes it for one that was cut off.
const AT_IT: &str = "/run/photos-agent/night";

/// Who stops the services, or must not be stopped: backups, trials of them, and syncs.
const SERVICES: [&str; 4] =
    ["photos-snapshot.service", "photos-verify.service", "icloudpd@*.service", "photos-icloud@*.service"];

/// What starts them.
const TIMERS: [&str; 3] = ["photos-snapshot.timer", "photos-verify.timer", "icloudpd@*.timer"];

/// What there may be to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// What it is.
    pub night: Night,
    /// Whether it is not the same as the last time.
    pub is_news: bool,
}

/// Does it, or says why not. `by_timer`: a timer has said so, whose window counts; a person has chosen the moment himself.
pub async fn unattended(
    host: &Host,
    settings: &Upgrade,
    wish: &Wish,
    by_timer: bool,
    progress: &mut dyn Progress,
) -> Result<News, RecordError> {
    let at = Timestamp::now();
    let set = |came_to: CameTo| {
        let night = Night { at, came_to };
        set_last_night(&host.root, night.clone()).map(|is_news| News { night, is_news })
    };
    let held = at_it(&host.root).await;
    let why = match &held {
        Ok(_) => not_now(host, settings, by_timer, at).await,
        Err(error) => Some(chain(error)),
    };
    if let Some(why) = why {
        return set(CameTo::Deferred { why });
    }
    set(CameTo::Begun)?;
    let done = Box::pin(upgrade(host, wish, progress)).await;
    set(came_to(&host.root, done.map(|done| done.hops)))
}

/// What came of one that was cut off, if it is over: a boot has finished it, or somebody else, or there was nothing to finish.
pub async fn catch_up(root: &Root) -> Result<Option<News>, RecordError> {
    let begun = |night: &Night| night.came_to == CameTo::Begun;
    if !last_night(root)?.is_some_and(|night| begun(&night)) {
        return Ok(None);
    }
    // Whoever has it tells by himself.
    let Ok(_held) = at_it(root).await else { return Ok(None) };
    let Some(Night { at, .. }) = last_night(root)?.filter(begun) else { return Ok(None) };
    if Pending::read(root)?.is_some_and(|open| open.goes_back_or_on()) {
        return Ok(None);
    }
    let ended = last_upgrade(root)?.filter(|last| last.at >= at);
    let cut_off = || CameTo::Failed { why: "it was cut off before anything was changed".to_owned() };
    let night = Night { at, came_to: ended.map_or_else(cut_off, |last| of_record(last, true)) };
    let is_news = set_last_night(root, night.clone())?;
    Ok(Some(News { night, is_news }))
}

async fn at_it(root: &Root) -> Result<Lock, LockError> {
    lock::take(&root.join(AT_IT), "photos-agent upgrade --unattended", Duration::ZERO).await
}

/// Why it does not begin now. Where that cannot be known, it does not.
async fn not_now(host: &Host, settings: &Upgrade, by_timer: bool, now: Timestamp) -> Option<String> {
    let unknown = |error: &dyn std::error::Error| format!("nobody knows whether this is the moment: {}", chain(error));
    if by_timer {
        let window = &settings.window;
        let base = now.checked_sub(window.length()).unwrap_or(Timestamp::MIN);
        match timed::next(&settings.schedule, base).await.map(|scheduled| too_late(scheduled, window, now)) {
            Ok(None) => {}
            Ok(late) => return late,
            Err(error) => return Some(unknown(&error)),
        }
    }
    let neighbours = match host.systemd().await {
        Ok(systemd) => timed::neighbours(systemd, &SERVICES, &TIMERS).await,
        Err(error) => Err(error),
    };
    let others = match neighbours {
        Ok(neighbours) => in_the_way(&neighbours, settings.timeout.length(), now),
        Err(error) => return Some(unknown(&error)),
    };
    let holder = || lock::holder(&host.root.join(LOCK)).map(|holder| format!("{holder} is changing this host"));
    others.or_else(holder)
}

fn came_to(root: &Root, done: Result<Vec<Hop>, ApplyError>) -> CameTo {
    match done {
        Ok(hops) => match (hops.first(), hops.last()) {
            (Some(first), Some(last)) => CameTo::Done { from: first.from.clone(), to: last.to.clone() },
            _ => CameTo::Nothing,
        },
        // Somebody was faster.
        Err(error @ ApplyError::Locked(LockError::Held { .. })) => CameTo::Deferred { why: error.to_string() },
        Err(ApplyError::Refused(refusals)) => CameTo::Refused { refusals },
        Err(ApplyError::WentBack { went_back, well, source }) => {
            // What it says of itself is for a screen; the record has the same for programs.
            let record = last_upgrade(root).ok().flatten().filter(|last| matches!(last.end, End::WentBack { .. }));
            let is_well = well.is_some() && source.is_none();
            record.map_or_else(|| CameTo::Failed { why: went_back.to_string() }, |last| of_record(last, is_well))
        }
        Err(error) => CameTo::Failed { why: chain(&error) },
    }
}

fn of_record(last: Upgraded, well: bool) -> CameTo {
    let Upgraded { from, to, end, .. } = last;
    match end {
        End::Done => CameTo::Done { from, to },
        End::WentBack { why, kept, journal, .. } => {
            let kept = kept.into_iter().chain(journal).collect();
            // What the services said last stays on this host.
            CameTo::WentBack { from, to, why: why.lines().next().unwrap_or_default().to_owned(), kept, well }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Refusal;
    use crate::record::set_last_upgrade;

    fn root() -> (tempfile::TempDir, Root) {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path());
        (folder, root)
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn went_back(moment: &str) -> Upgraded {
        Upgraded {
            at: at(moment),
            operation: 7,
            command: "photos-agent upgrade --unattended".to_owned(),
            from: "v3.1.0".parse().unwrap(),
            to: "v3.2.2".parse().unwrap(),
            snapshot: None,
            end: End::WentBack {
                why: "it died\n    a line of the journal".to_owned(),
                data: true,
                kept: vec!["/var/lib/photos/replaced/000007".parse().unwrap()],
                arrived: Vec::new(),
                journal: "/var/lib/photos-agent/failed/000007-v3.2.2.log".parse().ok(),
            },
        }
    }

    #[test]
    fn how_an_upgrade_ends_is_what_is_told() {
        let (_folder, root) = root();
        assert_eq!(came_to(&root, Ok(Vec::new())), CameTo::Nothing);
        let refusals = vec![Refusal::new("a", "b", "c")];
        assert_eq!(came_to(&root, Err(ApplyError::Refused(refusals.clone()))), CameTo::Refused { refusals });
        let held = LockError::Held { holder: "photos-agent apply".to_owned(), waited: Duration::from_secs(30) };
        assert!(matches!(came_to(&root, Err(held.into())), CameTo::Deferred { why } if why.contains("apply")));
        let left = came_to(&root, Err(ApplyError::Unsettled("x".to_owned())));
        assert!(matches!(left, CameTo::Failed { why } if why.contains('x')));
    }

    #[tokio::test]
    async fn one_that_was_cut_off_is_told_once_it_is_over() {
        let (_folder, root) = root();
        assert_eq!(catch_up(&root).await.unwrap(), None);
        let begun = Night { at: at("2026-11-21T04:30:00Z"), came_to: CameTo::Begun };
        // An earlier one says nothing of this one.
        set_last_upgrade(&root, went_back("2026-11-14T05:00:00Z")).unwrap();
        set_last_night(&root, begun.clone()).unwrap();
        let held = at_it(&root).await.unwrap();
        assert_eq!(catch_up(&root).await.unwrap(), None, "it is at work");
        drop(held);
        let news = catch_up(&root).await.unwrap().unwrap();
        assert!(news.is_news && matches!(news.night.came_to, CameTo::Failed { .. }), "{news:?}");
        assert_eq!(catch_up(&root).await.unwrap(), None, "once");

        set_last_night(&root, begun).unwrap();
        set_last_upgrade(&root, went_back("2026-11-21T05:00:00Z")).unwrap();
        let news = catch_up(&root).await.unwrap().unwrap();
        let CameTo::WentBack { why, kept, .. } = news.night.came_to else { panic!("{news:?}") };
        assert_eq!((why.as_str(), kept.len(), news.is_news), ("it died", 2, true));
    }
}
