//! Faults with a moment of their own, which is not left to chance.

use crate::faults::invariants::{assert_no_leftovers, assert_nothing_half_written};
use crate::faults::random::{Random, seed};
use crate::faults::say;
use crate::faults::strike::PENDING;
use crate::support::Host;

/// Steps of a first apply up to the start of the services.
const STEPS: u64 = 20;

#[test]
fn what_was_reported_as_done_survives_a_power_cut() {
    let host = Host::with_images("reported");
    host.ok("photos-agent apply");
    host.cut_power();
    // By itself: nobody runs the agent.
    host.wait_for("photos-agent status", 60);
    host.assert_converged();
    assert_eq!(host.ok("photos-agent history --json | jq -c '[.operations[].outcome]'"), "[\"done\"]");
}

#[test]
fn a_stack_that_an_interrupted_apply_stopped_is_started_by_the_next() {
    let host = Host::converged("stopped");
    host.configure("[network]\nsubnet = \"10.99.7.0/24\"\n");
    let mut apply = host.start("exec photos-agent apply");
    host.wait_for("! systemctl is-active -q photos.target", 20);
    host.ok("pkill -KILL -x photos-agent");
    apply.wait().expect("it ended");
    host.fails(3, "systemctl is-active photos.target");
    assert_nothing_half_written(&host);
    // What a power cut leaves of a file in the making.
    host.ok("for folder in /etc/systemd/system /etc/sysctl.d /etc/containers/systemd/photos-agent \
             /var/lib/photos-agent /var/lib/photos-agent/generations; do echo half >$folder/.photos-agent-x1; done");
    let plan = host.fails(2, "photos-agent plan");
    assert!(plan.out.contains("start photos.target"), "not the operator's stop: {}", plan.all());
    host.ok("photos-agent apply");
    host.assert_converged();
    assert_no_leftovers(&host);
    let subnet = host.ok("podman network inspect photos --format '{{range .Subnets}}{{.Subnet}}{{end}}'");
    assert_eq!(subnet, "10.99.7.0/24");
    assert_eq!(
        host.ok("photos-agent history --json | jq -c '[.operations[].outcome][:2]'"),
        "[\"done\",\"interrupted\"]"
    );
}

#[test]
fn a_daemon_that_is_stopped_at_work_goes_on_at_its_next_start() {
    let step = 1 + Random::of(seed(), 0).below(STEPS);
    say(&format!("stopped at step {step}"));
    let host = Host::with_images("stopping");
    host.ok("systemctl start photos-agent");
    host.run(&format!(
        "timeout 30 sh -c 'until [ $(grep -c \\\"step\\\" {PENDING}) -ge {step} ]; do :; done' 2>/dev/null"
    ));
    // It does not wait for what it is doing.
    host.ok("timeout 5 systemctl stop photos-agent");
    host.ok(&format!("test -e {PENDING}"));
    assert_nothing_half_written(&host);
    host.ok("systemctl start photos-agent");
    host.wait_for("photos-agent status", 90);
    host.assert_converged();
    assert_eq!(host.ok("photos-agent history --json | jq -c '[.operations[].outcome]'"), "[\"done\",\"interrupted\"]");
    // RESUMED of src/log.rs
    host.ok("journalctl -q MESSAGE_ID=c502beca95624734939a03448689a92f | grep -q 'taken up again'");
}

#[test]
fn a_full_disk_is_named_and_costs_nothing() {
    let host = Host::with_images("full");
    for folder in ["/var/lib/photos-agent", "/etc/containers/systemd"] {
        // The package makes the first one; quadlet's may not be there yet.
        host.ok(&format!(
            "mkdir -p {folder}; mount -t tmpfs -o size=16k tmpfs {folder}; head -c 16k /dev/zero >{folder}/filler"
        ));
        let failed = host.fails(1, "photos-agent apply");
        assert!(failed.err.contains(folder) && failed.err.contains("No space left on device"), "{}", failed.all());
        assert_eq!(host.ok(&format!("find {folder} -type f")), format!("{folder}/filler"), "{}", failed.all());
        host.ok(&format!("umount {folder}"));
        assert_nothing_half_written(&host);
    }
    let outcome = host.ok("photos-agent history --json | jq -c .operations[0].outcome");
    assert!(outcome.contains("No space left on device"), "{outcome}");
    host.ok("photos-agent apply");
    host.assert_converged();
}
