//! `photos-agent snapshot list`: what there is to go back to. Changes nothing, and asks neither bus nor Podman.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::process::ExitCode;

use jiff::Timestamp;
use serde::Serialize;

use super::bytes;
use crate::cli::failure::Failure;
use crate::cli::plan::count;
use crate::cli::{Context, time};
use crate::host::quota::Size;
use crate::model::{HostPath, Root, SnapshotId};
use crate::record::{Found, RecordError, Snapshots, Summary};
use crate::snapshot::replaced::{self, Replaced};
use crate::snapshot::{Applied, Sizes, name_holes, why_left};
use crate::stack::Disk;

#[derive(Serialize)]
struct Body {
    /// Newest first.
    snapshots: Vec<Row>,
    /// Live trees that a restore has replaced.
    replaced: Vec<Tree>,
    /// Folders of what is in the making, or was interrupted.
    debris: Vec<SnapshotId>,
    /// Parts on other disks of what has no manifest here: its disk may be away.
    strangers: Vec<Strangers>,
}

#[derive(Serialize)]
struct Strangers {
    folder: HostPath,
    snapshots: Vec<SnapshotId>,
}

#[derive(Serialize)]
struct Row {
    id: SnapshotId,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<Summary>,
    /// What is other than in the one before.
    changes: Vec<String>,
    /// Why it is of no use to this agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    unfit: Option<String>,
    /// Where quotas are on.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<Size>,
}

#[derive(Serialize)]
struct Tree {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<Size>,
}

pub(super) fn run(context: &Context) -> Result<ExitCode, Failure> {
    let applied = Applied::read(&context.root)?;
    let all = applied.snapshots(&context.root).all()?;
    let disks = &applied.desired.disks;
    let sizes = Sizes::of(&context.root, disks)?;
    let known: HashSet<&SnapshotId> = all.iter().map(|(id, _)| id).collect();
    let strangers = strangers(&context.root, disks, &known)?;
    let (mut rows, mut debris) = (Vec::<Row>::new(), Vec::new());
    for (id, found) in all {
        match found {
            Found::Debris => debris.push(id),
            Found::Whole(summary) => {
                let size = sizes.as_ref().map(|sizes| sizes.snapshot(&id)).transpose()?;
                let before = rows.iter().rev().find_map(|row| row.summary.as_ref());
                let changes = before.map(|before| changes(before, &summary)).unwrap_or_default();
                rows.push(Row { id, summary: Some(summary), changes, unfit: None, size });
            }
            found => {
                let unfit = Some(why_left(&found));
                rows.push(Row { id, summary: None, changes: Vec::new(), unfit, size: None });
            }
        }
    }
    rows.reverse();
    let tree = |replaced: Replaced| {
        let places = replaced::places(&context.root, disks, replaced);
        let size = sizes.as_ref().map(|sizes| sizes.places(&places)).transpose()?;
        Ok::<_, Failure>(Tree { name: replaced.name(), size })
    };
    let replaced = replaced::all(&context.root, disks)?.into_iter().map(tree).collect::<Result<_, _>>()?;
    let body = Body { snapshots: rows, replaced, debris, strangers };
    context.output.answer("snapshots", &body, || text(&body, Timestamp::now()));
    Ok(ExitCode::SUCCESS)
}

/// What the other disks have beyond what is known.
fn strangers(root: &Root, disks: &[Disk], known: &HashSet<&SnapshotId>) -> Result<Vec<Strangers>, RecordError> {
    let mut all = Vec::new();
    for disk in disks.iter().skip(1) {
        let folder = disk.snapshots();
        let mut snapshots = Snapshots::new(root.join(folder.as_path())).names()?;
        snapshots.retain(|id| !known.contains(id));
        if !snapshots.is_empty() {
            all.push(Strangers { folder, snapshots });
        }
    }
    Ok(all)
}

/// What is other in `after`.
pub(super) fn changes(before: &Summary, after: &Summary) -> Vec<String> {
    let mut changes = Vec::new();
    if before.release != after.release {
        changes.push(format!("Immich {} -> {}", before.release, after.release));
    }
    for (service, image) in after.images.iter() {
        if before.images.get(service) != Some(image) {
            changes.push(format!("another image of {}", service.stem()));
        }
    }
    changes
}

fn text(body: &Body, now: Timestamp) -> String {
    let mut text = String::new();
    let longest = body.snapshots.iter().map(|row| row.id.as_str().len()).max().unwrap_or_default();
    for row in &body.snapshots {
        let _ = write!(text, "{:<longest$}  ", row.id.as_str());
        if let Some(summary) = &row.summary {
            let (moment, age) = (time::local(summary.created), time::age(summary.created, now));
            let _ = write!(text, "{moment}  {age:>7}  ");
        }
        if let Some(size) = row.size {
            let _ = write!(text, "{:>10} own {:>10} in all  ", bytes(size.exclusive), bytes(size.total));
        }
        if let Some(summary) = &row.summary {
            let _ = write!(text, "{}  {}", if summary.keep { "kept" } else { "    " }, summary.reason);
        }
        if let Some(unfit) = &row.unfit {
            let _ = write!(text, "of no use: {unfit}");
        }
        if let Some(holes) = row.summary.as_ref().map(|summary| &summary.holes).filter(|holes| !holes.is_empty()) {
            let _ = write!(text, "  WITHOUT {}", name_holes(holes));
        }
        if !row.changes.is_empty() {
            let _ = write!(text, "  ({})", row.changes.join(", "));
        }
        text.push('\n');
    }
    for Strangers { folder, snapshots } in &body.strangers {
        let (several, one) =
            (count(snapshots.len(), "snapshot"), snapshots.iter().max().map_or("", SnapshotId::as_str));
        let _ = writeln!(text, "{folder}: parts of {several} without a manifest, like {one}; is storage.root mounted?");
    }
    if body.snapshots.is_empty() && body.strangers.is_empty() {
        text.push_str("There is no snapshot yet; take one: photos-agent snapshot\n");
    }
    for tree in &body.replaced {
        let size = tree.size.map(|size| format!(", {} of its own", bytes(size.exclusive))).unwrap_or_default();
        let name = &tree.name;
        let _ = writeln!(
            text,
            "{name}: what a restore has replaced{size}; to delete it: photos-agent snapshot delete {name}"
        );
    }
    for id in &body.debris {
        let _ = writeln!(text, "{id}: in the making, or interrupted; the next command on snapshots removes it then");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(id: &str, created: &str, release: &str) -> Summary {
        let images = format!(r#"{{"redis": "valkey", "server": "server:{release}"}}"#);
        let text = format!(
            r#"{{"schema": 1, "id": "{id}", "created": "{created}", "reason": "scheduled", "keep": {},
            "release": "{release}", "images": {images}}}"#,
            release == "v3.2.2"
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_list_says_what_changed_and_what_is_of_no_use() {
        let old = summary("20261120T020000Z", "2026-11-20T02:00:00Z", "v3.2.1");
        let new = summary("20261121T020000Z-12", "2026-11-21T02:00:00Z", "v3.2.2");
        let changes = changes(&old, &new);
        let size = Some(Size { exclusive: 1 << 20, total: 5 << 30 });
        let row = |summary: Summary, changes| Row {
            id: summary.id.clone(),
            summary: Some(summary),
            changes,
            unfit: None,
            size: None,
        };
        let damaged = Row {
            id: "20261119T020000Z".parse().unwrap(),
            summary: None,
            changes: Vec::new(),
            unfit: Some("its manifest is damaged: EOF".to_owned()),
            size: None,
        };
        let body = Body {
            snapshots: vec![row(new, changes), Row { size, ..row(old, Vec::new()) }, damaged],
            replaced: vec![Tree { name: "replaced-000012".to_owned(), size }],
            debris: Vec::new(),
            strangers: Vec::new(),
        };
        assert!(serde_json::to_value(&body).unwrap()["snapshots"][0]["summary"]["holes"].is_array());
        let text = text(&body, "2026-11-21T03:30:00Z".parse().unwrap());
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("20261121T020000Z-12  2026-11-2"), "{text}");
        assert!(
            lines[0].ends_with("   90 min  kept  scheduled  (Immich v3.2.1 -> v3.2.2, another image of immich-server)")
        );
        assert!(lines[1].contains("     25 h     1.0 MiB own    5.0 GiB in all        scheduled"), "{text}");
        assert_eq!(lines[2], "20261119T020000Z     of no use: its manifest is damaged: EOF");
        assert!(lines[3].starts_with("replaced-000012: what a restore has replaced, 1.0 MiB of its own; "), "{text}");
        assert_eq!(lines.len(), 4);
    }
}
