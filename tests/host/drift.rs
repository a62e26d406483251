//! Drift: what differs from what was applied is heard of and mended, or reported with the command to run, and
//! nothing is done for nothing.
//!
//! Each test prints how long the daemon took. Nobody tells it anything and nothing is reloaded by hand.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::support::Host;

const QUADLETS: &str = "/etc/containers/systemd/photos-agent";

/// Longest time that anything may take.
const LIMIT: u64 = 60;

/// Says something that is seen in a test that passes, too.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A converged host on which the daemon runs and has nothing to do.
fn kept(name: &str) -> Host {
    let host = Host::converged(name);
    host.ok("systemctl start photos-agent");
    settled(&host);
    // Up, and not just left to systemd.
    host.wait_for("photos-agent status", LIMIT);
    host
}

/// Waits until the daemon says that all is as it should be.
fn settled(host: &Host) {
    status(host, "converged, generation");
}

/// Waits until the status line begins like this, and returns it.
fn status(host: &Host, text: &str) -> String {
    let line = "systemctl show -P StatusText photos-agent";
    host.wait_for(&format!("{line} | grep -q '^{text}'"), LIMIT);
    host.ok(line)
}

/// Number of the last operation.
fn operations(host: &Host) -> u64 {
    host.ok("photos-agent --json history | jq '[.operations[].id] | max // 0'").parse().expect("a number")
}

/// Does something to the host and waits until it is mended.
fn mended(host: &Host, what: &str, drift: &str, until: &str) -> Duration {
    let before = operations(host);
    host.ok(drift);
    let begun = Instant::now();
    host.wait_for(&format!("{{ {until}; }} >/dev/null 2>&1"), LIMIT);
    let took = begun.elapsed();
    say(&format!("{what}: mended after {:.1} s", took.as_secs_f32()));
    host.wait_for("photos-agent plan && photos-agent status", LIMIT);
    settled(host);
    assert!(operations(host) > before, "{what}: it is in the history");
    took
}

/// Does something to the host and waits until the daemon has said that it will not touch it, and in these words.
fn reported(host: &Host, what: &str, drift: &str, says: &str, remedy: &str) {
    let before = operations(host);
    host.ok(drift);
    let begun = Instant::now();
    let line = status(host, says);
    say(&format!("{what}: reported after {:.1} s: {line}", begun.elapsed().as_secs_f32()));
    assert!(line.contains(remedy), "{remedy} in: {line}");
    assert_eq!(operations(host), before, "{what}: nothing was done");
}

/// Entries with a message id of src/log.rs.
fn entries(host: &Host, id: &str) -> Vec<String> {
    let found = host.run(&format!("journalctl -q -o cat -t photos-agent MESSAGE_ID={id}"));
    found.out.lines().map(str::to_owned).collect()
}

const CONCERN: &str = "b93aab94b5f840bebc21e4289df5ede8";
const DISPLACED: &str = "a715b25ce635437b90999b6af315bead";
const FLAPPING: &str = "07a6081e36ad4b20ac15cdd9e1f9bea0";

#[test]
fn drift_of_files_is_mended_and_the_displaced_text_is_kept() {
    let host = kept("drift-files");
    let ml = format!("{QUADLETS}/immich-ml.container");

    mended(&host, "an edited unit", &format!("echo '# mine' >>{ml}"), &format!("! grep '# mine' {ml}"));
    let id = operations(&host);
    let kept = format!("/var/lib/photos-agent/displaced/{id:06}-immich-ml.container");
    host.ok(&format!("grep '# mine' {kept}"));
    assert!(host.ok("photos-agent history").contains(&kept), "history names it");
    let log = host.ok(&format!("journalctl -q -o json -t photos-agent MESSAGE_ID={DISPLACED}"));
    assert!(log.contains(&kept), "the log names it: {log}");
    let history = host.ok("photos-agent history");
    assert!(history.contains("daemon: drift  done, generation 1"), "{history}");

    let redis = format!("{QUADLETS}/immich-redis.container");
    mended(&host, "a deleted unit", &format!("rm {redis}"), &format!("test -s {redis}"));
    mended(&host, "an edited target", "echo >>/etc/systemd/system/photos.target", "photos-agent plan");
    let folder = format!("mv {QUADLETS} /root/aside");
    mended(&host, "all units with their folder", &folder, &format!("test -s {ml}"));
    // The same repair for the third time would wait.
    let network = format!("{QUADLETS}/photos-egress.network");
    mended(&host, "a unit in the folder that came back", &format!("echo >>{network}"), "photos-agent plan");
    let rules = "/var/lib/photos-agent/firewall.nft";
    mended(&host, "the firewall's rules", &format!("echo >>{rules}"), "photos-agent plan");

    let server = format!("{QUADLETS}/immich-server.container");
    let vi = format!("cd {QUADLETS} && sed 's/^Image=.*/Image=x/' {server} >.swp && mv .swp {server}");
    mended(&host, "a unit that an editor replaced", &vi, &format!("! grep Image=x {server}"));

    // What was not applied is not applied now.
    host.write("/etc/photos-agent/config.d/50-mine.toml", "[immich]\nlisten = \"127.0.0.1:2299\"\n");
    let sysctl = "/etc/sysctl.d/60-photos-agent.conf";
    host.ok(&format!("rm {sysctl}"));
    host.wait_for(&format!("test -s {sysctl}"), LIMIT);
    settled(&host);
    host.fails(2, "photos-agent plan");
    host.ok("curl -sf http://127.0.0.1:2283/api/server/ping");
    // By hand, beside the daemon, which holds that from then on.
    host.ok("photos-agent apply");
    host.ok(&format!("rm {sysctl}"));
    host.wait_for(&format!("test -s {sysctl}"), LIMIT);
    settled(&host);
    host.ok("curl -sf http://127.0.0.1:2299/api/server/ping");
    host.assert_converged();
}

#[test]
fn drift_of_places_networks_and_secrets_is_mended_or_reported() {
    let host = kept("drift-objects");
    let live = "/var/lib/photos/live";

    let mode = |path: &str, wanted: &str| format!("[ \"$(stat -c '%u %a' {live}/{path})\" = '{wanted}' ]");
    mended(&host, "a wrong mode", &format!("chmod 777 {live}/redis"), &mode("redis", "999 700"));
    mended(&host, "a wrong owner", &format!("chown 1000 {live}/media"), &mode("media", "0 750"));

    let remove = "podman network rm -f -t 0 photos-egress >/dev/null";
    mended(&host, "a removed network", remove, "podman network exists photos-egress");
    let both = "podman network rm -f -t 0 photos >/dev/null";
    // A container that starts again just then leaves the bridge of a network that is gone, and nobody can tell whose it is.
    let there = "podman network exists photos || { for bridge in $(ip -br -4 address | awk '$3 ~ /^10[.]89[.]5[.]/ {print $1}'); \
                 do ip link delete $bridge; done; false; }";
    mended(&host, "the inner network, and all containers with it", both, there);

    mended(&host, "podman.socket stopped", "systemctl stop podman.socket", "systemctl is-active podman.socket");

    let told = |what: &str| format!("converged, generation 1; {what}: ");
    // Nothing tells of a flag: it is felt at the next beat.
    let cache = "/var/lib/photos/keep/ml-cache";
    reported(&host, "a lost NOCOW", &format!("chattr -C {cache}"), &told(cache), "chattr +C");
    host.ok(&format!("chattr +C {cache}"));
    settled(&host);

    let foreign = "/etc/containers/systemd/theirs/immich-ml.container";
    let write = format!("mkdir -p /etc/containers/systemd/theirs; echo '[Container]' >{foreign}");
    let remedy = format!("mv {foreign} {foreign}.aside");
    reported(&host, "a foreign file with our name", &write, "refused: ", &remedy);
    host.ok(&format!("rm {foreign}"));
    settled(&host);

    let times = entries(&host, CONCERN).len();
    let remove = "podman secret rm photos-db-password >/dev/null";
    reported(&host, "a removed secret", remove, &told("secret photos-db-password"), "photos-agent secret rotate");
    assert_eq!(entries(&host, CONCERN).len(), times + 1, "once");
    // Looked at again, and not said again.
    host.ok("chmod 700 /var/lib/photos/live/media; sleep 5; chmod 750 /var/lib/photos/live/media; sleep 5");
    assert_eq!(entries(&host, CONCERN).len(), times + 1, "still once");
    host.ok("photos-agent secret rotate photos-db-password");
    settled(&host);
    host.wait_for("photos-agent plan && photos-agent status", LIMIT);
    host.assert_converged();
}

#[test]
fn the_operators_word_holds_against_the_daemon() {
    let host = kept("drift-operator");

    let before = operations(&host);
    host.ok("systemctl -q mask --now immich-ml");
    let line = status(&host, "converged, generation 1; immich-ml.service is masked");
    say(&line);
    host.ok("systemctl -q unmask immich-ml");
    host.wait_for("systemctl is-active immich-ml", LIMIT);
    status(&host, "converged, generation 1$");

    host.ok("systemctl stop photos.target 'immich-*'");
    status(&host, "converged, generation 1; photos.target was stopped");
    // Something else drifts: it is mended, and all stays down.
    let ml = format!("{QUADLETS}/immich-ml.container");
    host.ok(&format!("rm {ml}"));
    host.wait_for(&format!("test -s {ml}"), LIMIT);
    status(&host, "converged, generation 1; photos.target was stopped");
    std::thread::sleep(Duration::from_secs(5));
    for unit in ["photos.target", "immich-postgres", "immich-redis", "immich-server", "immich-ml"] {
        assert_eq!(host.run(&format!("systemctl is-active {unit}")).out.trim(), "inactive", "{unit}");
    }
    assert_eq!(operations(&host), before + 1);
    host.ok("systemctl start photos.target");
    status(&host, "converged, generation 1$");
    host.wait_for("photos-agent status", LIMIT);

    // What dies comes back by systemd, and the daemon does not meddle.
    let before = operations(&host);
    host.ok("podman kill immich-postgres >/dev/null");
    host.wait_for("photos-agent status", LIMIT);
    status(&host, "converged, generation 1$");
    assert_eq!(operations(&host), before, "systemd alone did it");

    // Somebody else holds the lock: the daemon waits, and says for whom.
    let lock = "/run/photos-agent/lock";
    let mut holder = host.start(&format!("flock {lock} sh -c 'printf %s \"somebody (pid 7)\" >{lock}; sleep 40'"));
    host.wait_for(&format!("! flock -n {lock} true"), 10);
    host.ok(&format!("rm {ml}"));
    let line = status(&host, "waiting for somebody (pid 7)");
    say(&line);
    holder.wait().expect("it ended");
    host.wait_for(&format!("test -s {ml}"), LIMIT);
    settled(&host);
}

#[test]
fn a_repair_that_does_not_last_backs_off_and_says_so() {
    let host = kept("drift-flapping");
    let ml = format!("{QUADLETS}/immich-ml.container");
    let remove = format!("rm {ml}");
    for _ in 0..2 {
        mended(&host, "a unit that somebody deletes again and again", &remove, &format!("test -s {ml}"));
    }
    let operations_before = operations(&host);
    host.ok(&remove);
    let line = status(&host, "mended 2 times and needed again, next try at ");
    say(&line);
    assert!(line.contains(&ml), "{line}");
    assert_eq!(entries(&host, FLAPPING).len(), 1);
    // Another repair that is not part of it would wait with it; one that comes alone need not.
    assert_eq!(operations(&host), operations_before);
    let took = host.wait_for(&format!("test -s {ml}"), 90);
    say(&format!("the third time after {:.0} s", took.as_secs_f32()));
    settled(&host);
    host.assert_converged();
}

#[test]
fn a_days_worth_of_signals_leads_to_no_work() {
    let host = kept("drift-idle");
    host.ok("sleep 10");
    let looks = "journalctl -q -u podman.service -o cat | grep -c '^Started podman.service' || true";
    let pid = host.ok("systemctl show -P MainPID photos-agent");
    let switches = format!("awk '/^voluntary/ {{ print $2 }}' /proc/{pid}/status");
    let used = format!("awk '{{ print $14 + $15 }}' /proc/{pid}/stat");
    let number = |command: &str| host.ok(command).parse::<u64>().expect("a number");
    let before = (number(looks), operations(&host), number(&switches), number(&used));

    // What health checks do in half an hour: transient units come and go.
    host.ok("for i in $(seq 240); do systemd-run -q --collect --wait --unit=health-$i true; done");
    // What many days of health checks say on the bus, and signals of foreign units.
    host.ok("for i in $(seq 400); do busctl emit /org/freedesktop/systemd1/unit/immich_2dserver_2eservice \
             org.freedesktop.DBus.Properties PropertiesChanged 'sa{sv}as' org.freedesktop.systemd1.Unit \
             1 ActiveState s failed 0; done");
    // Files of other people where ours lie, and ours when they are read.
    host.ok("for i in $(seq 3000); do \
               echo $i >/etc/systemd/system/theirs.service; echo $i >/etc/containers/systemd/theirs.container; \
               echo $i >/var/lib/photos-agent/theirs; echo $i >/etc/theirs; touch /run/theirs; \
               : </etc/containers/systemd/photos-agent/immich-ml.container; \
             done");
    // Photographs come and go.
    host.ok("cd /var/lib/photos/live/media && for i in $(seq 5000); do echo $i >$i.jpg; done && rm *.jpg");
    host.ok("sleep 15");
    let after = (number(looks), operations(&host), number(&switches), number(&used));
    say(&format!("{} wake-ups, {} ms of processor time", after.2 - before.2, (after.3 - before.3) * 10,));
    assert_eq!((after.0, after.1), (before.0, before.1), "looks and operations");

    // And it is not that it hears nothing.
    let ml = format!("{QUADLETS}/immich-ml.container");
    mended(&host, "after all that, a deleted unit", &format!("rm {ml}"), &format!("test -s {ml}"));
    assert!(number(looks) > before.0, "a look is seen as this test counts them");

    host.ok("sleep 15");
    let before = number(&switches);
    host.ok("sleep 60");
    let resident = host.ok(&format!("awk '/^VmRSS/ {{ print $2 }}' /proc/{pid}/status"));
    say(&format!("{} wake-ups in an idle minute, {resident} KiB resident", number(&switches) - before));
}
