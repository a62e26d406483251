//! Where the data lies, on BTRFS as it really is: subvolumes, NOCOW, owners, other disks.

use crate::support::Host;

/// Each with owner, mode, and whether it is NOCOW.
const SUBVOLUMES: [(&str, &str, bool); 8] = [
    ("live/postgres", "999:999 700", true),
    ("live/redis", "999:999 700", true),
    ("live/media", "0:0 750", false),
    ("live/thumbs", "0:0 750", false),
    ("live/encoded-video", "0:0 750", false),
    ("live/icloud", "0:0 750", false),
    ("keep/icloudpd", "0:0 700", false),
    ("keep/ml-cache", "0:0 750", true),
];

/// The files below `folder` that somebody wrote, and how many of them are NOCOW.
fn files_and_nocow(host: &Host, folder: &str) -> (usize, usize) {
    let listed = host.ok(&format!("find '{folder}' -type f -size +0 -exec lsattr {{}} +"));
    let nocow = listed.lines().filter(|line| line.split(' ').next().is_some_and(|flags| flags.contains('C')));
    (listed.lines().count(), nocow.count())
}

#[test]
fn every_subvolume_is_one_with_its_flags_owner_and_mode_and_they_are_mended() {
    let host = Host::converged("storage");
    for (name, owner_and_mode, nocow) in SUBVOLUMES {
        let path = format!("/var/lib/photos/{name}");
        host.ok(&format!("btrfs subvolume show {path}"));
        assert_eq!(host.ok(&format!("stat -c '%u:%g %a' {path}")), owner_and_mode, "{path}");
        let flags = host.ok(&format!("lsattr -d {path} | cut -d' ' -f1"));
        assert_eq!(flags.contains('C'), nocow, "{path}: {flags}");
    }
    assert_eq!(host.ok("stat -c %a /var/lib/photos /var/lib/photos/live /var/lib/photos/keep"), "711\n711\n711");

    // The flag on the folder is a promise; what counts are the files that were written into it.
    for (folder, at_least) in [
        ("live/postgres/base", 500),
        ("live/postgres/pg_wal", 1),
        ("live/redis/appendonlydir", 2),
        ("keep/ml-cache", 1),
    ] {
        let (files, nocow) = files_and_nocow(&host, &format!("/var/lib/photos/{folder}"));
        assert!(files >= at_least && nocow == files, "{folder}: {nocow} of {files} files are NOCOW");
    }
    for folder in ["live/media", "live/thumbs", "live/encoded-video"] {
        host.ok(&format!("echo photograph > /var/lib/photos/{folder}/photograph"));
        let (files, nocow) = files_and_nocow(&host, &format!("/var/lib/photos/{folder}"));
        assert!(files >= 1 && nocow == 0, "{folder}: {nocow} of {files} files are NOCOW");
    }
    // What the filesystem does not check any more, the database does.
    let checksums = "podman exec immich-postgres psql -U postgres -Atc 'SHOW data_checksums'";
    assert_eq!(host.ok(checksums), "on");

    let running = host.ok("systemctl show -P InvocationID immich-postgres immich-server");
    host.ok("chmod 777 /var/lib/photos/live/media; chown 5:6 /var/lib/photos/live/media; chmod g+rx /var/lib/photos/live/postgres");
    let plan = host.fails(2, "photos-agent plan").out;
    for wanted in [
        "2 steps to do",
        "set owner 0 and mode 0750 on /var/lib/photos/live/media",
        "owner 5:6, mode 0777",
        "set owner 999 and mode 0700 on /var/lib/photos/live/postgres",
        "owner 999:999, mode 0750",
    ] {
        assert!(plan.contains(wanted), "{wanted}: {plan}");
    }
    host.ok("photos-agent apply");
    for (name, owner_and_mode, _) in SUBVOLUMES {
        assert_eq!(host.ok(&format!("stat -c '%u:%g %a' /var/lib/photos/{name}")), owner_and_mode, "{name}");
    }
    assert_eq!(host.ok("systemctl show -P InvocationID immich-postgres immich-server"), running, "nothing restarted");
    host.assert_converged();
}

/// Values that quadlet, systemd, Podman or a shell would read as something else.
const VALUES: [(&str, &str); 9] = [
    ("QUOTES", r#"it's "quoted""#),
    ("DOLLARS", "$HOME ${PATH} $$"),
    ("PERCENT", "100% %n %%h"),
    ("BACKSLASHES", r"C:\new\x41\\ \"),
    ("SPACES", "  two  and a\ttab "),
    ("COMMANDS", "$(id) `id` ; id # no"),
    ("EQUALS", "a=b=c"),
    ("EMPTY", ""),
    ("LETTERS", "æøå 日本 🖼"),
];

#[test]
fn other_disks_limits_and_variables_arrive_as_they_were_written() {
    let host = Host::with_images("disks");
    let variables: Vec<String> = VALUES.map(|(name, value)| format!("{name} = {}", toml_string(value))).into();
    let config = |listen: &str| {
        format!(
            r#"
[storage]
root = "/srv/pool/My Photos 100%"
databases = "/srv/pool/db"
ml_cache = "/srv/pool/ml"
[immich]
listen = "{listen}"
timezone = "Pacific/Chatham"
[resources.server]
memory_max = "3G"
cpu_quota = "150%"
[resources.postgres]
memory_max = "2G"
[immich.environment]
{}
"#,
            variables.join("\n")
        )
    };
    host.configure(&config("127.0.0.1:2283"));
    host.ok("photos-agent apply");
    host.assert_converged();

    let root = "/srv/pool/My Photos 100%";
    for (file, where_it_lies) in [
        ("PG_VERSION", "/srv/pool/db/live/postgres"),
        ("appendonlydir/appendonly.aof.manifest", "/srv/pool/db/live/redis"),
        ("clip", "/srv/pool/ml"),
        (".immich", &format!("{root}/live/thumbs")),
        ("upload/.immich", &format!("{root}/live/media")),
    ] {
        host.ok(&format!(
            "btrfs subvolume show '{where_it_lies}' && test -s '{where_it_lies}/{file}' -o -d '{where_it_lies}/{file}'"
        ));
    }
    // And nowhere else: neither in the default folder nor in anonymous volumes.
    host.fails(1, "test -e /var/lib/photos");
    host.fails(1, &format!("test -e '{root}/live/postgres' -o -e '{root}/keep/ml-cache'"));
    assert_eq!(host.ok("podman volume ls -q"), "");

    let limits = |unit: &str| host.ok(&format!("systemctl show -P MemoryMax -P CPUQuotaPerSecUSec {unit}"));
    assert_eq!(limits("immich-server"), format!("1.500000s\n{}", 3_u64 << 30));
    assert_eq!(limits("immich-postgres"), format!("infinity\n{}", 2_u64 << 30));

    // Of the process itself, not of one that Podman starts beside it.
    let environment = host.ok("tr '\\0' '\\n' < /proc/$(podman inspect -f '{{.State.Pid}}' immich-server)/environ");
    for (name, value) in VALUES.into_iter().chain([("TZ", "Pacific/Chatham")]) {
        let line = format!("{name}={value}");
        assert!(environment.lines().any(|found| found == line), "{line:?} is not in:\n{environment}");
    }
    assert_eq!(host.ok("podman exec immich-ml printenv TZ"), "Pacific/Chatham");

    let units = "systemctl show -P InvocationID immich-postgres immich-redis immich-ml";
    let running = host.ok(units);
    host.configure(&config("127.0.0.2:8443"));
    let plan = host.fails(2, "photos-agent plan").out;
    assert!(plan.contains("restart immich-server.service") && !plan.contains("immich-redis"), "{plan}");
    host.ok("photos-agent apply");
    host.assert_converged();
    assert_eq!(host.ok("curl -s http://127.0.0.2:8443/api/server/ping"), r#"{"res":"pong"}"#);
    host.fails(7, "curl -s http://127.0.0.1:2283/api/server/ping");
    assert_eq!(host.ok(units), running, "the others were left alone");
}

fn toml_string(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('\t', "\\t"))
}
