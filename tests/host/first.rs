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

#[test]
fn a_database_of_postgresql_18_keeps_its_data_where_it_moved_to() {
    let host = Host::with_images("first18");
    host.configure("[postgres]\nmajor = 18\n");
    host.ok("photos-agent apply");
    host.assert_converged();
    let sql = |statement: &str| {
        host.ok(&format!("podman exec -u postgres immich-postgres psql -qU postgres -d immich -Atc \"{statement}\""))
    };
    assert_eq!(sql("SHOW data_directory"), "/var/lib/postgresql/18/docker");
    sql("CREATE TABLE kept (name text); INSERT INTO kept VALUES ('somebody')");
    let live = "/var/lib/photos/live/postgres";
    host.ok(&format!("grep -qx 18 {live}/18/docker/PG_VERSION && lsattr -d {live}/18/docker/base | grep -q C"));
    assert_eq!(host.ok("podman volume ls -q"), "", "nothing is in a volume that goes with its container");
    // The cluster says which major it is of, from here on.
    host.configure("");
    host.assert_converged();
    let id = host.ok("photos-agent snapshot --json | jq -r .snapshot.id");
    host.ok(&format!("photos-agent snapshot verify {id}"));
    sql("DELETE FROM kept");
    host.ok(&format!("photos-agent restore {id} --yes"));
    assert_eq!(sql("SELECT name FROM kept"), "somebody");
    host.reboot();
    host.wait_for("photos-agent status", 90);
    assert_eq!(sql("SELECT name FROM kept"), "somebody");
}
