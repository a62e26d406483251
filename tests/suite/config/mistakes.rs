//! The likeliest mistakes, and the exact words with which they are answered.

use std::time::{Duration, Instant};

use insta::assert_snapshot;

use super::{loaded, refused};

#[test]
fn a_misspelt_key() {
    assert_snapshot!(refused(&["[storage]\n\nrot = \"/srv/photos\"\n"]), @r#"
    /etc/photos-agent/config.toml:3:1: unknown key `storage.rot`
      3 | rot = "/srv/photos"
        | ^^^
      expected one of: databases, ml_cache, root
      did you mean `root`?
    "#);
}

#[test]
fn a_key_without_its_section() {
    assert_snapshot!(refused(&["root = \"/srv/photos\"\n"]), @r#"
    /etc/photos-agent/config.toml:1:1: unknown key `root`
      1 | root = "/srv/photos"
        | ^^^^
      expected one of: hardware, icloud, images, immich, network, notify, postgres, resources, snapshots, storage, upgrade
      did you mean `storage.root`?
    "#);
}

#[test]
fn a_section_without_its_parent() {
    assert_snapshot!(refused(&["[server]\nmemory_max = \"4G\"\n"]), @"
    /etc/photos-agent/config.toml:1:2: unknown key `server`
      1 | [server]
        |  ^^^^^^
      expected one of: hardware, icloud, images, immich, network, notify, postgres, resources, snapshots, storage, upgrade
      did you mean `images.server` or `resources.server`?
    ");
}

#[test]
fn a_limit_as_a_number() {
    assert_snapshot!(refused(&["[resources.server]\nmemory_max = 4\ncpu_quota = \"200\"\n"]), @r#"
    /etc/photos-agent/config.toml:2:14: wrong type for `resources.server.memory_max`
      2 | memory_max = 4
        |              ^
      expected a string, found an integer
      write it like this: memory_max = "4G"

    /etc/photos-agent/config.toml:3:13: bad value for `resources.server.cpu_quota`
      3 | cpu_quota = "200"
        |             ^^^^^
      expected processor time as a percentage of one processor, like "200%", found "200"
    "#);
}

#[test]
fn a_missing_quote() {
    assert_snapshot!(refused(&["[storage]\r\nroot = \"/srv/photos\r\n\r\n[immich]\r\n"]), @r#"
    /etc/photos-agent/config.toml:2:21: not valid TOML: invalid basic string
      2 | root = "/srv/photos
        |                    ^
      expected `"`
    "#);
}

#[test]
fn a_port_without_an_address() {
    assert_snapshot!(refused(&["[immich]\nlisten = \":2283\"\n"]), @r#"
    /etc/photos-agent/config.toml:2:10: bad value for `immich.listen`
      2 | listen = ":2283"
        |          ^^^^^^^
      expected an IP address and a port, like "127.0.0.1:2283", found ":2283"
      write "127.0.0.1:2283" for this host only, "0.0.0.0:2283" for every network it is on
    "#);
}

#[test]
fn a_release_without_its_v() {
    assert_snapshot!(refused(&["[immich]\nversion = \"3.2.2\"\n"]), @r#"
    /etc/photos-agent/config.toml:2:11: bad value for `immich.version`
      2 | version = "3.2.2"
        |           ^^^^^^^
      expected a release of Immich with its three numbers, like "v3.2.2", found "3.2.2"
      did you mean "v3.2.2"?
    "#);
}

#[test]
fn a_release_that_the_catalogue_does_not_have() {
    assert_snapshot!(refused(&["[immich]\nversion = \"v3.2.1\"\n"]), @r#"
    /etc/photos-agent/config.toml:2:11: unknown release for `immich.version`
      2 | version = "v3.2.1"
        |           ^^^^^^^^
      expected one of: v3.2.2, v3.2.0, v3.1.0, v3.0.2, found "v3.2.1"
      did you mean "v3.2.2"? Another release needs `images.server` and `images.ml` as well, or a file config.d/NAME.catalogue.toml
    "#);
    let images = "[images]\nserver = \"a.b/s:1\"\nml = \"a.b/m:1\"\n";
    assert_eq!(loaded(&["[immich]\nversion = \"v3.2.1\"\n", images]).settings.immich.version.to_string(), "v3.2.1");
}

#[test]
fn a_password_among_the_variables() {
    let text = "[immich.environment]\nDB_PASSWORD = \"hunter2\"\nTZ = \"UTC\"\nOAUTH_CLIENT_SECRET = \"hunter3\"\n";
    assert_snapshot!(refused(&[text]), @r#"
    /etc/photos-agent/config.toml:2:1: cannot set `immich.environment.DB_PASSWORD`
      2 | DB_PASSWORD = ***
        | ^^^^^^^^^^^
      expected a variable that photos-agent does not set itself
      photos-agent connects the server to its own database; its password is changed by `photos-agent secret set`

    /etc/photos-agent/config.toml:3:1: cannot set `immich.environment.TZ`
      3 | TZ = "UTC"
        | ^^
      expected a variable that photos-agent does not set itself
      use `immich.timezone`

    /etc/photos-agent/config.toml:4:1: cannot set `immich.environment.OAUTH_CLIENT_SECRET`
      4 | OAUTH_CLIENT_SECRET = ***
        | ^^^^^^^^^^^^^^^^^^^
      expected a variable that is not a secret
      secrets never stand in this file: use `photos-agent secret set`, or Immich's own settings
    "#);
}

#[test]
fn a_variable_that_is_no_string() {
    assert_snapshot!(refused(&["[immich]\nenvironment = { NO_COLOR = true, TEXT = \"a\\nb\" }\n"]), @r#"
    /etc/photos-agent/config.toml:2:28: wrong type for `immich.environment.NO_COLOR`
      2 | environment = { NO_COLOR = true, TEXT = "a\nb" }
        |                            ^^^^
      expected a string, found a boolean
      write it in quotes: NO_COLOR = "true"

    /etc/photos-agent/config.toml:2:41: bad value for `immich.environment.TEXT`
      2 | environment = { NO_COLOR = true, TEXT = "a\nb" }
        |                                         ^^^^^^
      expected one line without control characters, which is all that a unit can hold
    "#);
}

#[test]
fn paths_that_are_none_or_not_ours() {
    assert_snapshot!(refused(&["[storage]\nroot = \"photos\"\ndatabases = \"/ssd/\"\nml_cache = \"/var\"\n"]), @r#"
    /etc/photos-agent/config.toml:2:8: bad value for `storage.root`
      2 | root = "photos"
        |        ^^^^^^^^
      expected an absolute path, starting with `/`, found "photos"

    /etc/photos-agent/config.toml:3:13: bad value for `storage.databases`
      3 | databases = "/ssd/"
        |             ^^^^^^^
      expected an absolute path, without `.`, `..`, doubled or trailing `/`, and not `/` itself, found "/ssd/"

    /etc/photos-agent/config.toml:4:12: bad value for `storage.ml_cache`
      4 | ml_cache = "/var"
        |            ^^^^^^
      expected a folder that holds nothing else, found "/var"
      name a folder of its own in it, like "/var/photos"
    "#);
}

#[test]
fn folders_in_each_others_way() {
    let later = "[storage]\ndatabases = \"/srv/photos/live\"\n";
    assert_snapshot!(refused(&["[storage]\nroot = \"/srv/photos\"\n", later]), @r#"
    /etc/photos-agent/config.d/1.toml:2:13: bad value for `storage.databases`
      2 | databases = "/srv/photos/live"
        |             ^^^^^^^^^^^^^^^^^^
      expected a folder apart from "/srv/photos/live", which belongs to `storage.root`, found "/srv/photos/live"
      `storage.root` is "/srv/photos"
    "#);
}

#[test]
fn networks_that_do_not_fit() {
    let text = "[network]\nsubnet = \"10.89.5.1/24\"\nserver_networks = [\"a\", \"photos\", \"a\"]\n";
    assert_snapshot!(refused(&[text]), @r#"
    /etc/photos-agent/config.toml:2:10: bad value for `network.subnet`
      2 | subnet = "10.89.5.1/24"
        |          ^^^^^^^^^^^^^^
      expected the network address of the subnet: "10.89.5.0/24", found "10.89.5.1/24"

    /etc/photos-agent/config.toml:3:25: bad value for `network.server_networks`
      3 | server_networks = ["a", "photos", "a"]
        |                         ^^^^^^^^
      expected a network that photos-agent does not make itself, found "photos"
      the server joins `photos` already: leave it out

    /etc/photos-agent/config.toml:3:35: bad value for `network.server_networks`
      3 | server_networks = ["a", "photos", "a"]
        |                                   ^^^
      expected each network once, found "a"
      leave this one out
    "#);
}

#[test]
fn a_misspelt_time_zone() {
    assert_snapshot!(refused(&["[immich]\ntimezone = \"Europe/Olso\"\n", "[immich]\ntimezone = \"europe/oslo\"\n"]), @r#"
    /etc/photos-agent/config.toml:2:12: bad value for `immich.timezone`
      2 | timezone = "Europe/Olso"
        |            ^^^^^^^^^^^^^
      expected a time zone of the IANA database, like "Europe/Oslo", found "Europe/Olso"
      did you mean "Europe/Oslo"?

    /etc/photos-agent/config.d/1.toml:2:12: bad value for `immich.timezone`
      2 | timezone = "europe/oslo"
        |            ^^^^^^^^^^^^^
      expected a time zone as the IANA database writes it, found "europe/oslo"
      did you mean "Europe/Oslo"?
    "#);
}

#[test]
fn a_short_image_name() {
    assert_snapshot!(refused(&["[images]\nredis = \"valkey:9\"\n"]), @r#"
    /etc/photos-agent/config.toml:2:9: bad value for `images.redis`
      2 | redis = "valkey:9"
        |         ^^^^^^^^^^
      expected a fully qualified image with a tag or a digest, like `ghcr.io/immich-app/immich-server:v3.2.2`, found "valkey:9"
    "#);
}

#[test]
fn a_database_version_in_quotes() {
    assert_snapshot!(refused(&["[postgres]\nmajor = \"17\"\nstorage = \"nvme\"\n"]), @r#"
    /etc/photos-agent/config.toml:2:9: wrong type for `postgres.major`
      2 | major = "17"
        |         ^^^^
      expected an integer, found a string
      write it like this: major = 17

    /etc/photos-agent/config.toml:3:11: bad value for `postgres.storage`
      3 | storage = "nvme"
        |           ^^^^^^
      expected "ssd" or "hdd", found "nvme"
      did you mean "ssd"?
    "#);
}

#[test]
fn a_quoted_dotted_key_is_not_the_dotted_key() {
    assert_snapshot!(refused(&["\"storage.root\" = \"/srv\"\n"]), @r#"
    /etc/photos-agent/config.toml:1:1: unknown key `"storage.root"`
      1 | "storage.root" = "/srv"
        | ^^^^^^^^^^^^^^
      expected one of: hardware, icloud, images, immich, network, notify, postgres, resources, snapshots, storage, upgrade
      write storage.root without quotes
    "#);
}

#[test]
fn a_file_full_of_mistakes_is_refused_quickly_and_shortly() {
    let many = (0..20_000).map(|n| format!("key{n} = 1")).collect::<Vec<_>>().join("\n");
    let list: Vec<_> = refused(&[&many]).iter().map(ToString::to_string).collect();
    assert_eq!(list.len(), 101);
    assert_eq!(list[100], "/etc/photos-agent/config.toml: 19900 more problems in this file");
}

#[test]
fn a_megabyte_of_anything_is_refused_quickly() {
    let tokens = (0..60_000).map(|n| format!("A{n}_TOKEN = 1")).collect::<Vec<_>>().join(",");
    let mut texts = vec![format!("[immich]\nenvironment = {{ {tokens} }}")];
    texts.extend(
        ["[\n", "\"", "{,", "a = [", "\r", "storage.root = 1\n"].map(|unit| unit.repeat(1_000_000 / unit.len())),
    );
    for text in texts {
        let start = Instant::now();
        assert!(refused(&[&text]).iter().count() <= 101);
        // About one second on a slow machine; it took half a minute when each problem was looked for anew.
        assert!(start.elapsed() < Duration::from_secs(15), "{text:.20}");
    }
}

#[test]
fn a_schedule_in_another_notation() {
    assert_snapshot!(refused(&["[snapshots]\nschedule = \"30 2 * * *\"\n"]), @r#"
    /etc/photos-agent/config.toml:2:12: bad value for `snapshots.schedule`
      2 | schedule = "30 2 * * *"
        |            ^^^^^^^^^^^^
      expected "off" or a calendar expression of systemd, like "*-*-* 02:00:00" or "Mon,Thu 03:30", found "30 2 * * *"
      did you mean "*-*-* 02:30:00"?
    "#);
    assert_snapshot!(refused(&["[snapshots]\nschedule = \"*-*-* 02:00\\nOnCalendar=minutely\"\n"]), @r#"
    /etc/photos-agent/config.toml:2:12: bad value for `snapshots.schedule`
      2 | schedule = "*-*-* 02:00\nOnCalendar=minutely"
        |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      expected "off" or a calendar expression of systemd, like "*-*-* 02:00:00" or "Mon,Thu 03:30", found "*-*-* 02:00\u000AOnCalendar=minutely"
      see systemd.time(7), "Calendar events"; `systemd-analyze calendar` says what systemd makes of one
    "#);
    assert!(refused(&["[snapshots]\nschedule = \"never\"\n"]).to_string().contains("did you mean \"off\"?"));
    assert!(loaded(&["[snapshots]\nschedule = \"off\"\n"]).settings.snapshots.schedule.is_none());
}

#[test]
fn a_policy_that_keeps_nothing() {
    let nothing = "[snapshots]\nkeep = { last = 0, daily = 0, weekly = 0, monthly = 0 }\n";
    assert_snapshot!(refused(&[nothing]), @r#"
    /etc/photos-agent/config.toml:2:17: `snapshots.keep` keeps nothing
      2 | keep = { last = 0, daily = 0, weekly = 0, monthly = 0 }
        |                 ^
      expected one of its numbers above 0
      to take no more snapshots, and keep those that there are: schedule = "off"
    "#);
    // What is left out keeps its default.
    let keep = loaded(&["[snapshots]\nkeep = { last = 0, daily = 30 }\n"]).settings.snapshots.keep;
    assert_eq!((keep.last, keep.daily, keep.weekly, keep.monthly), (0, 30, 4, 6));
}

#[test]
fn a_number_that_is_none() {
    assert_snapshot!(refused(&["[snapshots.keep]\ndaily = -1\nweekly = \"4\"\nmonth = 3\n"]), @r#"
    /etc/photos-agent/config.toml:2:9: bad value for `snapshots.keep.daily`
      2 | daily = -1
        |         ^^
      expected a number from 0 to 9999, found -1

    /etc/photos-agent/config.toml:3:10: wrong type for `snapshots.keep.weekly`
      3 | weekly = "4"
        |          ^^^
      expected an integer, found a string
      write it like this: weekly = 7

    /etc/photos-agent/config.toml:4:1: unknown key `snapshots.keep.month`
      4 | month = 3
        | ^^^^^
      expected one of: daily, hourly, last, monthly, weekly, yearly
      did you mean `monthly`?
    "#);
}

#[test]
fn a_time_without_its_unit_and_a_settle_time_that_is_too_long() {
    assert_snapshot!(refused(&["[upgrade]\nmin_age = \"7\"\nsettle = \"1 month\"\ntimeout = 30\n"]), @r#"
    /etc/photos-agent/config.toml:2:11: bad value for `upgrade.min_age`
      2 | min_age = "7"
        |           ^^^
      expected a length of time with its unit, like "7 days", "36h" or "10 min", found "7"

    /etc/photos-agent/config.toml:3:10: bad value for `upgrade.settle`
      3 | settle = "1 month"
        |          ^^^^^^^^^
      expected a length of time with its unit, like "7 days", "36h" or "10 min", found "1 month"

    /etc/photos-agent/config.toml:4:11: wrong type for `upgrade.timeout`
      4 | timeout = 30
        |           ^^
      expected a string, found an integer
      write it like this: timeout = "36h"
    "#);
    assert_snapshot!(refused(&["[upgrade]\nsettle = \"1h\"\n"]), @r#"
    /etc/photos-agent/config.toml:2:10: bad value for `upgrade.timeout`
      2 | settle = "1h"
        |          ^^^^
      expected more than `upgrade.settle`, which is "1h", found "30 min"
    "#);
}

#[test]
fn an_unattended_upgrade_that_could_not_be_what_was_meant() {
    let text = "[upgrade]\nautomatic = \"yes\"\nschedule = \"off\"\nwindow = \"5 min\"\n";
    assert_snapshot!(refused(&[text]), @r#"
    /etc/photos-agent/config.toml:2:13: wrong type for `upgrade.automatic`
      2 | automatic = "yes"
        |             ^^^^^
      expected a boolean, found a string
      write it like this: automatic = true

    /etc/photos-agent/config.toml:3:12: bad value for `upgrade.schedule`
      3 | schedule = "off"
        |            ^^^^^
      expected a calendar expression of systemd, like "Sat *-*-* 04:30:00" or "Mon,Thu 03:30", found "off"
      to have no unattended upgrades: automatic = false

    /etc/photos-agent/config.toml:4:10: bad value for `upgrade.window`
      4 | window = "5 min"
        |          ^^^^^^^
      expected at least "10 min", found "5 min"
    "#);
    for bad in ["Sat *-*-* 04:30\\nOnCalendar=minutely", "%i 04:30", "04:30;05:30", "", "30 4 * * 6"] {
        refused(&[&format!("[upgrade]\nschedule = \"{bad}\"\n")]);
    }
    for bad in ["0 s", "-2h", "2", "forever", "9 min 59 s"] {
        refused(&[&format!("[upgrade]\nwindow = \"{bad}\"\n")]);
    }
    for bad in ["1", "\"true\"", "[]", "{ }"] {
        refused(&[&format!("[upgrade]\nautomatic = {bad}\n")]);
    }
}

#[test]
fn a_program_to_be_told_that_is_no_path() {
    assert_snapshot!(refused(&["[notify]\ncommand = \"/usr/bin/curl -d @- https://ntfy.sh/mine\"\n"]), @r#"
    /etc/photos-agent/config.toml:2:11: bad value for `notify.command`
      2 | command = "/usr/bin/curl -d @- https://ntfy.sh/mine"
        |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      expected the absolute path of a program, as the host has it and without `:`, found "/usr/bin/curl -d @- https://ntfy.sh/mine"
      it is run without a shell: write it and its arguments as a list, ["/usr/bin/program", "argument"]
    "#);
    for bad in [
        "",
        "/",
        "tell-me",
        "./tell-me",
        "~/tell-me",
        "/opt/../tell",
        "/opt//tell",
        "/opt/tell/",
        "/opt/te\\nll",
        "/a:b",
    ] {
        refused(&[&format!("[notify]\ncommand = \"{bad}\"\n")]);
    }
    for bad in ["[]", "[1]", "[\"tell\"]", "[\"/bin/sh\", 1]", "[\"/bin/sh\", \"a\\nb\"]", "true"] {
        refused(&[&format!("[notify]\ncommand = {bad}\n")]);
    }
    let listed = loaded(&["[notify]\ncommand = [\"/bin/sh\", \"-c\", \"\"]\n"]);
    let command = listed.settings.notify.command.clone().unwrap();
    assert_eq!((command.program.as_str(), command.arguments), ("/bin/sh", vec!["-c".to_owned(), String::new()]));
    assert_eq!(loaded(&[&listed.show(true)]).settings, listed.settings);
    assert_eq!(loaded(&["[notify]\n"]).settings.notify.command, None);
}

#[test]
fn an_address_where_the_name_of_its_secret_belongs() {
    let report = refused(&["[notify]\nurl_secret = \"https://ntfy.sh/open-sesame\"\nkind = \"nfty\"\n"]).to_string();
    assert!(!report.contains("sesame") && !report.contains("ntfy.sh"), "{report}");
    assert!(
        report.contains("photos-agent secret set notify-url") && report.contains("did you mean \"ntfy\"?"),
        "{report}"
    );
    let notify = loaded(&["[notify]\nurl_secret = \"photos-notify-url\"\nkind = \"gotify\"\n"]).settings.notify;
    let remote = notify.remote.unwrap();
    assert_eq!((remote.secret.as_str(), remote.kind.as_str()), ("photos-notify-url", "gotify"));
}
