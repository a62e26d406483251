//! Which snapshot is meant.

use jiff::Timestamp;

use crate::apply::ApplyError;
use crate::model::{Refusal, SnapshotId};
use crate::plan::newest::Newest;
use crate::record::{Found, Snapshots};
use crate::snapshot::restore::refused;
use crate::snapshot::{latest, passed_over, why_left};

/// The snapshot that is meant, and what a person has to know of that choice.
pub(super) fn find(snapshots: &Snapshots, which: &str) -> Result<(SnapshotId, Vec<String>), ApplyError> {
    let found = snapshots.all()?;
    let chosen = if which == "latest" {
        let latest = latest(&found, Timestamp::now());
        latest.map(|latest| (latest.one.clone(), told_of(&latest, &found))).ok_or_else(|| "does not exist".to_owned())
    } else {
        let whole = found.into_iter().filter(|(_, found)| *found != Found::Debris).map(|(id, _)| id);
        choose(whole.collect(), which).map(|id| (id, Vec::new()))
    };
    chosen.map_err(|why| {
        refused(Refusal::new(format!("snapshot `{which}`"), why, "name one of: photos-agent snapshot list"))
    })
}

/// Somebody who says `latest` must hear that there is a later one.
fn told_of(latest: &Newest<&SnapshotId>, found: &[(SnapshotId, Found)]) -> Vec<String> {
    let later = found.iter().filter(|(id, _)| id > latest.one);
    let unfit = later.filter(|(_, found)| matches!(found, Found::Newer(_) | Found::Damaged(_)));
    let unfit = unfit.map(|(id, found)| format!("snapshot {id} is later and of no use: {}", why_left(found)));
    passed_over(latest).into_iter().chain(unfit).collect()
}

fn choose(mut whole: Vec<SnapshotId>, which: &str) -> Result<SnapshotId, String> {
    if let Some(exact) = whole.iter().find(|id| id.as_str() == which) {
        return Ok(exact.clone());
    }
    whole.retain(|id| !which.is_empty() && id.as_str().starts_with(which));
    match whole.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err("does not exist".to_owned()),
        several => {
            let names: Vec<&str> = several.iter().map(SnapshotId::as_str).collect();
            Err(format!("could be each of {}", names.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_named_by_its_beginning_where_only_one_begins_so() {
        let ids = || {
            ["20261120T020000Z", "20261121T020000Z", "20261121T020000Z-2", "20261122T020000Z"]
                .map(|id| id.parse::<SnapshotId>().unwrap())
                .to_vec()
        };
        for (which, found) in [
            ("20261120", Ok("20261120T020000Z")),
            ("20261121T020000Z", Ok("20261121T020000Z")),
            ("20261121T020000Z-", Ok("20261121T020000Z-2")),
            ("20261121", Err("could be each of 20261121T020000Z, 20261121T020000Z-2")),
            ("2025", Err("does not exist")),
            ("", Err("does not exist")),
        ] {
            let chosen = choose(ids(), which);
            assert_eq!(chosen.as_ref().map(SnapshotId::as_str).map_err(String::as_str), found, "{which}");
        }
    }

    #[test]
    fn who_says_latest_hears_of_what_is_later() {
        let summary = r#"{"schema": 1, "id": "20261121T020000Z", "created": "2026-11-21T02:00:00Z", "reason": "",
            "keep": false, "release": "", "images": {}}"#;
        let id = |name: &str| name.parse::<SnapshotId>().unwrap();
        let found = [
            (id("20261120T020000Z"), Found::Damaged("EOF".to_owned())),
            (id("20261121T020000Z"), Found::Whole(serde_json::from_str(summary).unwrap())),
            (id("20261121T030000Z"), Found::Debris),
            (id("20261122T020000Z"), Found::Damaged("EOF".to_owned())),
        ];
        let latest = latest(&found, "2026-11-23T00:00:00Z".parse().unwrap()).unwrap();
        let said = told_of(&latest, &found);
        assert_eq!(said, ["snapshot 20261122T020000Z is later and of no use: its manifest is damaged: EOF"]);
    }
}
