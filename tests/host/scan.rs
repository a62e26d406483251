//! A scan reaches the server only if the tree that it sees is provably the right one; and the key, the library and the
//! switches that this takes.

use std::time::Duration;

use crate::support::Host;

const ICLOUD: &str = "/var/lib/photos/live/icloud";
const ASIDE: &str = "/var/lib/photos/icloud.aside";
const PASSWORD: &str = "correct-horse-battery";
const SETUP: &str = "photos-agent immich setup --email admin@example.org --password-stdin";

/// A host with an account, a key, and 300 photographs that Immich knows.
fn with_library(test: &str) -> Host {
    let host = Host::converged(test);
    host.write(
        "/etc/photos-agent/config.d/50-icloud.toml",
        "[[icloud.account]]\nname = \"anna\"\napple_id = \"anna@example.org\"\n",
    );
    let planned = host.fails(2, "photos-agent plan").out;
    assert!(planned.contains("Immich's own scan schedule and watcher are switched off"), "{planned}");
    host.ok("photos-agent apply");
    host.ok(&format!("echo {PASSWORD} | {SETUP}"));
    host.ok(&format!(
        "mkdir -p {ICLOUD}/anna/2026/01 && cd {ICLOUD}/anna/2026/01 && \
         for i in $(seq 300); do echo $i > IMG_$i.jpg; done"
    ));
    host
}

/// How many scans have reached the server in this boot, whichever of its containers.
fn scans(host: &Host) -> usize {
    count(host, "POST /api/libraries/[0-9a-f-]*/scan ")
}

fn count(host: &Host, pattern: &str) -> usize {
    host.ok(&format!("journalctl -q -o cat -t immich-server | grep -c '{pattern}' || true")).parse().unwrap()
}

/// A scan is refused, says why, and does not reach the server.
fn refused(host: &Host, command: &str, why: &[&str]) {
    let before = scans(host);
    let said = host.fails(3, command).err;
    for why in why {
        assert!(said.contains(why), "{command}: {why}: {said}");
    }
    assert!(said.contains("next: "), "{said}");
    assert_eq!(scans(host), before, "{said}");
}

/// What the last scan of the only library that was scanned has trashed, as it was written down.
fn trashed(host: &Host) -> String {
    host.ok("jq -r '.scans[].trashed' /var/lib/photos-agent/libraries.json")
}

/// How many photographs Immich shows.
fn shown(host: &Host) -> String {
    sql(host, "SELECT count(*) FROM asset WHERE \"deletedAt\" IS NULL AND NOT \"isOffline\"")
}

fn sql(host: &Host, statement: &str) -> String {
    host.ok(&format!("podman exec -u postgres immich-postgres psql -At -d immich -c '{statement}'"))
}

fn restart_server(host: &Host) {
    host.ok("systemctl restart immich-server");
    host.wait_for("curl -sf http://127.0.0.1:2283/api/server/ping", 60);
}

#[test]
fn a_wrong_tree_never_reaches_a_scan_and_a_right_one_does_once() {
    let host = with_library("scan");
    let scan = "photos-agent immich scan anna";
    host.ok(scan);
    assert_eq!((scans(&host), shown(&host)), (1, "300".to_owned()), "a good tree: exactly one");

    // Gone from the host; the server still has it.
    host.ok(&format!("mv {ICLOUD} {ASIDE}"));
    refused(&host, scan, &["no subvolume lies where"]);
    // An empty folder in its place, which the server sees, too.
    host.ok(&format!("mkdir {ICLOUD}"));
    refused(&host, scan, &["no subvolume lies where"]);
    restart_server(&host);
    for command in [scan.to_owned(), format!("{scan} --force")] {
        refused(
            &host,
            &command,
            &[
                "no subvolume lies where",
                ".photos-agent is not in",
                "not one file in /external/icloud/anna, and Immich knows 300",
            ],
        );
    }
    // Another subvolume, which the server does not see yet; then it does; then it is even filled.
    host.ok(&format!("rmdir {ICLOUD} && btrfs -q subvolume create {ICLOUD}"));
    refused(&host, scan, &["the server sees another tree"]);
    restart_server(&host);
    refused(&host, &format!("{scan} --force"), &[".photos-agent is not in", "not one file"]);
    host.ok(&format!("cp -a {ASIDE}/. {ICLOUD}/"));
    refused(&host, scan, &["another subvolume than at the last scan", "--force"]);
    host.ok(&format!("btrfs -q subvolume delete {ICLOUD} && mv {ASIDE} {ICLOUD}"));
    restart_server(&host);

    // The right subvolume, and not what should be in it.
    let anna = format!("{ICLOUD}/anna");
    host.ok(&format!("mv {anna}/.photos-agent {anna}/.aside"));
    refused(&host, &format!("{scan} --force"), &[".photos-agent is not in"]);
    for other in [format!("sed s/anna/ben/ {anna}/.aside"), "echo anna".to_owned(), "true".to_owned()] {
        host.ok(&format!("{other} > {anna}/.photos-agent"));
        refused(&host, &format!("{scan} --force"), &["is not that of anna"]);
    }
    host.ok(&format!("mv {anna}/.aside {anna}/.photos-agent"));
    host.ok(&format!("mkdir /root/gone && mv {anna}/2026/01/IMG_1?.jpg {anna}/2026/01/IMG_20[0-4].jpg /root/gone/"));
    refused(
        &host,
        scan,
        &["15 of the 300 files that Immich knows are missing, and 10 may be", "/external/icloud/anna/2026"],
    );
    host.ok(&format!("mv /root/gone/* {anna}/2026/01/"));
    the_server_may_see_less(&host, scan);
    // As many files as before, and every path is another one.
    host.ok(&format!("mv {anna}/2026/01 {anna}/2026-01"));
    refused(&host, scan, &["300 of the 300 files that Immich knows are missing"]);
    host.ok(&format!("mv {anna}/2026-01 {anna}/2026/01"));
    // All files gone, of which nobody may say that it is right.
    host.ok(&format!("mv {anna}/2026 /root/"));
    refused(&host, &format!("{scan} --force"), &["there is not one file"]);
    host.ok(&format!("mv /root/2026 {anna}/"));
    assert_eq!((scans(&host), shown(&host)), (1, "300".to_owned()));
    what_is_left_of_a_scan_goes_before_a_start(&host);

    host.ok(scan);
    assert_eq!((scans(&host), shown(&host)), (2, "300".to_owned()), "all is back: exactly one");
    // Few enough go with a scan, and more with a person's word.
    host.ok(&format!("rm {anna}/2026/01/IMG_1?.jpg"));
    let said = host.ok(scan);
    assert!(
        said.contains("10 of 300") && said.contains("300 photographs and videos before the scan, 290 after"),
        "{said}"
    );
    assert_eq!(trashed(&host), "10");
    host.ok(&format!("rm {anna}/2026/01/IMG_2??.jpg"));
    refused(&host, scan, &["100 of the 290 files"]);
    // What comes with the same scan makes up for nothing.
    host.ok(&format!("cd {anna}/2026/01 && for i in $(seq 401 430); do echo $i > IMG_$i.jpg; done"));
    let said = host.ok(&format!("{scan} --force"));
    assert_eq!(trashed(&host), "100");
    assert!(said.contains("220 after") && said.contains("Overridden: 100 of the 290"), "{said}");

    // Another library of the server: guarded, too, and no reason to leave out the rest.
    let owner = sql(&host, "SELECT id FROM \"user\"");
    sql(
        &host,
        &format!(
            "INSERT INTO library (name, \"ownerId\", \"importPaths\") VALUES ($$NAS$$, $${owner}$$, ARRAY[$$/mnt/nas$$])"
        ),
    );
    let before = scans(&host);
    let said = host.fails(3, "photos-agent immich scan");
    assert!(
        said.out.contains("iCloud anna: 0 of 220") && said.out.contains("the server cannot read /mnt/nas"),
        "{}",
        said.all()
    );
    assert_eq!(scans(&host), before + 1);
    every_day_the_libraries_of_others(&host);
    host.fails(3, "photos-agent immich scan nobody");
    host.ok("systemctl stop immich-server photos.target");
    host.fails(3, scan);
}

/// A folder that root alone may enter: the server has lost what lets it pass permissions by.
fn the_server_may_see_less(host: &Host, scan: &str) {
    let drop_in = "/etc/containers/systemd/photos-agent/immich-server.container.d/60-less.conf";
    host.write(drop_in, "[Container]\nAddCapability=\nAddCapability=CHOWN FOWNER\n");
    let folder = format!("{ICLOUD}/anna/2026/01");
    host.ok(&format!("chown 1234 {folder} && chmod 0700 {folder} && systemctl daemon-reload"));
    restart_server(host);
    refused(
        host,
        &format!("{scan} --force"),
        &["the server does not see 300 of 300 files that are there", "/external/icloud/anna/2026/01/IMG_"],
    );
    host.ok(&format!("chown 0 {folder} && chmod 0755 {folder} && rm {drop_in} && systemctl daemon-reload"));
    restart_server(host);
}

/// Jobs of a scan that was allowed for another tree: none is worked off by the next server. A deletion that somebody has asked for is.
fn what_is_left_of_a_scan_goes_before_a_start(host: &Host) {
    let cli = |command: &str| host.ok(&format!("podman exec immich-redis valkey-cli {command}"));
    let library = sql(host, "SELECT id FROM library");
    // Stopped alone, its target would start it again.
    host.ok("systemctl mask --runtime --now immich-server");
    for list in ["wait", "active"] {
        let job = format!("{{\"name\":\"LibrarySyncAssetsQueueAll\",\"data\":{{\"id\":\"{library}\"}}}}");
        let push = format!("podman exec -i immich-redis valkey-cli -x LPUSH immich_bull:library:{list}");
        host.ok(&format!("printf %s '{job}' | {push}"));
    }
    // As BullMQ has them.
    for (id, name, place) in [
        (7, "LibrarySyncAssets", "RPUSH immich_bull:library:paused"),
        (8, "LibrarySyncAssetsQueueAll", "ZADD immich_bull:library:delayed 1"),
        (9, "LibraryDelete", "ZADD immich_bull:library:delayed 2"),
    ] {
        cli(&format!("HSET immich_bull:library:{id} name {name} data x deid d{id}"));
        cli(&format!("SET immich_bull:library:de:d{id} {id}"));
        cli(&format!("{place} {id}"));
    }
    host.ok(&format!("mv {ICLOUD}/anna/2026 /root/ && systemctl unmask --runtime immich-server"));
    host.ok("systemctl start immich-server");
    host.wait_for("curl -sf http://127.0.0.1:2283/api/server/ping", 60);
    let told = "journalctl -q -o cat -u immich-server | grep -c 'jobs of scans that had not ended, taken out of the queue: 4$'";
    assert_eq!(host.ok(told), "1");
    let left = cli("--raw KEYS immich_bull:library:*");
    let mut left: Vec<&str> = left.lines().filter_map(|key| key.strip_prefix("immich_bull:library:")).collect();
    left.retain(|key| !["completed", "failed", "id", "meta", "events"].contains(key));
    left.sort_unstable();
    assert_eq!(left, ["9", "de:d9", "delayed"]);
    assert_eq!(cli("ZRANGE immich_bull:library:delayed 0 -1"), "9");
    cli("DEL immich_bull:library:9 immich_bull:library:de:d9 immich_bull:library:delayed");
    assert_eq!(shown(host), "300", "nothing was trashed by a server that started over an empty folder");
    host.ok(&format!("mv /root/2026 {ICLOUD}/anna/"));
}

/// What Immich does not scan by itself any more: not what a run of an account has shown to it already.
fn every_day_the_libraries_of_others(host: &Host) {
    let before = scans(host);
    host.ok("systemctl is-active photos-scan.timer");
    host.fails(1, "systemctl start photos-scan.service");
    let said = host.ok("journalctl -q -o cat -u photos-scan.service");
    assert!(said.contains("the server cannot read /mnt/nas") && said.contains("next: "), "{said}");
    assert_eq!(scans(host), before);
    sql(host, "UPDATE library SET \"importPaths\" = ARRAY[$$/usr/share$$] WHERE name = $$NAS$$");
    host.ok("systemctl start photos-scan.service");
    assert_eq!(scans(host), before + 1);
}

#[test]
fn a_key_and_a_library_are_made_once_and_own_scans_stay_off() {
    let host = with_library("immich");
    // A second time nothing is asked and nothing is made.
    let said = host.ok("photos-agent immich setup");
    assert!(said.contains("The agent's key is good") && said.contains("The library of anna is there"), "{said}");
    assert_eq!(sql(&host, "SELECT count(*) FROM api_key"), "1");
    assert_eq!(sql(&host, "SELECT count(*) FROM library"), "1");
    assert_eq!(sql(&host, "SELECT count(*) FROM session"), "0", "the session was ended");
    assert_eq!(sql(&host, "SELECT \"importPaths\" FROM library"), "{/external/icloud/anna}");
    // What people add stays, and what they take away by mistake is put in again.
    sql(
        &host,
        "UPDATE library SET name = $$Mine$$, \"importPaths\" = ARRAY[$$/mnt/x$$], \"exclusionPatterns\" = ARRAY[$$**/raw/**$$]",
    );
    let said = host.run("photos-agent immich setup");
    assert!(said.code != 0, "the server has no /mnt/x: {}", said.all());
    sql(&host, "UPDATE library SET \"importPaths\" = ARRAY[$$/usr/share$$]");
    let said = host.ok("photos-agent immich setup");
    assert!(said.contains("has its import path again"), "{said}");
    let kept = sql(&host, "SELECT name, \"importPaths\", \"exclusionPatterns\" FROM library");
    assert_eq!(kept, "Mine|{/usr/share,/external/icloud/anna}|{**/raw/**}");
    secrets_are_nowhere(&host);

    // The key of another time is replaced, with an administrator's word; the old one is deleted.
    host.ok("echo nonsense | photos-agent secret set immich-api-key");
    host.fails(64, "photos-agent immich setup");
    host.fails(3, &format!("echo wrong | {SETUP}"));
    host.ok(&format!("echo {PASSWORD} | {SETUP}"));
    assert_eq!(sql(&host, "SELECT count(*) FROM api_key"), "1");
    assert_eq!(sql(&host, "SELECT count(*) FROM session"), "0");

    one_accounts_mistake_is_its_own(&host);
    a_file_is_the_operators(&host);
    own_scans_stay_off(&host);
    missed_work_is_queued_once(&host);
}

/// The key is in Podman's store alone, and the password in none of ours.
fn secrets_are_nowhere(host: &Host) {
    host.ok("photos-agent immich scan anna && systemctl start photos-agent && sleep 1 && systemctl stop photos-agent");
    let key = host.ok("podman secret inspect --showsecret photos-immich-api-key | jq -r '.[0].SecretData'");
    assert!(key.len() > 20, "{key}");
    for secret in [key.as_str(), PASSWORD] {
        let found = host.run(&format!(
            "journalctl -q --no-pager | grep -v sudo | grep -F -e '{secret}' | grep -v 'testhost\\|_CMDLINE' | head -n 3; \
             grep -rlF -e '{secret}' /etc /run/photos-agent /var/lib/photos-agent /tmp | head"
        ));
        assert_eq!(found.out, "", "{secret}");
    }
}

/// A second account, of somebody whom Immich does not know.
fn one_accounts_mistake_is_its_own(host: &Host) {
    let file = "/etc/photos-agent/config.d/60-ben.toml";
    let ben =
        "[[icloud.account]]\nname = \"ben\"\napple_id = \"ben@example.org\"\nlibrary_owner = \"nobody@example.org\"\n";
    host.write(file, ben);
    host.ok("photos-agent apply");
    let said = host.fails(3, "photos-agent immich setup").err;
    for told in ["ben: the iCloud account ben", "nobody@example.org", "seen to: anna", "next: make this user in Immich"]
    {
        assert!(said.contains(told), "{told}: {said}");
    }
    host.ok("photos-agent immich scan anna");
    let said = host.fails(3, "photos-agent immich scan ben").err;
    assert_eq!(said.matches("make this user in Immich").count(), 1, "{said}");
    host.ok(&format!("rm {file} && photos-agent apply"));
}

/// Immich's configuration is a file: nothing is scanned while that has own scans on, and nobody writes into it.
fn a_file_is_the_operators(host: &Host) {
    let file = "/var/lib/photos/live/media/config.json";
    let drop_in = "/etc/containers/systemd/photos-agent/immich-server.container.d/60-file.conf";
    host.write(file, "{\"library\":{\"watch\":{\"enabled\":true}}}");
    host.write(drop_in, "[Container]\nEnvironment=IMMICH_CONFIG_FILE=/data/config.json\n");
    host.ok("systemctl daemon-reload");
    restart_server(host);
    refused(host, "photos-agent immich scan anna", &["IMMICH_CONFIG_FILE", "\"watch\": { \"enabled\": false }"]);
    host.write(file, "{\"library\":{\"scan\":{\"enabled\":false},\"watch\":{\"enabled\":false}}}");
    restart_server(host);
    host.ok("photos-agent immich scan anna");
    host.ok(&format!("rm {drop_in} && systemctl daemon-reload"));
    restart_server(host);
    host.ok(&format!("rm {file}"));
}

/// A database of a time when they were on is put back: the server starts with them off, and other settings as they were.
fn own_scans_stay_off(host: &Host) {
    let config = "{\"trash\":{\"days\":77},\"library\":{\"scan\":{\"enabled\":true,\"cronExpression\":\"1 2 * * *\"},\"watch\":{\"enabled\":true}}}";
    sql(
        host,
        &format!(
            "INSERT INTO system_metadata (key, value) VALUES ($$system-config$$, $${config}$$) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
        ),
    );
    host.ok("photos-agent snapshot");
    // Somebody has switched them on: the next scan switches them off before.
    let said = host.ok("photos-agent immich scan anna");
    assert!(said.contains("were on, and are off now"), "{said}");
    let shown = "SELECT value #>> $${trash,days}$$, value #>> $${library,scan,enabled}$$, \
         value #>> $${library,scan,cronExpression}$$, value #>> $${library,watch,enabled}$$ \
         FROM system_metadata WHERE key = $$system-config$$";
    host.ok("photos-agent restore latest --yes");
    assert_eq!(sql(host, shown), "77|false|1 2 * * *|false");
    let last = host.ok("journalctl -q -o cat -t immich-server | grep 'Library scan schedule' | tail -n 1");
    assert!(last.contains("Library scan schedule off, watcher off"), "{last}");
    // What was put back is another subvolume, and the right one.
    let before = scans(host);
    host.ok("photos-agent immich scan anna");
    assert_eq!(scans(host), before + 1);
}

/// Machine learning goes and comes back: each queue is started once, whoever is restarted meanwhile.
fn missed_work_is_queued_once(host: &Host) {
    let queued = |host: &Host| {
        ["smartSearch", "faceDetection", "ocr"].map(|queue| count(host, &format!("PUT /api/jobs/{queue} 200")))
    };
    let converged = "systemctl show -P StatusText photos-agent | grep -q '^converged'";
    host.ok("systemctl start photos-agent");
    host.wait_for(converged, 60);
    assert_eq!(queued(host), [0, 0, 0]);
    host.ok("systemctl kill --signal=KILL immich-ml");
    host.wait_for("journalctl -q -t immich-server -o cat | grep -q 'PUT /api/jobs/ocr 200'", 120);
    host.ok("systemctl restart photos-agent");
    host.wait_for(converged, 60);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(queued(host), [1, 1, 1]);
    // It goes while nobody listens.
    host.ok("systemctl stop photos-agent && systemctl restart immich-ml && systemctl start photos-agent");
    host.wait_for("[ $(journalctl -q -t immich-server -o cat | grep -c 'PUT /api/jobs/ocr 200') = 2 ]", 120);
    assert_eq!(queued(host), [2, 2, 2]);
    host.ok("systemctl stop photos-agent");
}
