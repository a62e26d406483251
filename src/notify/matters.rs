//! What the daemon and the nightly snapshot have to tell: drift, and disks that fill up.

use jiff::Timestamp;
use serde::Serialize;

use crate::config::Notify;
use crate::model::{Refusal, Root};
use crate::notify::{Notice, Outcome, tell};

#[derive(Serialize)]
struct Drift<'a> {
    steps: &'a [String],
}

/// Something was not as it should be: it was mended, or why it was not.
pub async fn tell_drift(root: Root, settings: Notify, steps: Vec<String>, failed: Option<String>) {
    let what = steps.join(", ");
    let (outcome, summary) = match failed {
        None => (Outcome::Done, format!("something had changed on this host and was put right: {what}")),
        Some(why) => {
            (Outcome::Failed, format!("something has changed on this host and could not be put right ({what}): {why}"))
        }
    };
    let notice = Notice { about: "drift", outcome, at: Timestamp::now(), summary, details: Drift { steps: &steps } };
    tell(&root, &settings, "drift", &notice).await;
}

#[derive(Serialize)]
struct Refused {
    refusals: Vec<Refusal>,
}

/// What stands in the way of putting something right, each with what to do about it.
pub async fn tell_refused(root: Root, settings: Notify, refusals: Vec<Refusal>) {
    let said: Vec<String> = refusals.iter().map(|refusal| format!("{refusal}; next: {}", refusal.remedy)).collect();
    let summary = format!("a person has to see to this host: {}", said.join("; "));
    let details = Refused { refusals };
    let notice = Notice { about: "drift", outcome: Outcome::Refused, at: Timestamp::now(), summary, details };
    tell(&root, &settings, "refused", &notice).await;
}

#[derive(Serialize)]
struct Space<'a> {
    low: &'a [String],
}

/// Disks on which little is left; none: nothing is told.
pub async fn tell_space(root: &Root, settings: &Notify, low: &[String]) {
    if low.is_empty() {
        return;
    }
    let summary =
        format!("space runs low: {}; next: photos-agent snapshot prune, or free space otherwise", low.join("; "));
    let notice =
        Notice { about: "space", outcome: Outcome::Failed, at: Timestamp::now(), summary, details: Space { low } };
    tell(root, settings, "space", &notice).await;
}
