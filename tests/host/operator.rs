//! The operator's word holds: what was stopped stays stopped, the stack needs no agent, and the daemon says
//! where it is.

use std::time::{Duration, Instant};

use crate::support::Host;

const SERVICES: [&str; 4] = ["immich-postgres", "immich-redis", "immich-server", "immich-ml"];

/// When each service was last started, in the words of systemd: a restart changes it.
fn started(host: &Host) -> String {
    host.ok(&format!("systemctl show -P ActiveState -P ActiveEnterTimestampMonotonic {}", SERVICES.join(" ")))
}

fn assert_down(host: &Host) {
    for service in SERVICES {
        assert_eq!(host.run(&format!("systemctl is-active {service}")).out.trim(), "inactive", "{service}");
    }
}

/// Waits until the daemon's status line begins like this, and returns it.
fn says(host: &Host, text: &str) -> String {
    let line = "systemctl show -P StatusText photos-agent";
    host.wait_for(&format!("{line} | grep -q '^{text}'"), 60);
    host.ok(line)
}

fn message(name: &str) -> &'static str {
    // The identifiers are an interface of their own, so they are written out here and not taken from the crate.
    match name {
        "converged" => "b37c1a3fdaf3423abdfcf9375f60d632",
        "refused" => "3dc133566af34b4a9a586ab83bc1fd0b",
        "unit" => "e7b8743456574e9c800982a41799d560",
        other => panic!("no identifier of {other} here"),
    }
}

/// The entries with this identifier since the daemon was last started.
fn entries(host: &Host, name: &str) -> Vec<String> {
    let id = message(name);
    let found = host.run(&format!("journalctl -q -o cat -t photos-agent MESSAGE_ID={id}"));
    found.out.lines().map(str::to_owned).collect()
}

#[test]
fn what_the_operator_stops_stays_stopped_and_what_dies_comes_back() {
    let host = Host::converged("operator");

    // Stopped, over everything that would start it if it did not know better.
    host.ok("systemctl stop photos.target 'immich-*'");
    assert_down(&host);
    let said = host.ok("photos-agent apply");
    assert!(said.contains("note: photos.target was stopped: systemctl start photos.target"), "{said}");
    let status = host.fails(2, "photos-agent status");
    assert!(status.out.contains("Note: photos.target was stopped"), "{}", status.all());
    host.ok("photos-agent --json status | jq -e '.well == false and (.notes | length == 1)'");
    let begun = Instant::now();
    host.ok("systemctl start photos-agent");
    assert!(begun.elapsed() < Duration::from_secs(5), "READY is early: {:?}", begun.elapsed());
    let line = says(&host, "converged, generation 1");
    assert!(line.contains("photos.target was stopped"), "{line}");
    host.ok("systemctl restart photos-agent && systemctl reload photos-agent");
    says(&host, "converged, generation 1");
    assert_down(&host);

    // Started again, by the operator's command alone.
    host.ok("systemctl stop photos-agent && systemctl start photos.target");
    host.wait_for("photos-agent status", 60);

    // The stack does not notice that the agent comes, goes, and is removed.
    let before = started(&host);
    host.ok("systemctl start photos-agent && systemctl restart photos-agent");
    says(&host, "converged, generation 1$");
    host.ok("systemctl stop photos-agent && apt-get remove -qq -y -o Dpkg::Use-Pty=0 photos-agent >/dev/null 2>&1");
    host.fails(127, "photos-agent status");
    assert_eq!(started(&host), before);
    host.ok("apt-get install -qq -y -o Dpkg::Use-Pty=0 /root/photos-agent.deb >/dev/null 2>&1");
    assert_eq!(started(&host), before);
    assert_ne!(host.run("systemctl is-active photos-agent").out.trim(), "active", "installing starts nothing");
    host.assert_converged();

    // One service that is masked stays down, and is said to.
    host.ok("systemctl -q mask --now immich-ml");
    let said = host.ok("photos-agent apply");
    assert!(said.contains("immich-ml.service is masked and stays down: systemctl unmask immich-ml.service"), "{said}");
    assert!(host.ok("photos-agent status").contains("immich-ml.service is masked"));
    host.ok("systemctl -q unmask immich-ml && photos-agent apply");
    host.assert_converged();

    let operations = "photos-agent --json history | jq '.operations | length'";
    let before = host.ok(operations);
    // The database dies in three ways, and comes back with the server after it.
    let inside = "podman inspect -f '{{.State.Pid}}' immich-postgres";
    for end in [
        "podman kill immich-postgres >/dev/null".to_owned(),
        format!("kill -9 $({inside})"),
        "systemctl stop immich-postgres".to_owned(),
    ] {
        let killed = host.ok("podman inspect -f '{{.Id}}' immich-postgres");
        host.ok(&end);
        // Systemd learns of a death a moment after it: another container first, then all is well.
        let another = format!("id=$(podman inspect -f '{{{{.Id}}}}' immich-postgres) && [ $id != {killed} ]");
        let took = host.wait_for(&format!("{another} && photos-agent status"), 60);
        assert!(took < Duration::from_secs(40), "{end}: {took:?}");
        // An answer out of the database.
        host.wait_for("curl -sf http://127.0.0.1:2283/api/server/config", 20);
    }
    assert_eq!(host.ok(operations), before, "systemd alone did it");
}

#[test]
fn the_daemon_applies_what_is_reloaded_and_says_where_it_is() {
    let host = Host::converged("daemon");
    let config = "/etc/photos-agent/config.d/50-mine.toml";
    let before = host.ok("podman inspect -f '{{.Id}}' immich-postgres");
    host.ok("systemctl start photos-agent");
    says(&host, "converged, generation 1$");
    assert_eq!(entries(&host, "converged"), ["converged"]);

    host.write(config, "[immich]\nlisten = \"127.0.0.1:2299\"\n");
    host.ok("systemctl reload photos-agent");
    says(&host, "converged, generation 2$");
    host.ok("curl -sf http://127.0.0.1:2299/api/server/ping");
    assert_eq!(entries(&host, "converged").len(), 2);
    let units = entries(&host, "unit");
    assert!(units.contains(&"immich-server.service: done".to_owned()), "{units:?}");
    let field = format!("journalctl -q -o json -t photos-agent MESSAGE_ID={} -n 1", message("converged"));
    assert_eq!(host.ok(&format!("{field} | jq -r '.GENERATION, .PRIORITY'")), "2\n5", "fields, at their level");

    // A mistake: the stack stays, the status line and the journal say what to do.
    host.write(config, "[immich]\nlisten = 1\n");
    host.ok("systemctl reload photos-agent");
    let line = says(&host, "configuration has mistakes");
    assert!(line.contains("photos-agent config check"), "{line}");
    let mistakes = entries(&host, "refused").join("\n");
    assert!(mistakes.contains(&format!("{config}:2:10: ")), "{mistakes}");
    host.ok("curl -sf http://127.0.0.1:2299/api/server/ping && systemctl is-active photos-agent");

    // A refusal: the same.
    host.write(config, "[network]\nserver_networks = [\"proxy\"]\n");
    host.ok("systemctl reload photos-agent");
    says(&host, "refused: network proxy: ");
    assert!(entries(&host, "refused").join("\n").contains("next: podman network create proxy"));

    // A bus that was lost meanwhile is found again.
    host.ok("pkill -9 dbus-broker && sleep 2 && busctl -q status >/dev/null");
    host.ok(&format!("rm {config} && systemctl reload photos-agent"));
    says(&host, "converged, generation 3$");
    assert_eq!(host.ok("podman inspect -f '{{.Id}}' immich-postgres"), before, "the database never noticed");
    host.ok("systemctl stop photos-agent");
    host.assert_converged();
    let history = host.ok("photos-agent history");
    assert!(
        history.contains("daemon  done, generation 3") && history.contains("photos-agent apply  done"),
        "{history}"
    );
    let filter = ".kind == \"history\" and .pending == null and [.operations[].id] == [3,2,1] \
         and [.generations[].number] == [3,2,1] and .operations[0].command == \"daemon\"";
    host.ok(&format!("photos-agent --json history | jq -e '{filter}'"));
    two_at_once(&host);
}

/// The second command waits for the first, and after half a minute it fails and names the holder.
fn two_at_once(host: &Host) {
    let hold = |seconds: u32| {
        let lock = "/run/photos-agent/lock";
        let holder =
            host.start(&format!("flock {lock} sh -c 'printf \"%s\" \"somebody (pid 7)\" >{lock}; sleep {seconds}'"));
        host.wait_for(&format!("! flock -n {lock} true"), 10);
        holder
    };
    let mut holder = hold(4);
    let begun = Instant::now();
    host.ok("photos-agent apply");
    assert!(begun.elapsed() > Duration::from_secs(2), "it did not wait: {:?}", begun.elapsed());
    holder.wait().unwrap();

    let mut holder = hold(60);
    assert!(host.run("photos-agent status").out.contains("At work: somebody (pid 7)"));
    host.ok("photos-agent plan");
    let begun = Instant::now();
    let said = host.fails(1, "photos-agent apply");
    let waited = begun.elapsed().as_secs();
    assert!((29..45).contains(&waited), "{waited} s");
    assert!(said.err.contains("somebody (pid 7) is at work on this host"), "{}", said.all());
    host.ok("fuser -k /run/photos-agent/lock >/dev/null 2>&1 || pkill -x flock");
    holder.wait().unwrap();
}
