//! Images that fail: before their migration, in it, after it, and when all seems well.

use crate::support::{Done, Host};
use crate::upgrade::stand::{
    NEW, OLD, PHOTOS, SERVER, configure, container, keep_good, old, push, serves, subvolumes, upgrade_ends,
};

/// Upgrades to a tag that was pushed anew, which does not work; everything is where it was.
fn goes_back(host: &Host, behaviour: &str) -> Done {
    push(host, &format!("{NEW}-{behaviour}"), NEW);
    let failed = upgrade_ends(host, 1);
    serves(host, OLD, &["before"]);
    failed
}

/// Where the data of the last operation is that was put aside.
fn put_aside(host: &Host) -> String {
    host.ok(&format!("ls -d {PHOTOS}/replaced/* 2>/dev/null | tail -n 1"))
}

#[test]
fn where_nothing_was_migrated_only_images_go_back() {
    let host = old("upgradeimages");
    let before = subvolumes(&host);
    let failed = goes_back(&host, "crash-before-migration");
    assert!(failed.all().contains(OLD), "what serves now: {}", failed.all());
    assert_eq!(subvolumes(&host), before, "the data was not touched");
    assert_eq!(put_aside(&host), "");
    // Its transaction was rolled back. The tag is another image now, so it is not known to fail.
    let failed = goes_back(&host, "failing-migration");
    assert_eq!(subvolumes(&host), before, "the data was not touched: {}", failed.all());
    assert_eq!(put_aside(&host), "");
    host.reboot();
    host.wait_for("photos-agent plan", 90);
    serves(&host, OLD, &["before"]);
}

#[test]
fn where_something_was_migrated_the_data_goes_back_too() {
    let host = old("upgradedata");
    keep_good(&host);
    for behaviour in ["migrates-then-dies", "crash-loop", "wrong-version"] {
        let before = subvolumes(&host);
        let failed = goes_back(&host, behaviour);
        assert_ne!(subvolumes(&host), before, "{behaviour}: {}", failed.all());
        // The database that failed can be looked at.
        let kept = put_aside(&host);
        host.ok(&format!("test -e {kept}/postgres/PG_VERSION"));
        assert!(failed.all().contains(&kept), "{kept} is told: {}", failed.all());
    }
    host.reboot();
    host.wait_for("photos-agent plan", 90);
    serves(&host, OLD, &["before"]);
}

#[test]
fn what_never_becomes_healthy_is_not_waited_for_for_ever_nor_tried_again() {
    let host = old("upgradenever");
    keep_good(&host);
    // There is but one way on: where the newest failed, the one before it would be taken.
    let catalogue = "[[release]]\nversion = \"v3.2.0\"\navoid = \"not here\"\n";
    host.write("/etc/photos-agent/config.d/x.catalogue.toml", catalogue);
    configure(&host, "timeout = \"20s\"");
    let failed = goes_back(&host, "never-healthy");
    // The journal of what failed is there to be read.
    let journal = host.ok("jq -r '.last.end.went_back.journal' /var/lib/photos-agent/upgrade.json");
    host.ok(&format!("grep -q 'Immich Server is listening' {journal}"));
    assert!(failed.all().contains(&journal), "{journal} in {}", failed.all());

    // In quarantine: nobody takes it who does not ask for it by name.
    let running = container(&host);
    let passed_over = host.ok("photos-agent upgrade --now");
    assert!(passed_over.contains(&format!("{NEW} is in quarantine")), "{passed_over}");
    assert_eq!(container(&host), running);
    host.fails(1, &format!("timeout 300 photos-agent upgrade --to {NEW} --now"));
    serves(&host, OLD, &["before"]);

    // Another image of that tag is another matter.
    push(&host, "good", NEW);
    configure(&host, "timeout = \"90s\"");
    host.ok("timeout 300 photos-agent upgrade --now");
    serves(&host, NEW, &["before"]);
    host.assert_converged();
}

#[test]
fn a_slow_migration_is_given_its_time_and_tags_that_move_change_nothing() {
    let host = old("upgradeslow");
    let running = container(&host);
    // What runs is known by its digest: the tag is somebody else's now, and so is its image in the store.
    push(&host, "v2.7.5", OLD);
    host.ok(&format!("podman pull -q {SERVER}:{OLD} && photos-agent apply"));
    assert_eq!(container(&host), running);
    let failed = goes_back(&host, "crash-loop");
    assert!(failed.all().contains(OLD), "{}", failed.all());
    push(&host, &format!("{NEW}-slow-migration"), NEW);
    upgrade_ends(&host, 0);
    let image = host.ok("podman exec immich-server printenv STANDIN_VERSION");
    assert_eq!(image, format!("{NEW}-slow-migration"));
}

#[test]
fn a_bus_that_is_lost_while_it_is_watched_is_found_again() {
    let host = old("upgradebus");
    keep_good(&host);
    configure(&host, "timeout = \"30s\"");
    // Both ways: it can go back, and it can be kept.
    for (image, release, code) in [(format!("{NEW}-never-healthy"), OLD, 1), ("good".to_owned(), NEW, 0)] {
        push(&host, &image, NEW);
        let mut upgrading = host.start(&format!("timeout 300 photos-agent upgrade --to {NEW} --now"));
        let watching = "jq -e '.steps[-1].step | startswith(\"watch \")' /var/lib/photos-agent/pending";
        host.wait_for(watching, 120);
        host.ok("pkill -KILL -x 'dbus-broker|dbus-daemon'");
        let ended = upgrading.wait().expect("it ends");
        assert_eq!(ended.code(), Some(code), "{image}");
        host.wait_for("busctl -q status >/dev/null", 20);
        serves(&host, release, &["before"]);
    }
}
