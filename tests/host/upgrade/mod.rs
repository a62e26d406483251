//! Upgrades: of a host with data on it, to images that work and to images that fail in every way there is.
//!
//! Whatever happens, the old release serves all that was entrusted to it, or the new one does: [`stand::serves`].

mod back;
mod failing;
mod gate;
mod pulls;
pub mod stand;

use crate::support::Host;
use crate::upgrade::stand::{NEW, OLD, PHOTOS, container, old, serves, sql, upgrade_ends, write};

#[test]
fn an_upgrade_that_works_is_whole_and_can_be_taken_back_by_hand() {
    let host = old("upgrade");
    // There is one, and looking changes nothing.
    let check = host.fails(2, "photos-agent upgrade --check --now");
    assert!(check.out.contains(NEW) && check.out.contains(OLD), "{}", check.all());
    let plan = host.ok("photos-agent plan");
    assert!(plan.contains("note:") && plan.contains("photos-agent upgrade"), "{plan}");
    let generations = "photos-agent history --json | jq '.generations | length'";
    let before: u32 = host.ok(generations).parse().expect("a number");

    let databases = host.ok("systemctl show -P NRestarts immich-postgres immich-redis");
    let done = upgrade_ends(&host, 0);
    assert!(done.all().contains(NEW), "{}", done.all());
    serves(&host, NEW, &["before"]);
    host.assert_converged();
    assert_eq!(host.ok("systemctl show -P NRestarts immich-postgres immich-redis"), databases);
    assert_eq!(host.ok(generations).parse(), Ok(before + 1), "a generation more");
    assert_eq!(host.ok("photos-agent history --json | jq -r .operations[0].outcome"), "done");
    host.fails(0, "photos-agent upgrade --check --now");
    let again = upgrade_ends(&host, 0);
    assert_eq!(host.ok(generations).parse(), Ok(before + 1), "nothing to do: {}", again.all());

    // The way back is kept: whole, and by no policy to be thinned out.
    let made = format!(
        "photos-agent snapshot list --json | jq -r '.snapshots[] | select(.summary.reason | contains(\"{NEW}\")) | .id'"
    );
    let id = host.ok(&made);
    assert_eq!(id.lines().count(), 1, "{id}");
    for part in ["postgres", "redis", "media", "thumbs", "encoded-video"] {
        host.ok(&format!("test -e {PHOTOS}/.snapshots/{id}/{part}/snapshot"));
    }
    host.configure(
        "[upgrade]\ntimeout = \"90s\"\n[snapshots]\nkeep = { last = 1, daily = 0, weekly = 0, monthly = 0 }\n",
    );
    host.ok("photos-agent apply && photos-agent snapshot && photos-agent snapshot && photos-agent snapshot prune");
    assert_eq!(host.ok(&made), id, "it is kept as long as its generation");

    takes_back_by_hand(&host);
}

/// Back by hand, hours later: nothing that came since is thrown away, and nobody can say that they were not told.
fn takes_back_by_hand(host: &Host) {
    // The last one was uploaded by `serves`, to the new release.
    host.ok("head -n -1 /root/accepted >/root/then && for number in 1 2 3; do sh /root/upload; done");
    write(host, "after");
    let (running, assets) = (container(host), sql(host, "SELECT count(*) FROM asset"));
    for command in ["photos-agent rollback", "photos-agent rollback --yes"] {
        let refused = host.fails(3, command);
        assert!(refused.all().contains("--accept-loss") && refused.all().contains("4 "), "{}", refused.all());
    }
    // Whatever is run in a container, Podman writes down (law 8).
    host.ok("strace -f -qq -o /root/run -e trace=execve photos-agent rollback --dry-run");
    host.ok("grep -q execve /root/run && ! grep podman /root/run");
    assert_eq!((container(host), sql(host, "SELECT count(*) FROM asset")), (running, assets), "nothing was done");

    let said = host.run("timeout 300 photos-agent rollback --accept-loss --yes");
    assert!(said.code == 0, "{}", said.all());
    host.ok("tail -n 4 /root/accepted | cut -d' ' -f2 >/root/since && mv /root/then /root/accepted");
    serves(host, OLD, &["before"]);
    host.assert_converged();
    let operation = host.ok("photos-agent history --json | jq .operations[0].id");
    let kept = format!("{PHOTOS}/replaced/{:06}", operation.parse::<u64>().expect("a number"));
    assert!(said.all().contains(&kept), "{kept} in {}", said.all());
    host.ok(&format!(
        "cd {kept}/media && grep -qx after upload/moments/after.jpg && find . -type f -exec sha256sum {{}} + >/root/kept && \
         while read sum; do grep -q $sum /root/kept || {{ echo lost: $sum; exit 1; }}; done </root/since"
    ));

    // What was turned away from is taken again by name only, and ends with the same.
    let quarantined = "jq -r '.releases[].release' /var/lib/photos-agent/quarantine.json";
    assert_eq!(host.ok(quarantined), NEW);
    upgrade_ends(host, 0);
    assert_eq!(host.ok(quarantined), "");
    serves(host, NEW, &["before"]);
    host.reboot();
    host.wait_for("photos-agent status", 90);
    serves(host, NEW, &["before"]);

    // A database is not opened by what is older than it.
    let refused = host.fails(3, &format!("photos-agent upgrade --to {OLD} --now"));
    assert!(refused.all().contains("photos-agent rollback"), "{}", refused.all());
    serves(host, NEW, &["before"]);
}
