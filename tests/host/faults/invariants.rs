//! What holds after a fault whatever the operation was: before anybody has tidied up, and after the next run.

use std::time::{Duration, Instant};

use crate::faults::fault::Fault;
use crate::faults::hosts::{BASES, FINGERPRINT};
use crate::faults::kept::{assert_no_debris, assert_thawed, assert_whole};
use crate::faults::scenario::Scenario;
use crate::faults::strike::{LOG, PENDING, Struck};
use crate::support::Host;

/// What is remembered from before the fault.
pub struct Before {
    foreign: String,
    container: String,
    units: String,
    password: String,
    history: Vec<Entry>,
    /// Parts of snapshots that stay, and the names of those that do not.
    snapshots: Vec<String>,
    doomed: Vec<String>,
}

/// What came of it.
pub struct Recovered {
    /// An operation was open, and was entered as interrupted.
    pub resumed: bool,
    /// From the fault's end, a boot included, to a converged host.
    pub took: Duration,
    /// From the fault's end until nothing was frozen any more.
    pub thawed: Duration,
}

/// An operation: number and outcome.
type Entry = (u64, String);

const UNITS: &str = "cd /etc/containers/systemd/photos-agent 2>/dev/null && sha256sum *.container *.network 2>/dev/null; \
                     cd /etc/systemd/system && sha256sum photos* 2>/dev/null; true";

impl Before {
    /// A look at the host on which the operation is due.
    pub fn look(host: &Host) -> Self {
        Self {
            foreign: host.ok(FINGERPRINT),
            container: container(host),
            units: host.ok(UNITS),
            password: password(host),
            history: history(host),
            snapshots: Vec::new(),
            doomed: Vec::new(),
        }
    }

    /// A look at what the scenario made of it.
    pub fn look_again(&mut self, host: &Host, scenario: &dyn Scenario) {
        self.units += &host.ok(UNITS);
        self.doomed = scenario.doomed(host);
        self.snapshots = assert_whole(host);
        let doomed = |part: &String| self.doomed.iter().any(|id| part.split(' ').next() == Some(id));
        self.snapshots.retain(|part| !doomed(part));
    }

    /// Nothing is half-written, nothing foreign was touched, no secret lies about; then the scenario's recovery does the
    /// rest, and leaves no trace of the fault but in the history.
    pub fn assert_recovers(
        &self,
        host: &Host,
        scenario: &dyn Scenario,
        fault: &Fault,
        struck: &Struck,
        round: u64,
    ) -> Recovered {
        let begun = Instant::now();
        let thawed = assert_thawed(host, fault.kind);
        if fault.kind.boots() {
            assert_boot_resolved(host);
        }
        assert_nobody_at_work(host);
        if fault.kind.boots() {
            assert_no_debris(host);
        }
        let resolved = begun.elapsed();
        assert_nothing_half_written(host);
        self.assert_snapshots_kept(host);
        self.assert_nothing_foreign_touched(host, fault);
        let units = host.ok(UNITS);
        let open = open(host);
        let (was, known) = (password(host), history(host));
        assert_no_secret(host, &was);
        let plan = host.run("photos-agent plan");
        assert!(matches!(plan.code, 0 | 2), "a plan after a fault: {}", plan.all());

        let looked = begun.elapsed();
        host.ok(&format!("{{ {}; }} >>{LOG} 2>&1 || {{ tail -n 60 {LOG}; false; }}", scenario.recovery(fault.kind)));
        host.assert_converged();
        let took = struck.boot + resolved + begun.elapsed().saturating_sub(looked);

        let after = host.ok(UNITS);
        let whole = |line: &&str| !after.contains(*line) && !self.units.contains(*line);
        assert_eq!(units.lines().filter(whole).collect::<Vec<_>>(), Vec::<&str>::new(), "units neither old nor new");
        assert_no_leftovers(host);
        assert_no_debris(host);
        assert_nothing_half_written(host);
        self.assert_snapshots_kept(host);
        self.assert_doomed_are_gone(host);
        self.assert_nothing_foreign_touched(host, fault);
        let is = password(host);
        assert!(was.is_empty() || was == is, "a new password while there was one");
        assert!(self.password.is_empty() || self.password == is, "a new password while there was one");
        assert_no_secret(host, &is);
        scenario.assert_achieved(host, round, Some(fault));
        assert_row(host);
        let entered = history(host);
        self.assert_history(&entered, &known, open);
        Recovered { resumed: interrupted(&entered) > interrupted(&self.history), took, thawed }
    }

    /// What was not to be deleted is what it was.
    fn assert_snapshots_kept(&self, host: &Host) {
        let parts = assert_whole(host);
        let gone = self.snapshots.iter().filter(|part| !parts.contains(part)).collect::<Vec<_>>();
        assert_eq!(gone, Vec::<&String>::new(), "snapshots that nobody deletes are gone: {parts:?}");
    }

    fn assert_doomed_are_gone(&self, host: &Host) {
        for id in &self.doomed {
            host.ok(&format!("for base in {}; do [ ! -e $base/.snapshots/{id} ] || exit 1; done", BASES.join(" ")));
        }
    }

    fn assert_nothing_foreign_touched(&self, host: &Host, fault: &Fault) {
        let now = host.ok(FINGERPRINT);
        let only =
            |one: &str, other: &str| one.lines().filter(|line| !other.contains(line)).collect::<Vec<_>>().join("\n");
        let (gone, new) = (only(&self.foreign, &now), only(&now, &self.foreign));
        assert!(now == self.foreign, "something foreign was touched: gone: {gone}; new: {new}");
        if !fault.kind.boots() {
            assert_eq!(container(host), self.container, "somebody's container was restarted");
        }
    }

    /// An operation is in the history once, and as interrupted if its journal was left open and nothing else was known.
    fn assert_history(&self, entered: &[Entry], known: &[Entry], open: Option<u64>) {
        let all = || format!("{:?}, {known:?}, {entered:?}, open: {open:?}", self.history);
        let mut ids: Vec<u64> = entered.iter().map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), entered.len(), "an operation twice: {}", all());
        if let Some(open) = open {
            let outcome =
                |history: &[Entry]| history.iter().find(|(id, _)| *id == open).map(|(_, outcome)| outcome.clone());
            let wanted = outcome(known).unwrap_or_else(|| "interrupted".to_owned());
            assert_eq!(outcome(entered), Some(wanted), "{}", all());
        }
        // A boot, or whoever starts the target, may have taken it up and ended it before anybody could look.
        let taken_up = interrupted(known) > interrupted(&self.history);
        let new = interrupted(entered) - interrupted(&self.history);
        let most = usize::from(open.is_some() || taken_up);
        assert!(new <= most, "{new} interrupted: {}", all());
    }
}

/// The start of the target brings photos-resolve.service, which takes up at once what a killed command leaves: not in the
/// middle of that is looked at what is left.
fn assert_nobody_at_work(host: &Host) {
    let busy = "systemctl show -P SubState photos-resolve | grep -q -e '^start' -e running";
    host.wait_for(&format!("! {busy}"), 180);
}

/// Where the gate is installed, a boot finishes what was open before any service starts, and nobody runs the agent.
fn assert_boot_resolved(host: &Host) {
    if host.run("systemctl -q is-enabled photos-resolve").code != 0 {
        return;
    }
    // The services come up while it is still at work.
    host.wait_for(&format!("! test -e {PENDING}"), 180);
    // It ran, so there was something open.
    if host.ok("systemctl show -P InactiveExitTimestampMonotonic photos-resolve") != "0" {
        // Podman may refuse a name once, of a container that the power cut left in its storage alone; systemd tries again.
        host.wait_for("photos-agent plan", 60);
        host.assert_converged();
    }
}

/// Everything that is on disk is whole.
pub fn assert_nothing_half_written(host: &Host) {
    host.ok("for file in $(find /etc/containers/systemd /etc/systemd/system /etc/sysctl.d /var/lib/photos-agent \
             -type f -not -name '.photos-agent-*' -not -path '*theirs*'); do \
               case $file in \
               */displaced/*) ;; \
               *.jsonl) [ ! -s $file ] || { jq -e .schema $file >/dev/null && [ -z \"$(tail -c 1 $file)\" ]; } || { echo half-written: $file; exit 1; } ;; \
               */pending|*.json|*.lock) jq -e .schema $file >/dev/null || [ ! -e $file ] || { echo half-written: $file; exit 1; } ;; \
               *) ! grep -qs photos $file || [ -z \"$(tail -c 1 $file)\" ] || { echo half-written: $file; exit 1; } ;; \
               esac; \
             done");
    assert_subvolumes(host);
}

/// What bears the name of a subvolume is one, and has what must be set while it is empty.
pub fn assert_subvolumes(host: &Host) {
    let found = host.ok(&format!(
        "for base in {}; do cd $base 2>/dev/null || continue; \
                         for path in live/postgres live/redis live/media live/thumbs live/encoded-video live/icloud \
                           keep/icloudpd keep/ml-cache; do \
                           [ ! -e $path ] || echo $path $(stat -c '%i %u:%g %a' $path) \
                             $(lsattr -d $path | cut -d' ' -f1 | tr -cd C); \
                         done; done",
        BASES.join(" ")
    ));
    for line in found.lines() {
        let path = line.split(' ').next().unwrap_or_default();
        let wanted = match path {
            "live/postgres" | "live/redis" => "256 999:999 700 C",
            "keep/ml-cache" => "256 0:0 750 C",
            "keep/icloudpd" => "256 0:0 700",
            // Somebody changed it by hand; `plan` says so.
            "live/thumbs" if line.ends_with(" 777") => continue,
            _ => "256 0:0 750",
        };
        // Every subvolume's root, and nothing else, is inode 256.
        assert_eq!(line.trim_end(), format!("{path} {wanted}"));
    }
}

/// Nothing in the making, nothing open.
pub fn assert_no_leftovers(host: &Host) {
    let bases = BASES.join(" ");
    let leftovers = format!(
        "find /etc /var/lib/photos-agent /run/photos-agent -name '.photos-agent-*' -o -path /run/photos-agent/stage -o -path /run/photos-agent/resolving; \
                     find {bases} -maxdepth 2 -name '.*.new' 2>/dev/null; ls /var/lib/photos-agent/pending /var/lib/photos-agent/first-start.* 2>/dev/null; true"
    );
    assert_eq!(host.ok(&leftovers), "");
}

/// Empty where there is none yet.
fn password(host: &Host) -> String {
    host.run("podman secret inspect --showsecret -f '{{.SecretData}}' photos-db-password").out.trim_end().to_owned()
}

/// Nobody but Podman's store knows it: no file of ours or in the making, no unit, no argument, no log.
fn assert_no_secret(host: &Host, password: &str) {
    if password.is_empty() {
        return;
    }
    host.write("/dev/shm/password", password);
    let found = host.ok(&format!("find /etc /var/lib/photos-agent /run/photos-agent /run/systemd /root /tmp /var/tmp -type f \
                           -exec grep -alFf /dev/shm/password {{}} + ; \
                         find {} -maxdepth 3 -type f -exec grep -alFf /dev/shm/password {{}} + 2>/dev/null; \
                         grep -alFf /dev/shm/password /proc/[0-9]*/cmdline 2>/dev/null; \
                         journalctl -q -o export --cursor-file=/root/journal.cursor | grep -aqFf /dev/shm/password && echo the journal; \
                         rm /dev/shm/password", BASES.join(" ")));
    assert_eq!(found, "", "the password is in");
}

/// Their container, as long as nobody restarts it.
fn container(host: &Host) -> String {
    host.ok("podman inspect -f '{{.Id}} {{.State.StartedAt}}' theirs")
}

/// What the database was entrusted with, where it was.
fn assert_row(host: &Host) {
    if host.run("test -e /root/extent/first").code == 0 {
        let sql = "SELECT name FROM survivor";
        let row = host.ok(&format!("podman exec -u postgres immich-postgres psql -U postgres -d immich -Atc '{sql}'"));
        assert_eq!(row, "somebody");
    }
}

/// The number of the open operation.
fn open(host: &Host) -> Option<u64> {
    host.ok(&format!("[ ! -e {PENDING} ] || jq .id {PENDING}")).parse().ok()
}

fn history(host: &Host) -> Vec<Entry> {
    let text =
        host.ok("cat /var/lib/photos-agent/history.jsonl 2>/dev/null | jq -r '\"\\(.id) \\(.outcome | tojson)\"'");
    let entry = |line: &str| {
        let (id, outcome) = line.split_once(' ').expect("two words");
        (id.parse().expect("a number"), outcome.trim_matches('"').to_owned())
    };
    text.lines().map(entry).collect()
}

fn interrupted(history: &[Entry]) -> usize {
    history.iter().filter(|(_, outcome)| outcome == "interrupted").count()
}
