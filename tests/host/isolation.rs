//! The database has no way out and downloads have no way to it, before and after a reboot without the agent.
//!
//! Whatever must not be reached is first reached by somebody who may, and at the end, with the walls taken down,
//! by those who may not: a probe that is refused for another reason proves nothing.

use crate::support::Host;

const NOTHING: [&str; 0] = [];

/// The host's own services, on every address that it has: they say nothing and take every connection.
const NEIGHBOUR: &str = "systemd-run -q --collect python3 -c \"
import socket
server = socket.create_server(('::', 9999), family=socket.AF_INET6, dualstack_ipv6=True)
while True: server.accept()
\"";

/// The name server of the host, which writes down what it is asked.
const NAME_SERVER: &str = "ip address add 192.0.2.53/32 dev lo
systemd-run -q --collect sh -c \"python3 -uc \\\"
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(('192.0.2.53', 53))
while True: print(server.recv(512))
\\\" > /run/asked\"";

/// Which of these `address/port` programs in these containers connect to, as `container address/port`.
fn reached(host: &Host, containers: &[&str], addresses: &[&str]) -> Vec<String> {
    let probe = r#"for at; do timeout 2 bash -c ": < /dev/tcp/$at" 2> /dev/null && echo "$at" & done; wait"#;
    let (containers, addresses) = (containers.join(" "), addresses.join(" "));
    let all = format!(
        "for c in {containers}; do podman exec $c bash -c '{probe}' - {addresses} | sed \"s,^,$c ,\" & done; wait"
    );
    host.ok(&all).lines().map(str::to_owned).collect()
}

/// The address of a container in one of its networks.
fn address(host: &Host, container: &str, network: &str) -> String {
    host.ok(&format!(
        "podman inspect -f '{{{{(index .NetworkSettings.Networks \"{network}\").IPAddress}}}}' {container}"
    ))
}

/// The host's address on the inner bridge that nobody gave it.
fn link_local(host: &Host) -> String {
    host.ok("ip -6 -br address show dev photos0 scope link | grep -o 'fe80[^/]*'") + "%eth0/9999"
}

/// A container like icloudpd's, but with every right over its own network; and one of no concern to the stack.
fn strangers(host: &Host) {
    for (name, network) in [("download", "photos-egress"), ("other", "podman")] {
        host.ok(&format!(
            "podman run -q -d --rm --name {name} --network {network} --cap-add NET_ADMIN --entrypoint sleep \
             docker.io/icloudpd/icloudpd:1.32.3 infinity"
        ));
    }
}

/// Gives the containers the routes that they would need, which nobody inside them may do.
fn open_routes(host: &Host) {
    for (container, route) in [
        ("immich-postgres", "default via 10.89.5.1"),
        ("immich-redis", "default via 10.89.5.1"),
        ("download", "10.89.5.0/24 via 10.89.0.1"),
    ] {
        let pid = host.ok(&format!("podman inspect -f '{{{{.State.Pid}}}}' {container}"));
        host.ok(&format!("nsenter -t {pid} -n ip route add {route}"));
    }
}

fn assert_isolated(host: &Host) {
    host.ok(NEIGHBOUR);
    host.wait_for("ss -ltn | grep -q ':9999 '", 20);
    strangers(host);
    assert_eq!(host.ok("cat /proc/sys/net/ipv4/conf/photos0/forwarding /proc/sys/net/ipv4/ip_forward"), "0\n1");
    assert_eq!(host.ok("cat /proc/sys/net/ipv6/conf/photos0/forwarding"), "0");

    // Inside, names are found, and the queue answers.
    let names = "getent hosts redis immich-server database | wc -l";
    let ping = "exec 3<> /dev/tcp/redis/6379; echo PING >&3; head -1 <&3";
    let found = host.ok(&format!("podman exec immich-postgres bash -c '{names}; {ping}'"));
    assert_eq!(found.trim_end(), "3\n+PONG");
    let default_routes = |container: &str| {
        host.ok(&format!("podman exec {container} cat /proc/net/route | awk '$2 == \"00000000\"' | wc -l"))
    };
    let routes = ["immich-postgres", "immich-redis", "immich-server", "download"].map(default_routes);
    assert_eq!(routes, ["0", "0", "1", "1"]);

    let egress = address(host, "immich-server", "photos-egress");
    let database = format!("{}/5432", address(host, "immich-postgres", "photos"));
    let redis = format!("{}/6379", address(host, "immich-redis", "photos"));
    let server = format!("{}/2283", address(host, "immich-server", "photos"));
    let link_local = link_local(host);
    let out = [
        "10.89.5.1/9999",
        "10.89.5.1/5000",
        "10.89.5.1/2283",
        "10.89.0.1/9999",
        "10.88.0.1/9999",
        &link_local,
        &format!("{egress}/2283"),
    ];

    // The same neighbours are there for those who may see them.
    assert_eq!(reached(host, &["other"], &["10.88.0.1/9999", "10.89.0.1/9999"]).len(), 2);
    assert_eq!(reached(host, &["download"], &["10.89.0.1/9999", &format!("{egress}/2283")]).len(), 2);
    let stack = ["immich-postgres", "immich-redis", "immich-ml"];
    assert_eq!(reached(host, &stack, &[&database, &redis, &server]).len(), 9);

    // Not for want of a route.
    open_routes(host);
    assert_eq!(reached(host, &["immich-postgres", "immich-redis"], &out), NOTHING);
    let inside = [&database, &redis, &server, "10.89.5.1/5432"];
    assert_eq!(reached(host, &["download", "other"], &inside), NOTHING);

    // Published is the server alone, on one address; the other listeners are the host's own and the names'.
    let listeners = host.ok("ss -ltnH | awk '{print $4}' | grep -v ':53$' | sort");
    assert_eq!(listeners, "*:9999\n127.0.0.1:2283\n127.0.0.1:5000");
    assert_eq!(
        host.ok("podman ps --format '{{.Names}} {{.Ports}}' | grep -e '->'"),
        "immich-server 127.0.0.1:2283->2283/tcp"
    );
}

/// A question for a name is a message, too: it ends at the inner network's own name server.
fn assert_names_tell_nobody(host: &Host) {
    host.ok(NAME_SERVER);
    host.wait_for("ss -lunH | grep -q '192.0.2.53:53 '", 20);
    host.ok("for c in immich-postgres immich-redis download; do \
         podman exec $c timeout 2 getent hosts $c-asks.example.org & done; wait");
    let asked = host.ok("cat /run/asked");
    assert!(asked.contains("download-asks") && !asked.contains("immich-"), "{asked}");
}

/// The probes see what is open once the walls are down, one after the other.
fn assert_walls_matter(host: &Host) {
    let database = format!("{}/5432", address(host, "immich-postgres", "photos"));
    host.ok("nft delete table inet photos_agent");
    assert_eq!(reached(host, &["immich-postgres"], &["10.89.5.1/9999", "10.89.0.1/9999", &link_local(host)]).len(), 3);
    // The kernel's switch alone still holds it.
    assert_eq!(reached(host, &["download"], &[&database]), NOTHING);
    host.ok("echo 1 > /proc/sys/net/ipv4/conf/photos0/forwarding");
    assert_eq!(reached(host, &["download"], &[&database]).len(), 1);
    let plan = host.fails(2, "photos-agent plan").out;
    assert!(plan.contains("turn off forwarding on the inner bridge"), "{plan}");
    assert!(plan.contains("load the rules"), "{plan}");
    host.ok("photos-agent apply");
    assert_eq!(reached(host, &["download"], &[&database]), NOTHING);
    assert_eq!(reached(host, &["immich-postgres"], &["10.89.5.1/9999"]), NOTHING);
}

#[test]
fn the_database_has_no_way_out_and_downloads_none_to_it_after_a_reboot_too() {
    let host = Host::converged("isolation");
    assert_eq!(host.fails(1, "systemctl is-enabled photos-agent").out, "disabled\n");
    assert_isolated(&host);
    // Containers' name servers read it when they start.
    host.write("/etc/resolv.conf", "nameserver 192.0.2.53\n");
    // As the first process of its container, `sleep` would hold the reboot up.
    host.ok("podman rm -f -t 0 download other");
    host.reboot();
    host.wait_for("photos-agent status", 120);
    assert_isolated(&host);
    assert_names_tell_nobody(&host);
    assert_walls_matter(&host);

    // Other owners of firewalls throw everything away: nftables at its start and stop, and people.
    let closed = |host: &Host| reached(host, &["immich-postgres"], &["10.89.5.1/9999"]).is_empty();
    host.ok("nft delete table inet photos_agent");
    assert!(!closed(&host));
    for (why, end) in [
        ("nftables starts", "systemctl start nftables"),
        ("nftables is reloaded", "systemctl reload nftables"),
        ("nftables restarts", "systemctl restart nftables"),
        ("nftables stops", "systemctl stop nftables"),
    ] {
        host.ok(end);
        assert!(closed(&host), "{why}");
        // Podman's rules went too, and the published port with them. Now and then systemd cannot start a process for the
        // reload in these nested control groups (`Failed to spawn executor`), which no unit can help.
        host.wait_for(
            "curl -sf -m 2 http://127.0.0.1:2283/api/server/ping || { \
               journalctl -q -u photos-firewall | grep -q 'Failed to spawn' && systemctl reload photos-firewall; false; }",
            30,
        );
    }
    host.ok("nft flush ruleset && systemctl restart immich-ml");
    assert!(closed(&host), "a service starts after a flush");
    let status = host.fails(2, "photos-agent status").out;
    assert!(status.contains("Healthy but out of reach"), "{status}");
    host.ok("systemctl reload photos-firewall");
    host.wait_for("photos-agent status", 30);
}
