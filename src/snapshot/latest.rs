//! The latest snapshot, for whoever says `latest`.

use jiff::Timestamp;

use crate::model::SnapshotId;
use crate::plan::newest::{Newest, newest};
use crate::record::Found;

/// The newest of those that are understood, and those that bear a time yet to come.
pub fn latest(all: &[(SnapshotId, Found)], now: Timestamp) -> Option<Newest<&SnapshotId>> {
    let whole =
        all.iter().filter_map(|(id, found)| if let Found::Whole(one) = found { Some((one.created, id)) } else { None });
    newest(whole, now)
}

/// What to say where one was passed over; one line for all of them, since there may be thousands.
pub fn passed_over(latest: &Newest<&SnapshotId>) -> Option<String> {
    let (first, others) = latest.ahead.split_first()?;
    let more = if others.is_empty() { String::new() } else { format!(" (and {} more)", others.len()) };
    let one = latest.one;
    Some(format!(
        "snapshot {first}{more} bears a time yet to come, since the clock was ahead; the latest is taken to be {one}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_passed_over_is_named() {
        let summary = |id: &str, created: &str| {
            let text = format!(
                r#"{{"schema":1,"id":"{id}","created":"{created}","reason":"","keep":false,"release":"","images":{{}}}}"#
            );
            (id.parse().unwrap(), Found::Whole(serde_json::from_str(&text).unwrap()))
        };
        let mut all = vec![
            summary("20261120T020000Z", "2026-11-20T02:00:00Z"),
            summary("20261121T020000Z", "2026-11-21T02:00:00Z"),
            summary("20300101T000000Z", "2030-01-01T00:00:00Z"),
            ("20310101T000000Z".parse().unwrap(), Found::Damaged(String::new())),
        ];
        let now = "2026-11-21T12:00:00Z".parse().unwrap();
        let found = latest(&all, now).unwrap();
        assert_eq!(found.one.as_str(), "20261121T020000Z");
        let said = passed_over(&found).unwrap();
        assert!(said.starts_with("snapshot 20300101T000000Z bears a time yet to come"), "{said}");
        all.push(summary("20320101T000000Z", "2032-01-01T00:00:00Z"));
        assert!(passed_over(&latest(&all, now).unwrap()).unwrap().contains("20300101T000000Z (and 1 more)"));
        all.drain(2..);
        assert_eq!(passed_over(&latest(&all, now).unwrap()), None);
        assert!(latest(&[], now).is_none());
    }
}
