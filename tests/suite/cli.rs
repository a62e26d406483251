//! The command itself, in a sealed folder: what it prints, how it ends, and that looking writes nothing.
//!
//! Long texts are in `tests/fixtures/cli/`; `BLESS=1` writes them. The bus is one that is not there, so
//! that every machine gives the same answers.

#![cfg(test)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_photos-agent");

/// A root folder of its own.
pub struct Sealed(TempDir);

/// How a command ended.
#[derive(Debug)]
pub struct Done {
    code: i32,
    pub out: String,
    err: String,
}

impl Sealed {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// With this config.toml.
    pub fn configured(text: &str) -> Self {
        let sealed = Self::new();
        sealed.write("etc/photos-agent/config.toml", text);
        sealed
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.env_clear().env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus").env("TZ", "UTC");
        command.arg("--root").arg(self.0.path()).args(arguments).stdin(Stdio::null());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Done {
        self.done(&self.command(arguments).output().unwrap())
    }

    /// Lets other users in.
    fn open(&self, mode: u32) {
        fs::set_permissions(self.0.path(), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// As a user who is not root.
    fn ordinary(&self, arguments: &[&str]) -> Done {
        // Where the build lies, another user may not get to.
        let public = tempfile::tempdir().unwrap();
        fs::set_permissions(public.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let binary = public.path().join("photos-agent");
        // By another process: a test beside this one that forks while the copy is open for writing keeps it so, and what is
        // open for writing is not executed (ETXTBSY).
        assert!(Command::new("cp").arg(BINARY).arg(&binary).status().unwrap().success());
        let mut command = if nix::unistd::geteuid().is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&binary);
            command
        } else {
            Command::new(&binary)
        };
        command.env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus");
        command.arg("--root").arg(self.0.path()).args(arguments).stdin(Stdio::null());
        self.done(&command.output().unwrap())
    }

    /// The folder's name is another one each time.
    fn done(&self, output: &Output) -> Done {
        let text =
            |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap().replace(self.0.path().to_str().unwrap(), "ROOT");
        Done { code: output.status.code().unwrap(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// Everything below the root, with what tells that it was written.
    fn listing(&self) -> BTreeMap<PathBuf, (u64, i64, i64, u32)> {
        let (mut listing, mut folders) = (BTreeMap::new(), vec![self.0.path().to_owned()]);
        while let Some(path) = folders.pop() {
            let data = path.symlink_metadata().unwrap();
            if data.is_dir() {
                folders.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
            listing.insert(path, (data.len(), data.ctime(), data.ctime_nsec(), data.mode()));
        }
        listing
    }
}

/// Compares a text with the one in `tests/fixtures/cli/`.
fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cli").join(name);
    if std::env::var_os("BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    assert_eq!(text, fs::read_to_string(&path).unwrap_or_default(), "{}", path.display());
}

const SOME_KEYS: &str = "[storage]\nroot = \"/srv/photos\"\n\n[resources.server]\nmemory_max = \"4G\"\n";

#[test]
fn the_first_page_of_help_is_this() {
    let done = Sealed::new().run(&["--help"]);
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    golden("help.txt", &done.out);
}

#[test]
fn every_command_explains_itself() {
    for command in [
        vec!["plan"],
        vec!["apply"],
        vec!["status"],
        vec!["history"],
        vec!["doctor"],
        vec!["daemon"],
        vec!["upgrade"],
        vec!["secret", "list"],
        vec!["secret", "set"],
        vec!["config", "init"],
        vec!["config", "check"],
        vec!["config", "show"],
        vec!["config", "schema"],
    ] {
        let done = Sealed::new().run(&[&command[..], &["--help"]].concat());
        assert_eq!((done.code, done.err.as_str()), (0, ""), "{command:?}");
        let usage = format!("Usage: photos-agent {}", command.join(" "));
        assert!(done.out.contains(&usage) && done.out.contains("--json"), "{command:?}: {}", done.out);
        let first = done.out.lines().next().unwrap();
        assert!(first.len() > 20 && !first.starts_with("Usage"), "{command:?} says what it is for: {first}");
        assert!(done.out.lines().all(|line| line.chars().count() <= 100), "{}", done.out);
    }
}

#[test]
fn it_tells_its_version() {
    let done = Sealed::new().run(&["--version"]);
    assert_eq!((done.code, done.out), (0, format!("photos-agent {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn bad_usage_is_64_and_says_what_is_right() {
    for (arguments, hint) in [
        (vec!["aply"], "apply"),
        (vec!["plan", "--jsn"], "--json"),
        (vec![], "Usage"),
        (vec!["config"], "schema"),
        (vec!["secret", "set"], "<NAME>"),
        (vec!["plan", "-v", "-q"], "--quiet"),
    ] {
        let done = Sealed::new().run(&arguments);
        assert_eq!(done.code, 64, "{arguments:?}: {done:?}");
        assert!(done.out.is_empty() && done.err.contains(hint), "{arguments:?}: {done:?}");
    }
}

#[test]
fn config_init_writes_a_file_that_means_the_defaults_and_never_a_second_one() {
    let sealed = Sealed::new();
    let defaults = sealed.run(&["config", "show"]);
    let printed = sealed.run(&["config", "init", "--stdout"]);
    assert_eq!(printed.code, 0, "{printed:?}");
    assert!(!sealed.0.path().join("etc").exists(), "printing writes nothing");
    let done = sealed.run(&["config", "init"]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.out.starts_with("Wrote ROOT/etc/photos-agent/config.toml.\n"), "{done:?}");
    let path = sealed.0.path().join("etc/photos-agent/config.toml");
    assert_eq!(fs::read_to_string(&path).unwrap(), printed.out);
    assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
    let done = sealed.run(&["config", "check"]);
    assert_eq!((done.code, done.out.as_str()), (0, "No mistake in ROOT/etc/photos-agent/config.toml.\n"), "{done:?}");
    assert_eq!(sealed.run(&["config", "show"]).out, defaults.out);
    let before = sealed.listing();
    let done = sealed.run(&["config", "init"]);
    assert_eq!(done.code, 3);
    assert!(done.err.contains("exists and is left as it is") && done.err.contains("--stdout"), "{done:?}");
    assert_eq!(sealed.listing(), before);
}

#[test]
fn config_init_replaces_what_the_package_brought_and_nothing_that_somebody_wrote() {
    let packaged = include_str!("../../packaging/config.toml");
    let path = |sealed: &Sealed| sealed.0.path().join("etc/photos-agent/config.toml");
    for nobodys in [packaged, "", "[storage]\n"] {
        let sealed = Sealed::configured(nobodys);
        assert_eq!(sealed.run(&["config", "init"]).code, 0, "{nobodys}");
        assert!(fs::read_to_string(path(&sealed)).unwrap().contains("# Here: "));
    }
    for somebodys in [SOME_KEYS.to_owned(), "# later\n".to_owned(), format!("{packaged}\n[images]\nml = \"x\"\n")] {
        let sealed = Sealed::configured(&somebodys);
        let before = sealed.listing();
        assert_eq!(sealed.run(&["config", "init"]).code, 3, "{somebodys}");
        assert_eq!(sealed.listing(), before, "{somebodys}");
        assert_eq!(sealed.run(&["config", "init", "--stdout"]).code, 0);
        assert_eq!(sealed.listing(), before, "{somebodys}");
    }
    // A link is somebody's, wherever it leads; so is a folder.
    let sealed = Sealed::new();
    sealed.write("kept/config.toml", packaged);
    fs::create_dir_all(path(&sealed).parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(sealed.0.path().join("kept/config.toml"), path(&sealed)).unwrap();
    assert_eq!(sealed.run(&["config", "init"]).code, 3);
    let sealed = Sealed::new();
    fs::create_dir_all(path(&sealed)).unwrap();
    assert_eq!(sealed.run(&["config", "init"]).code, 3);
}

#[test]
fn config_init_tells_what_it_saw_of_the_host() {
    let sealed = Sealed::new();
    let (own, pool) = (sealed.0.path().join("var"), sealed.0.path().join("srv/pool"));
    fs::create_dir_all(own).unwrap();
    fs::create_dir_all(pool.join("photos/live/media")).unwrap();
    // The paths are of the sealed root, as on a host they would be of `/`.
    sealed.write(
        "proc/self/mountinfo",
        "21 1 0:20 / / rw - ext4 /dev/vda rw\n22 21 0:21 / /boot rw - btrfs /dev/vdb rw\n\
         23 21 0:22 / /var rw - btrfs /dev/vdc rw\n24 21 0:23 / /srv/pool rw - btrfs /dev/vdd rw\n\
         25 21 0:24 /sub /srv/pool/again rw - btrfs /dev/vdd rw\n",
    );
    sealed.write("sys/class/block/vdd/queue/rotational", "1\n");
    sealed.write("dev/vdd", "");
    sealed.write(
        "proc/net/tcp",
        "0: 00000000:08EB 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4711 1 0 100 0 0 10 0\n",
    );
    sealed.write("proc/811/comm", "docker-proxy\n");
    fs::create_dir_all(sealed.0.path().join("proc/811/fd")).unwrap();
    std::os::unix::fs::symlink("socket:[4711]", sealed.0.path().join("proc/811/fd/3")).unwrap();
    std::os::unix::fs::symlink("../usr/share/zoneinfo/Europe/Oslo", sealed.0.path().join("etc-localtime")).unwrap();
    fs::create_dir_all(sealed.0.path().join("etc")).unwrap();
    fs::rename(sealed.0.path().join("etc-localtime"), sealed.0.path().join("etc/localtime")).unwrap();
    let done = sealed.run(&["config", "init", "--json"]);
    let document: Value = serde_json::from_str(&done.out).unwrap();
    let of = |key: &str| document["choices"].as_array().unwrap().iter().find(|c| c["key"] == key).unwrap().clone();
    assert_eq!(of("storage.root")["value"], "\"/srv/pool/photos\"", "{document}");
    assert!(of("storage.root")["because"].to_string().contains("already"), "{document}");
    assert_eq!(of("postgres.storage")["value"], "\"hdd\"", "{document}");
    assert_eq!(of("immich.listen")["value"], "\"127.0.0.1:2284\"", "{document}");
    assert!(of("immich.listen")["because"].to_string().contains("docker-proxy (process 811)"), "{document}");
    assert!(of("immich.timezone")["because"].to_string().contains("Europe/Oslo"), "{document}");
    assert_eq!(document["written"], "ROOT/etc/photos-agent/config.toml");
    assert_eq!(sealed.run(&["config", "check"]).code, 0);
}

#[test]
fn config_show_tells_every_value_and_where_it_is_from() {
    let sealed = Sealed::configured(SOME_KEYS);
    sealed.write("etc/photos-agent/config.d/50-more.toml", "[immich]\ntimezone = \"Europe/Oslo\"\n");
    let shown = sealed.run(&["config", "show"]);
    assert_eq!((shown.code, shown.err.as_str()), (0, ""));
    golden("show.txt", &shown.out);
    golden("origin.txt", &sealed.run(&["config", "show", "--origin"]).out);
    // What is shown is a configuration that means the same.
    assert_eq!(Sealed::configured(&shown.out).run(&["config", "show"]).out, shown.out);
}

#[test]
fn config_schema_is_a_schema_with_and_without_json() {
    let plain = Sealed::new().run(&["config", "schema"]);
    let schema: Value = serde_json::from_str(&plain.out).unwrap();
    assert!(schema["$schema"].is_string() && schema["properties"]["storage"].is_object(), "{schema}");
    assert_eq!(Sealed::new().run(&["config", "schema", "--json"]).out, plain.out);
}

#[test]
fn a_mistake_is_64_with_file_line_column_and_the_nearest_key() {
    let sealed = Sealed::configured("[storage]\nroot = \"/srv/photos\"\n\n[imich]\nversion = \"v3.2.2\"\n");
    for command in [vec!["config", "check"], vec!["plan"], vec!["status"], vec!["config", "show"]] {
        let done = sealed.run(&command);
        assert_eq!((done.code, done.out.as_str()), (64, ""), "{command:?}: {done:?}");
        assert!(done.err.contains("config.toml:4:2") && done.err.contains("`immich`"), "{command:?}: {}", done.err);
    }
    golden("mistake.txt", &sealed.run(&["config", "check"]).err);
}

#[test]
fn with_json_every_end_is_one_document_with_a_schema() {
    let right = Sealed::configured(SOME_KEYS);
    let wrong = Sealed::configured("root = 1\n");
    for (sealed, arguments, code, kind) in [
        (&right, &["plan"][..], 3, "plan"),
        (&right, &["status"], 2, "status"),
        (&right, &["doctor"], 2, "doctor"),
        (&right, &["history"], 0, "history"),
        (&right, &["config", "check"], 0, "checked"),
        (&right, &["config", "show"], 0, "settings"),
        (&right, &["config", "init"], 3, "error"),
        (&wrong, &["plan"], 64, "error"),
        (&wrong, &["config", "check"], 64, "error"),
    ] {
        let done = sealed.run(&[arguments, &["--json"]].concat());
        assert_eq!(done.code, code, "{arguments:?}: {done:?}");
        let document: Value = serde_json::from_str(&done.out).unwrap();
        assert_eq!((&document["schema"], &document["kind"]), (&Value::from(1), &Value::from(kind)), "{document}");
        if kind == "error" {
            assert!(document["error"].is_string(), "{document}");
        }
    }
    let done = wrong.run(&["plan", "--json"]);
    let document: Value = serde_json::from_str(&done.out).unwrap();
    assert!(document["diagnostics"].to_string().contains("config.toml"), "{document}");
}

#[test]
fn an_upgrade_of_nothing_is_refused_and_a_release_has_its_form() {
    let sealed = Sealed::new();
    let before = sealed.listing();
    let done = sealed.run(&["upgrade", "--check", "--json"]);
    let document: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!((done.code, &document["kind"]), (3, &Value::from("error")), "{document}");
    assert_eq!(document["refusals"][0]["remedy"], "photos-agent apply", "{document}");
    for (wrong, said) in [("3.2.2", "\"v3.2.2\""), ("latest", "\"v3.2.2\"")] {
        let done = sealed.run(&["upgrade", "--check", "--to", wrong]);
        assert!(done.code == 64 && done.err.contains(said), "{done:?}");
    }
    assert_eq!(sealed.listing(), before);
}

#[test]
fn without_a_bus_a_plan_is_refused_and_says_so() {
    let done = Sealed::new().run(&["plan"]);
    assert_eq!(done.code, 3, "{done:?}");
    golden("no-bus.txt", &done.out);
}

#[test]
fn the_doctor_sees_everything_that_is_wrong_at_once() {
    let sealed = Sealed::configured("[imich]\nversion = \"v3.2.2\"\n");
    sealed.write("var/lib/photos-agent/images.lock", "{");
    let done = sealed.run(&["doctor"]);
    assert_eq!(done.code, 64, "{done:?}");
    for part in [
        "FAILS    configuration: ROOT/etc/photos-agent/config.toml:1:2: ",
        "did you mean `immich`?",
        "next: photos-agent config check",
        "FAILS    system bus: ",
        "Podman: ",
        "quadlet generator: ",
        "FAILS    records: ROOT/var/lib/photos-agent/images.lock is damaged",
        "unknown  storage and foreign objects: ",
        "unknown  units: ",
        "firewall: ",
        "inner network: ",
    ] {
        assert!(done.out.contains(part), "{part}: {}", done.out);
    }
}

#[test]
fn damaged_records_are_named_with_the_way_out() {
    let sealed = Sealed::configured(SOME_KEYS);
    sealed.write("var/lib/photos-agent/images.lock", "{");
    let remedy = "mv ROOT/var/lib/photos-agent/images.lock ROOT/var/lib/photos-agent/images.lock.aside";
    for command in ["plan", "status"] {
        let done = sealed.run(&[command]);
        assert_eq!(done.code, 1, "{done:?}");
        assert!(done.err.contains(remedy) && done.err.contains("what ran last goes on"), "{}", done.err);
    }
    let done = sealed.run(&["doctor"]);
    assert_eq!((done.code, done.out.contains(remedy)), (2, true), "{done:?}");
}

#[test]
fn an_operation_that_was_left_is_told_with_what_finishes_it() {
    let sealed = Sealed::new();
    let why = "operation 7 was begun and did not end";
    assert!(!sealed.run(&["plan"]).out.contains("operation"));
    assert!(sealed.run(&["doctor"]).out.contains("ok       open operation: none"));
    let open = r#"{"schema": 1, "id": 7, "command": "photos-agent apply", "started": "2026-01-02T03:04:05Z", "agent": "0.1.0",
        "stack_was_stopped": true, "holds": true, "steps": []}"#;
    sealed.write("var/lib/photos-agent/pending", open);
    let done = sealed.run(&["plan"]);
    assert!(done.out.contains(&format!("note: {why}")) && done.out.contains(": photos-agent apply"), "{done:?}");
    let done = sealed.run(&["doctor"]);
    assert!(done.out.contains(&format!("FAILS    open operation: {why}")), "{done:?}");
    assert!(done.out.contains("next: photos-agent apply\n"), "{done:?}");
    let status: Value = serde_json::from_str(&sealed.run(&["status", "--json"]).out).unwrap();
    assert_eq!((&status["well"], &status["open_operation"]), (&Value::from(false), &Value::from(7)));
    // Somebody is at work on it.
    let path = sealed.0.path().join("run/photos-agent/lock");
    sealed.write("run/photos-agent/lock", "photos-agent apply (pid 1)");
    let lock = nix::fcntl::Flock::lock(fs::File::open(&path).unwrap(), nix::fcntl::FlockArg::LockExclusive).unwrap();
    assert!(!sealed.run(&["plan"]).out.contains("operation"));
    assert!(sealed.run(&["doctor"]).out.contains("ok       open operation: 7, at work: photos-agent apply (pid 1)"));
    drop(lock);
    assert!(sealed.run(&["plan"]).out.contains(why));
    // One on snapshots is taken up by the next.
    let of_snapshots = open.replace("apply", "snapshot prune").replace("true", "false");
    sealed.write("var/lib/photos-agent/pending", &of_snapshots);
    assert!(sealed.run(&["doctor"]).out.contains("next: photos-agent snapshot prune\n"));
    // Files that a restore has put out of force stay so.
    let restored = r#"{"schema": 1, "number": 1, "created": "2026-01-01T00:00:00Z", "agent": "0.1.0", "release": "v3.2.2",
        "config": {}, "images": {}, "files": {}, "restored": {"snapshot": "20260101T000000Z", "out_of_force": {}}}"#;
    sealed.write("var/lib/photos-agent/generations/000001.json", restored);
    sealed.write("var/lib/photos-agent/pending", open);
    let done = sealed.run(&["doctor"]);
    assert!(done.out.contains("next: systemctl start photos-resolve.service\n"), "{done:?}");
    let done = sealed.run(&["plan"]);
    assert!(done.out.contains(": systemctl start photos-resolve.service"), "{done:?}");
}

#[test]
fn what_cannot_be_had_is_refused_and_the_doctor_says_more() {
    let sealed = Sealed::configured("[postgres]\nmajor = 16\n");
    sealed.write("var/lib/photos/live/postgres/PG_VERSION", "17\n");
    let done = sealed.run(&["status"]);
    assert_eq!(done.code, 3, "{done:?}");
    assert!(done.err.starts_with("refused: postgres.major: ") && done.err.contains("  next: "), "{done:?}");
    let done = sealed.run(&["doctor"]);
    assert_eq!(done.code, 2, "{done:?}");
    assert!(done.out.contains("postgres.major: ") && done.out.contains("records: readable"), "{}", done.out);
}

#[test]
fn a_cluster_of_no_known_version_is_refused_with_the_commands_for_a_new_one() {
    let sealed = Sealed::configured("[storage]\ndatabases = \"/ssd\"\n");
    sealed.write("ssd/live/postgres/PG_VERSION", "");
    let done = sealed.run(&["plan"]);
    assert_eq!(done.code, 3, "{done:?}");
    let place = "/ssd/live/postgres";
    assert!(done.err.starts_with(&format!("refused: {place}/PG_VERSION: says \"\"; ")), "{done:?}");
    let commands = format!(
        "systemctl stop photos.target 'immich-*'; mv {place} {place}.aside && btrfs subvolume create {place} && \
         chattr +C {place} && chown 999:999 {place} && chmod 700 {place} && photos-agent apply && \
         systemctl start photos.target\n"
    );
    assert!(done.err.contains(&format!("restore {place}/PG_VERSION")) && done.err.ends_with(&commands), "{done:?}");
}

#[test]
fn an_ordinary_user_is_told_to_be_root_and_what_is_unknown() {
    let sealed = Sealed::new();
    sealed.write("var/lib/photos-agent/images.lock", "{}");
    sealed.open(0o755);
    fs::set_permissions(sealed.0.path().join("var/lib/photos-agent"), fs::Permissions::from_mode(0o000)).unwrap();
    let done = sealed.ordinary(&["doctor"]);
    assert_eq!(done.code, 2, "{done:?}");
    assert!(done.out.contains("FAILS    root: ") && done.out.contains("next: sudo photos-agent doctor"), "{done:?}");
    for what in ["records", "Podman", "storage and foreign objects", "units"] {
        assert!(done.out.contains(&format!("unknown  {what}: ")), "{what}: {}", done.out);
    }
    let done = sealed.ordinary(&["status"]);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.err.contains("next: run as root: sudo photos-agent"), "{done:?}");
    fs::set_permissions(sealed.0.path().join("var/lib/photos-agent"), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn looking_writes_nothing() {
    let sealed = Sealed::configured(SOME_KEYS);
    sealed.write("var/lib/photos-agent/history.jsonl", "");
    let before = sealed.listing();
    for arguments in [
        &["plan"][..],
        &["plan", "--json"],
        &["status"],
        &["doctor"],
        &["history", "-v"],
        &["config", "check"],
        &["config", "show", "--origin"],
        &["config", "schema"],
        &["secret", "list"],
    ] {
        sealed.run(arguments);
        assert_eq!(sealed.listing(), before, "{arguments:?}");
    }
    sealed.write("new", "");
    assert_ne!(sealed.listing(), before, "a new file is seen");
}

#[test]
fn what_changes_the_host_needs_root_and_says_so_first() {
    let sealed = Sealed::new();
    sealed.open(0o777);
    let name = "photos-db-password";
    for arguments in [
        &["apply"][..],
        &["daemon"],
        &["resolve"],
        &["secret", "set", name],
        &["secret", "rotate", name],
        &["snapshot"],
        &["snapshot", "delete", "latest"],
        &["snapshot", "prune"],
    ] {
        let done = sealed.ordinary(arguments);
        assert_eq!(done.code, 3, "{arguments:?}: {done:?}");
        assert!(done.err.contains("needs root") && done.err.contains("sudo"), "{arguments:?}: {done:?}");
    }
    assert_eq!(sealed.listing().len(), 1, "nothing was written");
}

#[test]
fn a_reader_that_went_away_is_no_panic() {
    for arguments in [&["config", "schema"][..], &["config", "show"], &["--help"], &["plan"], &["history", "--json"]] {
        let sealed = Sealed::new();
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = sealed.command(arguments).stdout(writer).output().unwrap();
        let done = sealed.done(&output);
        assert!(matches!(done.code, 0 | 3) && !done.err.contains("panicked"), "{arguments:?}: {done:?}");
    }
}
