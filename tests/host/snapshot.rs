//! Snapshots of a stack that is written to: rows and files are of the same moment, and nobody notices.

use std::collections::BTreeSet;
use std::io::Write;

use crate::support::Host;

const SNAPSHOTS: &str = "/var/lib/photos/.snapshots";
const LIVE: &str = "/var/lib/photos/live";

/// Size of each file of writer.py, in bytes.
const SIZE: &str = "3000c";

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// From the environment, for `make test-faults`.
fn number(name: &str, usual: usize) -> usize {
    std::env::var(name).ok().map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

/// What a database and a library say that there is.
struct Seen {
    rows: BTreeSet<u64>,
    files: BTreeSet<u64>,
    /// Rows that the writer was told of.
    told: BTreeSet<u64>,
}

impl Seen {
    /// Starts a database on a clone of the one, and looks into the other.
    fn look(host: &Host, postgres: &str, media: &str) -> Self {
        let clone = "/var/lib/photos/opened";
        host.ok(&format!("btrfs -q subvolume snapshot {postgres} {clone}"));
        let image = host.ok("podman inspect -f '{{.Image}}' immich-postgres");
        let script = "pg_ctl -D /var/lib/postgresql/data -o '-c listen_addresses= -c recovery_init_sync_method=syncfs' -w -t 60 start >&2 && \
                      psql -U postgres -d immich -Atc 'SELECT id FROM writer' && pg_ctl -D /var/lib/postgresql/data -w -m fast stop >&2";
        let rows = host.ok(&format!(
            "podman run --rm --network=none --user=999:999 --tmpfs=/run/postgresql:mode=1777 --tmpfs=/etc/postgresql:mode=1777 \
             -v {clone}:/var/lib/postgresql/data --entrypoint=sh {image} -c \"{script}\" 2>/root/opened.log || {{ cat /root/opened.log; false; }}"
        ));
        let log = host.ok("cat /root/opened.log");
        assert!(log.contains("database system is ready"), "{log}");
        host.ok(&format!("btrfs -q subvolume delete {clone}"));
        let folder = format!("{media}/library/writer");
        let whole = format!("find {folder} -name '*.jpg' -size {SIZE} -printf '%f\\n' | tr -d .jpg");
        Self {
            rows: numbers(&rows),
            files: numbers(&host.ok(&whole)),
            told: numbers(&host.ok(&format!("cat {folder}/*.told"))),
        }
    }

    /// Rows without their file, and rows that were told of and are not there.
    fn disagree(&self) -> (usize, usize) {
        (self.rows.difference(&self.files).count(), self.told.difference(&self.rows).count())
    }
}

fn numbers(text: &str) -> BTreeSet<u64> {
    // A line that was being written is none yet.
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// Starts the writer in the server's container.
fn start_writer(host: &Host) -> std::process::Child {
    host.write("/root/writer.py", include_str!("writer.py"));
    let writer = host.start("podman exec -i immich-server python3 - </root/writer.py >/root/writer.log 2>&1");
    host.wait_for("grep -q writing /root/writer.log", 30);
    writer
}

fn rows(host: &Host) -> u64 {
    host.ok("podman exec -u postgres immich-postgres psql -U postgres -d immich -Atc 'SELECT count(*) FROM writer'")
        .parse()
        .expect("a number")
}

#[test]
fn rows_and_files_are_of_one_moment_and_the_writer_notices_nothing() {
    let (snapshots, opened) = (number("SNAPSHOTS", 12), number("OPENED", 3));
    let host = Host::converged("moment");
    let mut writer = start_writer(&host);
    host.ok("sleep 2");
    let (before, begun) = (rows(&host), std::time::Instant::now());
    let mut frozen = Vec::new();
    let mut ids = Vec::new();
    for _ in 0..snapshots {
        let id = host
            .ok("photos-agent snapshot --json --reason 'under load' | tee /root/snapshot.json | jq -r .snapshot.id");
        frozen.push(host.ok("jq .snapshot.frozen_us /root/snapshot.json").parse::<u64>().expect("a number"));
        ids.push(id);
    }
    let rate = (rows(&host) - before) / begun.elapsed().as_secs().max(1);
    assert_eq!(host.ok("cat /root/writer.log"), "writing", "no connection was lost");
    assert!(writer.try_wait().expect("it is ours").is_none(), "it writes on");
    frozen.sort_unstable();
    say(&format!(
        "{snapshots} snapshots under {rate} rows and files a second: stood still for {} us in the middle, {} at most",
        frozen[frozen.len() / 2],
        frozen[frozen.len() - 1]
    ));

    // That the look tells: of two moments, a quarter of a second apart.
    host.ok(&format!(
        "cd /var/lib/photos && mkdir apart && btrfs -q subvolume snapshot -r {LIVE}/media apart/media && sleep 0.25 && \
         btrfs -q subvolume snapshot -r {LIVE}/postgres apart/postgres"
    ));
    let apart = Seen::look(&host, "/var/lib/photos/apart/postgres", "/var/lib/photos/apart/media");
    assert!(apart.disagree().0 > 0, "snapshots of two moments disagree");

    for id in ids.iter().rev().step_by((snapshots / opened).max(1)).take(opened) {
        let folder = format!("{SNAPSHOTS}/{id}");
        let seen = Seen::look(&host, &format!("{folder}/postgres/snapshot"), &format!("{folder}/media/snapshot"));
        assert!(seen.rows.len() > 50, "{id}: {} rows", seen.rows.len());
        assert_eq!(seen.disagree(), (0, 0), "{id}: rows without their file, lost commits");
        host.ok(&format!(
            "redis=$(ls -d {folder}/redis/snapshot/appendonlydir) && test -s $redis/*.incr.aof -o -s $redis/*.base.rdb"
        ));
    }
    host.ok("systemctl show -P FreezerState photos.slice | grep -qx running");
    host.run("podman exec immich-server pkill -f '^python3 -$'");
    let _ = writer.kill();
    let _ = writer.wait();
    host.assert_converged();
    assert_eq!(host.ok("systemctl show -P NRestarts immich-postgres immich-server | grep . | sort -u"), "0");
}

#[test]
fn a_snapshot_is_whole_or_not_there_and_says_what_it_is_of() {
    let host = Host::converged("whole");
    let id = host.ok("photos-agent snapshot --keep --reason 'before the holidays' --json | jq -r .snapshot.id");
    let manifest = format!("{SNAPSHOTS}/{id}/manifest.json");
    host.ok(&format!(
        "jq -e '.keep and .reason == \"before the holidays\" and .by == \"root\" and .frozen_us > 0 and .database.checksums and \
           (.parts | keys) == [\"icloud\", \"media\", \"postgres\", \"redis\"] and (.images | length) == 4' {manifest}"
    ));
    for part in ["postgres", "redis", "media", "icloud"] {
        let shot = format!("{SNAPSHOTS}/{id}/{part}/snapshot");
        let uuid = host.ok(&format!("jq -r .parts.{part}.uuid {manifest}"));
        let of = host.ok(&format!("jq -r .parts.{part}.of {manifest}"));
        let shown = host.ok(&format!("btrfs subvolume show {shot}"));
        for wanted in [&uuid, &of, "readonly"] {
            assert!(shown.contains(wanted), "{part}: {wanted} in {shown}");
        }
        let flags = host.ok(&format!("lsattr -d {shot} | cut -d' ' -f1"));
        assert_eq!(flags.contains('C'), ["postgres", "redis"].contains(&part), "{part}: {flags}");
    }
    // What it says of the units is what they say.
    let unit = "/etc/containers/systemd/photos-agent/immich-server.container";
    host.ok(&format!("cmp {SNAPSHOTS}/{id}/stack{unit} {unit} && sha256sum {unit} | cut -d' ' -f1 | grep -qx $(jq -r '.texts[\"{unit}\"]' {manifest})"));
    assert_eq!(host.ok(&format!("stat -c %a {SNAPSHOTS} {SNAPSHOTS}/{id}")), "700\n700");

    // Hostile reasons; nothing is touched.
    for reason in ["", "a\nb", &"x".repeat(201)] {
        host.fails(64, &format!("photos-agent snapshot --reason \"$(printf '{}')\"", reason.replace('\n', "\\n")));
    }
    // Another agent is at work, or was: of something half-done there is no snapshot.
    host.ok("echo '{\"schema\":1,\"id\":9,\"command\":\"x\",\"started\":\"2026-01-01T00:00:00Z\",\"agent\":\"0\",\"stack_was_stopped\":false,\"steps\":[]}' >/var/lib/photos-agent/pending");
    let refused = host.fails(3, "photos-agent snapshot");
    assert!(refused.err.contains("operation 9") && refused.err.contains("photos-agent apply"), "{}", refused.all());
    host.ok("rm /var/lib/photos-agent/pending");

    // A slice that cannot be frozen: nothing is taken.
    let count = || host.ok(&format!("ls {SNAPSHOTS} | wc -l"));
    let before = count();
    host.ok("systemctl freeze photos.slice");
    let refused = host.fails(3, "photos-agent snapshot");
    assert!(refused.err.contains("systemctl thaw photos.slice"), "{}", refused.all());
    assert_eq!(count(), before);
    host.ok("systemctl thaw photos.slice; systemctl show -P FreezerState photos.slice | grep -qx running");

    // Nothing runs: nothing is frozen.
    host.ok("systemctl stop photos.target 'immich-*'");
    let said = host.ok("photos-agent snapshot");
    assert!(said.contains("nothing ran") && said.contains("database did not run"), "{said}");
    host.ok("systemctl is-active photos.target; [ $? = 3 ]");
}

/// Which of the messages that the command sends, counted from 1, is the first after the one that asks for the freeze.
fn frozen_message(host: &Host) -> u64 {
    let calls = "/dev/shm/calls";
    host.ok(&format!("strace -f -qq -s 4000 -o {calls} -e trace=sendmsg photos-agent snapshot >/dev/null"));
    // strace counts for each thread; the first to send is the one that freezes.
    let number = host.ok(&format!(
        "main=$(head -n 1 {calls} | cut -d' ' -f1); grep \"^$main .*sendmsg(\" {calls} | grep -n FreezeUnit | cut -d: -f1"
    ));
    1 + number.parse::<u64>().expect("it freezes once")
}

/// Asks the kernel: systemd does not answer at every moment here.
const EVENTS: &str = "/sys/fs/cgroup/photos.slice/cgroup.events";

/// A command that got a signal with everything frozen.
struct Struck {
    child: std::process::Child,
    /// What there was of snapshots just before.
    before: String,
}

/// Lets the command get this signal with everything frozen, and does `then`, in a shell, as soon as everything stands still.
/// Returns when it goes on again; nobody but the guard can have seen to that.
fn strike_frozen(host: &Host, signal: &str, then: &str) -> Struck {
    let calls = "/dev/shm/struck";
    for _ in 0..5 {
        // How often it asks whether the guard is up, and so how many messages there are, is not the same every time.
        let message = frozen_message(host);
        let before = host.ok(&format!("ls {SNAPSHOTS}"));
        host.ok(&format!("rm -f {calls}"));
        let mut child = host.start(&format!(
            "exec strace -f -qq -o {calls} -e trace=sendmsg -e inject=sendmsg:signal={signal}:when={message} \
             photos-agent snapshot >/root/struck.log 2>&1"
        ));
        let struck = host.run(&format!(
            "timeout 10 sh -c 'until grep -q \"frozen 1\" {EVENTS} && grep -q -e \"stopped by SIG\" -e \"killed by SIG\" {calls}; do :; done; \
             {then}; until grep -q \"frozen 0\" {EVENTS}; do sleep 0.01; done'"
        ));
        if struck.code == 0 {
            host.wait_for("systemctl show -P FreezerState photos.slice | grep -qx running", 10);
            return Struck { child, before };
        }
        host.run("pkill -KILL -x photos-agent");
        child.wait().expect("it ended");
        host.wait_for("photos-agent snapshot >/dev/null", 30);
    }
    panic!("never struck while frozen");
}

/// Ends a command that was stopped, which finds that too much time has passed.
fn assert_thrown_away(host: &Host, mut hung: Struck) {
    host.ok("pkill -CONT -x photos-agent");
    assert!(!hung.child.wait().expect("it ended").success());
    let said = host.ok("cat /root/struck.log");
    assert!(said.contains("did not stand still"), "{said}");
    assert_eq!(host.ok(&format!("ls {SNAPSHOTS}")), hung.before);
}

#[test]
fn nothing_stays_frozen_whatever_becomes_of_the_agent() {
    let host = Host::converged("frozen");

    // It hangs: the guard lets go after two seconds, and what was taken of a moment that did not hold is thrown away.
    assert_thrown_away(&host, strike_frozen(&host, "STOP", "true"));

    // It dies.
    let Struck { child: mut killed, before } = strike_frozen(&host, "KILL", "true");
    assert!(!killed.wait().expect("it ended").success());
    host.wait_for("! systemctl list-units --all --no-legend 'photos-thaw*' | grep .", 10);
    assert_eq!(host.ok(&format!("ls {SNAPSHOTS}/*/manifest.json | wc -l")), before.lines().count().to_string());
    // The next one removes what is left, and then all is well.
    let left = host.fails(2, "photos-agent status");
    assert!(left.out.contains("Open: operation") && !left.out.contains("may not start"), "{}", left.all());
    host.ok("photos-agent snapshot");
    host.wait_for("photos-agent status", 30);

    // It hangs, and a service dies: systemd starts its stop commands in the frozen cgroup, and answers nobody.
    let pids =
        host.ok("echo $(systemctl show -P MainPID immich-redis) $(podman inspect -f '{{.State.Pid}}' immich-redis)");
    assert_thrown_away(&host, strike_frozen(&host, "STOP", &format!("kill -KILL {pids}")));
    host.wait_for("photos-agent status", 120);
    assert_eq!(host.ok("systemctl show -P NRestarts immich-redis"), "1");
    host.ok("photos-agent snapshot");
    host.ok(&format!(
        "for each in {SNAPSHOTS}/*/; do test -s $each/manifest.json || {{ echo debris: $each; exit 1; }}; done"
    ));
}

#[test]
fn of_what_does_not_stand_still_with_the_rest_there_is_no_snapshot() {
    let host = Host::converged("still");
    let there = || host.ok(&format!("ls {SNAPSHOTS} 2>/dev/null | wc -l"));
    // The stack is started while the disks write: nothing ran before, and all of it does at the moment.
    host.ok("systemctl stop photos.target 'immich-*'");
    let mut slow = host.start(
        "exec strace -f -qq -o /dev/shm/slow -e trace=syncfs -e inject=syncfs:delay_enter=3000000:when=1 \
         photos-agent snapshot --json >/root/slow.json 2>/root/slow.err",
    );
    host.wait_for("grep -q syncfs /dev/shm/slow", 20);
    host.ok("systemctl start photos.target immich-server");
    assert!(slow.wait().expect("it ended").success(), "{}", host.ok("cat /root/slow.err"));
    host.ok("jq -e '.snapshot.frozen_us > 0' /root/slow.json");
    host.wait_for("photos-agent status", 60);

    // A service that an operator's drop-in has put elsewhere.
    let before = there();
    let folder = "/etc/systemd/system/immich-ml.service.d";
    host.write(&format!("{folder}/50-mine.conf"), "[Service]\nSlice=system.slice\n");
    host.ok("systemctl daemon-reload && systemctl restart immich-ml");
    let refused = host.fails(1, "photos-agent snapshot");
    assert!(refused.err.contains("immich-ml.service not in photos.slice"), "{}", refused.all());
    assert_eq!(there(), before);
    host.ok(&format!(
        "rm -r {folder} && systemctl daemon-reload && systemctl restart immich-ml && photos-agent snapshot"
    ));

    // The database hangs: it is asked in vain, and what is on disk is kept all the same.
    host.ok("pkill -STOP -x postgres");
    let said = host.ok("photos-agent snapshot");
    host.ok("pkill -CONT -x postgres");
    assert!(said.contains("did not answer"), "{said}");
}
