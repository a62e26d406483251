//! What is broken for real is found by `doctor`, with the command that mends it; and that command mends it.

use serde_json::Value;

use crate::support::Host;

/// The finding of one check, and its remedy.
fn finding(host: &Host, what: &str) -> (String, String) {
    let done = host.run("photos-agent --json doctor");
    let document: Value = serde_json::from_str(&done.out).unwrap_or_else(|error| panic!("{error}: {}", done.all()));
    let checks = document["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["what"] == what).unwrap_or_else(|| panic!("no {what}: {document}"));
    (check["finding"].as_str().unwrap().to_owned(), check.to_string())
}

fn holds(host: &Host, what: &str) {
    let (found, text) = finding(host, what);
    assert_eq!(found, "holds", "{text}");
}

fn fails(host: &Host, what: &str, words: &[&str]) {
    let (found, text) = finding(host, what);
    assert_eq!(found, "fails", "{text}");
    for word in words {
        assert!(text.contains(word), "{word}: {text}");
    }
}

#[test]
fn what_is_broken_is_found_and_its_remedy_mends_it() {
    let host = Host::converged("doctor");
    // Every one of them holds.
    host.ok("photos-agent doctor");
    assert!(finding(&host, "address of the server").1.contains("is the server's"));

    host.ok("systemctl disable podman.socket");
    fails(&host, "Podman's socket", &["is disabled", "systemctl enable --now podman.socket"]);
    host.ok("systemctl enable --now podman.socket");
    holds(&host, "Podman's socket");

    host.ok("mkdir /srv/quadlets && cp -a /etc/containers/systemd/. /srv/quadlets/");
    host.ok("mount --bind /srv/quadlets /etc/containers/systemd");
    fails(&host, "units at boot", &["lies on /etc/containers/systemd", "next boot", "/etc/fstab"]);
    host.ok("umount /etc/containers/systemd");
    holds(&host, "units at boot");
    // A link to another disk is the same trap.
    host.ok("mv /etc/containers/systemd /srv/pool/quadlets && ln -s /srv/pool/quadlets /etc/containers/systemd");
    fails(&host, "units at boot", &["lies on /srv/pool"]);
    host.ok("rm /etc/containers/systemd && mv /srv/pool/quadlets /etc/containers/systemd");
    holds(&host, "units at boot");

    // The name that Immich shares, which lives in its own settings.
    let named = |name: &str| {
        host.ok(&format!(
            "podman exec immich-postgres psql -U postgres -d immich -qX -c \"INSERT INTO system_metadata AS m VALUES \
             ('system-config', '{{\\\"server\\\":{{\\\"externalDomain\\\":\\\"{name}\\\"}}}}') ON CONFLICT (key) DO UPDATE SET \
             value = m.value || excluded.value\" && systemctl restart immich-server"
        ));
    };
    named("https://photos.nowhere.invalid");
    fails(&host, "public name", &["photos.nowhere.invalid", "getent hosts photos.nowhere.invalid"]);
    named("https://localhost:8443");
    assert!(finding(&host, "public name").1.contains("localhost is 127.0.0.1"));
    holds(&host, "units at boot");
    host.assert_converged();
}

#[test]
fn a_port_of_somebody_elses_is_found_and_the_first_configuration_goes_around_it() {
    let host = Host::fresh("doctor-port");
    fails(&host, "Podman's socket", &["systemctl enable --now podman.socket"]);
    holds(&host, "address of the server");
    host.ok("systemd-run --quiet --unit=squatter systemd-socket-activate --listen=2283 /bin/cat");
    host.wait_for("ss -ltn | grep -q :2283", 10);
    fails(&host, "address of the server", &["systemd-socket-", "has 127.0.0.1:2283", "systemctl status"]);
    let told = host.ok("photos-agent config init");
    assert!(told.contains("immich.listen = \"127.0.0.1:2284\"") && told.contains("2283 already"), "{told}");
    holds(&host, "address of the server");
    // Of the two BTRFS filesystems, the one with more room.
    let shown = host.ok("photos-agent config show --origin");
    assert!(shown.contains("127.0.0.1:2284") && shown.contains("/etc/photos-agent/config.toml:"), "{shown}");
    host.configure("[immich]\nlisten = \"192.0.2.7:2290\"\n");
    fails(&host, "address of the server", &["no interface of this host has 192.0.2.7", "ip -brief address"]);
    host.fails(3, "photos-agent config init");
}
