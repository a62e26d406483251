//! What holds, and where it is from.

use super::{loaded, refused};

const MAIN: &str = r#"
[storage]
root = "/srv/photos"

[network]
server_networks = ["reverse_proxy", "monitoring"]

[immich]
timezone = "Europe/Oslo"
environment = { IMMICH_LOG_LEVEL = "debug", GREETING = "a \"b\" 'c' 100% $HOME C:\\x\ttab" }

[resources.server]
memory_max = "4G"
cpu_quota = "200%"
"#;

const LATER: &str = r#"
[network]
server_networks = ["monitoring"]

[immich.environment]
IMMICH_LOG_LEVEL = "verbose"

[resources.server]
memory_max = "6G"

[postgres]
major = 1_7
"#;

#[test]
fn later_files_win_key_by_key_and_lists_whole() {
    insta::assert_snapshot!(loaded(&[MAIN, LATER]).show(true), @r#"
    [storage]
    root = "/srv/photos" # /etc/photos-agent/config.toml:3
    # databases: below storage.root
    # ml_cache: below storage.root

    [network]
    subnet = "10.89.5.0/24" # default
    server_networks = ["monitoring"] # /etc/photos-agent/config.d/1.toml:3

    [immich]
    version = "v3.2.2" # default
    listen = "127.0.0.1:2283" # default
    timezone = "Europe/Oslo" # /etc/photos-agent/config.toml:9

    [immich.environment]
    GREETING = "a \"b\" 'c' 100% $HOME C:\\x\ttab" # /etc/photos-agent/config.toml:10
    IMMICH_LOG_LEVEL = "verbose" # /etc/photos-agent/config.d/1.toml:6

    [postgres]
    major = 17 # /etc/photos-agent/config.d/1.toml:12
    storage = "ssd" # default

    [hardware]
    ml = "auto" # default
    transcoding = "auto" # default
    # device: the best that there is
    # gfx_override: as the agent's table of targets says

    [snapshots]
    schedule = "*-*-* 02:00:00" # default

    [snapshots.keep]
    last = 3 # default
    hourly = 0 # default
    daily = 7 # default
    weekly = 4 # default
    monthly = 6 # default
    yearly = 0 # default

    [upgrade]
    min_age = "7 days" # default
    settle = "5 s" # default
    timeout = "30 min" # default
    automatic = false # default
    schedule = "Sat *-*-* 04:30:00" # default
    window = "2h" # default

    [notify]
    # command: no program is told
    # url_secret: nothing is sent
    kind = "ntfy" # default

    [icloud]
    max_missing = "1%" # default
    max_missing_files = 10 # default

    [images]
    # server: that of the release
    # ml: that of the release
    # postgres: that of the release
    # redis: that of the release
    # icloudpd: that of the release

    [resources.server]
    memory_max = "6G" # /etc/photos-agent/config.d/1.toml:9
    cpu_quota = "200%" # /etc/photos-agent/config.toml:14

    [resources.ml]
    # memory_max: no limit
    # cpu_quota: no limit

    [resources.postgres]
    # memory_max: no limit
    # cpu_quota: no limit

    [resources.redis]
    # memory_max: no limit
    # cpu_quota: no limit

    [resources.icloudpd]
    memory_max = "1G" # default
    cpu_quota = "100%" # default
    "#);
}

#[test]
fn an_empty_file_shows_the_defaults() {
    assert_eq!(loaded(&[]).settings, loaded(&["", "# nothing\n"]).settings);
    insta::assert_snapshot!(loaded(&[""]).show(false), @r#"
    [storage]
    root = "/var/lib/photos"
    # databases: below storage.root
    # ml_cache: below storage.root

    [network]
    subnet = "10.89.5.0/24"
    server_networks = []

    [immich]
    version = "v3.2.2"
    listen = "127.0.0.1:2283"
    # timezone: the host's own
    # environment: none

    [postgres]
    # major: that of the database on disk, else that of the release
    storage = "ssd"

    [hardware]
    ml = "auto"
    transcoding = "auto"
    # device: the best that there is
    # gfx_override: as the agent's table of targets says

    [snapshots]
    schedule = "*-*-* 02:00:00"

    [snapshots.keep]
    last = 3
    hourly = 0
    daily = 7
    weekly = 4
    monthly = 6
    yearly = 0

    [upgrade]
    min_age = "7 days"
    settle = "5 s"
    timeout = "30 min"
    automatic = false
    schedule = "Sat *-*-* 04:30:00"
    window = "2h"

    [notify]
    # command: no program is told
    # url_secret: nothing is sent
    kind = "ntfy"

    [icloud]
    max_missing = "1%"
    max_missing_files = 10

    [images]
    # server: that of the release
    # ml: that of the release
    # postgres: that of the release
    # redis: that of the release
    # icloudpd: that of the release

    [resources.server]
    # memory_max: no limit
    # cpu_quota: no limit

    [resources.ml]
    # memory_max: no limit
    # cpu_quota: no limit

    [resources.postgres]
    # memory_max: no limit
    # cpu_quota: no limit

    [resources.redis]
    # memory_max: no limit
    # cpu_quota: no limit

    [resources.icloudpd]
    memory_max = "1G"
    cpu_quota = "100%"
    "#);
}

#[test]
fn what_is_shown_is_a_configuration_that_means_the_same() {
    let first = loaded(&[MAIN, LATER]);
    for origin in [false, true] {
        assert_eq!(loaded(&[&first.show(origin)]).settings, first.settings);
    }
}

#[test]
fn a_file_name_cannot_break_out_of_its_comment() {
    let sources = [photos_agent::config::Source {
        path: "/etc/photos-agent/config.d/a\nb = 1\u{202e}.toml".into(),
        text: "[postgres]\nstorage = \"hdd\"".to_owned(),
    }];
    let shown = photos_agent::config::parse(&sources).unwrap().show(true);
    assert!(shown.contains("storage = \"hdd\" # /etc/photos-agent/config.d/a\\nb = 1\\u{202e}.toml:2\n"), "{shown}");
}

#[test]
fn machines_get_values_with_their_types() {
    let loaded = loaded(&[MAIN, LATER]);
    let rows = serde_json::to_value(&loaded.origins).unwrap();
    let row = |key: &str| rows.as_array().unwrap().iter().find(|row| row["key"] == key).unwrap().clone();
    let second = "/etc/photos-agent/config.d/1.toml";
    assert_eq!(
        [row("postgres.major"), row("network.server_networks"), row("storage.databases"), row("network.subnet")],
        [
            serde_json::json!({ "key": "postgres.major", "value": 17, "origin": { "file": second, "line": 12 } }),
            serde_json::json!({ "key": "network.server_networks", "value": ["monitoring"], "origin": { "file": second, "line": 3 } }),
            serde_json::json!({ "key": "storage.databases", "value": null, "origin": "default" }),
            serde_json::json!({ "key": "network.subnet", "value": "10.89.5.0/24", "origin": "default" }),
        ]
    );
    let level = loaded.origins.get("immich.environment.IMMICH_LOG_LEVEL").unwrap();
    assert_eq!((level.toml().as_deref(), level.origin.to_string()), (Some("\"verbose\""), format!("{second}:6")));
}

#[test]
fn machines_get_problems_with_their_places() {
    let problems = serde_json::to_value(refused(&["[storage]\nroot = 5\n"])).unwrap();
    assert_eq!(
        problems,
        serde_json::json!([{
            "file": "/etc/photos-agent/config.toml",
            "line": 2,
            "column": 8,
            "key": "storage.root",
            "message": "wrong type for `storage.root`",
            "expected": "a string",
            "found": "an integer",
            "help": "write it like this: root = \"/srv/photos\"",
        }])
    );
}
