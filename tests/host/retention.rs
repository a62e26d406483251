//! Snapshots by the clock and by policy: what stays, what goes, and what is nobody's business.

use crate::faults::random::{Random, seed};
use crate::support::Host;

const TIMER: &str = "photos-snapshot.timer";
const AT: &str = "/var/lib/photos/.snapshots";

/// A shell function that makes older snapshots out of the last one: `older ID CREATED [KEEP]`, each with its own subvolumes.
const OLDER: &str = r#"
older() {
    last=$(for f in /root/last/manifest.json; do echo $f; done)
    for part in postgres media; do
        mkdir -p /var/lib/photos/.snapshots/$1/$part
        btrfs -q subvolume snapshot -r /var/lib/photos/live/$part /var/lib/photos/.snapshots/$1/$part/snapshot
    done
    mkdir -p /var/lib/photos/.snapshots/$1/stack/etc
    echo text > /var/lib/photos/.snapshots/$1/stack/etc/unit
    jq ".id = \"$1\" | .created = \"$2\" | .keep = ${3:-false} | .parts |= {postgres, media}" $last \
        > /var/lib/photos/.snapshots/$1/manifest.json
}
"#;

/// Has the shell function read one that there is.
fn with_one() -> Host {
    let host = Host::converged("retention");
    host.ok("systemctl start photos-snapshot.service");
    host.write("/root/older.sh", OLDER);
    host.ok(&format!("mkdir /root/last && cp {AT}/*/manifest.json /root/last/"));
    host
}

/// The names of those that are whole, oldest first.
fn names(host: &Host) -> Vec<String> {
    let listed = host.ok("photos-agent snapshot list --json | jq -r '.snapshots | reverse[] | .id'");
    listed.lines().map(str::to_owned).collect()
}

#[test]
fn the_timer_prunes_by_policy_and_touches_only_what_is_ours() {
    let host = with_one();
    assert_eq!(host.ok(&format!("systemctl is-enabled {TIMER}; systemctl is-active {TIMER}")), "enabled\nactive");
    assert!(host.ok("systemctl list-timers --no-legend").contains("photos-snapshot.service"));
    assert_eq!(host.ok("photos-agent snapshot list --json | jq -r '.snapshots[].summary.reason'"), "scheduled");
    assert!(host.ok("photos-agent status").contains("  1 snapshot, the last "), "status counts it");

    // Two a day for three days of a month long ago, one of them asked to keep, and one of each month before.
    let older = [
        ("20250112T020000Z", "2025-01-12T02:00:00Z", "false"),
        ("20250214T020000Z", "2025-02-14T02:00:00Z", "false"),
        ("20250310T020000Z", "2025-03-10T02:00:00Z", "false"),
        ("20250310T140000Z", "2025-03-10T14:00:00Z", "true"),
        ("20250311T020000Z", "2025-03-11T02:00:00Z", "false"),
        ("20250311T140000Z", "2025-03-11T14:00:00Z", "false"),
        ("20250312T020000Z", "2025-03-12T02:00:00Z", "false"),
        ("20250312T140000Z", "2025-03-12T14:00:00Z", "false"),
    ];
    let made: Vec<String> = older.iter().map(|(id, created, keep)| format!("older {id} {created} {keep}")).collect();
    host.ok(&format!(". /root/older.sh; {}", made.join("; ")));
    host.ok(&foreign());
    let before = host.ok(FOREIGN);

    host.configure("[snapshots]\nkeep = { last = 1, daily = 3, weekly = 0, monthly = 3 }\n");
    let unapplied = host.run("photos-agent snapshot prune --dry-run");
    assert!(unapplied.err.contains("changed and not applied"), "{}", unapplied.all());
    host.ok("photos-agent apply");
    let listing = format!("find {AT} | sort | sha256sum");
    let untouched = host.ok(&listing);
    let dry = host.fails(2, "photos-agent snapshot prune --dry-run");
    assert_eq!(host.ok(&listing), untouched, "a dry run changes nothing");
    for line in [
        "the newest, 1st of the last 1, 1st of 3 daily, 1st of 3 monthly",
        "keep    20250312T140000Z  2025-03-12 14:00:00  2nd of 3 daily, 2nd of 3 monthly",
        "delete  20250312T020000Z  2025-03-12 02:00:00  a newer one stands for its day and month; older than the last one",
        "keep    20250311T140000Z  2025-03-11 14:00:00  3rd of 3 daily",
        "keep    20250310T140000Z  2025-03-10 14:00:00  asked to keep",
        "keep    20250214T020000Z  2025-02-14 02:00:00  3rd of 3 monthly",
        "delete  20250112T020000Z  2025-01-12 02:00:00  older than the last one, 3 days and 3 months",
        "leave   20200103T000000Z  its manifest is damaged",
        "leave   20200104T000000Z  its manifest has format 99, of a newer photos-agent",
        "4 snapshots would be deleted, 7 snapshots would stay.",
    ] {
        assert!(dry.out.contains(line), "{line}: {}", dry.out);
    }
    host.ok("systemctl start photos-snapshot.service");
    let mut left = names(&host);
    left.retain(|id| id.starts_with("2025"));
    assert_eq!(left, ["20250214T020000Z", "20250310T140000Z", "20250311T140000Z", "20250312T140000Z"]);
    assert!(!host.ok(&format!("ls {AT}")).contains("20250112T020000Z"), "the folder is gone");
    let again = host.ok("photos-agent snapshot prune --dry-run");
    assert!(again.contains("0 snapshots would be deleted"), "{again}");
    assert_eq!(host.ok(FOREIGN), before, "what is not ours is as it was");

    deleted_by_name(&host);
    assert_eq!(host.ok(FOREIGN), before, "what is not ours is as it was");
    host.fails(1, "test -e /var/lib/photos-agent/pending");
    more_than_may_be_open_go_at_once(&host);
    the_timer_is_the_operators(&host);
}

/// Things that lie among snapshots and inside of them, some with the names of snapshots.
fn foreign() -> String {
    format!(
        "cd {AT} && btrfs -q subvolume create mine && echo x > mine/x && echo x > notes.txt && mkdir -p folder/postgres
        btrfs -q subvolume create 20200101T000000Z && mkdir 20200101T000000Z/stack && echo x > 20200101T000000Z/stack/x
        echo x > 20200102T000000Z
        mkdir 20200103T000000Z && echo '{{' > 20200103T000000Z/manifest.json
        mkdir 20200104T000000Z && echo '{{\"schema\": 99}}' > 20200104T000000Z/manifest.json
        ln -s /etc 20200105T000000Z
        echo x > 20250312T020000Z/x && btrfs -q subvolume create 20250312T020000Z/mine
        echo x > 20250312T020000Z/postgres/x"
    )
}

/// They, with what they hold.
const FOREIGN: &str = "cd /var/lib/photos/.snapshots && for of in mine/x notes.txt folder/postgres 20200101T000000Z/stack/x \
    20200102T000000Z 20200103T000000Z/manifest.json 20200104T000000Z/manifest.json 20200105T000000Z \
    20250312T020000Z/x 20250312T020000Z/mine 20250312T020000Z/postgres/x; do stat -c '%n %i %Y' $of || echo gone: $of; done";

fn deleted_by_name(host: &Host) {
    let refused = host.fails(3, "photos-agent snapshot delete 20250214");
    assert!(refused.err.contains("no terminal") && refused.err.contains("--yes"), "{}", refused.err);
    host.fails(64, "photos-agent snapshot delete 2025 --yes");
    host.fails(3, "photos-agent snapshot delete 20200104 --yes");
    assert_eq!(names(host).iter().filter(|id| id.starts_with("2025")).count(), 4, "nothing was deleted");
    host.ok("photos-agent snapshot delete 20250214 20250214T02 20250310 --yes");
    assert_eq!(names(host).iter().filter(|id| id.starts_with("2025")).count(), 2);
    let steps = host.ok("photos-agent history --json | jq -c '.operations[0] | [.command, .steps[].step]'");
    let wanted =
        r#"["photos-agent snapshot delete","delete snapshot 20250214T020000Z","delete snapshot 20250310T140000Z"]"#;
    assert_eq!(steps, wanted);

    // What a restore has replaced is nobody's to prune.
    let replaced = "/var/lib/photos/replaced/000012";
    host.ok(&format!("mkdir -p {replaced} && btrfs -q subvolume create {replaced}/media && echo x > {replaced}/notes"));
    host.ok("photos-agent snapshot prune");
    assert!(host.ok("photos-agent snapshot list").contains("replaced-000012: "));
    host.fails(3, "photos-agent snapshot delete replaced-000012");
    host.fails(3, "photos-agent snapshot delete replaced-000013 --yes");
    host.ok("photos-agent snapshot delete replaced-000012 --yes");
    assert_eq!(host.ok(&format!("ls {replaced}")), "notes", "what is not ours stays, and its folder");
    host.ok(&format!("rm -r {replaced}"));

    // Sizes, where somebody has turned quotas on. The hosts' own /sys lacks this part.
    assert!(host.ok("photos-agent snapshot show latest").contains("quotas are off"));
    host.ok("mkdir -p /mnt/sys && mount -t sysfs sysfs /mnt/sys && mount -o remount,rw /sys && mkdir -p /sys/fs/btrfs");
    host.ok("mount --bind /mnt/sys/fs/btrfs /sys/fs/btrfs && btrfs quota enable /var/lib/photos");
    host.wait_for("photos-agent snapshot show latest | grep -qE '^size +[0-9.]+ [KM]iB of its own'", 120);
    assert!(host.ok("photos-agent snapshot list | head -1").contains(" own "));
    host.ok("btrfs quota disable /var/lib/photos && umount /sys/fs/btrfs /mnt/sys");
}

/// All of January 2024 by the hour but for the newest, and one that somebody reads.
fn more_than_may_be_open_go_at_once(host: &Host) {
    host.ok(&format!(
        "cd {AT} && for hour in $(seq -w 0 23); do for day in $(seq 10 19); do id=202401${{day}}T${{hour}}0000Z; mkdir $id
        jq \".id = \\\"$id\\\" | .created = \\\"2024-01-${{day}}T${{hour}}:00:00Z\\\"\" /root/last/manifest.json > $id/manifest.json
        done; done"
    ));
    let read = "20240115T120000Z";
    let mut reader = host.start(&format!("exec flock --shared --close {AT}/{read} sleep 600"));
    host.wait_for(&format!("! flock --nonblock --exclusive {AT}/{read} true"), 30);
    let count = |what: &str| {
        let counts =
            "[(.verdicts | map(select(.decision | has(\"delete\"))) | length), (.left | map(.id) | contains([$id]))]";
        host.ok(&format!(
            "prlimit --nofile=64 photos-agent snapshot prune {what} --json | jq -c --arg id {read} '{counts}'"
        ))
    };
    assert_eq!(count("--dry-run"), "[239,false]");
    assert_eq!(count(""), "[238,true]", "what was done is counted");
    assert_eq!(host.ok(&format!("cd {AT} && ls -d 202401*")), format!("{read}\n20240119T230000Z"));
    host.fails(3, &format!("photos-agent snapshot delete 20240119 {read} --yes"));
    host.ok(&format!("test -e {AT}/20240119T230000Z/manifest.json"));
    host.ok("pkill -x flock");
    let _ = reader.wait();
    let said = host.ok("photos-agent snapshot prune");
    assert!(said.contains("1 snapshot deleted"), "{said}");
    host.ok("photos-agent snapshot delete 202401 --yes");
}

fn the_timer_is_the_operators(host: &Host) {
    an_open_operation_never_stops_it_in_silence(host);

    host.ok(&format!("systemctl disable --now {TIMER}"));
    host.ok("photos-agent apply");
    let plan = host.ok("photos-agent plan");
    assert!(plan.contains("photos-snapshot.timer is disabled: systemctl enable --now photos-snapshot.timer"), "{plan}");
    host.fails(1, &format!("systemctl -q is-enabled {TIMER}"));
    host.ok(&format!("systemctl enable --now {TIMER}"));

    host.configure("[snapshots]\nschedule = \"off\"\n");
    host.ok("photos-agent apply");
    host.assert_converged();
    host.fails(1, "ls /etc/systemd/system/photos-snapshot.timer /etc/systemd/system/timers.target.wants/photos-snapshot.timer 2>&1 | grep -v 'No such'");
    // Not even known any more.
    host.fails(4, &format!("systemctl -q is-active {TIMER}"));
    host.configure("[snapshots]\nschedule = \"Mon *-*-* 4:30\"\n");
    host.ok("photos-agent apply");
    host.assert_converged();
    assert_eq!(host.ok(&format!("systemctl is-enabled {TIMER}; systemctl is-active {TIMER}")), "enabled\nactive");
    let next = host.ok(&format!("systemctl show -P NextElapseUSecRealtime {TIMER}"));
    assert!(next.starts_with("Mon ") && next.contains(" 04:30:00"), "{next}");
    // A running timer takes a new time at once.
    host.configure("[snapshots]\nschedule = \"Tue *-*-* 5:45\"\n");
    host.ok("photos-agent apply");
    let next = host.ok(&format!("systemctl show -P NextElapseUSecRealtime {TIMER}"));
    assert!(next.starts_with("Tue ") && next.contains(" 05:45:00"), "{next}");
}

fn an_open_operation_never_stops_it_in_silence(host: &Host) {
    let count = names(host).len();
    // Of something half-done there is no moment worth keeping, and somebody has to see that none was taken.
    let pending = "/var/lib/photos-agent/pending";
    host.write(
        pending,
        r#"{"schema":1,"id":99,"command":"photos-agent apply","started":"2026-01-01T00:00:00Z","agent":"0",
           "stack_was_stopped":false,"holds":false,"steps":[]}"#,
    );
    host.fails(1, "systemctl start photos-snapshot.service");
    assert_eq!(host.ok("systemctl show -P ExecMainStatus photos-snapshot.service"), "3");
    host.ok(&format!("rm {pending} && systemctl reset-failed photos-snapshot.service"));
    assert_eq!(names(host).len(), count);
    // A snapshot that was killed is taken up by the next one, without the daemon.
    host.fails(3, "systemctl is-active photos-agent");
    let killed = "strace -f -qq -o /dev/null -e trace=syncfs -e inject=syncfs:signal=KILL:when=1 photos-agent snapshot";
    host.fails(137, killed);
    host.ok(&format!("test -e {pending} && systemctl start photos-snapshot.service"));
    host.fails(1, &format!("test -e {pending}"));
    assert_eq!(
        host.ok(&format!(
            "cd {AT}; for one in 2*; do [ -e $one/manifest.json ] || ls -d $one/*/snapshot; done 2>/dev/null"
        )),
        ""
    );
    assert!(host.ok("photos-agent snapshot list --json | jq -r '.snapshots[0].summary.reason'").contains("scheduled"));
}

/// System calls of a deletion at which it is killed, and how many there are at least of each.
const CALLS: [(&str, u64); 5] = [("unlink", 8), ("rmdir", 18), ("ioctl", 26), ("fsync", 24), ("unlinkat", 16)];

#[test]
fn a_deletion_that_is_killed_leaves_nothing_that_looks_whole() {
    let host = with_one();
    let mut random = Random::of(seed(), 0);
    let six: Vec<String> = (1..=6).map(|day| format!("2025010{day}T020000Z 2025-01-0{day}T02:00:00Z")).collect();
    let (mut killed, mut debris) = (0, 0);
    for round in 0..12 {
        host.ok(&format!(". /root/older.sh; {}", six.iter().map(|one| format!("older {one}; ")).collect::<String>()));
        let (call, most) = *random.one_of(&CALLS);
        let when = 1 + random.below(most);
        let inject = format!("-e trace={call} -e inject={call}:signal=KILL:when={when}");
        let delete = "photos-agent snapshot delete --yes $(photos-agent snapshot list --json \
                      | jq -r '.snapshots[].id | select(startswith(\"2025\"))')";
        let ended = host.run(&format!("strace -qq -o /dev/null {inject} {delete}"));
        let at = format!("round {round}, {call} {when}: {}", ended.all());
        assert!([0, 137].contains(&ended.code), "{at}");
        killed += u32::from(ended.code == 137);
        // Whatever has a manifest has all that it names.
        let half = host.ok(&format!(
            "cd {AT}; for one in 2*; do [ -e $one/manifest.json ] || continue; for part in $(jq -r '.parts | keys[]' \
             $one/manifest.json); do btrfs subvolume show $one/$part/snapshot >/dev/null 2>&1 || echo $one $part; done; done"
        ));
        assert_eq!(half, "", "{at}");
        let lying = host.ok(&format!("cd {AT}; for one in 2*; do [ -e $one/manifest.json ] || echo $one; done"));
        debris += lying.lines().count();
        let next = ["photos-agent apply", "photos-agent snapshot prune", "photos-agent snapshot delete 2025 --yes"];
        match *random.one_of(&next) {
            // One that there may be no more of, or more than one; it takes up what was left only if it is allowed to begin.
            last if last.contains("2025") => {
                host.ok(". /root/older.sh; older 20250201T020000Z 2025-02-01T02:00:00Z");
                host.ok("photos-agent snapshot delete 202502 --yes");
            }
            other => drop(host.ok(other)),
        }
        let open = host.run("cat /var/lib/photos-agent/pending");
        assert_ne!(open.code, 0, "{at}: {}", open.all());
        assert_eq!(host.ok("photos-agent snapshot list --json | jq -c .debris"), "[]", "{at}");
        assert_eq!(
            host.ok(&format!("cd {AT}; for one in 2*; do [ -e $one/manifest.json ] || echo $one; done")),
            "",
            "{at}"
        );
    }
    eprintln!("killed in {killed} of 12 rounds, {debris} half-deleted ones");
    assert!(killed > 0 && debris > 0, "{killed} {debris}");
    host.assert_converged();

    // The daemon does the same at its start, though no operation is open.
    host.ok(&format!(
        ". /root/older.sh; older 20250301T020000Z 2025-03-01T02:00:00Z; rm {AT}/20250301T020000Z/manifest.json"
    ));
    host.ok("systemctl start photos-agent");
    host.wait_for(&format!("! test -e {AT}/20250301T020000Z"), 30);
    // And after one that died while it runs.
    host.ok(". /root/older.sh; older 20250302T020000Z 2025-03-02T02:00:00Z");
    host.run("strace -qq -o /dev/null -e trace=rmdir -e inject=rmdir:signal=KILL:when=1 photos-agent snapshot delete 20250302 --yes");
    host.wait_for(&format!("! test -e {AT}/20250302T020000Z && ! test -e /var/lib/photos-agent/pending"), 60);
}
