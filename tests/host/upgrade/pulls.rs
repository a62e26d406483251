//! Images that do not come, or not whole: nothing was stopped for them.

use crate::support::{Done, Host};
use crate::upgrade::stand::{
    NEW, OLD, SERVER, container, enlarge, keep_good, old, push, serves, subvolumes, upgrade, upgrade_ends,
};

/// Where the registry keeps its tags.
const TAGS: &str = "/var/lib/docker-registry/docker/registry/v2/repositories/immich-app/immich-server/_manifests/tags";

/// An upgrade that comes to nothing before anything was stopped.
fn comes_to_nothing(host: &Host, command: &str) -> Done {
    let before = (container(host), subvolumes(host));
    let said = host.run(&format!("timeout 300 {command}"));
    assert!(matches!(said.code, 1 | 3), "{}", said.all());
    assert_eq!((container(host), subvolumes(host)), before, "nothing was touched: {}", said.all());
    serves(host, OLD, &["before"]);
    said
}

#[test]
fn without_all_of_its_images_no_upgrade_begins() {
    let host = old("upgradepulls");
    let command = format!("photos-agent upgrade --to {NEW} --now");
    host.ok(&format!("podman rmi -f {SERVER}:{NEW}"));

    // The tag is not there.
    host.ok(&format!("mv {TAGS}/{NEW} /root/tag && systemctl restart docker-registry"));
    let said = comes_to_nothing(&host, &command);
    assert!(said.all().contains(NEW), "{}", said.all());
    host.ok(&format!("mv /root/tag {TAGS}/{NEW} && systemctl restart docker-registry"));
    host.wait_for("curl -sf http://127.0.0.1:5000/v2/", 30);

    // The registry goes as soon as one of two has come.
    host.ok(&format!("podman pull -q {SERVER}:{NEW}"));
    enlarge(&host, "server", 150);
    enlarge(&host, "machine-learning", 150);
    let has = |component: &str| format!("podman image exists ghcr.io/immich-app/immich-{component}:{NEW}");
    let either = format!("{{ {} || {}; }}", has("server"), has("machine-learning"));
    let mut gone = host.start(&format!(
        "until {either}; do sleep 0.02; done; systemctl kill -s KILL docker-registry; systemctl stop docker-registry"
    ));
    comes_to_nothing(&host, &command);
    gone.wait().expect("it ended");
    assert!(host.run(&has("server")).code != host.run(&has("machine-learning")).code, "it was half-way");
    comes_to_nothing(&host, &command);
    host.ok("systemctl start docker-registry");
    host.wait_for("curl -sf http://127.0.0.1:5000/v2/", 30);

    // No room for what is being pulled: where Podman has it first, and everywhere.
    host.ok("mount -t tmpfs -o size=20m tmpfs /var/tmp");
    let said = comes_to_nothing(&host, &command);
    assert!(said.all().contains("no space left on device") || said.all().contains("No space left"), "{}", said.all());
    host.ok("umount /var/tmp");
    // Piece by piece: BTRFS gives no single file all that is left.
    host.ok("mkdir /filler; number=0; \
             while [ $(df --output=avail -B 1M / | tail -n 1) -gt 200 ]; do \
               number=$((number + 1)); fallocate -l 100M /filler/$number || break; \
             done; [ $(df --output=avail -B 1M / | tail -n 1) -lt 300 ]");
    comes_to_nothing(&host, &command);
    // As the refusal says.
    host.ok("rm -r /filler && sync -f / && btrfs -q balance start -dusage=20 /");

    // And when all is there, it goes through.
    upgrade_ends(&host, 0);
    serves(&host, NEW, &["before"]);
    host.assert_converged();
}

#[test]
fn images_that_somebody_pruned_are_fetched_before_they_are_needed() {
    let host = old("upgradepruned");
    keep_good(&host);
    // Those that run lose all their names, as with `podman rmi -f` of each; the store knows them by no digest any more.
    let forget = "for service in server ml; do podman untag $(podman inspect -f '{{.Image}}' immich-$service); done";
    let running = "for service in server ml; do podman inspect -f '{{.ImageName}}' immich-$service; done";
    let names = host.ok(running);
    host.ok(forget);
    for name in names.lines() {
        host.fails(1, &format!("podman image exists {name}"));
    }
    push(&host, &format!("{NEW}-crash-loop"), NEW);
    if upgrade(&host).code == 3 {
        // It may leave that to whoever mends everything else.
        host.ok("photos-agent apply");
        upgrade_ends(&host, 1);
    }
    serves(&host, OLD, &["before"]);
    for name in names.lines() {
        host.ok(&format!("podman image exists {name}"));
    }

    // Where they are nowhere any more, there would be no way back: it does not begin.
    host.ok(forget);
    host.ok(&format!(
        "cp -a /var/lib/docker-registry /root/registry && rm -r {TAGS}/../revisions/sha256/$(echo {} | sed 's/.*sha256://') && \
         systemctl restart docker-registry",
        names.lines().next().expect("the server's")
    ));
    push(&host, "good", NEW);
    let running = container(&host);
    let refused = upgrade(&host);
    assert!(matches!(refused.code, 1 | 3), "{}", refused.all());
    assert_eq!(container(&host), running, "nothing was stopped: {}", refused.all());
    host.ok("rm -r /var/lib/docker-registry && mv /root/registry /var/lib/docker-registry && systemctl restart docker-registry");
    host.wait_for("curl -sf http://127.0.0.1:5000/v2/", 30);
    push(&host, "good", NEW);
    host.ok("photos-agent apply");
    upgrade_ends(&host, 0);
    serves(&host, NEW, &["before"]);
    let forgotten = host.ok("photos-agent rollback --dry-run");
    assert!(forgotten.contains(OLD), "{forgotten}");
}
