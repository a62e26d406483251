//! From an empty host to a healthy stack, by the agent's own service.

use crate::support::Host;

#[test]
fn starting_the_service_brings_an_empty_host_to_a_healthy_stack() {
    let host = Host::fresh("first");
    let plan = host.fails(2, "photos-agent plan");
    assert!(plan.out.contains("pull ghcr.io/immich-app/immich-server:v3.2.2"), "{}", plan.out);
    // It reports READY before it pulls anything.
    host.ok("timeout 5 systemctl start photos-agent");
    host.wait_for("photos-agent status", 180);
    host.assert_converged();
    assert_eq!(host.ok("curl -s http://127.0.0.1:2283/api/server/ping"), r#"{"res":"pong"}"#);
    for service in ["postgres", "redis", "server", "ml"] {
        assert_eq!(host.ok(&format!("systemctl is-active immich-{service}")), "active");
    }
}
