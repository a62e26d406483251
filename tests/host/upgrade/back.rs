//! What an agent finds that did not begin it.

use crate::upgrade::stand::{OLD, container, old, serves};

#[test]
fn an_operation_of_a_newer_agent_is_waited_for_and_what_runs_goes_on() {
    let host = old("upgradefuture");
    let pending = "/var/lib/photos-agent/pending";
    host.ok("systemctl start photos-agent && sleep 1");
    host.wait_for("systemctl show -P StatusText photos-agent | grep converged", 60);
    let running = container(&host);
    host.write(
        pending,
        "{\"schema\": 99, \"id\": 1, \"command\": \"photos-agent upgrade\", \"what\": \"nobody knows\"}\n",
    );
    for command in ["upgrade --now", "upgrade --check", "apply", "snapshot", "plan"] {
        let refused = host.run(&format!("photos-agent {command}"));
        assert!(matches!(refused.code, 1 | 3), "{command}: {}", refused.all());
        assert!(refused.err.contains("99") && refused.err.contains("photos-agent"), "{command}: {}", refused.all());
    }
    host.run("systemctl start photos-resolve; systemctl restart photos-agent; sleep 5");
    host.ok(&format!("jq -e '.schema == 99' {pending}"));
    assert_eq!(container(&host), running, "what runs goes on");
    host.ok("curl -sf -m 5 http://127.0.0.1:2283/api/server/ping");
    // The agent that began it finishes it.
    host.ok(&format!("rm {pending}; systemctl restart photos-agent"));
    host.wait_for("photos-agent status", 90);
    serves(&host, OLD, &["before"]);
}
