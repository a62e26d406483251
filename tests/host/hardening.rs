//! The units that run the agent are as shut in as docs/hardening.md says, and their work is done all the same.

use crate::support::Host;

const GUIDE: &str = include_str!("../../docs/hardening.md");

const ANALYZE: &str = "systemd-analyze security --no-pager --offline=true";

/// Every unit that runs the agent.
const EVERYTHING: &str =
    "[upgrade]\nautomatic = true\n[[icloud.account]]\nname = \"anna\"\napple_id = \"anna@example.org\"\n";

/// Unit and figure, by the table of the guide.
fn figures() -> Vec<(String, String)> {
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| `photos-")?.trim_end_matches(" |").split(" | ");
        let unit = format!("photos-{}", cells.next()?.trim_end_matches('`'));
        Some((unit, cells.nth(1)?.to_owned()))
    };
    GUIDE.lines().filter_map(row).collect()
}

#[test]
fn no_unit_is_more_open_than_the_guide_says() {
    let host = Host::converged("hardening");
    host.configure(EVERYTHING);
    host.ok("photos-agent apply");
    let runs_the_agent = "cd /usr/lib/systemd/system && grep -l '^ExecStart=/usr/bin/photos-agent' *.service; \
                          cd /etc/systemd/system && grep -l '^ExecStart=/usr/bin/photos-agent' *.service";
    let mut units: Vec<String> = host.ok(runs_the_agent).lines().map(str::to_owned).collect();
    let figures = figures();
    for (unit, figure) in &figures {
        let unit = unit.replace('@', "@anna");
        assert!(units.contains(&unit), "{unit} is not there: {units:?}");
        units.retain(|other| *other != unit);
        let threshold = figure.replace('.', "");
        let said = host.run(&format!("{ANALYZE} --threshold={threshold} $(systemctl show -P FragmentPath {unit})"));
        let level = said.out.lines().find(|line| line.contains("Overall exposure level")).unwrap_or_default();
        assert!(said.code == 0 && level.contains(&format!("{unit}: {figure} ")), "{figure}: {level} {}", said.err);
    }
    assert_eq!(units, Vec::<String>::new(), "not in docs/hardening.md");
    host.ok("systemd-analyze verify --man=no /usr/lib/systemd/system/photos-agent.service /etc/systemd/system/photos-*.service");
    let tighter = format!("{ANALYZE} --threshold=30 /etc/systemd/system/photos-snapshot.service");
    assert_ne!(host.run(&tighter).code, 0, "the threshold is one");
}

#[test]
fn what_the_units_do_is_whole() {
    let host = Host::converged("hardened-work");
    host.ok("systemctl start photos-agent");
    host.wait_for("systemctl show -P StatusText photos-agent | grep -q '^converged'", 60);

    host.ok("systemctl start photos-snapshot");
    let said = host.ok("journalctl -u photos-snapshot -o cat");
    assert!(said.contains("everything stood still") && !said.contains("checkpoint"), "{said}");
    let id = host.ok("photos-agent snapshot list --json | jq -r '.snapshots[0].id'");
    host.ok(&format!("jq -e '.database' /var/lib/photos/.snapshots/{id}/manifest.json"));

    host.ok("systemctl start photos-verify");
    assert!(host.ok("journalctl -u photos-verify -o cat").contains("is proven"));

    // Stopped, and killed, in the middle of it: nothing stays mounted, running or on the disk.
    for end in ["systemctl stop photos-verify", "systemctl kill --signal=KILL photos-verify"] {
        host.ok("systemctl reset-failed photos-verify; systemctl start --no-block photos-verify");
        host.wait_for("podman ps --format '{{.Names}}' | grep -q photos-verify", 60);
        host.ok(end);
        host.wait_for("! systemctl is-active -q photos-verify", 60);
        host.ok("photos-agent snapshot");
        host.wait_for("! podman ps -a --format '{{.Names}}' | grep -q photos-verify", 60);
        host.ok("! ls -A /var/lib/photos/.snapshots | grep -q verify && ! findmnt -n | grep -q verify");
    }
    host.ok("systemctl start photos-verify");
    host.assert_converged();
}

#[test]
fn a_disk_that_is_mounted_later_is_seen_by_the_daemon_and_what_it_makes_by_everybody() {
    let host = Host::with_images("hardened-mount");
    host.ok("mkdir -p /srv/late && mount -t tmpfs none /srv/late");
    host.configure("[storage]\nroot = \"/srv/late/photos\"\n");
    host.ok("systemctl start photos-agent");
    // It is not BTRFS.
    host.wait_for("journalctl -u photos-agent -o cat | grep -q /srv/late/photos", 60);
    host.ok("mount --bind /srv/pool /srv/late && systemctl reload photos-agent");
    host.wait_for("systemctl show -P StatusText photos-agent | grep -q '^converged'", 120);
    host.ok("btrfs subvolume show /srv/late/photos/live/media && systemctl is-active immich-server");
    host.assert_converged();
}

#[test]
fn files_of_the_agent_are_roots_alone() {
    let host = Host::converged("modes");
    host.ok("rm /etc/photos-agent/config.toml && photos-agent config init");
    host.ok("systemctl start photos-agent photos-snapshot");
    let modes = host.ok("stat -c '%a %U:%G %n' /var/lib/photos-agent /run/photos-agent /etc/photos-agent/config.toml");
    let root = "root:root";
    assert_eq!(
        modes,
        format!(
            "700 {root} /var/lib/photos-agent\n700 {root} /run/photos-agent\n600 {root} /etc/photos-agent/config.toml"
        )
    );
    let reads = |path: &str| host.run(&format!("setpriv --reuid=65534 --regid=65534 --clear-groups ls {path}")).code;
    assert_ne!(reads("/var/lib/photos-agent"), 0);
    assert_ne!(reads("/run/photos-agent"), 0);
    assert_eq!(host.ok("ss -xlp | grep LISTEN | grep -c photos-agent || true"), "0", "the agent listens nowhere");
}
