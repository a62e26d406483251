//! Whether a snapshot would do is tried, and what is wrong with one is found.

use std::io::Write;
use std::time::Instant;

use crate::support::{Done, Host};

const SNAPSHOTS: &str = "/var/lib/photos/.snapshots";
const MEDIA: &str = "/var/lib/photos/live/media";

/// Photographs as Immich has them: a row, and the file that it names.
const ROWS: &str = r#"
INSERT INTO "user" (email, password) VALUES ('someone@example.com', 'x');
INSERT INTO asset ("ownerId", type, "originalPath", "originalFileName", checksum, "isOffline", "fileCreatedAt", "fileModifiedAt")
  SELECT id, 'IMAGE', path, 'x', decode(md5(path), 'hex'), path LIKE '%offline%', now(), now() FROM "user",
  (SELECT '/data/upload/p/' || n || '.jpg' AS path FROM generate_series(1, 300) AS n
   UNION SELECT unnest(ARRAY['/external/icloud/2026/a.heic', '/data/upload/offline.jpg', '/mnt/theirs/a.jpg',
                             '/data/encoded-video/p/a-MP.mp4'])) AS named;
"#;

/// One more, the newest.
fn row(path: &str) -> String {
    format!(
        r#"INSERT INTO asset ("ownerId", type, "originalPath", "originalFileName", checksum, "fileCreatedAt", "fileModifiedAt")
           SELECT id, 'IMAGE', '{path}', 'x', decode(md5('{path}'), 'hex'), now(), now() FROM "user";"#
    )
}

fn sql(host: &Host, statements: &str) -> String {
    host.write("/root/statements.sql", statements);
    let psql = "podman exec -i -u postgres immich-postgres psql -U postgres -d immich -v ON_ERROR_STOP=1 -qAt";
    host.ok(&format!("{psql} < /root/statements.sql"))
}

fn fill(host: &Host) {
    sql(host, ROWS);
    host.ok(&format!(
        "mkdir -p {MEDIA}/upload/p && cd {MEDIA}/upload/p && for n in $(seq 300); do echo $n > $n.jpg; done"
    ));
    host.ok("mkdir -p /var/lib/photos/live/icloud/2026 && echo x > /var/lib/photos/live/icloud/2026/a.heic");
}

fn snapshot(host: &Host) -> String {
    host.ok("photos-agent snapshot --json | jq -r .snapshot.id")
}

fn verify(host: &Host, code: i32, which: &str) -> Done {
    let begun = Instant::now();
    let done = host.fails(code, &format!("photos-agent snapshot verify {which}"));
    let _ = writeln!(std::io::stderr(), "verify: {} ms", begun.elapsed().as_millis());
    assert_nothing_left(host);
    done
}

fn assert_nothing_left(host: &Host) {
    assert_eq!(host.ok("podman ps -a --format '{{.Names}}' | grep verify || true"), "");
    assert_eq!(host.ok(&format!("ls -A {SNAPSHOTS} | grep verify || true")), "");
}

/// The finding of one check of the last trial.
fn finding(host: &Host, id: &str, what: &str) -> String {
    host.ok(&format!("jq -r '.checks[] | select(.what == \"{what}\") | .finding' {SNAPSHOTS}/{id}/proof.json"))
}

#[test]
fn a_snapshot_is_proven_or_it_is_said_what_is_wrong_with_it() {
    let host = Host::converged("verify");
    fill(&host);
    let good = snapshot(&host);
    let said = verify(&host, 0, "").out;
    assert!(said.contains("is proven") && said.contains("asset 304") && !said.contains("not checked"), "{said}");
    let proof = format!("{SNAPSHOTS}/{good}/proof.json");
    let seen =
        host.ok(&format!("jq -c '[.rows.asset, .files.missing, (.files.found > 100), ([.checks[].what])]' {proof}"));
    assert_eq!(seen, r#"[304,0,true,["parts","stack","start","rows","files","structure","checksums"]]"#);
    let status = host.ok("photos-agent status");
    assert!(status.contains(&format!("last proven restore: snapshot {good}")), "{status}");
    assert!(
        status.contains("unallocated") && host.ok("photos-agent doctor").contains("room for snapshots"),
        "{status}"
    );

    // A row without its file, and rows that would like to lead out of the snapshot.
    let hostile = "/data/../../../../../../../../etc/hostname";
    host.ok(&format!("ln -s /etc/hostname {MEDIA}/upload/link.jpg"));
    for path in ["/data/upload/never-arrived.jpg", hostile, "/data/upload/link.jpg"] {
        sql(&host, &row(path));
    }
    let torn = snapshot(&host);
    let said = verify(&host, 1, "latest").out;
    assert!(said.contains("NOT proven") && said.contains("3 of ") && said.contains("never-arrived.jpg"), "{said}");
    assert!(said.contains(hostile) && said.contains("link.jpg"), "{said}");
    assert_eq!(
        (finding(&host, &torn, "files").as_str(), finding(&host, &torn, "checksums").as_str()),
        ("failed", "passed")
    );
    let status = host.fails(2, "photos-agent status").out;
    assert!(status.contains(&format!("Snapshot {torn} was NOT proven")) && status.contains(&good), "{status}");

    // What was written is not what is read.
    let page = format!("{SNAPSHOTS}/{good}/postgres/snapshot/{}", sql(&host, "SELECT pg_relation_filepath('asset')"));
    let subvolume = format!("{SNAPSHOTS}/{good}/postgres/snapshot");
    host.ok(&format!("btrfs property set {subvolume} ro false"));
    host.ok(&format!("printf '\\377\\377\\377\\377' | dd of={page} bs=1 seek=12000 conv=notrunc status=none && sync"));
    host.ok(&format!("btrfs property set {subvolume} ro true"));
    let said = verify(&host, 1, &good).out;
    assert!(said.contains("NOT proven") && said.contains("pg_checksums:"), "{said}");
    for (what, found) in [("parts", "passed"), ("start", "passed"), ("structure", "failed"), ("checksums", "failed")] {
        assert_eq!(finding(&host, &good, what), found, "{what}: {said}");
    }
    host.fails(3, "photos-agent snapshot verify 20200101T000000Z");
    host.fails(64, "photos-agent snapshot verify ../..");
}

#[test]
fn a_killed_trial_leaves_nothing_and_a_full_disk_no_snapshot() {
    let host = Host::converged("verify-kill");
    fill(&host);
    let id = snapshot(&host);
    let mut trial = host.start("photos-agent snapshot verify");
    host.wait_for(&format!("podman exec photos-verify-{id} true"), 60);
    // It stands still in the middle of it: others work on, and leave it what it has.
    host.ok("pkill -STOP -f '^photos-agent snapshot verify'");
    snapshot(&host);
    host.ok(&format!("podman exec photos-verify-{id} true && test -d {SNAPSHOTS}/.verify-{id}/postgres"));
    host.fails(1, &format!("flock --nonblock --exclusive {SNAPSHOTS}/{id} true"));
    host.fails(3, &format!("photos-agent snapshot verify {id}"));
    host.ok("pkill -KILL -f '^photos-agent snapshot verify'");
    let _ = trial.wait();
    snapshot(&host);
    assert_nothing_left(&host);
    host.ok(&format!("flock --nonblock --exclusive {SNAPSHOTS}/{id} true"));

    // The same by the daemon's start, and by SIGTERM.
    host.ok(&format!(
        "mkdir {SNAPSHOTS}/.verify-{id} && btrfs -q subvolume snapshot {SNAPSHOTS}/{id}/postgres/snapshot {SNAPSHOTS}/.verify-{id}/postgres"
    ));
    host.ok("systemctl start photos-agent");
    host.wait_for(&format!("test ! -e {SNAPSHOTS}/.verify-{id}"), 60);
    host.ok("systemctl stop photos-agent");
    let mut trial = host.start("photos-agent snapshot verify");
    host.wait_for("podman ps --format '{{.Names}}' | grep -q photos-verify", 60);
    host.ok("pkill -TERM -f '^photos-agent snapshot verify'");
    assert!(!trial.wait().expect("it ends").success());
    assert_nothing_left(&host);

    // From here on the disk is full.
    host.ok("fallocate -l $(( $(df --output=avail -B1 / | tail -1) - (300 << 20) )) /fill && sync");
    let refused = host.fails(3, "photos-agent snapshot").err;
    assert!(refused.contains("too full for a snapshot") && refused.contains("of data, and 1024 MiB"), "{refused}");
    assert!(refused.contains("snapshot prune") && refused.contains("btrfs balance start -dusage"), "{refused}");
    host.fails(3, "photos-agent snapshot verify");
    host.fails(2, "photos-agent doctor");
    sql(&host, &row("/data/upload/p/full.jpg"));
    host.assert_converged();
    host.ok("rm /fill && sync");
    host.wait_for("photos-agent snapshot", 60);
}
