//! Any input: no panic, places that exist, no secret shown, the later file wins.

use std::fs;

use photos_agent::config::{self, Diagnostics, Source};
use photos_agent::model::Root;
use proptest::prelude::*;

use super::{loaded, sources};

/// What must never be in a report.
const SECRET: &str = "open-sesame";

/// Pieces of configuration files, most of them right.
fn piece() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "root",
        "databases",
        "subnet",
        "server_networks",
        "version",
        "listen",
        "timezone",
        "major",
        "storage",
        "server",
        "ml",
        "memory_max",
        "cpu_quota",
        "environment",
        "images",
        "a b",
        "immich.environment.X",
        "storage.root",
        "name",
        "apple_id",
        "album",
        "folder_structure",
        "recent",
        "schedule",
        "max_missing",
        "icloud.account",
    ]);
    let value = prop::sample::select(vec![
        "\"/srv/photos\"",
        "\"/srv/photos/live\"",
        "5",
        "true",
        "[\"a\", \"a\", 1]",
        "\"v3.2.2\"",
        "\"v9.9.9\"",
        "{ A = \"b\" }",
        "\"4G\"",
        "1979-05-27",
        "0x1F",
        "\"\"\"a\nb\"\"\"",
        "'",
        "\"\\u0000\"",
        "[[",
        "{ server = { memory_max = 1 } }",
        "1e999",
        "\"anna\"",
        "\"anna@example.org\"",
        "\"{:%Y/%m}\"",
        "[{ name = \"anna\" }, 1]",
    ]);
    let section = prop::sample::select(vec![
        "[storage]",
        "[network]",
        "[immich]",
        "[immich.environment]",
        "[postgres]",
        "[images]",
        "[resources.server]",
        "[[storage]]",
        "[icloud]",
        "[icloud.account]",
        "[[icloud.account]]",
        "[[icloud.account]]\nname = \"anna\"",
        "[[icloud.account]]\nname = \"ben\"\napple_id = \"ben@example.org\"",
        "[resources]",
        "[",
        "[x.y]",
        "[\"\"]",
    ]);
    let secret =
        prop::sample::select(vec!["DB_PASSWORD", "X_TOKEN", "api_key", "Secret", "'my password'", "x.SECRET.y"]);
    let quotes = prop::sample::select(vec![
        ("\"", "\""),
        ("'", "'"),
        ("\"", ""),
        ("\"\"\"\n", "\"\"\""),
        ("{ a = '", "' }"),
        ("[ '", "'"),
    ]);
    prop_oneof![
        4 => (key, value).prop_map(|(key, value)| format!("{key} = {value}\n")),
        4 => section.prop_map(|section| format!("{section}\n")),
        2 => (secret, quotes).prop_map(|(name, (open, close))| format!("{name} = {open}{SECRET}{close}\n")),
        1 => "\\PC{0,12}",
        1 => "[\\x00-\\x1f\\x7f\u{85}\u{feff}\u{202e}=\"'#\\[\\]{}.]{0,8}",
    ]
}

/// Pieces of a catalogue, most of them right.
fn row() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "version",
        "published",
        "avoid",
        "from",
        "images.postgres",
        "images.redis",
        "postgres.majors",
        "postgres.default",
        "accepts.postgres",
        "health.server",
        "health.sever",
        "images",
        "x",
    ]);
    let value = prop::sample::select(vec![
        "\"v3.2.3\"",
        "\"v3.1.0\"",
        "\"v0.0.1\"",
        "\"v9.9.9-rc.1\"",
        "2026-11-02",
        "1979-05-27T07:32:00Z",
        "07:32:00",
        "0000-01-01",
        "\"a\\nb\"",
        "[14, 17]",
        "[13]",
        "14",
        "\">=14, <19\"",
        "\"docker.io/a/b:{major}\"",
        "\"docker.io/a/b:1\"",
        "\"*\"",
        "{}",
        "-5",
        "true",
    ]);
    prop_oneof![
        3 => Just("[[release]]\nversion = \"v3.2.3\"\npublished = 2026-11-02\n".to_owned()),
        2 => Just("[[release]]\n".to_owned()),
        6 => (key, value).prop_map(|(key, value)| format!("{key} = {value}\n")),
        1 => piece(),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(piece(), 0..12).prop_map(|pieces| pieces.concat())
}

fn places_exist(diagnostics: &Diagnostics, sources: &[Source]) -> Result<(), TestCaseError> {
    prop_assert!(diagnostics.iter().next().is_some());
    for diagnostic in diagnostics {
        let Some(position) = diagnostic.position else { continue };
        let source = sources.iter().find(|source| source.path.display().to_string() == diagnostic.file);
        let content = source.map_or("", |source| source.text.strip_prefix('\u{feff}').unwrap_or(&source.text));
        let line = content.split('\n').nth(position.line - 1);
        prop_assert!(
            line.is_some_and(|line| (1..=line.chars().count() + 1).contains(&position.column)),
            "{diagnostic}"
        );
        let shown = diagnostic.to_string();
        prop_assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
        prop_assert!(shown.lines().all(|line| line.chars().count() < 2000));
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let host = tempfile::tempdir().unwrap();
        let path = host.path().join("config.toml");
        fs::write(&path, &bytes).unwrap();
        let source = Source { path: path.clone(), text: String::from_utf8_lossy(&bytes).into_owned() };
        if let Err(diagnostics) = config::load(&Root::default(), &path, true) {
            places_exist(&diagnostics, &[source])?;
        }
    }

    #[test]
    fn any_text_is_answered_and_no_secret_is_shown(texts in prop::collection::vec(text(), 1..4)) {
        let sources = sources(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        match config::parse(&sources) {
            Err(diagnostics) => {
                places_exist(&diagnostics, &sources)?;
                let report = format!("{diagnostics}{}", serde_json::to_string(&diagnostics).unwrap());
                prop_assert!(!report.contains(SECRET), "{}", report);
            }
            Ok(loaded) => {
                prop_assert!(!loaded.show(true).contains(SECRET));
                prop_assert_eq!(&super::loaded(&[&loaded.show(true)]).settings, &loaded.settings);
            }
        }
    }

    #[test]
    fn any_catalogue_is_answered(rows in prop::collection::vec(row(), 0..12)) {
        let path = "/etc/photos-agent/config.d/1.catalogue.toml".into();
        let sources = [Source { path, text: rows.concat() }];
        match config::parse(&sources) {
            Err(diagnostics) => places_exist(&diagnostics, &sources)?,
            Ok(loaded) => {
                let releases = loaded.settings.catalogue.releases();
                prop_assert!(releases.is_sorted_by(|a, b| a.release > b.release));
                prop_assert!(releases.iter().all(|entry| entry.postgres.contains_key(&entry.default_major)));
            }
        }
    }

    #[test]
    fn what_is_shown_means_the_same(text in valid()) {
        let first = loaded(&[&text]);
        for origin in [false, true] {
            let again = loaded(&[&first.show(origin)]);
            prop_assert_eq!(&again.settings, &first.settings);
            prop_assert_eq!(again.show(false), first.show(false));
        }
    }

    #[test]
    fn each_key_is_that_of_the_last_file_that_has_it(texts in prop::collection::vec(valid(), 1..4)) {
        // An account stands in one file; here in the last.
        let last = texts.len() - 1;
        let without = |text: &str| text.split("[[icloud").next().unwrap_or_default().to_owned();
        let texts: Vec<_> =
            texts.iter().enumerate().map(|(n, text)| if n == last { text.clone() } else { without(text) }).collect();
        let texts: Vec<_> = texts.iter().map(String::as_str).collect();
        let all = loaded(&texts);
        let each: Vec<_> = texts.iter().map(|text| loaded(&[text])).collect();
        for setting in &all.origins {
            let own = each.iter().rev().filter_map(|one| one.origins.get(&setting.key));
            let last = own.clone().find(|one| one.origin != config::Origin::Default).or_else(|| own.clone().next());
            prop_assert_eq!(last.and_then(config::Setting::toml), setting.toml(), "{}", &setting.key);
        }
    }
}

/// A right configuration: each key with one of its values or not there.
fn valid() -> impl Strategy<Value = String> {
    let path = |places: &'static [&'static str]| prop::option::of(prop::sample::select(places));
    let storage = (path(&["/srv/photos", "/mnt/My Photos 100%", "/ü/\"q\"\\"]), path(&["/ssd/db"]), path(&["/ssd/ml"]));
    let network = (0u8..=255, prop::collection::btree_set("[a-z][a-z0-9_]{2,5}x", 0..4));
    let variables = prop::collection::btree_map("X_[A-Z0-9]{1,8}X", "(\\PC|\t|[\"'\\\\%$#]){0,20}", 0..4);
    let immich = (any::<std::net::SocketAddrV4>(), prop::sample::select(vec!["Europe/Oslo", "UTC"]), variables);
    let accounts = prop::collection::btree_map(
        "[a-z][a-z0-9-]{0,8}",
        (prop::sample::select(vec!["off", "daily", "*-*-01 03:00:00"]), 0u32..100, "[a-zü \"\\\\]{1,8}x"),
        0..3,
    );
    let rest = (14u8..=18, prop::option::of("[1-9][0-9]{0,3}[KMGT]?"), any::<bool>());
    (storage, network, immich, accounts, rest).prop_map(
        |((root, databases, ml), (net, names), (listen, zone, variables), accounts, rest)| {
            let toml = |text: &str| toml::Value::String(text.to_owned()).to_string();
            let line = |key: &str, value: Option<&str>| value.map(|value| format!("{key} = {}", toml(value)));
            let (major, memory, hdd) = rest;
            let mut lines = vec![
                Some("[storage]".to_owned()),
                line("root", root),
                line("databases", databases),
                line("ml_cache", ml),
                Some(format!("[network]\nsubnet = \"10.{net}.0.0/16\"")),
                Some(format!("server_networks = {:?}", names.iter().collect::<Vec<_>>())),
                Some(format!("[immich]\nlisten = \"{}:{}\"", listen.ip(), listen.port().max(1))),
                line("timezone", Some(zone)),
                Some(format!("[postgres]\nmajor = {major}")),
                line("storage", hdd.then_some("hdd")),
                Some("[resources.ml]".to_owned()),
                line("memory_max", memory.as_deref()),
                Some("[immich.environment]".to_owned()),
            ];
            lines.extend(variables.iter().map(|(name, value)| line(name, Some(value))));
            for (name, (schedule, found, album)) in &accounts {
                lines.push(Some(format!("[[icloud.account]]\nuntil_found = {found}\napple_id = \"a@b.org\"")));
                lines.push(line("schedule", Some(schedule)));
                lines.push(line("name", Some(name)));
                lines.push(Some(format!("album = [{}]", toml(album))));
            }
            lines.into_iter().flatten().collect::<Vec<_>>().join("\n")
        },
    )
}
