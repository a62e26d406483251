//! Closed doors: nobody but the agent reaches the server, on any of its ways, and all else goes on.
//!
//! The rules are the product's (`plan::door`), loaded as `host::door` does; every way is gone before and after, and again
//! with one of the tables away: one that is closed for another reason proves nothing.

use std::fmt::Write as _;

use photos_agent::model::layout::{DOORS, DOORS_TABLE};
use photos_agent::plan::door::{Doors, Way};

use crate::support::Host;

/// Somebody beyond the host's own network card, who also serves something.
const OUTSIDE: &str = "ip netns add outside
ip link add up0 type veth peer name eth0 netns outside
ip address add 192.0.2.1/24 dev up0
ip link set up0 up
ip -n outside address add 192.0.2.2/24 dev eth0
ip -n outside link set eth0 up
ip -n outside link set lo up
ip -n outside route add default via 192.0.2.1
systemd-run -q --collect ip netns exec outside python3 -m http.server 9999";

/// Rules of the operator's.
const THEIRS: &str =
    "nft 'table inet theirs { chain forward { type filter hook forward priority filter; tcp dport 2283 counter; }; }
table bridge theirs { chain forward { type filter hook forward priority filter; tcp dport 9 drop; }; }'";

/// Asks for a pong with bash alone, from wherever it runs.
const PING: &str = r#"exec 2>/dev/null 3<>"/dev/tcp/$0/2283" || exit 1
printf "GET /api/server/ping HTTP/1.0\r\n\r\n" >&3; timeout 2 cat <&3 | grep -q pong"#;

/// Immich's stand-in has only the older version of IP: this answers in its place, in its container, with the newer one.
const NEWER: &str =
    "systemd-run -q --collect nsenter -t $(podman inspect -f '{{.State.Pid}}' immich-server) -n python3 -c '
import socket
server = socket.create_server((\"::\", 2283), family=socket.AF_INET6)
while True:
    client, _ = server.accept()
    client.recv(1000)
    client.sendall(b\"HTTP/1.0 200 OK\\r\\n\\r\\n{pong}\")
    client.close()'";

/// The server on every address, and on a network of the operator's with both versions of IP; somebody else on each of its bridges.
fn host() -> Host {
    let host = Host::converged("door");
    host.ok("podman network create --ipv6 proxy");
    host.configure("[immich]\nlisten = \"0.0.0.0:2283\"\n[network]\nserver_networks = [\"proxy\"]\n");
    host.ok("photos-agent apply");
    for (name, network) in [("proxy", "proxy"), ("download", "photos-egress")] {
        host.ok(&format!(
            "podman run -q -d --name {name} --network {network} --entrypoint sleep docker.io/icloudpd/icloudpd:1.32.3 infinity"
        ));
    }
    host.ok(OUTSIDE);
    host.ok(THEIRS);
    // Where this is on, what is bridged is routed too, and the table for bridges would have nothing to do.
    host.ok("sysctl -qw net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0");
    host.wait_for("ip netns exec outside bash -c ': < /dev/tcp/127.0.0.1/9999'", 20);
    host
}

/// What Podman says of the server on one of its networks.
fn of_server(host: &Host, network: &str, what: &str) -> String {
    host.ok(&format!(
        "podman inspect -f '{{{{(index .NetworkSettings.Networks \"{network}\").{what}}}}}' immich-server"
    ))
}

/// The ways in that are routed, and those across a bridge: a name, and a command that succeeds where the server answers.
fn ways(host: &Host) -> [Vec<(&'static str, String)>; 2] {
    host.ok(NEWER);
    let ping = |prefix: &str, address: &str| format!("{prefix} timeout 3 bash -c '{PING}' {address}");
    let egress = of_server(host, "photos-egress", "IPAddress");
    let (proxy, proxy6) = (of_server(host, "proxy", "IPAddress"), of_server(host, "proxy", "GlobalIPv6Address"));
    let mac = of_server(host, "proxy", "MacAddress");
    // Every interface gives itself one, whether the network has that version of IP or not.
    let local = host.ok(&format!(
        "nsenter -t $(podman inspect -f '{{{{.State.Pid}}}}' immich-server) -n ip -br -6 address show scope link | \
         grep \"^$(nsenter -t $(podman inspect -f '{{{{.State.Pid}}}}' immich-server) -n ip -br link | grep {mac} | cut -d@ -f1)\" | \
         grep -o 'fe80[^/]*'"
    ));
    let routed = vec![
        ("published, from the host", ping("", "127.0.0.1")),
        ("published, on the host's own address", ping("", "192.0.2.1")),
        ("published, from outside", ping("ip netns exec outside", "192.0.2.1")),
        ("routed, from outside", ping("ip netns exec outside", &egress)),
        ("its own address, from the host", ping("", &egress)),
        ("its own address of the other version", ping("", &proxy6)),
        ("published, from another network's container", ping("podman exec download", "192.0.2.1")),
    ];
    let bridged = vec![
        ("from the operator's network", ping("podman exec proxy", &proxy)),
        ("the same with the other version", ping("podman exec proxy", &proxy6)),
        ("the same by the interface's own address", ping("podman exec proxy", &format!("{local}%eth0"))),
        ("from the network with a way out", ping("podman exec download", &egress)),
    ];
    [routed, bridged]
}

fn assert_open(host: &Host, ways: &[(&str, String)]) {
    for (name, command) in ways {
        host.wait_for(command, 10);
        eprintln!("open: {name}");
    }
}

fn assert_closed(host: &Host, ways: &[(&str, String)]) {
    let mut all = String::new();
    for (name, command) in ways {
        let _ = writeln!(all, "{{ {command} && echo '{name}'; }} &");
    }
    assert_eq!(host.ok(&format!("{all}wait")), "", "these are open");
}

fn doors(host: &Host) -> Doors {
    let way = |network: &str| {
        let inspect = |format: &str| host.ok(&format!("podman network inspect -f '{format}' {network}"));
        let subnets = inspect("{{range .Subnets}}{{.Subnet}} {{end}}");
        Way {
            network: network.to_owned(),
            interface: inspect("{{.NetworkInterface}}"),
            subnets: subnets.split_whitespace().map(|subnet| subnet.parse().unwrap()).collect(),
        }
    };
    Doors { ways: ["photos", "photos-egress", "proxy"].map(way).into(), shared: true }
}

/// The first text that this kernel takes, as the file that lies there while they are closed.
fn write_rules(host: &Host) {
    let texts = doors(host).rules();
    let taken = texts.iter().find(|text| {
        host.write("/root/rules", text);
        host.run("nft -c -f /root/rules").code == 0
    });
    host.write(DOORS, taken.expect("this kernel can close them"));
}

/// What must go on: the health check that systemd waits for, the agent's way in, and the server's ways out.
fn assert_goes_on(host: &Host) {
    host.ok("podman healthcheck run immich-server");
    let inside = "nsenter -t $(podman inspect -f '{{.State.Pid}}' immich-server) -n curl -sf -m 5 http://127.0.0.1:2283/api/server";
    assert_eq!(host.ok(&format!("{inside}/ping")), r#"{"res":"pong"}"#);
    assert!(host.ok(&format!("{inside}/version")).contains("\"major\""));
    for address in ["database/5432", "redis/6379", "immich-machine-learning/3003", "192.0.2.2/9999"] {
        host.ok(&format!("podman exec immich-server timeout 5 bash -c ': < /dev/tcp/{address}'"));
    }
}

#[test]
fn behind_closed_doors_nobody_reaches_the_server() {
    let host = host();
    let [routed, bridged] = ways(&host);
    assert_open(&host, &routed);
    assert_open(&host, &bridged);
    // Connected while it was open, and told to go on when it is closed.
    let lasting = host.start(&format!(
        "ip netns exec outside bash -c 'exec 3<>/dev/tcp/192.0.2.1/2283; touch /run/connected; \
         until test -e /run/go; do sleep 0.1; done; printf \"GET /api/server/ping HTTP/1.0\\r\\n\\r\\n\" >&3; \
         timeout 5 cat <&3 >/run/lasting; touch /run/told'"
    ));
    host.wait_for("test -e /run/connected", 20);
    let theirs = host.ok("nft -s list table inet theirs; nft list table bridge theirs");

    write_rules(&host);
    host.ok(&format!("nft -f {DOORS}"));
    host.ok("touch /run/go");
    assert_closed(&host, &routed);
    assert_closed(&host, &bridged);
    assert_goes_on(&host);
    host.wait_for("test -e /run/told", 20);
    assert_eq!(host.ok("cat /run/lasting"), "", "what was connected is not let through either");
    drop(lasting.wait_with_output());

    // A restart comes up, and stays closed to all but the agent; its addresses may be other ones.
    host.ok("systemctl restart immich-server");
    let [routed, bridged] = ways(&host);
    assert_closed(&host, &routed);
    assert_closed(&host, &bridged);
    assert_goes_on(&host);

    // Podman's own rules come and go without them.
    host.ok("podman network reload --all");
    assert_closed(&host, &routed);
    // Whoever throws all rules away gets these back with the stack's own.
    for end in [
        "systemctl start nftables",
        "systemctl reload nftables",
        "systemctl restart nftables",
        "nft flush ruleset && systemctl restart immich-ml",
    ] {
        host.ok(end);
        host.ok("systemctl reload photos-firewall");
        assert_closed(&host, &routed);
        assert_closed(&host, &bridged);
    }
    // What has to do with other tables is not changed by it.
    host.ok(THEIRS);
    host.ok(&format!("nft -f {DOORS} && nft -f {DOORS}"));
    assert_eq!(host.ok("nft -s list table inet theirs; nft list table bridge theirs"), theirs);
    host.run("photos-agent status");

    // Each table closes what the other one does not.
    host.ok(&format!("nft delete table bridge {DOORS_TABLE}"));
    assert_open(&host, &bridged);
    assert_closed(&host, &routed);
    host.ok(&format!("nft -f {DOORS} && nft delete table inet {DOORS_TABLE}"));
    assert_open(&host, &routed);
    assert_closed(&host, &bridged);
    host.ok(&format!("rm {DOORS}; nft delete table bridge {DOORS_TABLE}"));
    assert_open(&host, &bridged);
    assert_goes_on(&host);
    assert_eq!(host.ok("nft -s list table inet theirs; nft list table bridge theirs"), theirs);
    host.assert_converged();
}

#[test]
fn a_boot_does_not_open_closed_doors() {
    let host = Host::converged("doorboot");
    let ping = format!("timeout 3 bash -c '{PING}' 127.0.0.1");
    host.wait_for(&ping, 10);
    let way = |interface: &str| Way { network: String::new(), interface: interface.to_owned(), subnets: Vec::new() };
    let network = host.ok("podman network inspect -f '{{range .Subnets}}{{.Subnet}}{{end}}' photos-egress");
    let mut egress = way("photos1");
    egress.subnets.push(network.parse().unwrap());
    let texts = Doors { ways: vec![way("photos0"), egress], shared: false }.rules();
    host.write(DOORS, texts.last().expect("a text that every kernel takes"));
    host.ok(&format!("sync {DOORS} && nft -f {DOORS}"));
    host.crash();
    host.wait_for("systemctl is-active immich-server", 120);
    // Up and published, and nobody has come in.
    host.ok("podman healthcheck run immich-server && nft list ruleset | grep -q 'dnat ip to'");
    assert_ne!(host.run(&ping).code, 0, "a boot opened them");
    // No operation is open that they are closed for: whoever tidies up opens them.
    host.fails(2, "photos-agent doctor");
    host.ok("systemctl start photos-agent");
    host.wait_for(&ping, 60);
    host.ok(&format!("test ! -e {DOORS} && ! nft list table inet {DOORS_TABLE} 2>/dev/null"));
    host.wait_for("photos-agent status", 60);
}
