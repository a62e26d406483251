//! What must not befall a snapshot: two disks of which one goes away, a power cut, a disk that fails, and photographs that
//! no snapshot reaches.

use crate::support::Host;

/// Bind mounts, which no boot brings back.
const PHOTOS: &str = "/mnt/photos";
const DATABASES: &str = "/srv/pool/databases";

const CONFIGURATION: &str = "[storage]\nroot = \"/mnt/photos\"\ndatabases = \"/srv/pool/databases\"\n";

fn mount(host: &Host) {
    host.ok(&format!("mkdir -p /srv/pool/photos {PHOTOS} && mount --bind /srv/pool/photos {PHOTOS}"));
}

fn snapshot(host: &Host) -> String {
    host.ok("photos-agent snapshot --json | jq -r .snapshot.id")
}

/// Everything that there is of snapshots, with the UUIDs of subvolumes, wherever the disk of photographs is mounted.
fn all(host: &Host) -> String {
    host.ok(&format!(
        "for each in /srv/pool/photos/.snapshots/*/*/snapshot {DATABASES}/.snapshots/*/*/snapshot; do \
             echo $each $(btrfs subvolume show $each | grep -m 1 UUID:); done; \
         ls /srv/pool/photos/.snapshots/*/manifest.json {DATABASES}/.snapshots/*/manifest.json"
    ))
}

/// Which fsync of the command is that of the folder that got the manifest.
fn sync_of_manifest(host: &Host) -> u64 {
    let calls = "/dev/shm/calls";
    host.ok(&format!("strace -f -y -qq -o {calls} -e trace=fsync photos-agent snapshot >/dev/null"));
    let number = host.ok(&format!(
        "main=$(grep '{PHOTOS}/.snapshots/[0-9TZ-]*>' {calls} | tail -n 1 | cut -d' ' -f1); \
         grep \"^$main .*fsync(\" {calls} | grep -n '{PHOTOS}/.snapshots/[0-9TZ-]*>' | tail -n 1 | cut -d: -f1"
    ));
    number.parse().expect("it syncs the folder")
}

/// A disk in the library, and a library that somebody has made a subvolume.
fn tells_what_no_snapshot_reaches(host: &Host) {
    let media = format!("{PHOTOS}/live/media");
    let (disk, nested) = (format!("{media}/library"), format!("{media}/upload/my library"));
    host.ok(&format!("mkdir -p {disk} && mount -t tmpfs tmpfs {disk} && btrfs -q subvolume create '{nested}'"));
    let failing = host.run("photos-agent doctor");
    assert!(failing.out.contains(&format!("FAILS    reach of snapshots: {disk}, {nested} is")), "{}", failing.all());
    let said = host.ok("photos-agent snapshot --reason holed");
    assert!(said.contains(&format!("WARNING: it is without {disk}, {nested}")), "{said}");
    let id = host.ok("photos-agent snapshot --json >/root/holed && jq -r .snapshot.id /root/holed");
    assert_eq!(host.ok("jq -c .snapshot.holes /root/holed"), format!(r#"["{disk}","{nested}"]"#));
    let list = host.ok("photos-agent snapshot list");
    assert_eq!(list.matches(&format!("WITHOUT {disk}, {nested}")).count(), 2, "{list}");
    let shown = host.ok(&format!("photos-agent snapshot show {id}"));
    assert!(shown.contains(&format!("WITHOUT    {nested}")), "{shown}");
    let status = host.fails(2, "photos-agent status").out;
    assert!(status.contains(&format!("Concern: snapshot {id}: is without {disk}, {nested}")), "{status}");
    let tried = host.ok("photos-agent snapshot verify latest");
    assert!(tried.contains(&format!("not checked  holes: it is without {disk}, {nested}")), "{tried}");

    host.ok(&format!("umount {disk} && btrfs -q subvolume delete '{nested}'"));
    let prospect = host.run(&format!("photos-agent restore {id} --dry-run"));
    assert!(prospect.all().contains(&format!("the snapshot is without {disk}, {nested}")), "{}", prospect.all());
    let whole = snapshot(host);
    assert!(!host.ok(&format!("photos-agent snapshot show {whole}")).contains("WITHOUT"));
    host.assert_converged();
    for id in host.ok("photos-agent snapshot list --json | jq -r '.snapshots[].id'").lines() {
        host.ok(&format!("photos-agent snapshot delete {id} --yes"));
    }
}

#[test]
fn a_snapshot_stays_whole_whatever_befalls_a_disk() {
    let host = Host::with_images("twodisks");
    mount(&host);
    host.configure(CONFIGURATION);
    host.ok("photos-agent apply");
    host.assert_converged();

    tells_what_no_snapshot_reaches(&host);

    // A disk that fails as the manifest comes to it: nothing that looks whole and is not.
    let before = (snapshot(&host), sync_of_manifest(&host));
    let count = || host.ok(&format!("ls {PHOTOS}/.snapshots {DATABASES}/.snapshots | grep -c Z"));
    let snapshots = count();
    let failed = host.run(&format!(
        "strace -f -y -qq -o /dev/shm/failed -e trace=fsync -e inject=fsync:error=EIO:when={} photos-agent snapshot",
        before.1
    ));
    assert!(failed.code == 1 && failed.err.contains("sync the folder"), "{}", failed.all());
    host.ok("grep INJECTED /dev/shm/failed | grep -q '/mnt/photos/.snapshots/[0-9TZ-]*>'");
    assert_eq!(count(), snapshots, "it is gone from both disks");
    assert!(!host.ok("photos-agent snapshot list").contains("in the making"));

    // The power goes as soon as there is a snapshot.
    let id = snapshot(&host);
    host.cut_power();

    // The disk of the photographs does not come up again. Its snapshots are as they were, and so are those on the other.
    let there = all(&host);
    assert_eq!(there.matches("manifest.json").count(), 6, "three snapshots on two disks: {there}");
    host.fails(1, &format!("test -e {PHOTOS}/live"));
    host.ok("systemctl start photos-agent && sleep 5");
    let refused = host.fails(3, "photos-agent snapshot");
    assert!(refused.err.contains("/mnt/photos/live: is not there: is its disk mounted?"), "{}", refused.all());
    for command in ["snapshot prune", "snapshot delete 2 --yes", "snapshot delete latest --yes"] {
        assert_ne!(host.run(&format!("photos-agent {command}")).code, 0, "{command}");
    }
    assert_eq!(all(&host), there);
    let list = host.ok("photos-agent snapshot list");
    assert!(list.contains("parts of 3 snapshots without a manifest") && list.contains("mounted?"), "{list}");
    // Nor are they debris where an empty disk takes its place.
    host.ok(&format!(
        "mkdir -p {PHOTOS}/live {PHOTOS}/.snapshots; systemctl restart photos-agent photos-resolve; sleep 5"
    ));
    assert_eq!(all(&host), there);
    host.ok(&format!("systemctl stop photos-agent; rmdir {PHOTOS}/live {PHOTOS}/.snapshots"));

    // It comes back.
    mount(&host);
    let manifest = format!("{PHOTOS}/.snapshots/{id}/manifest.json");
    host.ok(&format!(
        "jq -r '.texts | to_entries[] | .value + \"  {PHOTOS}/.snapshots/{id}/stack\" + .key' {manifest} >/root/sums && \
         test $(wc -l </root/sums) -gt 10 && sha256sum --quiet -c /root/sums"
    ));
    host.ok(&format!("cmp {manifest} {DATABASES}/.snapshots/{id}/manifest.json"));
    host.ok("systemctl reset-failed; systemctl start photos.target");
    host.wait_for("photos-agent status", 120);
    let prospect = host.ok("photos-agent restore latest --dry-run");
    assert!(prospect.contains(&id), "{prospect}");

    // A deletion that was cut off between the disks, and one between the copy and the manifest, go on.
    let newest = snapshot(&host);
    host.ok(&format!("rm {PHOTOS}/.snapshots/{newest}/manifest.json"));
    let other = &before.0;
    host.ok(&format!("rm {DATABASES}/.snapshots/{other}/manifest.json {PHOTOS}/.snapshots/{other}/manifest.json"));
    host.ok("systemctl start photos-agent");
    host.wait_for(&format!("! ls {PHOTOS}/.snapshots {DATABASES}/.snapshots | grep -x -e {newest} -e {other}"), 30);
    host.ok(&format!("test -e {PHOTOS}/.snapshots/{id} -a -e {DATABASES}/.snapshots/{id}"));
    host.ok("photos-agent snapshot delete latest --yes");
    host.fails(1, &format!("test -e {PHOTOS}/.snapshots/{id} -o -e {DATABASES}/.snapshots/{id}"));
    host.assert_converged();
}
