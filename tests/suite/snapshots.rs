//! The commands that look at snapshots, in a sealed folder with manifests and without BTRFS.

#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use jiff::{SignedDuration, Timestamp};
use photos_agent::model::SnapshotId;
use serde_json::{Value, json};
use tempfile::TempDir;

const AT: &str = "var/lib/photos/.snapshots";

/// A root on which an empty configuration was applied.
fn applied() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let generation = json!({
        "schema": 1, "number": 1, "created": "2026-01-01T00:00:00Z", "agent": "0.1.0", "release": "v3.2.2",
        "config": {}, "images": {}, "files": {},
    });
    let records = root.path().join("var/lib/photos-agent/generations");
    fs::create_dir_all(&records).unwrap();
    fs::write(records.join("000001.json"), generation.to_string()).unwrap();
    fs::create_dir_all(root.path().join(AT)).unwrap();
    root
}

/// A manifest as the agent writes it, with all its texts.
fn manifest(id: &SnapshotId, created: Timestamp, release: &str) -> Value {
    let digest = format!("sha256:{}", "0a".repeat(32));
    let image = |name: &str| format!("ghcr.io/immich-app/{name}@{digest}");
    let part = json!({
        "uuid": "93f18ddd-47e7-2942-880b-de79f92b74b1", "of": "3ca3ba60-9a29-e84e-b9a5-7ac02e793561", "generation": 123,
    });
    let texts: serde_json::Map<String, Value> =
        (0..16).map(|number| (format!("/etc/systemd/system/unit-{number}.service"), json!("0a".repeat(32)))).collect();
    json!({
        "schema": 1, "id": id, "created": created, "reason": "scheduled", "command": "photos-agent snapshot",
        "by": "root", "keep": false, "frozen_us": 36200,
        "parts": { "postgres": part, "redis": part, "media": part, "icloud": part },
        "release": release,
        "database": { "version": "17.6", "checksums": true, "checksum_failures": 0, "migration": "1788542403000-Add" },
        "generation": 1,
        "images": { "postgres": image("postgres"), "redis": image("valkey"), "server": image(release), "ml": image("ml") },
        "texts": texts, "agent": "0.1.0",
    })
}

fn put(root: &Path, created: Timestamp, release: &str) -> SnapshotId {
    let id = SnapshotId::of(created, 1);
    let folder = root.join(AT).join(id.as_str());
    fs::create_dir(&folder).unwrap();
    let text = serde_json::to_string_pretty(&manifest(&id, created, release)).unwrap();
    fs::write(folder.join("manifest.json"), text).unwrap();
    id
}

fn run(root: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_photos-agent"));
    command.env_clear().env("TZ", "UTC").arg("--root").arg(root).arg("snapshot").args(arguments);
    command.output().unwrap()
}

fn out(root: &Path, code: i32, arguments: &[&str]) -> String {
    let done = run(root, arguments);
    assert_eq!(done.status.code(), Some(code), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn a_list_has_the_newest_first_and_what_changed() {
    let root = applied();
    put(root.path(), at("2026-01-01T02:00:00Z"), "v3.2.1");
    put(root.path(), at("2026-01-02T02:00:00Z"), "v3.2.1");
    put(root.path(), at("2026-01-03T02:00:00Z"), "v3.2.2");
    let broken = root.path().join(AT).join("20260102T120000Z");
    fs::create_dir(&broken).unwrap();
    fs::write(broken.join("manifest.json"), "{").unwrap();
    fs::create_dir(root.path().join(AT).join("20260102T130000Z")).unwrap();
    fs::create_dir(root.path().join(AT).join("mine")).unwrap();
    // One that somebody's disk in the library had no part in.
    let at_that = at("2026-01-02T03:00:00Z");
    let mut text = manifest(&SnapshotId::of(at_that, 1), at_that, "v3.2.2");
    text["holes"] = json!(["/var/lib/photos/live/media/library", "/var/lib/photos/live/media/two"]);
    let folder = root.path().join(AT).join(SnapshotId::of(at_that, 1).as_str());
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("manifest.json"), text.to_string()).unwrap();
    let list = out(root.path(), 0, &["list"]);
    let holes = "WITHOUT /var/lib/photos/live/media/library, /var/lib/photos/live/media/two";
    assert_eq!(list.lines().filter(|line| line.contains(holes)).count(), 1, "{list}");
    let shown = out(root.path(), 0, &["show", "20260102T03"]);
    assert!(shown.contains("WITHOUT    /var/lib/photos/live/media/library\nWITHOUT "), "{shown}");
    fs::remove_dir_all(&folder).unwrap();

    let list = out(root.path(), 0, &["list"]);
    let lines: Vec<&str> = list.lines().collect();
    assert_eq!(lines.len(), 5, "{list}");
    assert!(lines[0].starts_with("20260103T020000Z  2026-01-03 02:00:00"));
    assert!(lines[0].ends_with("scheduled  (Immich v3.2.1 -> v3.2.2, another image of immich-server)"), "{list}");
    assert!(lines[1].starts_with("20260102T120000Z") && lines[1].contains("manifest is damaged"), "{list}");
    assert!(lines[2].ends_with("  scheduled"), "nothing changed: {list}");
    assert!(lines[4].starts_with("20260102T130000Z: in the making, or interrupted"), "{list}");
    let json: Value = serde_json::from_str(&out(root.path(), 0, &["list", "--json"])).unwrap();
    assert_eq!(json["snapshots"][0]["changes"][0], "Immich v3.2.1 -> v3.2.2");
    assert_eq!(json["debris"], json!(["20260102T130000Z"]));

    let shown = out(root.path(), 0, &["show", "latest"]);
    assert!(
        shown.contains("changes    Immich v3.2.1 -> v3.2.2") && shown.contains("stays      the newest, "),
        "{shown}"
    );
    assert!(shown.contains("quotas are off"), "{shown}");
    assert_eq!(out(root.path(), 0, &["show", "20260103"]), shown);
    out(root.path(), 3, &["show", "20260102T12"]);
    out(root.path(), 64, &["show", "2026"]);
    out(root.path(), 3, &["show", "mine"]);
}

#[test]
fn what_lies_on_the_other_disk_alone_is_told() {
    let root = applied();
    let text = "[storage]\nroot = \"/var/lib/photos\"\ndatabases = \"/srv/databases\"\n";
    let record = root.path().join("var/lib/photos-agent/generations/000001.json");
    let mut generation: Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
    generation["config"] = json!({ "/etc/photos-agent/config.toml": text });
    fs::write(&record, generation.to_string()).unwrap();
    let there = put(root.path(), at("2026-01-01T02:00:00Z"), "v3.2.2");
    for id in [there.as_str(), "20260102T020000Z", "20260103T020000Z"] {
        fs::create_dir_all(root.path().join("srv/databases/.snapshots").join(id)).unwrap();
    }
    let list = out(root.path(), 0, &["list"]);
    assert!(
        list.contains("/srv/databases/.snapshots: parts of 2 snapshots without a manifest, like 20260103T020000Z"),
        "{list}"
    );
    fs::remove_dir_all(root.path().join(AT)).unwrap();
    let list = out(root.path(), 0, &["list"]);
    assert!(list.contains("parts of 3 snapshots") && !list.contains("There is no snapshot yet"), "{list}");
    let json: Value = serde_json::from_str(&out(root.path(), 0, &["list", "--json"])).unwrap();
    assert_eq!(json["strangers"][0]["snapshots"][0], there.as_str());
}

#[test]
fn a_clock_that_was_ahead_does_not_decide_what_is_latest() {
    let root = applied();
    let (yesterday, today) = (Timestamp::now() - SignedDuration::from_hours(24), Timestamp::now());
    put(root.path(), yesterday, "v3.2.2");
    let latest = put(root.path(), today, "v3.2.2");
    put(root.path(), today + SignedDuration::from_hours(24 * 1500), "v3.2.2");
    let shown = run(root.path(), &["show", "latest"]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains(&format!("snapshot   {latest}")));
    let told = String::from_utf8_lossy(&shown.stderr).into_owned();
    assert!(told.contains("bears a time yet to come") && told.contains(latest.as_str()), "{told}");
}

#[test]
fn what_a_restore_needs_stays_and_prune_and_show_say_so() {
    let root = applied();
    let of = |day: i64| at("2025-01-01T02:00:00Z") + SignedDuration::from_hours(24 * day);
    let ids: Vec<SnapshotId> = (0..400).map(|day| put(root.path(), of(day), "v3.2.2")).collect();
    let goes = |id: &SnapshotId| out(root.path(), 2, &["prune", "--dry-run"]).contains(&format!("delete  {id}"));
    assert!(goes(&ids[1]) && goes(&ids[2]));
    let records = root.path().join("var/lib/photos-agent");
    let restored = json!({
        "schema": 1, "number": 2, "created": "2026-01-01T00:00:00Z", "agent": "0.1.0", "release": "v3.2.2", "config": {},
        "images": {}, "files": {}, "restored": { "snapshot": ids[1], "out_of_force": {} },
    });
    fs::write(records.join("generations/000002.json"), restored.to_string()).unwrap();
    let pending = json!({
        "schema": 1, "id": 9, "command": "photos-agent restore", "started": "2026-01-01T00:00:00Z", "agent": "0",
        "stack_was_stopped": false, "steps": [], "restore": { "snapshot": ids[2], "operation": 9, "disks": [] },
    });
    fs::write(records.join("pending"), pending.to_string()).unwrap();
    assert!(!goes(&ids[1]) && !goes(&ids[2]) && goes(&ids[3]));
    for (id, said) in [(&ids[1], "needed by generation 2"), (&ids[2], "needed by operation 9")] {
        let shown = out(root.path(), 0, &["show", id.as_str()]);
        assert!(shown.contains(&format!("stays      {said}")), "{shown}");
    }
}

#[test]
fn a_dry_run_has_a_line_for_each_of_ten_thousand() {
    let root = applied();
    let first = at("2025-01-01T00:30:00Z");
    for hour in 0..10_000 {
        put(root.path(), first + SignedDuration::from_hours(hour), "v3.2.2");
    }
    let list = out(root.path(), 0, &["list"]);
    assert_eq!(list.lines().count(), 10_000);
    let dry = out(root.path(), 2, &["prune", "--dry-run"]);
    let count = |word: &str| dry.lines().filter(|line| line.starts_with(word)).count();
    assert_eq!(
        count("keep "),
        3 + 6 + 3 + 4,
        "{}",
        dry.lines().filter(|line| line.starts_with("keep")).collect::<String>()
    );
    assert_eq!(count("delete "), 10_000 - count("keep "));
    let marks = |line: &&str| line.contains("a newer one stands for its ") || line.contains("older than ");
    assert_eq!(dry.lines().filter(marks).count(), count("delete "), "each says why");
    assert_eq!(fs::read_dir(root.path().join(AT)).unwrap().count(), 10_000, "nothing was deleted");
    assert!(!root.path().join("run").exists(), "nothing was locked");
}

#[test]
fn nothing_is_listed_where_nothing_was_applied() {
    let root = tempfile::tempdir().unwrap();
    let done = run(root.path(), &["list"]);
    assert_eq!(done.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&done.stderr).contains("photos-agent apply"));
    assert_eq!(out(applied().path(), 0, &["list"]), "There is no snapshot yet; take one: photos-agent snapshot\n");
}
