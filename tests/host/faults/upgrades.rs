//! Faults over upgrades, and over their way back by hand: one release is whole, the old one or the new one, with all that was
//! entrusted to the host before.

use crate::faults::fault::{Fault, Kind};
use crate::faults::hosts;
use crate::faults::scenario::Scenario;
use crate::faults::strike::PENDING;
use crate::support::Host;

/// From which release to which.
const OLD: &str = "v3.1.0";
const NEW: &str = "v3.2.2";

const UPGRADE: &str = "photos-agent upgrade --to v3.2.2 --now";
const ROLLBACK: &str = "photos-agent rollback --accept-loss --yes";

/// Where all that is written down in these tests is.
const LIVE: &str = "/var/lib/photos/live";

/// The moment that everything was of when the upgrade began.
const THEN: &str = "/root/then";

/// Waits until whatever died is up again.
const WELL: &str = "timeout 180 sh -c 'until photos-agent status; do sleep 0.3; done'";

/// Mostly those after which nobody is there any more.
const KINDS: [Kind; 12] = [
    Kind::Kill,
    Kind::PowerCut,
    Kind::Crash,
    Kind::Io,
    Kind::Kill,
    Kind::PowerCut,
    Kind::Crash,
    Kind::NoSpace,
    Kind::Kill,
    Kind::PowerCut,
    Kind::Crash,
    Kind::Bus,
];

/// Makes the host that both begin with: the old release, and nothing in its configuration that would hold it there.
pub fn entrust(host: &Host) {
    host.configure(&format!("[immich]\nversion = \"{OLD}\"\n"));
    host.ok("photos-agent apply");
    sql(host, "CREATE TABLE moment (name text)");
    host.ok(&format!("mkdir -p {LIVE}/thumbs/moment"));
    host.configure("[upgrade]\nsettle = \"2s\"\ntimeout = \"60s\"\n");
    host.ok("photos-agent apply");
}

fn sql(host: &Host, statement: &str) -> String {
    host.ok(&format!("podman exec -u postgres immich-postgres psql -qU postgres -d immich -Atc \"{statement}\""))
}

/// Everything is of this moment from here on, and so it is after a power cut.
fn write(host: &Host, moment: &str) {
    sql(host, &format!("BEGIN; DELETE FROM moment; INSERT INTO moment VALUES ('{moment}'); COMMIT"));
    host.ok(&format!(
        "podman exec immich-redis sh -c 'valkey-cli set moment {moment} && valkey-cli waitaof 1 0 0' && \
         cd {LIVE} && for part in media/upload thumbs/moment icloud; do echo {moment} >$part/moment; done && sync -f ."
    ));
}

/// The moment that everything is of.
fn moment(host: &Host) -> String {
    let row = sql(host, "SELECT name FROM moment");
    let others = host.ok(&format!(
        "podman exec immich-redis valkey-cli get moment; cd {LIVE} && cat media/upload/moment thumbs/moment/moment icloud/moment"
    ));
    assert_eq!(
        others.lines().collect::<Vec<_>>(),
        [row.as_str(); 4],
        "queue, originals, thumbnails, icloud; the database: {row}"
    );
    row
}

/// The release that serves: the containers, the schema and what is written down are of the same.
fn release(host: &Host) -> String {
    let server = host.ok("podman exec immich-server printenv STANDIN_VERSION");
    assert_eq!(host.ok("podman exec immich-ml printenv STANDIN_VERSION"), server, "both of one release");
    let answer =
        "curl -sf -m 5 http://127.0.0.1:2283/api/server/version | jq -r '\"v\\(.major).\\(.minor).\\(.patch)\"'";
    assert_eq!(host.ok(answer), server);
    assert_eq!(host.ok("jq -r .in_force.release /var/lib/photos-agent/images.lock"), server, "what is in force");
    let is_migrated = sql(host, "SELECT count(*) FROM kysely_migrations WHERE name LIKE '%AddApiKeyRotatedAt'");
    assert_eq!(is_migrated == "1", server == NEW, "the schema under {server}");
    server
}

/// The doors are open, and nothing is in the making.
fn assert_open(host: &Host) {
    assert_eq!(host.ok("nft list tables | grep photos_agent_gate || :"), "", "the doors are open");
    host.ok(&format!(
        "for each in /var/lib/photos/next {PENDING}; do [ ! -e $each ] || {{ echo $each; exit 1; }}; done"
    ));
}

/// The old release, before an upgrade that has everything of this moment.
fn make_old(host: &Host, moment: &str) {
    if release(host) == NEW {
        host.ok(ROLLBACK);
        host.ok(WELL);
        assert_eq!(release(host), OLD);
    }
    write(host, moment);
    host.ok(&format!("echo {moment} >{THEN} && sync {THEN}"));
}

/// What is done by itself: at a boot, or by what systemd starts before the services; nobody gives a command.
fn resolve(kind: Kind) -> String {
    let start = format!("if [ -e {PENDING} ]; then systemctl start photos-resolve.service; fi");
    if kind.boots() { WELL.to_owned() } else { format!("{start}; {WELL}") }
}

/// An upgrade.
pub struct Upgrade;

impl Scenario for Upgrade {
    fn name(&self) -> &'static str {
        "upgrade"
    }

    fn home(&self) -> &'static str {
        "upgrades"
    }

    fn host(&self, test: &str) -> Host {
        hosts::upgrades(test)
    }

    fn kinds(&self) -> &'static [Kind] {
        &KINDS
    }

    fn prepare(&self, host: &Host, round: u64) {
        make_old(host, &format!("upgrade-{round}"));
    }

    fn command(&self) -> &'static str {
        UPGRADE
    }

    fn recovery(&self, kind: Kind) -> String {
        resolve(kind)
    }

    fn assert_achieved(&self, host: &Host, round: u64, fault: Option<&Fault>) {
        let release = release(host);
        assert!(release == NEW || release == OLD && fault.is_some(), "{release}");
        assert_eq!(moment(host), format!("upgrade-{round}"), "what was written before it, under {release}");
        assert_open(host);
    }
}

/// Its way back by hand, when more has been written since.
pub struct Rollback;

impl Scenario for Rollback {
    fn name(&self) -> &'static str {
        "rollback"
    }

    fn home(&self) -> &'static str {
        "upgrades"
    }

    fn host(&self, test: &str) -> Host {
        hosts::upgrades(test)
    }

    fn kinds(&self) -> &'static [Kind] {
        &KINDS
    }

    fn prepare(&self, host: &Host, round: u64) {
        if release(host) == OLD {
            make_old(host, &format!("before-{round}"));
            host.ok(UPGRADE);
        }
        write(host, &format!("since-{round}"));
    }

    fn command(&self) -> &'static str {
        ROLLBACK
    }

    fn recovery(&self, kind: Kind) -> String {
        resolve(kind)
    }

    fn assert_achieved(&self, host: &Host, round: u64, fault: Option<&Fault>) {
        let release = release(host);
        assert!(release == OLD || release == NEW && fault.is_some(), "{release}");
        let wanted = if release == OLD { host.ok(&format!("cat {THEN}")) } else { format!("since-{round}") };
        assert_eq!(moment(host), wanted, "under {release}");
        assert_open(host);
    }
}
