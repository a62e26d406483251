//! What iCloud has to tell: how runs ended that nobody watched, and sessions that come to their end.

use jiff::Timestamp;
use serde::Serialize;

use crate::config::Notify;
use crate::model::{AccountName, Root};
use crate::notify::{Notice, Outcome, tell, to_journal};
use crate::record;

#[derive(Serialize)]
struct Details<'a, T> {
    account: &'a AccountName,
    #[serde(flatten)]
    details: T,
}

/// How a run of an account ended (`icloud`), or the scan after it (`scan`).
pub async fn tell_run<T: Serialize>(
    root: &Root,
    settings: &Notify,
    about: &'static str,
    account: &AccountName,
    said: (Outcome, String),
    details: T,
) {
    let matter = format!("{about}:{account}");
    tell_change(root, settings, (about, &matter), said, Details { account, details }).await;
}

/// What came of the scan of a library that is no account's.
pub async fn tell_scan<T: Serialize>(
    root: &Root,
    settings: &Notify,
    library: &str,
    said: (Outcome, String),
    details: T,
) {
    tell_change(root, settings, ("scan", &format!("scan of {library}")), said, details).await;
}

/// That all is well is for people only where the last that they heard was something else.
async fn tell_change<T: Serialize>(
    root: &Root,
    settings: &Notify,
    (about, matter): (&'static str, &str),
    (outcome, summary): (Outcome, String),
    details: T,
) {
    let notice = Notice { about, outcome, at: Timestamp::now(), summary, details };
    let last = record::told(root).unwrap_or_default().remove(matter);
    if outcome == Outcome::Done && last.is_none_or(|last| last.outcome == outcome.word()) {
        to_journal(&notice);
    } else {
        tell(root, settings, matter, &notice).await;
    }
}

#[derive(Serialize)]
struct Session {
    good_until: Timestamp,
}

/// Sessions that end soon, or have ended.
pub async fn tell_endings(root: &Root, settings: &Notify, endings: &[(AccountName, Timestamp)]) {
    for (account, good_until) in endings {
        let date = good_until.strftime("%Y-%m-%d");
        let summary = format!(
            "the session of iCloud account {account} ends on {date}; next: photos-agent icloud login {account}"
        );
        let details = Details { account, details: Session { good_until: *good_until } };
        let notice = Notice { about: "icloud", outcome: Outcome::Refused, at: Timestamp::now(), summary, details };
        tell(root, settings, &format!("icloud-session:{account}"), &notice).await;
    }
}
