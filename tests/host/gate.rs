//! The gate: what was cut off is finished before any service starts, by a boot alone, the daemon not even enabled.

use crate::support::Host;

const PENDING: &str = "/var/lib/photos-agent/pending";
const SERVICES: &str = "immich-postgres immich-redis immich-server immich-ml";

/// Starts an apply and waits until it is at the step whose words begin like this.
fn cut_at(host: &Host, step: &str, cut: impl FnOnce(&Host)) {
    let mut apply = host.start("exec photos-agent apply >/root/apply.log 2>&1");
    host.ok(&format!(
        "timeout 60 sh -c 'until grep -q \"\\\"step\\\": \\\"{step}\" {PENDING}; do :; done' 2>/dev/null || {{ cat /root/apply.log; false; }}"
    ));
    cut(host);
    apply.wait().expect("it ended");
}

fn outcomes(host: &Host) -> String {
    host.ok("photos-agent history --json | jq -c '[.operations[].outcome]'")
}

#[test]
fn a_boot_finishes_what_was_cut_off_before_any_service_starts() {
    let host = Host::converged("gate");
    for (subnet, step, cut) in [
        ("10.99.7.0/24", "stop the stack", Host::crash as fn(&Host)),
        ("10.99.8.0/24", "remove network", Host::cut_power),
        ("10.99.9.0/24", "write", Host::crash),
    ] {
        host.configure(&format!("[network]\nsubnet = \"{subnet}\"\n"));
        host.ok("sync");
        cut_at(&host, step, cut);
        host.wait_for("photos-agent status", 90);
        host.assert_converged();
        assert_eq!(
            host.ok("podman network inspect photos --format '{{range .Subnets}}{{.Subnet}}{{end}}'"),
            subnet,
            "{step}"
        );
        assert!(outcomes(&host).starts_with("[\"done\",\"interrupted\","), "{step}: {}", outcomes(&host));
        host.fails(1, &format!("test -e {PENDING} || test -e /run/photos-agent/resolving"));
        // systemd held them: no container was made before the last of the files was in place.
        let started = host
            .ok(&format!("systemctl show -P ActiveEnterTimestampMonotonic {SERVICES} | grep . | sort -n | head -1"));
        let ready = host.ok("systemctl show -P ActiveEnterTimestampMonotonic photos-resolve");
        assert!(started.parse::<u64>().unwrap() > ready.parse::<u64>().unwrap(), "{step}: {started} {ready}");
        assert_eq!(host.ok("systemctl show -P NRestarts immich-server"), "0");
    }
    host.fails(3, "systemctl is-active photos-agent");

    // A daemon that is stopped at such a moment leaves the stack to the same unit.
    host.configure("[network]\nsubnet = \"10.99.10.0/24\"\n");
    host.ok("systemctl start --no-block photos-agent");
    host.ok(&format!("timeout 60 sh -c 'until grep -q \"step.*remove network\" {PENDING}; do :; done' 2>/dev/null"));
    host.ok("systemctl stop photos-agent");
    host.wait_for("photos-agent status", 90);
    host.assert_converged();
    host.fails(3, "systemctl is-active photos-agent");
}

#[test]
fn services_are_held_where_an_operation_cannot_be_finished() {
    let host = Host::converged("held");
    host.configure("[network]\nsubnet = \"10.99.7.0/24\"\n");
    cut_at(&host, "stop the stack", |host| drop(host.run("pkill -KILL photos-agent")));
    host.fails(3, "systemctl is-active photos.target");
    host.wait_for("test -z \"$(podman ps -q)\"", 30);
    // Half-done, and the way on is blocked: nothing starts, by whatever way it is asked to.
    let theirs = "/etc/containers/systemd/theirs/immich-ml.container";
    host.ok("mkdir -p /etc/containers/systemd/theirs");
    host.write(theirs, "[Container]\nImage=theirs\n");
    for way in ["start photos.target", "start immich-server", "restart immich-postgres"] {
        host.run(&format!("systemctl {way}"));
        host.ok("sleep 2");
        assert_eq!(host.run("podman ps -q").out, "", "{way}");
    }
    let said = host.ok("journalctl -q -o cat -u photos-resolve");
    assert!(said.contains(theirs), "{said}");
    host.reboot();
    host.ok("sleep 5");
    assert_eq!(host.run("podman ps -q").out, "", "after a boot");
    // What it waited for is there: whoever starts the stack has it finished first. With mistakes in the files, what
    // was applied last is put back.
    host.configure("[network]\nsubnet = \"10.99.7.0/24\"\nsubnets = 1\n");
    host.ok(&format!("rm {theirs} && systemctl start photos.target"));
    host.wait_for("curl -sf http://127.0.0.1:2283/api/server/ping", 90);
    let said = host.ok("journalctl -q -o cat -u photos-resolve");
    assert!(said.contains("/etc/photos-agent/config.toml:3:1") && said.contains("back to the last one"), "{said}");
    let subnet = "podman network inspect photos --format '{{range .Subnets}}{{.Subnet}}{{end}}'";
    assert_ne!(host.ok(subnet), "10.99.7.0/24");
    host.configure("[network]\nsubnet = \"10.99.7.0/24\"\n");
    host.ok("photos-agent apply");
    host.assert_converged();
    assert_eq!(host.ok(subnet), "10.99.7.0/24");
}

#[test]
fn a_first_start_that_is_cut_off_is_made_up_for_by_the_boot() {
    for (name, within) in [
        ("postgres", "test -e /var/lib/photos/live/postgres/PG_VERSION && sync"),
        ("server", "test -e /var/lib/photos/live/media/upload/.immich"),
    ] {
        let host = Host::with_images(&format!("first{name}"));
        // In the middle of what the image does once.
        let mut apply = host.start("exec photos-agent apply >/root/apply.log 2>&1");
        host.ok(&format!("timeout 90 sh -c 'until {}; do :; done'", within.replace('\'', "'\\''")));
        let marks = host.ok("ls /var/lib/photos-agent/ | grep first-start");
        assert_eq!(marks.contains("first-start.postgres"), name == "postgres", "{marks}");
        assert!(marks.contains("first-start.media"), "{marks}");
        host.cut_power();
        apply.wait().expect("it ended");
        host.wait_for("photos-agent status", 120);
        host.assert_converged();
        host.fails(2, "ls /var/lib/photos-agent/first-start.*");
        let aside = host.run("ls -d /var/lib/photos/live/postgres.cut-off").code == 0;
        assert_eq!(aside, name == "postgres", "only what was half made is set aside");
        host.fails(3, "systemctl is-active photos-agent");
        if name == "postgres" {
            assert_marks_are_of_one_subvolume(&host);
        }
    }
}

/// A mark that an attempt elsewhere left, or one on another subvolume, says nothing of a database that was in use.
fn assert_marks_are_of_one_subvolume(host: &Host) {
    let mark = "/var/lib/photos-agent/first-start.postgres";
    let live = "/var/lib/photos/live/postgres";
    let uuid = host.ok(&format!("btrfs subvolume show {live} | awk '$1 == \"UUID:\" {{ print $2 }}'"));
    for (path, uuid) in [("/srv/live/postgres", uuid.as_str()), (live, "11111111-2222-3333-4444-555555555555")] {
        host.ok("systemctl stop photos.target 'immich-*'");
        host.write(mark, &format!("{{\"schema\":1,\"path\":\"{path}\",\"uuid\":\"{uuid}\"}}"));
        host.write(
            PENDING,
            "{\"schema\":1,\"id\":99,\"command\":\"x\",\"started\":\"2026-01-01T00:00:00Z\",\"agent\":\"0\",\
             \"stack_was_stopped\":true,\"holds\":true,\"steps\":[]}",
        );
        let plan = host.fails(2, "photos-agent plan").out;
        assert!(plan.contains("start photos.target") && !plan.contains("aside"), "{plan}");
        host.ok("photos-agent apply");
        host.assert_converged();
    }
    host.ok(&format!("rm -f {mark}"));
}
