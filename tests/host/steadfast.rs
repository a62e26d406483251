//! Steadfast: the daemon is hung, upgraded, cut off from the bus, out of space or out of its storage, and in the end
//! the host is as it should be, by itself.

use std::io::Write;
use std::time::Instant;

use crate::support::Host;

const ML: &str = "/etc/containers/systemd/photos-agent/immich-ml.container";
const PENDING: &str = "/var/lib/photos-agent/pending";

/// Longest time that anything may take.
const LIMIT: u64 = 120;

/// Says something that is seen in a test that passes, too.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Waits until the status line begins like this, and returns it.
fn status(host: &Host, text: &str) -> String {
    let line = "systemctl show -P StatusText photos-agent";
    host.wait_for(&format!("{line} | grep -q '^{text}'"), LIMIT);
    host.ok(line)
}

fn show(host: &Host, property: &str) -> String {
    host.ok(&format!("systemctl show -P {property} photos-agent"))
}

/// Waits until the daemon is at work on a change that stops the stack.
fn at_work(host: &Host, subnet: &str) {
    host.configure(&format!("[network]\nsubnet = \"{subnet}\"\n"));
    host.ok("systemctl reload photos-agent");
    host.wait_for(&format!("grep -q 'stop the stack' {PENDING}"), LIMIT);
}

fn outcomes(host: &Host, count: usize) -> String {
    host.ok(&format!("photos-agent history --json | jq -c '[.operations[].outcome][:{count}]'"))
}

/// Everything that the agent remembers can be read.
fn assert_records_are_whole(host: &Host) {
    host.ok("cd /var/lib/photos-agent && for file in $(find . -name pending -o -name '*.json' -o -name '*.lock' \
             -o -name '*.jsonl'); do jq -e .schema $file >/dev/null || { echo half-written: $file; exit 1; }; done");
}

#[test]
fn a_hung_daemon_is_killed_and_the_next_one_goes_on() {
    let host = Host::converged("hung");
    host.write("/etc/systemd/system/photos-agent.service.d/50-test.conf", "[Service]\nWatchdogSec=8s\n");
    host.ok("systemctl daemon-reload && systemctl start photos-agent");
    status(&host, "converged, generation 1");
    // It beats, while it works and while it waits.
    let pid = show(&host, "MainPID");
    let lock = "/run/photos-agent/lock";
    let mut holder = host.start(&format!("flock {lock} sh -c 'printf %s \"somebody (pid 7)\" >{lock}; sleep 20'"));
    host.wait_for(&format!("! flock -n {lock} true"), 10);
    host.ok(&format!("rm {ML}"));
    holder.wait().expect("it ended");
    host.wait_for(&format!("test -s {ML}"), LIMIT);
    assert_eq!((show(&host, "MainPID"), show(&host, "NRestarts")), (pid.clone(), "0".to_owned()));

    at_work(&host, "10.99.7.0/24");
    host.ok(&format!("kill -STOP {pid}"));
    let begun = Instant::now();
    host.wait_for("[ $(systemctl show -P NRestarts photos-agent) = 1 ]", LIMIT);
    status(&host, "converged, generation 2");
    say(&format!("hung for a watchdog of 8 s, converged after {:.0} s", begun.elapsed().as_secs_f32()));
    host.ok("journalctl -q -u photos-agent | grep -q \"Failed with result 'watchdog'\"");
    assert_eq!(outcomes(&host, 2), "[\"done\",\"interrupted\"]");
    host.wait_for("photos-agent status", LIMIT);
    host.assert_converged();
}

#[test]
fn the_agent_is_upgraded_and_the_bus_goes_while_it_is_at_work() {
    let host = Host::converged("upgraded");
    host.ok("systemctl start photos-agent");
    status(&host, "converged, generation 1");
    let pid = show(&host, "MainPID");
    at_work(&host, "10.99.7.0/24");
    host.ok("apt-get install -qq -y --reinstall -o Dpkg::Use-Pty=0 /root/photos-agent.deb >/dev/null 2>&1");
    assert_ne!(show(&host, "MainPID"), pid, "the new one runs");
    status(&host, "converged, generation 2");
    host.wait_for("photos-agent status", LIMIT);
    assert_eq!(outcomes(&host, 2), "[\"done\",\"interrupted\"]");
    host.assert_converged();

    // A command at work dies: the daemon takes up what it left.
    host.configure("[network]\nsubnet = \"10.99.8.0/24\"\n");
    let mut apply = host.start("echo $$ >/run/apply.pid; exec photos-agent apply");
    host.wait_for(&format!("grep -q 'stop the stack' {PENDING}"), LIMIT);
    host.ok("kill -KILL $(cat /run/apply.pid)");
    apply.wait().expect("it ended");
    let begun = Instant::now();
    status(&host, "converged, generation 3");
    say(&format!("a killed apply: taken up and converged after {:.0} s", begun.elapsed().as_secs_f32()));
    host.wait_for("photos-agent status", LIMIT);
    assert_eq!(outcomes(&host, 2), "[\"done\",\"interrupted\"]");

    // The bus goes and comes back, with nothing to do and with something.
    host.ok("pkill -9 dbus-broker; sleep 3; busctl -q status >/dev/null");
    host.wait_for("journalctl -q -t photos-agent | grep -q 'the system bus is lost'", LIMIT);
    let begun = Instant::now();
    host.ok(&format!("rm {ML}"));
    host.wait_for(&format!("test -s {ML}"), LIMIT);
    say(&format!("a deleted unit just after the bus was lost: {:.1} s", begun.elapsed().as_secs_f32()));
    status(&host, "converged, generation 3");
    // Signals come again: nothing but them tells of this.
    let begun = Instant::now();
    host.ok("systemctl stop podman.socket");
    host.wait_for("systemctl is-active podman.socket", LIMIT);
    say(&format!("podman.socket stopped after that: {:.1} s", begun.elapsed().as_secs_f32()));
    at_work(&host, "10.99.9.0/24");
    host.ok("pkill -9 dbus-broker; sleep 3; busctl -q status >/dev/null");
    let begun = Instant::now();
    status(&host, "converged, generation 4");
    say(&format!("the bus lost at work: converged after {:.0} s", begun.elapsed().as_secs_f32()));
    host.wait_for("photos-agent status", LIMIT);
    host.assert_converged();
}

#[test]
fn a_full_disk_costs_nothing_and_is_no_reason_for_a_person_to_come() {
    let host = Host::converged("fulldisk");
    host.ok("systemctl start photos-agent");
    status(&host, "converged, generation 1");
    // Not the whole disk: the host would not live through it, and the agent writes nowhere else first.
    let state = "/var/lib/photos-agent";
    host.ok(&format!(
        "mount -t tmpfs -o size=1m tmpfs /mnt && cp -a {state}/. /mnt && mount --bind /mnt {state} && \
         {{ head -c 1m /dev/zero >{state}/filler; true; }} 2>/dev/null && rm {ML}"
    ));
    let line = status(&host, "failed: ");
    say(&line);
    let log = host.ok("journalctl -q -o cat -t photos-agent MESSAGE_ID=a01848bcacbd4687b6b520dc9c3501a6");
    assert!(log.contains("No space left on device") && log.contains("/var/lib/photos-agent"), "{log}");
    assert_records_are_whole(&host);
    assert_eq!(host.ok(&format!("find {state} -name '.photos-agent-*'")), "", "nothing half-written");
    host.ok(&format!("rm {state}/filler"));
    let begun = Instant::now();
    host.wait_for(&format!("test -s {ML}"), LIMIT);
    say(&format!("mended {:.0} s after there was room again", begun.elapsed().as_secs_f32()));
    status(&host, "converged, generation 1");
    assert_records_are_whole(&host);
    host.wait_for("photos-agent status", LIMIT);
    host.assert_converged();
}

#[test]
fn storage_that_goes_is_reported_and_nothing_is_made_in_its_place() {
    let host = Host::with_images("unmounted");
    let disk = "/srv/disk";
    host.ok(&format!("mkdir {disk}; echo '/srv/pool {disk} none bind 0 0' >>/etc/fstab; mount {disk}"));
    host.ok("systemctl daemon-reload");
    host.configure(&format!("[storage]\nroot = \"{disk}/photos\"\n"));
    host.ok("systemctl start photos-agent");
    status(&host, "converged, generation 1");
    host.wait_for("photos-agent status", LIMIT);

    // As an operator would, with everything down; and as a cable would.
    for gone in ["systemctl stop photos.target 'immich-*' && umount /srv/disk", "umount -l /srv/disk"] {
        host.ok(gone);
        let begun = Instant::now();
        let line = status(&host, "refused: ");
        say(&format!("{gone}: reported after {:.1} s: {line}", begun.elapsed().as_secs_f32()));
        host.ok("sleep 5");
        assert_eq!(host.ok(&format!("find {disk} -mindepth 1")), "", "nothing is made in its place");
        host.ok(&format!("mount {disk}"));
        if gone.contains("photos.target") {
            status(&host, "converged, generation 1; photos.target was stopped");
            host.ok("systemctl start photos.target");
        }
        let begun = Instant::now();
        status(&host, "converged, generation 1$");
        host.wait_for("photos-agent status", LIMIT);
        say(&format!("back: all is well after {:.1} s", begun.elapsed().as_secs_f32()));
    }
    host.assert_converged();
}
