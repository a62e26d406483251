//! What a run of icloudpd may do, and what comes after it.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::icloud::{Mends, SyncResult};
use crate::model::{AccountName, AppleId, Refusal};

/// Every so many runs go through everything: one that was stopped leaves holes, which those that end at what is there
/// already never see.
const FULL_EVERY: usize = 4;

/// Tries of one run.
const TRIES: u32 = 3;

/// The first wait between two tries. Each further one is four times as long.
const FIRST_WAIT: Duration = Duration::from_secs(30);

/// How long before a session's end it is told of.
pub const WARN: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// Whether a run goes through everything. `before`: what earlier runs came to and whether they did so, the newest first.
pub fn is_full(until_found: u32, before: &[(SyncResult, bool)]) -> bool {
    let since = before.iter().position(|(_, full)| *full);
    match (until_found, before.first(), since) {
        (0, _, _) | (_, None, _) | (_, _, None) => true,
        (_, Some((last, _)), Some(since)) => *last != SyncResult::Done || since + 1 >= FULL_EVERY,
    }
}

/// How long to wait before the same is tried again; none where that is of no use. `tries`: how many there were.
pub fn again_in(result: &SyncResult, tries: u32) -> Option<Duration> {
    if result.mends() != Mends::Time || tries >= TRIES {
        return None;
    }
    Some(FIRST_WAIT.saturating_mul(4_u32.saturating_pow(tries.saturating_sub(1))))
}

/// Whether a session comes to its end soon, or has.
pub fn is_ending(good_until: Timestamp, now: Timestamp) -> bool {
    now.checked_add(WARN).is_ok_and(|soon| good_until <= soon)
}

/// Why nobody tries now: Apple has turned the session or the password away, and nobody has signed in since.
pub fn refuse_turned_away(account: &AccountName, turned_away: Option<&SyncResult>) -> Option<Refusal> {
    let result = turned_away.filter(|result| result.mends() == Mends::Login)?;
    let why = format!("{result}; tries without a new login are held against the account");
    Some(Refusal::new(format!("iCloud account {account}"), why, format!("photos-agent icloud login {account}")))
}

/// Why nobody fills this folder: it has pictures of another account at Apple, `filled_by`.
pub fn refuse_other_apple_id(account: &AccountName, filled_by: Option<&AppleId>, now: &AppleId) -> Option<Refusal> {
    let other = filled_by.filter(|other| !other.as_str().eq_ignore_ascii_case(now.as_str()))?;
    let why = format!("its folder has the pictures of {other}, and apple_id is {now} now");
    let remedy = format!(
        "correct apple_id, or give {now} an account with another name; where it is the same library under a new address: \
         photos-agent icloud login {account} --new-apple-id"
    );
    Some(Refusal::new(format!("iCloud account {account}"), why, remedy))
}

/// What nobody has ended: a run that began then, and whose agent is gone.
pub fn tell_cut_off(account: &AccountName, begun: Timestamp) -> Refusal {
    let date = begun.strftime("%Y-%m-%d");
    let why = format!("its run of {date} was cut off in the middle");
    Refusal::new(format!("iCloud account {account}"), why, format!("photos-agent icloud sync {account}"))
}

/// Why nobody tries now: the session is over by its own date.
pub fn refuse_expired(account: &AccountName, good_until: Timestamp, now: Timestamp) -> Option<Refusal> {
    (good_until <= now).then(|| {
        let date = good_until.strftime("%Y-%m-%d");
        let why = format!("its session ended on {date}");
        Refusal::new(format!("iCloud account {account}"), why, format!("photos-agent icloud login {account}"))
    })
}

/// What came after Immich was last asked to look. `came`: when the last run ended that brought something.
pub fn tell_unseen(account: &AccountName, came: Option<Timestamp>, asked: Option<Timestamp>) -> Option<Refusal> {
    let came = came.filter(|came| asked.is_none_or(|asked| asked < *came))?;
    let why = format!("what came on {} was not shown to Immich", came.strftime("%Y-%m-%d"));
    Some(Refusal::new(format!("iCloud account {account}"), why, format!("photos-agent immich scan {account}")))
}

/// Bytes that must be free beside what others keep free: pictures that come are not known by their size before.
pub const ROOM: u64 = 2 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_after_the_last_look_is_told() {
        let anna: AccountName = "anna".parse().unwrap();
        let at = |text: &str| Some(text.parse().unwrap());
        let (before, after) = (at("2026-11-01T03:00:00Z"), at("2026-11-01T04:00:00Z"));
        assert_eq!(tell_unseen(&anna, None, None), None);
        assert_eq!(tell_unseen(&anna, before, after), None);
        for asked in [None, before] {
            let told = tell_unseen(&anna, after, asked).unwrap();
            assert_eq!(told.to_string(), "iCloud account anna: what came on 2026-11-01 was not shown to Immich");
            assert_eq!(told.remedy, "photos-agent immich scan anna");
        }
    }

    #[test]
    fn every_fourth_run_and_each_after_one_that_was_not_good_goes_through_everything() {
        use SyncResult::{CutOff, Done, Throttled};
        let partly = SyncResult::Partly { failed: 1, cut: 0 };
        for (before, full) in [
            (vec![], true),
            (vec![(Done, true)], false),
            (vec![(Done, false), (Done, true)], false),
            (vec![(Done, false), (Done, false), (Done, true)], false),
            (vec![(Done, false), (Done, false), (Done, false), (Done, true)], true),
            (vec![(Done, false)], true),
            (vec![(partly.clone(), true)], true),
            (vec![(partly, false), (Done, true)], true),
            (vec![(CutOff, false), (Done, true)], true),
            (vec![(Throttled, true)], true),
        ] {
            assert_eq!(is_full(50, &before), full, "{before:?}");
            assert!(is_full(0, &before));
        }
    }

    #[test]
    fn only_what_time_mends_is_tried_again_and_not_for_ever() {
        let seconds = |result: &SyncResult, tries| again_in(result, tries).map(|wait| wait.as_secs());
        assert_eq!([1, 2, 3, 4].map(|tries| seconds(&SyncResult::Throttled, tries)), [Some(30), Some(120), None, None]);
        for never in [
            SyncResult::Done,
            SyncResult::WrongPassword,
            SyncResult::SessionExpired,
            SyncResult::CodeNeeded,
            SyncResult::DiskFull,
            SyncResult::AccessDenied,
        ] {
            assert_eq!(again_in(&never, 1), None, "{never}");
        }
    }

    #[test]
    fn who_was_turned_away_is_asked_to_sign_in_first() {
        let account = "anna".parse().unwrap();
        let refused = refuse_turned_away(&account, Some(&SyncResult::WrongPassword)).unwrap();
        assert_eq!(refused.remedy, "photos-agent icloud login anna");
        for other in [None, Some(&SyncResult::Throttled), Some(&SyncResult::Done), Some(&SyncResult::DiskFull)] {
            assert_eq!(refuse_turned_away(&account, other), None);
        }
    }

    #[test]
    fn a_folder_is_filled_from_one_account_at_apple() {
        let id = |text: &str| text.parse::<AppleId>().unwrap();
        let (account, anna) = ("anna".parse().unwrap(), id("anna@example.org"));
        for same in [None, Some(&anna), Some(&id("Anna@Example.org"))] {
            assert_eq!(refuse_other_apple_id(&account, same, &anna), None);
        }
        let refused = refuse_other_apple_id(&account, Some(&id("bob@example.org")), &anna).unwrap();
        assert!(refused.remedy.ends_with("photos-agent icloud login anna --new-apple-id"), "{refused:?}");
        assert!(refused.why.contains("bob@example.org"), "{refused:?}");
    }

    #[test]
    fn a_sessions_end_is_told_of_a_fortnight_before() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let end = at("2026-12-15T00:00:00Z");
        for (now, ending, expired) in [
            ("2026-11-30T23:59:59Z", false, false),
            ("2026-12-01T00:00:00Z", true, false),
            ("2026-12-14T23:59:59Z", true, false),
            ("2026-12-15T00:00:00Z", true, true),
        ] {
            assert_eq!(is_ending(end, at(now)), ending, "{now}");
            assert_eq!(refuse_expired(&"anna".parse().unwrap(), end, at(now)).is_some(), expired, "{now}");
        }
    }
}
