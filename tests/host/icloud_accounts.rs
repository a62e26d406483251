//! Accounts of iCloud on a real host: the units are ones, the container is shut in, timers go by the clocks of the account, and
//! what is there of an account stays whatever becomes of it.

use crate::support::Host;

const ANNA: &str = "[[icloud.account]]\nname = \"anna\"\napple_id = \"anna@example.org\"\ntimezone = \"Europe/Berlin\"\n\
                    schedule = \"Sun *-*-* 02:30:00\"\n";
const BEN: &str = "[[icloud.account]]\nname = \"ben\"\napple_id = \"ben+%h$HOME@example.org\"\ntimezone = \"America/New_York\"\n\
                   album = [\"Ferien \\\"100%\\\" $HOME\"]\nfolder_structure = \"{0:%Y}/my photos/{0:%m}\"\n";

const LIVE: &str = "/var/lib/photos/live/icloud";
const KEEP: &str = "/var/lib/photos/keep/icloudpd";

fn owner(host: &Host, path: &str) -> String {
    host.ok(&format!("stat -c '%u:%g %a' {path}")).trim().to_owned()
}

/// Lets one run happen, as `icloud sync` does.
fn allow(host: &Host, account: &str, options: &str) {
    host.write(&format!("/run/photos-agent/icloudpd@{account}.env"), options);
}

/// When a timer elapses after a moment, in UTC.
fn elapses(host: &Host, account: &str, after: &str) -> String {
    let timer = format!("/etc/systemd/system/icloudpd@{account}.timer");
    let calendar = host.ok(&format!("sed -n 's/^OnCalendar=//p' '{timer}'"));
    let ask = format!("TZ=UTC systemd-analyze calendar --base-time='{after}' '{}'", calendar.trim());
    let said = host.ok(&ask);
    let line = said.lines().find_map(|line| line.trim().strip_prefix("Next elapse:")).unwrap_or_default();
    line.trim().to_owned()
}

#[test]
fn an_account_appears_runs_shut_in_and_leaves_only_its_units() {
    let host = Host::converged("accounts");
    host.configure(&format!("{ANNA}{BEN}"));
    let plan = host.fails(2, "photos-agent plan");
    assert!(plan.out.contains("make folder /var/lib/photos/live/icloud/anna for the pictures of anna"), "{}", plan.out);
    host.ok("photos-agent apply");
    host.ok("photos-agent plan");
    only_a_login_is_missing(&host);

    for account in ["anna", "ben"] {
        assert_eq!(owner(&host, &format!("{LIVE}/{account}")), "53939:53939 755");
        assert_eq!(owner(&host, &format!("{KEEP}/{account}")), "53939:53939 700");
        host.ok(&format!("jq -e '.account == \"{account}\"' {LIVE}/{account}/.photos-agent"));
        host.ok(&format!(
            "systemctl is-enabled icloudpd@{account}.timer && systemctl is-active icloudpd@{account}.timer"
        ));
        let unit = host.ok(&format!("systemctl show -P TriggeredBy photos-icloud@{account}.service"));
        assert_eq!(unit.trim(), format!("icloudpd@{account}.timer"));
    }
    timers_go_by_the_clocks_of_the_account(&host);
    nothing_runs_unless_somebody_has_looked(&host);
    the_container_is_shut_in(&host);
    a_stop_of_the_stack_stops_a_run(&host);
    a_removed_account_leaves_what_is_its_own(&host);
    a_damaged_record_stops_no_repair(&host);
}

/// What is remembered of runs is no reason to mend nothing else; but what may have had pictures is not made anew.
fn a_damaged_record_stops_no_repair(host: &Host) {
    let records = ["icloud.json", "libraries.json"];
    for record in records {
        host.ok(&format!("echo '{{' > /var/lib/photos-agent/{record}"));
        host.ok(&format!("rm /etc/containers/systemd/photos-agent/immich-ml.container; mv {LIVE}/anna {LIVE}/aside"));
        let planned = host.fails(2, "photos-agent plan").out;
        assert!(planned.contains("write 1 file") && !planned.contains("make folder"), "{record}: {planned}");
        assert!(planned.contains("anna: is gone, and pictures of anna lay in it"), "{record}: {planned}");
        host.ok("photos-agent apply");
        host.ok(&format!("test ! -e {LIVE}/anna && mv {LIVE}/aside {LIVE}/anna && rm /var/lib/photos-agent/{record}"));
    }
    host.ok("photos-agent plan");
}

/// All is well, but that nobody has signed in: every concern is told with the login as its remedy.
fn only_a_login_is_missing(host: &Host) {
    let said = host.fails(2, "photos-agent status").out;
    let concerns = said.lines().filter(|line| line.starts_with("Concern: ")).count();
    let logins = said.lines().filter(|line| line.trim().starts_with("next: photos-agent icloud login ")).count();
    assert_eq!((concerns, logins), (2, 2), "{said}");
}

fn timers_go_by_the_clocks_of_the_account(host: &Host) {
    // Before and after the clocks of Berlin go back, and at the night in which half past two does not exist.
    assert_eq!(elapses(host, "anna", "2026-10-20 00:00:00 UTC"), "Sun 2026-10-25 00:30:00 UTC");
    assert_eq!(elapses(host, "anna", "2026-10-26 00:00:00 UTC"), "Sun 2026-11-01 01:30:00 UTC");
    assert_eq!(elapses(host, "anna", "2027-03-29 00:00:00 UTC"), "Sun 2027-04-04 00:30:00 UTC");
    // Three in the morning of New York, in winter and in summer.
    assert_eq!(elapses(host, "ben", "2026-11-20 00:00:00 UTC"), "Tue 2026-12-01 08:00:00 UTC");
    assert_eq!(elapses(host, "ben", "2027-03-02 00:00:00 UTC"), "Thu 2027-04-01 07:00:00 UTC");
    // Never passed over for good: from within the hour that is left out, there is a next one.
    assert!(elapses(host, "anna", "2027-03-28 00:45:00 UTC").ends_with("UTC"));
    // What systemd itself has in mind is one of those, with its spread.
    let next = host.ok("systemctl show -P NextElapseUSecRealtime icloudpd@anna.timer");
    assert!(!next.trim().is_empty() && next.trim() != "n/a", "{next}");
}

fn nothing_runs_unless_somebody_has_looked(host: &Host) {
    host.ok("systemctl start icloudpd@anna.service");
    assert_eq!(host.ok("systemctl show -P ConditionResult icloudpd@anna.service").trim(), "no");
    assert_eq!(host.run("podman container exists icloudpd-anna").code, 1);
}

/// Without a session it ends with 1; but the container really ran, as what it is.
fn the_container_is_shut_in(host: &Host) {
    allow(host, "ben", "ICLOUDPD_OPTIONS=--until-found=50\n");
    host.ok("systemctl restart --no-block icloudpd@ben.service");
    host.wait_for("systemctl is-failed -q icloudpd@ben.service", 120);
    let said = host.ok("journalctl -q -o cat -u icloudpd@ben.service");
    assert!(!said.contains("unrecognized arguments") && !said.contains("usage:"), "{said}");
    assert_eq!(host.ok("systemctl show -P Restart -P NRestarts icloudpd@ben.service").trim(), "no\n0");

    // The same container, with another program in the place of icloudpd that says what it sees.
    host.ok("systemctl reset-failed icloudpd@ben.service");
    host.write(
        "/etc/containers/systemd/photos-agent/icloudpd@ben.container.d/50-test.conf",
        "[Container]\nEntrypoint=/bin/sh\nExec=\nExec=-c 'trap \"exit 0\" TERM; id -u; id -g; grep CapEff /proc/self/status; touch /x; touch /photos/ok /cookies/ok; date +%%Z; sleep 600 & wait'\n",
    );
    host.ok("systemctl daemon-reload");
    allow(host, "ben", "");
    host.ok("systemctl start --no-block icloudpd@ben.service");
    host.wait_for(&format!("test -e {KEEP}/ben/ok"), 60);
    let said = host.ok("journalctl -q -o cat -u icloudpd@ben.service -n 20");
    let begun = said.rfind("53939").unwrap_or_else(|| panic!("{said}"));
    assert!(said[..begun].contains("53939"), "user and group: {said}");
    assert!(said.contains("CapEff:\t0000000000000000"), "{said}");
    assert!(said.contains("touch: cannot touch '/x'") || said.contains("Read-only file system"), "{said}");
    assert!(said.contains("EST") || said.contains("EDT"), "the account's own clocks: {said}");
    assert_eq!(owner(host, &format!("{LIVE}/ben/ok")), "53939:53939 644");
    // It is in the slice, with its limits.
    let show =
        host.ok("systemctl show -P Slice -P MemoryMax -P CPUQuotaPerSecUSec -P TimeoutStartUSec icloudpd@ben.service");
    for wanted in ["photos.slice", "1073741824", "1s", "1d"] {
        assert!(show.lines().any(|line| line == wanted), "{wanted}: {show}");
    }
    // Not on the network of the database.
    let networks =
        host.ok("podman inspect -f '{{range $n, $v := .NetworkSettings.Networks}}{{$n}} {{end}}' icloudpd-ben");
    assert_eq!(networks.trim(), "photos-egress");
    // A download under way is neither unwell nor drift.
    only_a_login_is_missing(host);
    host.ok("photos-agent plan");
}

fn a_stop_of_the_stack_stops_a_run(host: &Host) {
    // It is still at work; a snapshot does not wait for it, and it goes on after it.
    host.ok("timeout 60 photos-agent snapshot");
    assert_eq!(host.ok("systemctl show -P ActiveState icloudpd@ben.service").trim(), "activating");
    host.ok("systemctl stop photos.target");
    host.wait_for("! podman container exists icloudpd-ben", 60);
    host.ok("systemctl start photos.target");
    host.wait_for("systemctl is-active immich-server.service", 120);
    host.ok("rm -r /etc/containers/systemd/photos-agent/icloudpd@ben.container.d && systemctl daemon-reload");
}

fn a_removed_account_leaves_what_is_its_own(host: &Host) {
    host.configure(ANNA);
    host.ok("photos-agent apply");
    host.ok("photos-agent plan");
    assert_ne!(host.run("systemctl cat icloudpd@ben.service").code, 0);
    assert_ne!(host.run("systemctl is-enabled icloudpd@ben.timer").code, 0);
    host.ok(&format!("test -e {LIVE}/ben/ok && test -e {KEEP}/ben/ok && test -e {LIVE}/ben/.photos-agent"));
    host.ok("systemctl is-active icloudpd@anna.timer");
    // It comes back to what it left, unless its pictures lie by other options.
    host.configure(&format!("{ANNA}{}", BEN.replace("{0:%Y}/my photos/{0:%m}", "none")));
    let refused = host.fails(3, "photos-agent apply");
    assert!(refused.all().contains("folder_structure") && refused.all().contains("--accept"), "{}", refused.all());
    assert_ne!(host.run("systemctl cat icloudpd@ben.service").code, 0);
    host.configure(&format!("{ANNA}{BEN}"));
    host.ok("photos-agent apply");
    host.ok("photos-agent plan");
    host.configure(&format!("{ANNA}{}", BEN.replace("{0:%Y}/my photos/{0:%m}", "none")));
    host.ok("photos-agent apply --accept ben");
    host.ok("photos-agent plan");
    host.ok(&format!("test -e {LIVE}/ben/ok && jq -e '.paths.folder_structure == \"none\"' {LIVE}/ben/.photos-agent"));
    // A folder without the file that says what it is is told of, and gets none by itself.
    host.ok(&format!("rm {LIVE}/anna/.photos-agent"));
    let told = host.fails(2, "photos-agent status");
    assert!(told.out.contains("has no .photos-agent"), "{}", told.all());
    host.ok("photos-agent apply");
    assert_ne!(host.run(&format!("test -e {LIVE}/anna/.photos-agent")).code, 0);
}
