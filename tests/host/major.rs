//! The database goes to a newer major version with all that is in it, or stays what it was.

use crate::support::Host;

const PHOTOS: &str = "/var/lib/photos";

/// Where databases have a disk of their own.
const APART: &str = "/srv/pool/databases";

const PENDING: &str = "/var/lib/photos-agent/pending";

/// The command, which asks nothing.
const CHANGE: &str = "photos-agent upgrade --postgres 18";

/// The configuration of all.
const CONFIGURATION: &str = "[upgrade]\nsettle = \"2s\"\ntimeout = \"90s\"\n";

/// Something of everything: rows with a name that has to be quoted, an embedding with its index, a sequence that is not where its
/// rows are, a constraint that looks for a function without its schema, another schema, another database, a role.
const FILL: &str = r#"
CREATE TABLE moment (id serial PRIMARY KEY, name text NOT NULL);
INSERT INTO moment (name) SELECT 'row ' || n FROM generate_series(1, 1000) AS n;
SELECT setval('moment_id_seq', 1234);
CREATE TABLE face_search (id int PRIMARY KEY REFERENCES moment, embedding vector(3) NOT NULL);
INSERT INTO face_search VALUES (1, '[1,2,3]'), (2, '[4.5,5.5,6.5]');
CREATE INDEX face_index ON face_search USING hnsw (embedding vector_cosine_ops);
CREATE FUNCTION plain(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower($1)';
CREATE FUNCTION plainer(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT plain($1)';
ALTER TABLE moment ADD CHECK (plainer(name) <> 'no');
CREATE SCHEMA "Their own";
CREATE TABLE "Their own"."A ""table""" AS SELECT n, E'a\tb\n' || n AS text FROM generate_series(1, 77) AS n;
CREATE ROLE reader LOGIN PASSWORD 'a reader''s';
GRANT SELECT ON moment TO reader;
ALTER DATABASE immich SET random_page_cost TO 1.3;
CREATE DATABASE theirs;
\connect theirs
CREATE TABLE kept (what text);
INSERT INTO kept VALUES ('this');
"#;

/// What has to be the same in both, as a person would ask for it.
const ASK: &str = r#"
SELECT count(*), min(id), max(id), md5(string_agg(name, ',' ORDER BY id)) FROM moment;
SELECT last_value, is_called FROM moment_id_seq;
SELECT id, embedding FROM face_search ORDER BY embedding <=> '[1,2,3]';
SELECT count(*), md5(string_agg(text, ',' ORDER BY n)) FROM "Their own"."A ""table""";
SELECT count(*), max(name) FROM kysely_migrations;
SELECT count(*) FROM moment WHERE plainer(name) = 'row 7';
SELECT has_table_privilege('reader', 'moment', 'SELECT'), current_setting('random_page_cost');
SELECT rolname, rolpassword FROM pg_authid WHERE rolpassword IS NOT NULL AND rolname = 'reader';
SELECT extname FROM pg_extension ORDER BY extname;
\connect theirs
SELECT * FROM kept;
"#;

fn sql(host: &Host, statements: &str) -> String {
    host.write("/root/statements.sql", statements);
    let psql = "podman exec -i -u postgres immich-postgres psql -U postgres -d immich -v ON_ERROR_STOP=1 -qAt";
    host.ok(&format!("{psql} </root/statements.sql"))
}

fn converged(test: &str) -> (Host, String) {
    let host = Host::converged(test);
    host.configure(CONFIGURATION);
    host.ok("photos-agent apply");
    let all = fill(&host);
    (host, all)
}

/// Returns what is in it.
fn fill(host: &Host) -> String {
    sql(host, FILL);
    host.ok(&format!("echo original >{PHOTOS}/live/media/upload/original.jpg"));
    let all = sql(host, ASK);
    assert!(all.starts_with("1000|1|1000|") && all.ends_with("this"), "{all}");
    all
}

/// This major version runs, whole and alone, with all that was in the other; and nothing is in the making.
fn runs(host: &Host, major: u32, all: &str) {
    runs_in(host, PHOTOS, major, all);
}

fn runs_in(host: &Host, databases: &str, major: u32, all: &str) {
    host.wait_for("photos-agent status", 120);
    assert_eq!(sql(host, ASK), all);
    assert_eq!(sql(host, "SELECT current_setting('server_version_num')::int / 10000"), major.to_string());
    assert_eq!(sql(host, "SHOW data_checksums"), "on");
    host.ok(&format!("lsattr -d {databases}/live/postgres | cut -d' ' -f1 | grep -q C"));
    assert_eq!(host.ok(&format!("stat -c '%u %a' {databases}/live/postgres")), "999 700");
    assert_eq!(host.ok(&format!("cat {PHOTOS}/live/media/upload/original.jpg")), "original");
    let written = host.ok("jq -r .in_force.written.postgres /var/lib/photos-agent/images.lock");
    assert!(written.contains(&format!("postgres:{major}-")), "{written}");
    host.ok("curl -sf -m 5 http://127.0.0.1:2283/api/server/ping");
    assert_nothing_left(host);
    host.ok(&format!("[ ! -e {databases}/next ] && ! ls -A {databases}/.snapshots | grep verify"));
    host.assert_converged();
}

fn assert_nothing_left(host: &Host) {
    assert_eq!(host.ok("podman ps -a --format '{{.Names}}' | grep -E 'verify|major' || :"), "");
    assert_eq!(host.ok("podman volume ls -q"), "", "no anonymous volume");
    assert_eq!(host.ok(&format!("ls -A {PHOTOS}/.snapshots | grep verify || :")), "");
    assert_eq!(host.ok("nft list tables | grep photos_agent_gate || :"), "", "the doors are open");
    host.ok(&format!("for each in {PHOTOS}/next {PENDING}; do [ ! -e $each ] || {{ ls -R $each; exit 1; }}; done"));
}

/// The database's subvolume.
fn uuid(host: &Host) -> String {
    host.ok(&format!("btrfs subvolume show {PHOTOS}/live/postgres | grep -m 1 UUID:"))
}

#[test]
fn a_database_goes_to_a_newer_major_version_and_comes_back_with_its_data() {
    let (host, all) = converged("major");
    runs(&host, 17, &all);
    let before = uuid(&host);
    for (code, command) in [
        (3, "photos-agent upgrade --postgres 16"),
        (0, "photos-agent upgrade --postgres 17"),
        (64, "photos-agent upgrade --postgres 19"),
        (64, "photos-agent upgrade --postgres 18 --to v3.2.2"),
    ] {
        host.fails(code, command);
    }
    // A wish in the files is noted, and what runs goes on.
    host.configure(&format!("{CONFIGURATION}[postgres]\nmajor = 18\n"));
    host.ok("photos-agent apply");
    let plan = host.ok("photos-agent plan");
    assert!(plan.contains("note:") && plan.contains(CHANGE), "{plan}");
    assert_eq!(uuid(&host), before);

    let done = host.fails(0, CHANGE);
    assert!(done.all().contains("PostgreSQL 18 runs; it was 17"), "{}", done.all());
    runs(&host, 18, &all);
    assert_ne!(uuid(&host), before);
    // The old one is kept as it was.
    let operation = host.ok("photos-agent history --json | jq .operations[0].id");
    let kept = format!("{PHOTOS}/replaced/{:06}", operation.parse::<u64>().expect("a number"));
    assert_eq!(host.ok(&format!("cat {kept}/postgres/PG_VERSION")), "17");
    assert_eq!(host.ok(&format!("btrfs subvolume show {kept}/postgres | grep -m 1 UUID:")), before);
    host.ok("photos-agent snapshot verify latest");
    host.reboot();
    runs(&host, 18, &all);
    host.fails(0, CHANGE);

    // Snapshots of it are as good as those of the one before.
    host.ok("photos-agent snapshot && photos-agent snapshot verify latest");
    sql(&host, "INSERT INTO moment (name) VALUES ('since')");
    host.ok("timeout 300 photos-agent rollback --accept-loss --yes");
    runs(&host, 17, &all);
}

#[test]
fn what_the_new_version_cannot_take_leaves_the_old_one_running() {
    let (host, all) = converged("majorfails");
    let before = uuid(&host);
    // What no dump can be restored of: the rows of the first come before those that its constraint looks for.
    sql(
        &host,
        "CREATE TABLE z_parent (id int); INSERT INTO z_parent VALUES (1);
         CREATE FUNCTION known(int) RETURNS bool LANGUAGE sql AS 'SELECT EXISTS (SELECT FROM z_parent WHERE id = $1)';
         CREATE TABLE a_child (id int CHECK (known(id))); INSERT INTO a_child VALUES (1)",
    );
    let failed = host.fails(1, CHANGE);
    assert!(failed.all().contains("copy all databases") && failed.all().contains("a_child"), "{}", failed.all());
    runs(&host, 17, &all);
    assert_eq!(uuid(&host), before, "the old cluster was not touched");
    sql(&host, "DROP TABLE a_child, z_parent");
    // No room for another one.
    let ballast = format!("{PHOTOS}/live/postgres/ballast");
    host.ok(&format!("fallocate -l 25G {ballast}"));
    let refused = host.fails(3, CHANGE);
    assert!(refused.all().contains("about twice the"), "{}", refused.all());
    host.ok(&format!("rm {ballast} && sync -f {PHOTOS} && btrfs balance start -dusage=20 {PHOTOS} >/dev/null"));
    runs(&host, 17, &all);
    // Or none any more.
    let started = "start PostgreSQL 17";
    host.ok(&format!(
        "{CHANGE} >/root/log 2>&1 & pid=$!; until grep -qs '{started}' {PENDING}; do \
           kill -0 $pid || {{ cat /root/log; exit 1; }}; done; \
         fallocate -l $(($(stat -f -c '%a * %S' {PHOTOS}) - (40 << 20))) {PHOTOS}/filler; \
         wait $pid; [ $? = 1 ] && ! [ -e {PENDING} ] || {{ cat /root/log; exit 1; }}; rm {PHOTOS}/filler"
    ));
    let said = host.ok("cat /root/log");
    assert!(said.contains("remove what was made beside") && !said.contains("exchange /"), "{said}");
    runs(&host, 17, &all);
    assert_eq!(uuid(&host), before);
}

/// Kills the command as soon as its journal says that a step of this name has begun. Returns the major version that is live.
fn kill_in(host: &Host, step: &str) -> u32 {
    host.ok(&format!(
        "{CHANGE} >/root/log 2>&1 & pid=$!; until grep -qs '{step}' {PENDING}; do \
           kill -0 $pid || {{ cat /root/log; exit 1; }}; done; kill -KILL $pid"
    ));
    let live = host.run(&format!("test -e {PHOTOS}/live/postgres/18"));
    if live.code == 0 { 18 } else { 17 }
}

#[test]
fn a_change_that_is_cut_off_ends_with_the_old_one_or_the_new_one_whole() {
    let (host, all) = converged("majorcut");
    let before = uuid(&host);
    for step in ["make an empty place", "copy all databases"] {
        assert_eq!(kill_in(&host, step), 17, "{step}");
        host.ok("systemctl start photos-resolve.service");
        runs(&host, 17, &all);
        assert_eq!(uuid(&host), before, "killed in: {step}");
    }
    assert_eq!(kill_in(&host, "count the rows"), 17);
    host.cut_power();
    runs(&host, 17, &all);
    assert_eq!(uuid(&host), before);
    // The step before the exchange is short.
    let live = kill_in(&host, "clone everything else");
    host.ok("systemctl start photos-resolve.service");
    runs(&host, live, &all);
    if live == 18 {
        host.ok("timeout 300 photos-agent rollback --accept-loss --yes");
        runs(&host, 17, &all);
    }
    // Between the exchange and the start.
    assert_eq!(kill_in(&host, "keep what was live"), 18);
    host.cut_power();
    runs(&host, 18, &all);
    assert_ne!(uuid(&host), before);
}

#[test]
fn a_new_version_that_is_not_well_goes_back_by_itself() {
    let host = Host::with_images("majorback");
    host.configure(&format!("{CONFIGURATION}[storage]\ndatabases = \"{APART}\"\n"));
    host.ok("photos-agent apply");
    let all = fill(&host);
    let uuid = || host.ok(&format!("btrfs subvolume show {APART}/live/postgres | grep -m 1 UUID:"));
    let before = uuid();
    // What is so in the new one only.
    let drop_in = "/etc/containers/systemd/immich-server.container.d/50-mine.conf";
    host.write(drop_in, &format!("[Service]\nExecStartPre=/bin/sh -c '! test -e {APART}/live/postgres/18'\n"));
    host.ok("systemctl daemon-reload && photos-agent apply");
    let failed = host.fails(1, CHANGE);
    assert!(failed.all().contains("did not work here"), "{}", failed.all());
    runs_in(&host, APART, 17, &all);
    assert_ne!(uuid(), before, "a clone of the snapshot");
    host.ok("[ ! -e /var/lib/photos-agent/quarantine.json ]");
    let operation = host.ok("photos-agent history --json | jq .operations[0].id");
    let kept = format!("{APART}/replaced/{:06}", operation.parse::<u64>().expect("a number"));
    let versions = format!("cat {kept}/postgres/PG_VERSION {kept}-failed/postgres/18/docker/PG_VERSION");
    assert_eq!(host.ok(&versions), "17\n18");
    for tree in [kept.clone(), format!("{kept}-failed")] {
        let name = format!("replaced-{}", tree.rsplit('/').next().expect("a name"));
        host.ok(&format!("photos-agent snapshot list | grep -q {name}: && photos-agent snapshot delete {name} --yes"));
        host.ok(&format!("[ ! -e {tree} ]"));
    }
    // Without it, it works; and the photographs beside it stay where they are.
    host.ok(&format!("rm {drop_in} && systemctl daemon-reload && photos-agent apply"));
    let media = host.ok(&format!("btrfs subvolume show {PHOTOS}/live/media | grep -m 1 UUID:"));
    host.ok(CHANGE);
    runs_in(&host, APART, 18, &all);
    assert_eq!(host.ok(&format!("btrfs subvolume show {PHOTOS}/live/media | grep -m 1 UUID:")), media);
}
