//! `upgrade --check`: what there is is told and nothing is written, whatever the registry says.

use serde_json::Value;

use crate::support::Host;

/// The check as a document, and its exit code.
fn check(host: &Host, options: &str) -> (i32, Value) {
    let done = host.run(&format!("photos-agent --json upgrade --check {options}"));
    let document = serde_json::from_str(&done.out);
    (done.code, document.unwrap_or_else(|error| panic!("{error}: {}", done.all())))
}

/// The releases of the way.
fn path(document: &Value) -> Vec<&str> {
    document["path"].as_array().unwrap().iter().map(|stage| stage["release"].as_str().unwrap()).collect()
}

fn notes(document: &Value) -> String {
    document["notes"].to_string()
}

/// Everything that the agent could write, and what Podman and its store hold.
fn listing(host: &Host) -> String {
    host.ok(
        "podman images -a --no-trunc -q | sort; podman ps -a --no-trunc -q | sort; \
         find /etc /var/lib/photos-agent /run/photos-agent -printf '%p %y %s %m %T@ %C@\\n' | sort; \
         find /var/lib/photos -maxdepth 2 -printf '%p %y %T@ %C@\\n' | sort; systemctl list-unit-files --no-legend | sort",
    )
}

/// Puts a tag of the server or of machine learning into the registry, which is another one's image.
fn push(host: &Host, name: &str, from: &str, to: &str) {
    host.ok(&format!("podman push -q ghcr.io/immich-app/{name}:{from} 127.0.0.1:5000/immich-app/{name}:{to}"));
}

#[test]
fn what_there_is_to_upgrade_to_is_told_and_nothing_is_written() {
    let host = Host::with_images("check");
    host.configure("[immich]\nversion = \"v3.1.0\"\n");
    // Nothing runs yet.
    let said = host.fails(3, "photos-agent upgrade --check");
    assert!(said.err.contains("next: photos-agent apply"), "{}", said.all());
    host.ok("photos-agent apply");

    // The files name what runs.
    let (code, document) = check(&host, "");
    assert_eq!((code, path(&document)), (0, vec![]), "{document}");
    assert!(notes(&document).contains("v3.2.2 is known, and is newer than v3.1.0"), "{document}");
    let (code, document) = check(&host, "--to v3.2.0");
    assert_eq!((code, path(&document)), (2, vec!["v3.2.0"]), "{document}");

    // They name nothing: the newest.
    host.configure("");
    let before = listing(&host);
    let said = host.fails(2, "photos-agent upgrade --check -v");
    for part in [
        "Immich v3.1.0 runs. The newest that is known is v3.2.2 of 2026-09-16.",
        "1 upgrade to do:\n  1. v3.2.2 of 2026-09-16\n       because: the newest that is old enough",
        "  server    ghcr.io/immich-app/immich-server:v3.2.2\n",
        "  redis     docker.io/valkey/valkey:9 (as now; its tag is asked for anew)\n",
        "registry: has ghcr.io/immich-app/immich-machine-learning:v3.2.2",
        "  images    about 6 GiB (an estimate), in /var/lib/containers/storage: ",
        "  dump      about ",
    ] {
        assert!(said.out.contains(part), "{part}: {}", said.all());
    }
    assert!(!said.out.contains("note: "), "{}", said.all());
    let (code, document) = check(&host, "");
    assert_eq!((code, path(&document)), (2, vec!["v3.2.2"]), "{document}");
    assert!(document["space"]["database"].as_u64().unwrap() > 1 << 20, "{document}");
    assert_eq!(document["registry"]["silent"], Value::Null, "{document}");
    let (code, document) = check(&host, "--to v3.0.2");
    assert_eq!(code, 3, "{document}");
    assert!(document["refusals"].to_string().contains("photos-agent rollback"), "{document}");
    assert_eq!(check(&host, "--to v9.9.9").0, 3);
    assert_eq!(before, listing(&host));

    // What failed here is not taken again, unless it is named.
    host.write(
        "/var/lib/photos-agent/quarantine.json",
        r#"{"schema":1,"releases":[{"release":"v3.2.2","digests":[],"since":"2026-11-20T10:00:00Z","why":"unwell"}]}"#,
    );
    let (code, document) = check(&host, "");
    assert_eq!((code, path(&document)), (2, vec!["v3.2.0"]), "{document}");
    assert!(notes(&document).contains("v3.2.2 is in quarantine since 2026-11-20: unwell"), "{document}");
    assert_eq!(path(&check(&host, "--to v3.2.2").1), ["v3.2.2"]);
    host.ok("rm /var/lib/photos-agent/quarantine.json");
}

#[test]
fn the_registry_and_a_catalogue_file_have_their_say() {
    let host = Host::with_images("checkreg");
    host.configure("[immich]\nversion = \"v3.1.0\"\n");
    host.ok("photos-agent apply");
    host.configure("");

    // A release that the catalogue does not know yet, and then does.
    push(&host, "immich-server", "v3.2.2", "v3.2.3");
    let (code, document) = check(&host, "");
    assert_eq!((code, path(&document)), (2, vec!["v3.2.2"]), "{document}");
    assert!(notes(&document).contains("the registry has v3.2.3, which this catalogue does not know"), "{document}");
    let file = "/etc/photos-agent/config.d/immich.catalogue.toml";
    host.write(file, "[[release]]\nversion = \"v3.2.3\"\npublished = 2026-10-01\n");
    // Of two images one is there: that release is passed over, and refused where it is named.
    let (code, document) = check(&host, "");
    assert_eq!((code, path(&document)), (2, vec!["v3.2.2"]), "{document}");
    assert!(
        notes(&document)
            .contains("v3.2.3 is passed over: the registry has no ghcr.io/immich-app/immich-machine-learning:v3.2.3"),
        "{document}"
    );
    let (code, document) = check(&host, "--to v3.2.3");
    assert_eq!(code, 3, "{document}");
    assert!(document["refusals"].to_string().contains("which the registry does not have"), "{document}");
    push(&host, "immich-machine-learning", "v3.2.2", "v3.2.3");
    let (code, document) = check(&host, "");
    assert_eq!((code, path(&document)), (2, vec!["v3.2.3"]), "{document}");
    // Too young, and then not to be taken.
    host.write(file, "[[release]]\nversion = \"v3.2.3\"\npublished = 9999-01-01\n");
    let (code, document) = check(&host, "");
    assert_eq!((code, path(&document)), (2, vec!["v3.2.2"]), "{document}");
    assert_eq!(path(&check(&host, "--now").1), ["v3.2.3"]);
    assert_eq!(check(&host, "--to v3.2.3").0, 3);
    host.write(file, "[[release]]\nversion = \"v3.2.3\"\npublished = 2026-10-01\navoid = \"eats cats\"\n");
    let (_, document) = check(&host, "");
    assert!(path(&document) == ["v3.2.2"] && notes(&document).contains("eats cats"), "{document}");

    // A hostile one: nothing of it is obeyed, and what is wrong has its place.
    let hostile = "[[release]]\nversion = \"v3.2.3\\u001b[31m\"\n[[release]]\nversion = \"v3.2.4\"\npublished = 2026-10-01\n\
        images.redis = \"docker.io/x/y:1\\nExecStartPre=/bin/sh\"\n[[release]]\nversion = \"v3.2.5\"\n\
        health.server = \"a\\nExecStartPre=/bin/sh\"\n[immich]\nversion = \"v3.0.2\"\n";
    host.write(file, hostile);
    let said = host.fails(64, "photos-agent upgrade --check");
    for line in [2, 6, 7, 10] {
        assert!(said.err.contains(&format!("{file}:{line}:")), "{line}: {}", said.all());
    }
    assert!(!said.err.contains('\u{1b}'), "{}", said.all());
    // What runs goes on, and so does what was applied.
    host.ok("curl -sf http://127.0.0.1:2283/api/server/ping");
    host.ok(&format!("rm {file}"));

    // A tag that is gone: around it.
    host.ok(
        "rm -r /var/lib/docker-registry/docker/registry/v2/repositories/immich-app/immich-server/_manifests/tags/v3.2.2",
    );
    let (code, document) = check(&host, "");
    assert_eq!((code, path(&document)), (2, vec!["v3.2.0"]), "{document}");
    assert!(document["registry"]["missing"].to_string().contains("immich-server:v3.2.2"), "{document}");

    // A registry that is down is said, and the catalogue's way with it.
    host.ok("systemctl stop docker-registry");
    let (code, document) = check(&host, "");
    assert_eq!((code, path(&document)), (2, vec!["v3.2.2"]), "{document}");
    assert!(notes(&document).contains("the registry could not be asked"), "{document}");
    assert!(notes(&document).contains("connection refused"), "{document}");
}
