//! What a real host says to programs is what docs/schema says, and to a person in a terminal what fits one.

use serde_json::Value;

use crate::support::Host;

fn schema(kind: &str) -> Value {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema").join(format!("{kind}.json"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The document of a command, which is what its schema says.
fn document(host: &Host, command: &str) -> Value {
    let done = host.run(&format!("photos-agent --json {command}"));
    let document: Value = serde_json::from_str(&done.out).unwrap_or_else(|error| panic!("{error}: {}", done.all()));
    for kind in ["envelope", document["kind"].as_str().unwrap()] {
        let validator = jsonschema::validator_for(&schema(kind)).unwrap();
        let wrong: Vec<String> =
            validator.iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert_eq!(wrong, Vec::<String>::new(), "{command}: {document:#}");
    }
    document
}

#[test]
fn documents_of_a_real_host_are_what_their_schemas_say() {
    let host = Host::converged("json");
    assert_eq!(document(&host, "snapshot list")["snapshots"].as_array().unwrap().len(), 0);
    host.ok("photos-agent snapshot --keep && photos-agent snapshot verify && photos-agent snapshot");
    host.ok("btrfs quota enable /var/lib/photos; photos-agent restore latest --yes");
    // What tidies up behind a restore goes on for a moment.
    host.wait_for("photos-agent status", 90);
    host.ok("mkdir /var/lib/photos/.snapshots/20200101T000000Z");
    let list = document(&host, "snapshot list");
    assert_eq!(list["debris"].as_array().unwrap().len(), 1, "{list:#}");
    assert_eq!(list["replaced"].as_array().unwrap().len(), 1, "{list:#}");
    assert!(document(&host, "status")["proofs"]["last"]["proven"].as_bool().unwrap());
    document(&host, "doctor");
    assert!(document(&host, "plan")["empty"].as_bool().unwrap());
    host.ok("rm /etc/systemd/system/photos.target; systemctl mask --now immich-ml; echo x >/etc/systemd/system/photos.slice");
    assert!(!document(&host, "plan")["steps"].as_array().unwrap().is_empty());
    assert!(!document(&host, "status")["well"].as_bool().unwrap());
    host.ok("mkdir /srv/none && mount -t tmpfs none /srv/none");
    host.configure("[storage]\nroot = \"/srv/none/photos\"\n");
    assert!(!document(&host, "plan")["refusals"].as_array().unwrap().is_empty());
    document(&host, "status");
    assert_eq!(document(&host, "restore 2020 --yes")["kind"], "error");
}

#[test]
fn a_terminal_gets_colour_and_lines_that_fit_and_a_pipe_plain_ones() {
    let host = Host::converged("terminal");
    let in_terminal = |before: &str, command: &str| {
        let script = format!("{before} script -qec 'stty cols 80; photos-agent {command}' /dev/null </dev/null");
        host.run(&script).out.replace('\r', "")
    };
    for command in ["doctor", "status", "history", "secret list", "snapshot list", "plan"] {
        let shown = in_terminal("TERM=xterm", command);
        let is_typed = |line: &&str| line.contains("next: ");
        for line in shown.lines().filter(|line| !is_typed(line)) {
            let bare: String = line.split('\u{1b}').enumerate().fold(String::new(), |bare, (at, part)| {
                bare + if at == 0 { part } else { part.split_once('m').map_or("", |(_, rest)| rest) }
            });
            assert!(bare.chars().count() <= 80, "{command}: {bare}");
        }
    }
    assert!(in_terminal("TERM=xterm", "doctor").contains("\u{1b}[32mok"));
    for plain in [in_terminal("TERM=xterm NO_COLOR=1", "doctor"), in_terminal("TERM=dumb", "doctor")] {
        assert!(plain.contains("ok ") && !plain.contains('\u{1b}'), "{plain}");
    }
    let piped = host.ok("photos-agent secret list");
    assert!(!piped.contains('\u{1b}') && piped.lines().count() == 3, "{piped}");
}
