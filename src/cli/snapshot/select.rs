//! Which snapshot is meant: a whole name, a beginning that only one has, or `latest`.

use jiff::Timestamp;

use crate::cli::failure::Failure;
use crate::model::{Refusal, SnapshotId};
use crate::record::Found;
use crate::snapshot::{latest, passed_over};

/// The newest of those that are understood.
const LATEST: &str = "latest";

/// So many of those that it could be are named.
const NAMED: usize = 3;

/// The one that `text` means, and what it is.
pub(super) fn select(text: &str, all: &[(SnapshotId, Found)]) -> Result<(SnapshotId, Found), Failure> {
    let missing = |what: String, why: &str| Failure::from(Refusal::new(what, why, "photos-agent snapshot list"));
    if text == LATEST {
        let latest = latest(all, Timestamp::now());
        if let Some(told) = latest.as_ref().and_then(passed_over) {
            tracing::warn!("{told}");
        }
        let found = latest.and_then(|latest| all.iter().find(|(id, _)| id == latest.one));
        return found.cloned().ok_or_else(|| missing("the latest snapshot".to_owned(), "there is none"));
    }
    if let Some(found) = all.iter().find(|(id, _)| id.as_str() == text) {
        return Ok(found.clone());
    }
    let like: Vec<_> = all.iter().filter(|(id, _)| !text.is_empty() && id.as_str().starts_with(text)).collect();
    match like.as_slice() {
        [] => Err(missing(format!("snapshot `{text}`"), "is not there")),
        [one] => Ok((*one).clone()),
        several => {
            let names: Vec<&str> = several.iter().take(NAMED).map(|(id, _)| id.as_str()).collect();
            let more = if several.len() > NAMED { ", ..." } else { "" };
            let what = format!("`{text}` begins the names of {} snapshots", several.len());
            Err(Failure::Usage { what, hint: format!("name one of them: {}{more}", names.join(", ")) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_its_beginning_or_the_latest() {
        let ids = ["20261120T020000Z", "20261121T020000Z", "20261121T020000Z-2", "20261122T020000Z"];
        let mut all: Vec<(SnapshotId, Found)> =
            ids.iter().map(|id| (id.parse().unwrap(), Found::Damaged(String::new()))).collect();
        let chosen = |text: &str, all: &[_]| select(text, all).map(|(id, _)| id.to_string());
        assert_eq!(chosen("20261120", &all).unwrap(), ids[0]);
        assert_eq!(chosen(ids[1], &all).unwrap(), ids[1], "a whole name, though another begins with it");
        for (text, said) in [
            ("20261121", "`20261121` begins the names of 2 snapshots"),
            ("2026", "`2026` begins the names of 4 snapshots"),
            ("2025", "snapshot `2025`: is not there"),
            ("", "snapshot ``: is not there"),
            ("latest", "the latest snapshot: there is none"),
        ] {
            let error = chosen(text, &all).unwrap_err().to_string();
            assert_eq!(error, said);
        }
        let summary = r#"{"schema": 1, "id": "20261121T020000Z", "created": "2026-11-21T02:00:00Z", "reason": "",
            "keep": false, "release": "", "images": {}}"#;
        all[1].1 = Found::Whole(serde_json::from_str(summary).unwrap());
        assert_eq!(chosen("latest", &all).unwrap(), ids[1]);
    }
}
