//! What stands in the way is named with its reason and the next command, and nothing is touched meanwhile.

use crate::support::{Done, Host};

/// Everything that a refused command must leave as it was.
const LISTING: &str = "places='/etc/containers /etc/systemd/system /etc/sysctl.d /var/lib/photos /var/lib/photos-agent'
    databases='-path */live/*/* -prune -o'
    find $places $databases -printf '%p %y %m %U %l\\n' 2>/dev/null | sort
    find $places $databases -type f -exec md5sum {} + 2>/dev/null | sort
    podman ps -a --format '{{.ID}} {{.Names}} {{.State}}'
     podman network ls --format '{{.ID}} {{.Name}}'
     podman secret ls --format '{{.ID}} {{.Name}}'
     systemctl show -P ActiveState,ActiveEnterTimestampMonotonic 'immich-*' photos.target";

/// The commands refuse, name the thing and its remedy, as text and as JSON, and leave the host as it is.
/// Returns what `apply` said.
fn refused(host: &Host, thing: &str, why: &str, remedy: &str) -> Done {
    let before = host.ok(LISTING);
    let said = host.fails(3, "photos-agent apply");
    for part in [thing, why, remedy] {
        assert!(said.err.contains(part), "`{part}` in: {}", said.all());
    }
    assert_eq!(said.out, "", "an error is talk, not data");
    let find = format!(".schema == 1 and ([.refusals[] | select(.what == \"{thing}\")] | length == 1)");
    host.ok(&format!("photos-agent --json apply | jq -e '.kind == \"error\" and {find}'"));
    host.ok(&format!("photos-agent --json plan | jq -e '{find}'"));
    let doctor = host.run("photos-agent doctor");
    assert!(doctor.code >= 2, "{}", doctor.all());
    assert!(doctor.all().contains(thing) && doctor.all().contains(remedy), "{}", doctor.all());
    assert_eq!(host.ok(LISTING), before, "{thing}: nothing is touched");
    said
}

/// A mistake in the configuration: exit code 64 from every command, with file, line and column.
fn mistaken(host: &Host, text: &str, place: &str, hint: &str) {
    host.write("/etc/photos-agent/config.d/50-mine.toml", text);
    let before = host.ok(LISTING);
    for command in ["plan", "apply", "status", "doctor", "config check"] {
        let said = host.fails(64, &format!("photos-agent {command}"));
        let place = format!("/etc/photos-agent/config.d/50-mine.toml:{place}: ");
        assert_eq!(said.all().matches(&place).count(), 1, "{place} once in: {}", said.all());
        assert!(said.all().contains(hint), "{hint} in: {}", said.all());
    }
    host.ok(
        "photos-agent --json apply | jq -e '.kind == \"error\" and (.diagnostics[0] | .file and .line and .column)'",
    );
    assert_eq!(host.ok(LISTING), before, "{text}: nothing is touched");
    host.ok("rm /etc/photos-agent/config.d/50-mine.toml");
}

#[test]
fn what_is_in_the_way_on_an_empty_host_is_refused_until_the_named_remedy_is_done() {
    let host = Host::with_images("conflicts");
    host.ok("systemctl enable -q --now podman.socket");

    mistaken(&host, "[immich]\nlissten = \"127.0.0.1:1\"\n", "2:1", "did you mean `listen`?");
    mistaken(&host, "[network]\nsubnet = 5\n", "2:10", "expected a string, found an integer");

    host.write("/etc/containers/systemd/mine/immich-server.container", "[Container]\nImage=a\n");
    let theirs = "/etc/containers/systemd/mine/immich-server.container";
    let remedy = format!("mv {theirs} {theirs}.aside");
    refused(&host, theirs, "quadlet reads only one file", &remedy);
    host.ok(&remedy);

    host.write("/etc/systemd/system/photos.target", "[Unit]\nDescription=Photographs of somebody else\n");
    let remedy = "mv /etc/systemd/system/photos.target /etc/systemd/system/photos.target.aside";
    refused(&host, "/etc/systemd/system/photos.target", "was not written by photos-agent", remedy);
    host.ok(remedy);

    host.ok("podman network create photos");
    refused(&host, "network photos", "was not made by photos-agent", "podman network rm photos");
    host.ok("podman network rm photos");

    host.ok("podman run -q -d --name immich-postgres --network none docker.io/valkey/valkey:9 sleep inf");
    let remedy = "podman rename immich-postgres immich-postgres-old";
    refused(&host, "container immich-postgres", "was not made by photos-agent", remedy);
    host.ok(remedy);

    // A folder with data: the commands as they stand, up to the advice in brackets.
    host.write("/var/lib/photos/live/media/library/a.jpg", "a photograph");
    let said = refused(&host, "/var/lib/photos/live/media", "plain folder with data", "btrfs subvolume create");
    let remedy = said.err.lines().find_map(|line| line.trim().strip_prefix("next: ")).expect("a remedy");
    host.ok(remedy.split_once("   (").expect("advice").0);
    host.ok("btrfs subvolume show /var/lib/photos/live/media");

    host.ok("mkdir /mnt/disk && mount -t tmpfs none /mnt/disk");
    host.write("/etc/photos-agent/config.d/50-mine.toml", "[storage]\nroot = \"/mnt/disk/photos\"\n");
    refused(&host, "/mnt/disk/photos/live/postgres", "does not lie on BTRFS", "set storage.root");
    assert_eq!(host.ok("ls -A /mnt/disk"), "");
    host.ok("rm /etc/photos-agent/config.d/50-mine.toml");

    host.ok("photos-agent apply");
    host.assert_converged();
    assert_eq!(host.ok("podman inspect -f '{{.State.Status}}' immich-postgres-old"), "running");
    assert_eq!(
        host.ok("cat /var/lib/photos/live/media/library/a.jpg /var/lib/photos/live/media.before/library/a.jpg"),
        "a photographa photograph"
    );
    host.ok("[ -e /etc/systemd/system/photos.target.aside ]");
}

#[test]
fn what_gets_in_the_way_of_a_running_stack_is_refused_and_the_stack_stays_up() {
    let host = Host::converged("conflicts2");

    host.write("/etc/photos-agent/config.d/50-mine.toml", "[postgres]\nmajor = 16\n");
    // What runs goes on, and the wish waits.
    let noted = host.ok("photos-agent plan");
    assert!(noted.contains("PostgreSQL 17 runs, and postgres.major says 16"), "{noted}");
    host.write("/etc/photos-agent/config.d/50-mine.toml", "[postgres]\nmajor = 17\n");
    assert!(!host.ok("photos-agent plan").contains("PostgreSQL 17 runs"));

    host.write("/etc/photos-agent/config.d/50-mine.toml", "[network]\nserver_networks = [\"proxy\"]\n");
    refused(&host, "network proxy", "network.server_networks", "podman network create proxy");
    host.ok("podman network create proxy");
    host.fails(2, "photos-agent plan");
    host.ok("rm /etc/photos-agent/config.d/50-mine.toml");

    host.ok("mount --bind /var/lib/photos/live/media /var/lib/photos/live/media");
    refused(&host, "/var/lib/photos/live/media", "is a mount point of its own", "mount the disk elsewhere");
    host.ok("umount /var/lib/photos/live/media");

    bad_drop_in(&host);

    host.ok("systemctl stop photos.target 'immich-*'");
    host.ok("podman secret rm photos-db-password");
    refused(&host, "secret photos-db-password", "a database exists", "photos-agent secret set photos-db-password");
    assert_eq!(host.ok("podman secret ls -q"), "", "none is made while a database exists");
    host.ok("echo another-password | photos-agent secret set photos-db-password");
    host.ok("photos-agent apply && systemctl start photos.target && photos-agent apply");
    host.assert_converged();
    host.ok("curl -sf http://127.0.0.1:2283/api/server/version");
}

/// A drop-in that the generator refuses: the old units stay, before and after somebody reloads systemd.
fn bad_drop_in(host: &Host) {
    let drop_in = "/etc/containers/systemd/photos-agent/immich-server.container.d/50-mine.conf";
    host.write(drop_in, "[Container]\nVolum=/a:/b\n");
    host.write("/etc/photos-agent/config.d/50-mine.toml", "[immich]\nlisten = \"127.0.0.1:2284\"\n");
    let before = host.ok(LISTING);
    let fails = || {
        let said = host.fails(3, "photos-agent apply");
        for part in ["immich-server.container", "unsupported key 'Volum'", drop_in, "mend or remove the drop-in"] {
            assert!(said.err.contains(part), "{part}: {}", said.all());
        }
        assert!(!said.err.contains("/run/photos-agent"), "files are named where they are: {}", said.all());
        host.ok("photos-agent --json apply | jq -e '.refusals[0].why | contains(\"Volum\")'");
    };
    fails();
    host.ok("rm /etc/photos-agent/config.d/50-mine.toml && systemctl daemon-reload");
    let doctor = host.fails(2, "photos-agent doctor");
    assert!(doctor.out.contains("immich-server.service"), "{}", doctor.all());
    fails();
    assert_eq!(host.ok(LISTING), before);
    assert_eq!(host.ok("curl -s http://127.0.0.1:2283/api/server/ping"), r#"{"res":"pong"}"#);
    host.ok(&format!("rm {drop_in} && photos-agent apply"));
    host.assert_converged();
}
