//! The stack outlives the agent: reboots, crashes and power cuts with the agent disabled.

use crate::support::Host;

const API: &str = "http://127.0.0.1:2283/api";

#[test]
fn the_stack_comes_back_by_itself_after_a_reboot_a_crash_and_a_power_cut() {
    let host = Host::converged("reboot");
    assert_eq!(host.fails(1, "systemctl is-enabled photos-agent").out, "disabled\n");
    let post = format!("curl -sSf -H 'Content-Type: application/json' -d @- {API}");
    let account = r#"{"email": "a@example.org", "name": "A", "password": "correct horse"}"#;
    host.ok(&format!("echo '{account}' | {post}/auth/admin-sign-up"));
    let login = format!("echo '{account}' | {post}/auth/login | jq -r .accessToken");
    let token = host.ok(&login);
    host.ok("head -c 300000 /dev/urandom > /root/photo.jpg");
    let upload = format!(
        "curl -sSf -H 'Authorization: Bearer {token}' -F assetData=@/root/photo.jpg \
         -F fileCreatedAt=2020-01-01T00:00:00Z -F fileModifiedAt=2020-01-01T00:00:00Z {API}/assets | jq -r .id"
    );
    let asset = host.ok(&upload);
    // Immich does not, and a photograph that was on no disk is no matter of the stack.
    host.ok("sync");

    let sql = "podman exec immich-postgres psql -U postgres -d immich -Atc";
    host.ok(&format!("{sql} 'CREATE TABLE survivor (name text)'"));
    let mut survivors = Vec::new();
    for (name, end) in [("reboot", Host::reboot as fn(&Host)), ("crash", Host::crash), ("powercut", Host::cut_power)] {
        // What the database has acknowledged is on disk, whatever ends the host in the next moment.
        host.ok(&format!("{sql} \"INSERT INTO survivor VALUES ('{name}')\""));
        survivors.push(name);
        let boot = host.ok("cat /proc/1/stat | cut -d' ' -f22");
        end(&host);
        assert_ne!(host.ok("cat /proc/1/stat | cut -d' ' -f22"), boot, "{name}: the host booted again");
        // A command of its own and no daemon; it only looks.
        host.wait_for("photos-agent status", 120);
        host.assert_converged();
        host.fails(1, "pgrep -x photos-agent");
        assert_eq!(host.ok("systemctl show -P ActiveEnterTimestampMonotonic photos-agent"), "0", "{name}");
        assert_eq!(host.ok(&format!("{sql} 'SELECT name FROM survivor'")), survivors.join("\n"), "{name}");
        let download = format!("curl -sSf -H \"Authorization: Bearer $({login})\" {API}/assets/{asset}/original");
        host.ok(&format!("{download} | cmp - /root/photo.jpg"));
        let restarts = host.ok("systemctl show -P NRestarts 'immich-*.service'");
        assert_eq!(restarts, "0\n\n0\n\n0\n\n0", "{name}: each came up at its first start");
    }
}

#[test]
fn an_image_that_was_pulled_is_whole_after_a_power_cut() {
    let host = Host::fresh("pulled");
    // The next one is on its way, and has committed nothing yet.
    host.ok("photos-agent apply >/root/log 2>&1 & pid=$!; until grep -q ' in .* s$' /root/log; do \
           kill -0 $pid || { cat /root/log; exit 1; }; done; kill -KILL $pid");
    let pulled = host.ok("sed -n 's/^    \\(.*\\) in .* s$/\\1/p' /root/log | head -1");
    host.cut_power();
    host.ok(&format!("podman run --rm --entrypoint sh {pulled} -c 'test -s /etc/passwd'"));
}
