//! The gate: while a new release is on trial nobody can hand it anything, and what was accepted before or after is there.

use std::process::Child;

use crate::support::Host;
use crate::upgrade::stand::{NEW, OLD, configure, old, push, serves, upgrade_ends};

/// Uploads one photograph after the other, until /run/enough.
fn upload_all_along(host: &Host) -> Child {
    host.ok("rm -f /run/enough /run/tried /run/seen");
    host.start("until [ -e /run/enough ]; do sh /root/upload || sleep 0.05; done")
}

/// A container beside the server, as a proxy would be, and a look at the doors again and again, until /run/enough: `shut` in
/// /run/seen is a moment in which the new server was healthy, and nobody but itself could reach it; `open` one in which it
/// was on trial, and somebody could.
///
/// The doors are asked between two looks at the server, and at the journal, which goes when they are opened.
fn look_all_along(host: &Host) -> Child {
    host.ok("podman run -d --name proxy --network photos-egress --entrypoint sleep \
             ghcr.io/immich-app/immich-server:v2.7.5 inf");
    host.start(
        "ping=api/server/ping; on_trial() { grep -q trying /var/lib/photos-agent/pending && podman exec immich-server sh -c \
           'immich-healthcheck && curl -sf -m 1 http://127.0.0.1:2283/api/server/version' | grep -q '\"minor\":2'; }; \
         until [ -e /run/enough ]; do \
           on_trial || { sleep 0.1; continue; }; \
           address=$(podman inspect -f '{{(index .NetworkSettings.Networks \"photos-egress\").IPAddress}}' immich-server); \
           door=shut; \
           ! curl -sf -m 1 http://127.0.0.1:2283/$ping >/dev/null || door='open to the host'; \
           ! podman exec proxy curl -sf -m 1 http://$address:2283/$ping >/dev/null || door='open to a container'; \
           ! on_trial || echo $door >>/run/seen; \
         done",
    )
}

/// Ends both.
fn enough(host: &Host, children: [Child; 2]) {
    host.ok("touch /run/enough");
    for mut child in children {
        child.wait().expect("it ends");
    }
    host.ok("podman rm -f -t 0 proxy");
}

/// It was tried, and it was refused as long as it was to be.
fn assert_shut(host: &Host) {
    let seen = host.ok("sort /run/seen | uniq -c");
    assert!(seen.contains("shut") && !seen.contains("open"), "doors while it was on trial: {seen}");
    let tried = host.ok("cut -d' ' -f3 /run/tried | sort | uniq -c");
    assert!(tried.contains("201") && tried.lines().count() > 1, "some were accepted, and some were not: {tried}");
}

#[test]
fn nothing_is_accepted_that_could_be_lost() {
    let host = old("upgradegate");
    configure(&host, "settle = \"10s\"\ntimeout = \"90s\"");
    let before = host.ok("wc -l </root/accepted");

    // It fails when it had been healthy for a while, which is when a phone would have said that it is done.
    host.ok("podman tag ghcr.io/immich-app/immich-server:v3.2.2 ghcr.io/immich-app/immich-server:good");
    push(&host, &format!("{NEW}-crash-loop"), NEW);
    let children = [upload_all_along(&host), look_all_along(&host)];
    upgrade_ends(&host, 1);
    enough(&host, children);
    serves(&host, OLD, &["before"]);
    assert_ne!(host.ok("wc -l </root/accepted"), before);

    // It works.
    push(&host, "good", NEW);
    let children = [upload_all_along(&host), look_all_along(&host)];
    upgrade_ends(&host, 0);
    host.ok("sleep 2");
    enough(&host, children);
    assert_shut(&host);
    serves(&host, NEW, &["before"]);
    host.assert_converged();
}
