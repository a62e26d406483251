//! What `status` tells, in lines.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::{Body, Disk, Row, Taken, all_healthy, word};
use crate::cli::icloud::status as icloud;
use crate::cli::plan::count;
use crate::cli::time;
use crate::model::ActiveState;
use crate::record::{CameTo, End, Night, Trials, Upgraded};

pub(super) fn text(body: &Body) -> String {
    let mut text = String::new();
    let generation = body.generation.map_or_else(|| "none yet".to_owned(), |number| number.to_string());
    let _ = writeln!(text, "Immich {}, generation {generation}", body.release);
    for row in std::iter::once(&body.target).chain(&body.services) {
        text.push_str(&describe(row));
    }
    if body.answers {
        let _ = writeln!(text, "  answers on http://{}", body.listen);
    } else {
        let _ = writeln!(text, "  no answer on http://{}", body.listen);
    }
    text.push_str(&body.hardware.text());
    for (path, disk) in &body.storage {
        let _ = match disk {
            Some(Disk { space, btrfs: Some(room) }) => writeln!(text, "  {path}: {space}; {room}"),
            Some(Disk { space, btrfs: None }) => writeln!(text, "  {path}: {space}"),
            None => writeln!(text, "  {path}: not there"),
        };
    }
    if let Some(taken) = &body.snapshots {
        text.push_str(&describe_snapshots(taken, Timestamp::now()));
    }
    text.push_str(&proofs(&body.proofs));
    text.extend(body.icloud.iter().map(icloud::line));
    text.extend(body.upgrade.as_ref().map(upgraded));
    text.extend(body.night.as_ref().and_then(|night| nightly(night, body.upgrade.as_ref(), body.busy.is_some())));
    if let Some(busy) = &body.busy {
        let _ = writeln!(text, "At work: {busy}");
    } else if let Some(begun) = &body.open_operation {
        let _ = writeln!(text, "Open: {begun}; next: {}", begun.remedy);
    }
    for refusal in &body.refusals {
        let _ = writeln!(text, "Refused: {refusal}\n  next: {}", refusal.remedy);
    }
    for concern in &body.concerns {
        let _ = writeln!(text, "Concern: {concern}\n  next: {}", concern.remedy);
    }
    match body.pending_steps.len() {
        0 => {}
        steps => {
            let _ = writeln!(text, "Pending: {}; see: photos-agent plan", count(steps, "step"));
        }
    }
    if body.doors_closed {
        let _ = writeln!(
            text,
            "Behind closed doors: nobody is let in before the upgrade is finished; see: photos-agent doctor"
        );
    } else if !body.answers && !body.well && all_healthy(&body.services) {
        let _ = writeln!(text, "Healthy but out of reach; next: systemctl reload photos-firewall");
    }
    for note in &body.notes {
        let _ = writeln!(text, "Note: {note}");
    }
    text.push_str(if body.well { "All is well.\n" } else { "Not all is well.\n" });
    text
}

fn describe_snapshots(taken: &Taken, now: Timestamp) -> String {
    match &taken.newest {
        Some(newest) => {
            let (age, reason) = (time::age(newest.created, now), &newest.reason);
            format!("  {}, the last {age} ago ({reason})\n", count(taken.count, "snapshot"))
        }
        None if taken.count == 0 => "  no snapshot yet\n".to_owned(),
        None => format!("  {}, none of which is understood\n", count(taken.count, "snapshot")),
    }
}

fn proofs(trials: &Trials) -> String {
    let mut text = match &trials.proven {
        Some(proof) => format!("  last proven restore: snapshot {}, on {}\n", proof.snapshot, time::local(proof.at)),
        None => String::new(),
    };
    if let Some(trial) = trials.last.as_ref().filter(|trial| !trial.proven) {
        let (id, at) = (&trial.snapshot, time::local(trial.at));
        let _ = writeln!(
            text,
            "Snapshot {id} was NOT proven on {at}; the newest may do\n  next: photos-agent snapshot verify latest"
        );
    }
    text
}

fn upgraded(last: &Upgraded) -> String {
    let Upgraded { at, from, to, .. } = last;
    let at = time::local(*at);
    let what = if from == to { format!("of the images of {to}") } else { format!("from {from} to {to}") };
    match &last.end {
        End::Done => format!("  upgrade {what} on {at}: done\n"),
        End::WentBack { why, journal, .. } => {
            let why = why.lines().next().unwrap_or_default();
            let more = journal.as_ref().map(|path| format!("\n    more: {path}")).unwrap_or_default();
            format!("  the upgrade {what} on {at} did not work and went back: {why}{more}\n")
        }
    }
}

/// What an unattended upgrade came to, as long as nothing later says more.
fn nightly(night: &Night, last: Option<&Upgraded>, busy: bool) -> Option<String> {
    if last.is_some_and(|last| last.at >= night.at) {
        return None;
    }
    let at = time::local(night.at);
    match &night.came_to {
        // Told as an upgrade; or there is nothing to tell.
        CameTo::Done { .. } | CameTo::WentBack { .. } | CameTo::Nothing => None,
        CameTo::Begun if busy => None,
        CameTo::Begun => Some(format!("  the unattended upgrade of {at} was cut off\n")),
        other => Some(format!("  unattended, on {at}: {other}\n")),
    }
}

pub(super) fn describe(row: &Row) -> String {
    let health = row.health.as_deref().unwrap_or("-");
    let since = row.since.map(time::local).unwrap_or_default();
    let restarts =
        if row.restarts > 0 { format!("  {}", count(row.restarts as usize, "restart")) } else { String::new() };
    let active = if row.masked && row.active == word(ActiveState::Inactive) { "masked" } else { &row.active };
    let line = format!("  {:<24} {active:<9} {health:<10} {since}{restarts}", row.unit.as_str());
    format!("{}\n", line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Refusal;

    #[test]
    fn what_a_night_came_to_is_told_until_something_later_happens() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let night = |came_to| Night { at: at("2026-11-21T04:30:00Z"), came_to };
        let last = |moment: &str| Upgraded {
            at: at(moment),
            operation: 7,
            command: String::new(),
            from: "v3.1.0".parse().unwrap(),
            to: "v3.2.2".parse().unwrap(),
            snapshot: None,
            end: End::Done,
        };
        let deferred = night(CameTo::Deferred { why: "photos-snapshot.service is at work".to_owned() });
        let said = nightly(&deferred, Some(&last("2026-11-14T05:00:00Z")), false).unwrap();
        assert!(said.contains("put off: photos-snapshot.service is at work"), "{said}");
        assert_eq!(nightly(&deferred, Some(&last("2026-11-21T05:00:00Z")), false), None);
        let refused = night(CameTo::Refused { refusals: vec![Refusal::new("a", "b", "photos-agent plan")] });
        assert!(nightly(&refused, None, true).unwrap().ends_with("a: b; next: photos-agent plan\n"));
        let (nothing, begun) = (night(CameTo::Nothing), night(CameTo::Begun));
        assert_eq!((nightly(&nothing, None, false), nightly(&begun, None, true)), (None, None));
        assert!(nightly(&begun, None, false).unwrap().contains("cut off"));
    }
}
