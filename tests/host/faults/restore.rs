//! Faults over `restore`, with the database on a disk of its own: two exchanges, and never one without the other.

use crate::faults::fault::{Fault, Kind};
use crate::faults::random::{Random, seed};
use crate::faults::say;
use crate::faults::scenario::Scenario;
use crate::faults::strike::{PENDING, measure, measured, strike};
use crate::support::Host;

/// Moments that are not left to chance: one tree was exchanged, and the other is just about to be.
const CERTAIN: [&str; 2] = ["kill renameat2=2", "powercut renameat2=2"];

/// The rest, at moments that the seed chooses.
const BY_CHANCE: [Kind; 3] = [Kind::PowerCut, Kind::Kill, Kind::Crash];

const MEDIA: &str = "/srv/pool/photos/live/media/upload";

/// Back to a snapshot from before a row and a file that are of one moment.
struct Restore;

impl Scenario for Restore {
    fn name(&self) -> &'static str {
        "restore"
    }

    fn host(&self, test: &str) -> Host {
        let host = Host::from_saved(test, "faults-restore", include_str!("restore.rs"), || {
            let host = Host::with_images("faultsrestore");
            host.configure("[storage]\nroot = \"/srv/pool/photos\"\ndatabases = \"/var/lib/databases\"\n");
            host.ok("photos-agent apply");
            sql(&host, "CREATE TABLE moments (round int)");
            host.ok("photos-agent snapshot --keep");
            measure(&host, self);
            host
        });
        host.wait_for("photos-agent status", 90);
        host
    }

    fn prepare(&self, host: &Host, round: u64) {
        sql(host, &format!("INSERT INTO moments VALUES ({round})"));
        host.ok(&format!("echo {round} >{MEDIA}/round && sync -f {MEDIA}"));
    }

    fn command(&self) -> &'static str {
        "photos-agent restore latest --yes"
    }

    fn assert_achieved(&self, host: &Host, _: u64) {
        assert_eq!(moment(host), "", "it is what it was before any round");
    }
}

fn sql(host: &Host, statement: &str) -> String {
    host.ok(&format!("podman exec -u postgres immich-postgres psql -qU postgres -d immich -Atc '{statement}'"))
}

/// The round that database and photographs are of; both of the same one.
fn moment(host: &Host) -> String {
    let row = sql(host, "SELECT max(round) FROM moments");
    let file = host.ok(&format!("cat {MEDIA}/round 2>/dev/null || true"));
    assert_eq!(row, file, "database and photographs are of different moments");
    row
}

#[test]
fn a_restore_that_is_cut_off_is_undone_or_finished_and_never_half_of_it() {
    let seed = seed();
    let host = Restore.host("restorefaults");
    let extent = measured(&host, &Restore);
    let drawn = (0..).zip(BY_CHANCE).map(|(number, kind)| Fault::draw(kind, &extent, &mut Random::of(seed, number)));
    let certain = CERTAIN.map(|fault| fault.parse().expect("it is a fault"));
    let given = std::env::var("RESTORE_FAULT").ok().map(|fault| vec![fault.parse().expect("it is a fault")]);
    let faults: Vec<Fault> = given.unwrap_or_else(|| certain.into_iter().chain(drawn).collect());
    for (round, fault) in (1..).zip(faults) {
        survives(&host, &fault, round);
    }
}

fn survives(host: &Host, fault: &Fault, round: u64) {
    Restore.prepare(host, round);
    let struck = strike(host, &Restore, fault);
    // Only where it was killed does somebody have to run something; a boot does it by itself.
    if fault.kind.boots() {
        host.wait_for(&format!("! test -e {PENDING}"), 180);
    } else if host.run(&format!("test -e {PENDING}")).code == 0 {
        host.ok("photos-agent apply");
    }
    host.wait_for("photos-agent status", 120);
    host.assert_converged();
    let moment = moment(host);
    assert!(moment.is_empty() || moment == round.to_string(), "of round {moment:?} in round {round}");
    host.ok("! ls -d /srv/pool/photos/next /var/lib/databases/next 2>/dev/null");
    if CERTAIN.contains(&fault.to_string().as_str()) {
        assert!(struck.at_work, "{}", struck.doing);
        assert_eq!(moment, "", "one was exchanged, so the other is, too");
    }
    let came_to = if moment.is_empty() { "finished" } else { "undone" };
    let at = if struck.at_work { struck.doing.as_str() } else { "it had ended" };
    say(&format!("well: restore {fault} ({at}): {came_to}"));
    // The next round begins where this one was to end.
    host.ok(Restore.command());
    Restore.assert_achieved(host, round);
}
