//! Unattended upgrades: by their timer, in nobody's way, and whoever is named is told what came of it.

use crate::support::Host;
use crate::upgrade::stand::{NEW, OLD, container, keep_good, old, push, serves};

/// Keeps what it is told: the words, a line each time, and the last document.
const HOOK: &str = "#!/bin/sh\ncat >/root/told.json\necho \"$@\" >>/root/told\n";

/// The tables of the configuration behind `[upgrade]`.
const TOLD: &str = "[notify]\ncommand = \"/usr/local/bin/tell me\"\n";

/// No snapshots by the clock, which could be due while the test runs.
const ALONE: &str = "[snapshots]\nschedule = \"off\"\n";

/// A host whose newest release failed nowhere yet, and on which nothing else is due.
fn host(test: &str) -> Host {
    let host = old(test);
    keep_good(&host);
    host.write("/usr/local/bin/tell me", HOOK);
    host.ok("chmod 755 '/usr/local/bin/tell me' && touch /root/told");
    // There is but one way on: where the newest failed, the next older one would be taken.
    host.write(
        "/etc/photos-agent/config.d/x.catalogue.toml",
        "[[release]]\nversion = \"v3.2.0\"\navoid = \"not here\"\n",
    );
    // What was stopped is not due, whatever systemd remembers of it.
    host.ok("systemctl disable --now photos-verify.timer");
    host
}

fn configure(host: &Host, upgrade: &str, more: &str) {
    host.configure(&format!("[upgrade]\nautomatic = true\ntimeout = \"90s\"\n{upgrade}\n{TOLD}{more}"));
    host.ok("photos-agent apply");
}

/// Starts the service by hand; whether it counts as failed then.
fn fails(host: &Host) -> bool {
    // systemd refuses the sixth start within ten seconds, which nights do not see.
    host.run("systemctl reset-failed photos-upgrade.service; timeout 300 systemctl start photos-upgrade.service").code
        != 0
}

/// What the last one came to.
fn outcome(host: &Host) -> String {
    host.ok("jq -r .last.outcome /var/lib/photos-agent/night.json")
}

fn told(host: &Host) -> String {
    host.ok("cat /root/told")
}

/// It was not the moment, which is no failure, changes nothing, and is no news to anybody.
fn is_put_off(host: &Host, why: &str) {
    let (running, before) = (container(host), told(host));
    assert!(!fails(host), "{}", host.run("journalctl -n 30 -u photos-upgrade").all());
    assert_eq!(outcome(host), "deferred");
    let status = host.run("photos-agent status");
    assert!(status.out.contains("put off") && status.out.contains(why), "{why}: {}", status.all());
    assert!(host.ok("journalctl -u photos-upgrade -o cat OUTCOME=deferred").contains(why));
    assert_eq!((container(host), told(host)), (running, before));
}

#[test]
fn upgrades_are_made_unattended_when_nobody_is_in_the_way_and_told() {
    let host = host("night");
    host.fails(1, "find /etc/systemd/system -name 'photos-upgrade*' | grep .");

    // Its timer, and what may be due before it could be at its end.
    let soon = host.ok("date -d '+20 min' '+*-*-* %H:%M:00'");
    configure(&host, "", &format!("[snapshots]\nschedule = \"{soon}\"\n"));
    assert_eq!(
        host.ok("systemctl is-enabled photos-upgrade.timer; systemctl is-active photos-upgrade.timer"),
        "enabled\nactive"
    );
    assert_eq!(host.ok("systemctl show -P Persistent -P RandomizedDelayUSec photos-upgrade.timer"), "1h\nno");
    is_put_off(&host, "photos-snapshot.timer is due at ");

    // A backup at work.
    configure(&host, "", ALONE);
    host.write(
        "/etc/systemd/system/photos-snapshot.service.d/slow.conf",
        "[Service]\nExecStartPre=/usr/bin/sleep inf\n",
    );
    host.ok("systemctl daemon-reload && systemctl start --no-block photos-snapshot.service");
    host.wait_for("[ $(systemctl show -P ActiveState photos-snapshot.service) = activating ]", 20);
    is_put_off(&host, "photos-snapshot.service is at work");
    host.ok("systemctl stop photos-snapshot.service && rm -r /etc/systemd/system/photos-snapshot.service.d");
    host.ok("systemctl daemon-reload");

    // Somebody at work.
    host.ok("systemd-run -q --unit=somebody flock /run/photos-agent/lock sleep inf");
    host.wait_for("! flock -n /run/photos-agent/lock true", 20);
    is_put_off(&host, "is changing this host");
    host.ok("systemctl stop somebody");

    keeps_its_window(&host);

    // What has just come out is left to others.
    configure(&host, "min_age = \"3000 days\"", ALONE);
    assert!(!fails(&host));
    assert_eq!((outcome(&host), told(&host)), ("nothing".to_owned(), String::new()));

    goes_back_once(&host);

    // The image is another one, and somebody has seen to it.
    push(&host, "good", NEW);
    host.ok("rm /var/lib/photos-agent/quarantine.json");
    assert!(!fails(&host), "{}", host.run("journalctl -n 30 -u photos-upgrade").all());
    assert_eq!(outcome(&host), "done");
    assert_eq!(told(&host), "upgrade went_back\nupgrade done");
    host.ok(&format!("jq -e '.details.from == \"{OLD}\" and .details.to == \"{NEW}\"' /root/told.json"));
    serves(&host, NEW, &["before"]);
    assert!(!fails(&host));
    assert_eq!((outcome(&host), told(&host)), ("nothing".to_owned(), "upgrade went_back\nupgrade done".to_owned()));
    is_gone_when_it_is_off(&host);
}

/// A timer that comes late finds its window over, and one that does not is not held up.
fn keeps_its_window(host: &Host) {
    let ago = |minutes: u32| host.ok(&format!("date -d '-{minutes} min' '+*-*-* %H:%M:00'"));
    let by_timer = "TRIGGER_UNIT=photos-upgrade.timer photos-agent upgrade --unattended --json";
    for (minutes, window, outcome) in [(720, "2h", "deferred"), (15, "10 min", "deferred"), (15, "2h", "nothing")] {
        let schedule = ago(minutes);
        configure(host, &format!("schedule = \"{schedule}\"\nwindow = \"{window}\"\nmin_age = \"3000 days\""), ALONE);
        let said = host.ok(by_timer);
        assert!(said.contains(&format!("\"outcome\": \"{outcome}\"")), "{minutes} {window}: {said}");
    }
    // By the timer itself.
    host.write(
        "/etc/systemd/system/photos-upgrade.timer.d/at-once.conf",
        "[Timer]\nRandomizedDelaySec=0\nAccuracySec=1s\n",
    );
    configure(host, "schedule = \"*:*:0/5\"\nmin_age = \"3000 days\"", ALONE);
    host.ok("systemctl daemon-reload && systemctl restart photos-upgrade.timer && rm /var/lib/photos-agent/night.json");
    host.wait_for("[ \"$(jq -r .last.outcome /var/lib/photos-agent/night.json)\" = nothing ]", 60);
    host.ok("systemctl stop photos-upgrade.timer && rm -r /etc/systemd/system/photos-upgrade.timer.d");
    host.ok("systemctl daemon-reload");
    host.wait_for("[ $(systemctl show -P ActiveState photos-upgrade.service) = inactive ]", 60);
}

/// What fails goes back, is told once, and is not tried again.
fn goes_back_once(host: &Host) {
    push(host, &format!("{NEW}-crash-before-migration"), NEW);
    configure(host, "", ALONE);
    assert!(fails(host), "it is a failure");
    serves(host, OLD, &["before"]);
    assert_eq!(outcome(host), "went_back");
    assert_eq!(told(host), "upgrade went_back");
    host.ok(&format!(
        "jq -e '.schema == 1 and .about == \"upgrade\" and .outcome == \"went_back\" and .host == \"'$(hostname)'\" \
         and (.summary | contains(\"{NEW}\")) and .details.to == \"{NEW}\" and .details.from == \"{OLD}\"' /root/told.json"
    ));
    let status = host.run("photos-agent status");
    assert!(status.out.contains("did not work and went back"), "{}", status.all());
    let logged = "journalctl -o cat MESSAGE_ID=5c1fd0b4e7a84c0f9d2a6b83f01e7c95 OUTCOME=went_back";
    assert!(host.ok(logged).contains(NEW));

    let running = container(host);
    assert!(!fails(host), "{}", host.run("journalctl -n 30 -u photos-upgrade").all());
    assert_eq!((outcome(host), told(host)), ("nothing".to_owned(), "upgrade went_back".to_owned()));
    assert_eq!(container(host), running, "it is not tried again");
}

fn is_gone_when_it_is_off(host: &Host) {
    host.configure(&format!("[upgrade]\ntimeout = \"90s\"\n{TOLD}{ALONE}"));
    host.ok("photos-agent apply");
    host.fails(1, "find /etc/systemd/system -name 'photos-upgrade*' | grep .");
    assert_eq!(host.run("systemctl is-active photos-upgrade.timer").out.trim(), "inactive");
    host.assert_converged();
}

#[test]
fn one_that_is_ended_half_way_is_finished_without_the_daemon_and_told() {
    let host = host("nightkilled");
    configure(&host, "settle = \"10s\"", ALONE);
    host.ok("systemctl stop photos-agent");
    let ends = |phase: &str, how: &str, told_then: &str| {
        host.ok("systemctl start --no-block photos-upgrade.service");
        host.wait_for(&format!("grep -q {phase} /var/lib/photos-agent/pending"), 120);
        host.ok(how);
        host.wait_for(&format!("[ \"$(cat /root/told)\" = '{told_then}' ]"), 180);
        let resolve = "systemctl show -P ActiveState photos-resolve.service";
        host.wait_for(&format!("[ $({resolve}) != activating ] && [ ! -e /var/lib/photos-agent/pending ]"), 60);
    };
    // Before anything was changed, by somebody who changed his mind.
    ends("stopping", "systemctl stop photos-upgrade.service", "upgrade failed");
    assert_eq!(outcome(&host), "failed");
    serves(&host, OLD, &["before"]);
    ends("trying", "systemctl kill -s KILL photos-upgrade.service", "upgrade failed\nupgrade done");
    assert_eq!(outcome(&host), "done");
    serves(&host, NEW, &["before"]);
    assert_eq!(told(&host), "upgrade failed\nupgrade done", "once");
}
