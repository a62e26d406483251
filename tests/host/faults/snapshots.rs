//! Faults over snapshots: one is taken, those that the policy does not keep are deleted, one is put back. The database is on a
//! disk of its own, so that all three have two disks to be half-way between.

use crate::faults::fault::{Fault, Kind, Point};
use crate::faults::hosts;
use crate::faults::scenario::Scenario;
use crate::faults::strike::PENDING;
use crate::support::Host;

/// What is entrusted to the host before the snapshot that [`Restore`] goes back to.
const KEPT: &str = "kept";

/// Moments that are not left to chance: one tree was exchanged, and the other is just about to be; everything is frozen, and
/// who froze it dies, or services die, or both.
pub const CERTAIN: [&str; 5] = [
    "restore kill renameat2=2",
    "restore powercut renameat2=2",
    "create kill shot=3",
    "create unit shot=1",
    "create both shot=4",
];

/// Makes the host that all three begin with: something of the same moment in every part, and the snapshot of it.
pub fn entrust(host: &Host) {
    host.configure(
        "[storage]\nroot = \"/srv/pool/photos\"\ndatabases = \"/var/lib/databases\"\n\
         [snapshots]\nkeep = { last = 2, daily = 0, weekly = 0, monthly = 0 }\n",
    );
    host.ok("photos-agent apply");
    sql(host, "CREATE TABLE moment (name text)");
    write(host, KEPT);
    host.ok("photos-agent snapshot --keep --json | jq -r .snapshot.id >/root/kept && [ -s /root/kept ]");
}

fn sql(host: &Host, statement: &str) -> String {
    host.ok(&format!("podman exec -u postgres immich-postgres psql -qU postgres -d immich -Atc \"{statement}\""))
}

/// Everything is of this moment from here on, and so it is after a power cut.
fn write(host: &Host, moment: &str) {
    sql(host, &format!("BEGIN; DELETE FROM moment; INSERT INTO moment VALUES ('{moment}'); COMMIT"));
    host.ok(&format!(
        "podman exec immich-redis sh -c 'valkey-cli set moment {moment} && valkey-cli waitaof 1 0 0' && \
         cd /srv/pool/photos/live && for part in media/upload icloud; do echo {moment} >$part/moment; done && sync -f ."
    ));
}

/// The moment that everything is of.
fn moment(host: &Host) -> String {
    let row = sql(host, "SELECT name FROM moment");
    let others = host.ok(
        "podman exec immich-redis valkey-cli get moment; cd /srv/pool/photos/live && cat media/upload/moment icloud/moment",
    );
    assert_eq!(
        others.lines().collect::<Vec<_>>(),
        [row.as_str(); 3],
        "queue, photographs, icloud; the database: {row}"
    );
    row
}

/// The name of a round's moment.
fn named(round: u64) -> String {
    format!("round-{round}")
}

/// Waits until whatever died is up again.
const WELL: &str = "timeout 120 sh -c 'until photos-agent status; do sleep 0.3; done'";

/// A snapshot is taken.
pub struct Create;

impl Scenario for Create {
    fn name(&self) -> &'static str {
        "create"
    }

    fn home(&self) -> &'static str {
        "snapshots"
    }

    fn host(&self, test: &str) -> Host {
        hosts::snapshots(test)
    }

    fn kinds(&self) -> &'static [Kind] {
        &Kind::ALL
    }

    fn prepare(&self, host: &Host, round: u64) {
        write(host, &named(round));
    }

    fn command(&self) -> &'static str {
        "photos-agent snapshot --reason 'a fault'"
    }

    fn recovery(&self, kind: Kind) -> String {
        // A boot needs nobody. What has not ended is finished by `apply`, and what has failed is left to the next one.
        let next = format!("if [ -e {PENDING} ]; then photos-agent apply; else {WELL} && photos-agent snapshot; fi");
        if kind.boots() { WELL.to_owned() } else { format!("{next} && {WELL}") }
    }

    fn assert_achieved(&self, host: &Host, round: u64, _: Option<&Fault>) {
        assert_eq!(moment(host), named(round));
        // The next one is taken, whatever became of this one.
        host.ok("id=$(photos-agent snapshot --json | jq -r .snapshot.id) && photos-agent snapshot show $id");
    }
}

/// What the policy does not keep is deleted.
pub struct Prune;

impl Scenario for Prune {
    fn name(&self) -> &'static str {
        "prune"
    }

    fn home(&self) -> &'static str {
        "snapshots"
    }

    fn host(&self, test: &str) -> Host {
        hosts::snapshots(test)
    }

    fn kinds(&self) -> &'static [Kind] {
        &Kind::ANY
    }

    fn prepare(&self, host: &Host, round: u64) {
        write(host, &named(round));
        host.ok(
            "set -e; until [ $(photos-agent snapshot prune --dry-run | grep -c ^delete) -ge 3 ]; do photos-agent snapshot; done",
        );
    }

    fn command(&self) -> &'static str {
        "photos-agent snapshot prune"
    }

    fn recovery(&self, _: Kind) -> String {
        format!("photos-agent snapshot prune && {WELL}")
    }

    fn doomed(&self, host: &Host) -> Vec<String> {
        let dry = host.fails(2, "photos-agent snapshot prune --dry-run");
        let doomed = dry.out.lines().filter_map(|line| line.strip_prefix("delete")?.split_whitespace().next());
        doomed.map(str::to_owned).collect()
    }

    fn assert_achieved(&self, host: &Host, round: u64, _: Option<&Fault>) {
        assert_eq!(moment(host), named(round));
        host.ok(
            "photos-agent snapshot prune --dry-run --json >/root/pruned && \
             jq -e '[.verdicts[].decision | has(\"keep\")] | length == 3 and all' /root/pruned || { cat /root/pruned; false; }",
        );
    }
}

/// Everything goes back to the moment of [`KEPT`].
pub struct Restore;

impl Scenario for Restore {
    fn name(&self) -> &'static str {
        "restore"
    }

    fn home(&self) -> &'static str {
        "snapshots"
    }

    fn host(&self, test: &str) -> Host {
        hosts::snapshots(test)
    }

    fn kinds(&self) -> &'static [Kind] {
        &Kind::ANY
    }

    fn prepare(&self, host: &Host, round: u64) {
        write(host, &named(round));
    }

    fn command(&self) -> &'static str {
        "photos-agent restore $(cat /root/kept) --yes"
    }

    fn recovery(&self, kind: Kind) -> String {
        if kind.boots() { WELL.to_owned() } else { format!("photos-agent apply && {WELL}") }
    }

    fn assert_achieved(&self, host: &Host, round: u64, fault: Option<&Fault>) {
        let moment = moment(host);
        assert!(moment == KEPT || moment == named(round), "of {moment} in round {round}");
        let is_exchanged = fault.is_none_or(|fault| fault.point == Point::Call("renameat2".to_owned(), 2));
        assert!(moment == KEPT || !is_exchanged, "one was exchanged, so the other is, too");
        host.ok(&format!(
            "for each in /srv/pool/photos/next /var/lib/databases/next {PENDING}; do [ ! -e $each ] || exit 1; done"
        ));
    }
}
