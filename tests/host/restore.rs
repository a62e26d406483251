//! Going back: everything of one moment, and nothing of it lost.

use crate::support::Host;

const PHOTOS: &str = "/var/lib/photos";

fn sql(host: &Host, statement: &str) -> String {
    host.ok(&format!("podman exec -u postgres immich-postgres psql -qU postgres -d immich -Atc \"{statement}\""))
}

/// A row, a file and a job in the queue with this name.
fn write(host: &Host, name: &str) {
    sql(host, &format!("CREATE TABLE IF NOT EXISTS moments (name text); INSERT INTO moments VALUES ('{name}')"));
    host.ok(&format!(
        "mkdir -p {PHOTOS}/live/media/upload/album && echo {name} >{PHOTOS}/live/media/upload/album/{name}.jpg && \
         podman exec immich-redis valkey-cli rpush moments {name}"
    ));
}

/// Names in the database, in media as the server sees it, and in the queue.
fn moments(host: &Host) -> [String; 3] {
    [
        sql(host, "SELECT string_agg(name, ' ' ORDER BY name) FROM moments"),
        host.ok(
            "podman exec immich-server ls /data/upload/album | sed 's/.jpg//' | sort | tr '\\n' ' ' | sed 's/ $//'",
        ),
        host.ok("podman exec immich-redis valkey-cli lrange moments 0 -1 | sort | tr '\\n' ' ' | sed 's/ $//'"),
    ]
}

fn snapshot(host: &Host) -> String {
    host.ok("photos-agent snapshot --json | jq -r .snapshot.id")
}

fn assert_nocow(host: &Host) {
    for part in ["postgres", "redis"] {
        let flags = host.ok(&format!("lsattr -d {PHOTOS}/live/{part} | cut -d' ' -f1"));
        assert!(flags.contains('C'), "{part}: {flags}");
    }
    let files = "find live/postgres/base -type f -size +0 -exec lsattr {} + | awk '{print $1}'";
    let files = host.ok(&format!("cd {PHOTOS} && {files}"));
    assert!(files.lines().count() > 100 && files.lines().all(|flags| flags.contains('C')), "NOCOW files");
}

#[test]
fn everything_of_one_moment_comes_back_and_what_was_live_is_kept() {
    let host = Host::converged("restore");
    write(&host, "before");
    let id = snapshot(&host);
    write(&host, "after");
    host.ok(&format!("echo changed >>{PHOTOS}/live/media/upload/album/before.jpg"));
    sql(&host, "DELETE FROM moments WHERE name = 'before'");
    // What is in the way is said before anything is touched.
    host.ok(&format!(
        "mkdir {PHOTOS}/live/theirs {PHOTOS}/next && btrfs -q subvolume create {PHOTOS}/live/media/inner"
    ));
    let refused = host.fails(3, &format!("photos-agent restore {id} --yes"));
    for wanted in ["live/theirs", "mv '/var/lib/photos/live/theirs'", "photos/next", "subvolumes of its own"] {
        assert!(refused.err.contains(wanted), "{wanted}: {}", refused.all());
    }
    host.ok(&format!(
        "rmdir {PHOTOS}/live/theirs {PHOTOS}/next && btrfs -q subvolume delete {PHOTOS}/live/media/inner"
    ));
    host.ok(&format!("mkdir {PHOTOS}/live/media/inner && mount -t tmpfs tmpfs {PHOTOS}/live/media/inner"));
    assert!(host.fails(3, &format!("photos-agent restore {id} --yes")).err.contains("is a mount point"));
    host.ok(&format!("umount {PHOTOS}/live/media/inner && rmdir {PHOTOS}/live/media/inner"));
    let refused = host.fails(3, "photos-agent restore latest");
    assert!(refused.err.contains("no terminal"), "{}", refused.all());
    host.fails(3, "photos-agent restore 1999 --yes");
    let running = host.ok("systemctl show -P InvocationID immich-postgres");
    let prospect = host.ok("photos-agent restore latest --dry-run --json");
    host.write("/root/prospect", &prospect);
    // One was changed, one is new; nothing else was touched since, however much there is.
    let counted =
        "jq -c '.prospect | [.newer.media.changed, .newer.media.created, .files_out_of_force]' /root/prospect";
    assert_eq!(host.ok(counted), "[2,1,false]");
    assert_eq!(host.ok("systemctl show -P InvocationID immich-postgres"), running, "nothing was done");

    // The database of then knows the password of then.
    host.ok("photos-agent secret rotate photos-db-password");
    // A beginning that only one has is a name.
    let said = host.ok(&format!("photos-agent restore {} --yes", &id[..id.len() - 1]));
    assert!(said.contains("is back"), "{said}");
    host.assert_converged();
    assert_eq!(moments(&host), ["before", "before", "before"]);
    assert_eq!(host.ok(&format!("cat {PHOTOS}/live/media/upload/album/before.jpg")), "before");
    assert_nocow(&host);
    let operation = host.ok("photos-agent history --json | jq .operations[0].id");
    let kept = format!("{PHOTOS}/replaced/{:06}", operation.parse::<u64>().expect("a number"));
    assert_eq!(host.ok(&format!("ls {kept}/media/upload/album | tr '\\n' ' '")), "after.jpg before.jpg ");
    host.ok(&format!("grep -q changed {kept}/media/upload/album/before.jpg && test -e {kept}/postgres/PG_VERSION"));
    host.fails(1, &format!("test -e {PHOTOS}/next -o -e /var/lib/photos-agent/pending"));
    assert!(!host.ok("photos-agent plan").contains("note:"), "the configuration was the same");

    // One part alone, and what disagrees then.
    write(&host, "later");
    let said = host.run("photos-agent restore latest --only media --yes");
    assert!(said.code == 0 && said.err.contains("the photographs go back and the database stays"), "{}", said.all());
    host.assert_converged();
    assert_eq!(moments(&host), ["before later", "before", "before later"]);

    // What a restore left whose journal somebody has lost is not guessed at.
    host.ok(&format!("mkdir {PHOTOS}/next && btrfs -q subvolume snapshot {PHOTOS}/live/media {PHOTOS}/next/media"));
    let refused = host.fails(3, "photos-agent apply");
    assert!(refused.err.contains("its journal is gone"), "{}", refused.all());
    host.ok(&format!("btrfs -q subvolume delete {PHOTOS}/next/media && rmdir {PHOTOS}/next"));

    // A subvolume that is gone comes back.
    host.ok("systemctl stop photos.target 'immich-*'");
    host.ok(&format!("btrfs -q subvolume delete {PHOTOS}/live/media"));
    host.fails(3, "photos-agent plan");
    host.ok("photos-agent restore latest --yes");
    assert_eq!(host.ok(&format!("ls {PHOTOS}/live/media/upload/album")), "before.jpg");
    host.fails(3, "systemctl is-active photos.target");
    host.ok("systemctl start photos.target");
    host.wait_for("photos-agent status", 60);
    assert_eq!(moments(&host), ["before", "before", "before"]);
}

#[test]
fn the_stack_of_then_holds_until_somebody_says_otherwise() {
    let host = Host::with_images("restorehold");
    let subnet = "podman network inspect photos --format '{{range .Subnets}}{{.Subnet}}{{end}}'";
    let release = "curl -sf http://127.0.0.1:2283/api/server/version | jq -r '\"v\\(.major).\\(.minor).\\(.patch)\"'";
    let runs = |host: &Host| (host.ok(release), host.ok(subnet));
    let then = || ("v3.1.0".to_owned(), "10.99.7.0/24".to_owned());
    let now = || ("v3.2.2".to_owned(), "10.99.8.0/24".to_owned());
    let configure = |host: &Host, (version, subnet): (String, String)| {
        host.configure(&format!("[immich]\nversion = \"{version}\"\n[network]\nsubnet = \"{subnet}\"\n"));
        host.ok("photos-agent apply");
    };
    configure(&host, then());
    write(&host, "before");
    let id = snapshot(&host);
    let image = host.ok("podman inspect immich-server --format '{{.ImageName}}'");
    configure(&host, now());
    let upgrade = |host: &Host| host.ok("photos-agent upgrade --to v3.2.2 --now");
    upgrade(&host);
    assert_eq!(runs(&host), now());
    write(&host, "after");
    let newer = snapshot(&host);

    // Its image is not in the store any more.
    host.ok(&format!("podman rmi -f '{image}'"));
    let said = host.run(&format!("photos-agent restore {id} --yes"));
    assert!(said.code == 0, "{}", said.all());
    for wanted in ["v3.1.0; now it is v3.2.2", "is not touched", "pull ghcr.io/immich-app/immich-server@sha256"] {
        assert!(said.err.contains(wanted), "{wanted}: {}", said.all());
    }
    assert_eq!(runs(&host), then());
    assert_eq!(moments(&host), ["before", "before", "before"]);
    let holds = |host: &Host| {
        host.assert_converged();
        let plan = host.ok("photos-agent plan");
        assert!(plan.contains("note:") && plan.contains("photos-agent apply"), "{plan}");
        assert_eq!(runs(host), then());
    };
    holds(&host);
    // What runs now is older than that database.
    let refused = host.fails(3, &format!("photos-agent restore {newer} --keep-images --yes"));
    assert!(refused.err.contains("opens no database of v3.2.2"), "{}", refused.all());

    // Neither the daemon's start nor its repairs nor a boot undo it.
    host.ok("systemctl start photos-agent");
    host.wait_for("systemctl show -P StatusText photos-agent | grep converged", 30);
    host.ok("rm /etc/systemd/system/photos.slice");
    host.wait_for("test -e /etc/systemd/system/photos.slice", 60);
    holds(&host);
    host.ok("systemctl enable photos-agent");
    host.reboot();
    host.wait_for("photos-agent status", 90);
    host.wait_for("systemctl show -P StatusText photos-agent | grep converged", 60);
    holds(&host);
    // The operator does.
    host.ok("systemctl reload photos-agent");
    host.wait_for(&format!("[ \"$({subnet})\" = 10.99.8.0/24 ]"), 90);
    host.wait_for("photos-agent status", 90);
    // The release is the lock's, and stays with its data.
    let plan = host.ok("photos-agent plan");
    assert!(plan.contains("to go to v3.2.2: photos-agent upgrade") && plan.matches("note:").count() == 1, "{plan}");
    assert_eq!(runs(&host), (then().0, now().1));
    upgrade(&host);
    assert!(!host.ok("photos-agent plan").contains("note:"));
    assert_eq!((runs(&host), moments(&host)), (now(), ["before", "before", "before"].map(str::to_owned)));

    // The data of then under the release of now.
    write(&host, "later");
    host.ok(&format!("photos-agent restore {id} --keep-images --yes"));
    host.assert_converged();
    assert_eq!((runs(&host), moments(&host)), (now(), ["before", "before", "before"].map(str::to_owned)));
}

#[test]
fn a_restore_that_fails_before_it_changed_anything_leaves_nothing_open() {
    let host = Host::converged("restorefails");
    write(&host, "before");
    snapshot(&host);
    write(&host, "after");
    let fails = || {
        let eio = "strace -qq -o /dev/null -e trace=renameat2 -e inject=renameat2:error=EIO:when=1";
        let failed = host.fails(1, &format!("{eio} photos-agent restore latest --yes"));
        assert!(failed.err.contains("could not exchange"), "{}", failed.all());
        host.fails(1, &format!("test -e /var/lib/photos-agent/pending -o -e {PHOTOS}/next"));
        failed
    };
    // A container of the operator's would go on with what is put aside.
    let image = host.ok("podman inspect -f '{{.Image}}' immich-redis");
    host.ok(&format!("podman run -d --name theirs --entrypoint sleep -v {PHOTOS}/live/media:/m {image} inf"));
    let held = host.fails(3, "photos-agent restore latest --yes");
    assert!(held.err.contains("is mounted by sleep (process "), "{}", held.all());
    host.ok("podman rm -f -t 0 theirs");
    fails();
    host.assert_converged();
    assert_eq!(moments(&host), ["after before", "after before", "after before"]);
    // Of a stack that is down there is nothing to start, and nothing more to write down.
    host.ok("systemctl stop photos.target 'immich-*'");
    fails();
    host.fails(3, "systemctl is-active photos.target");
    host.ok("systemctl start photos.target");
    host.wait_for("photos-agent status", 60);
    assert_eq!(moments(&host), ["after before", "after before", "after before"]);
}
