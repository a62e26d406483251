//! What `config init` writes: the packaged file with what was seen of a host in it.
//!
//! The texts are in `tests/fixtures/cli/`; `BLESS=1` writes them.

use std::path::Path;

use photos_agent::config::Origin;
use photos_agent::config::init::{Card, Pool, Seen, choose, write};

use super::loaded;

fn pool(folder: &str, gib: u64, turns: bool) -> Pool {
    let is_default = folder == "/var/lib/photos";
    Pool { folder: folder.parse().unwrap(), is_default, has_stack: false, free: gib << 30, turns: Some(turns) }
}

/// A host on which everything is otherwise than the defaults have it.
fn full() -> Seen {
    Seen {
        pools: vec![pool("/var/lib/photos", 60, false), pool("/mnt/My \"disk\"/photos", 3600, true)],
        taken_by: Some("docker-proxy (process 811)".to_owned()),
        free_port: Some(2284),
        timezone: Some("Europe/Oslo".to_owned()),
        graphics: vec![Card {
            key: "hardware.ml",
            because: "\"auto\" is the processor here: there is no card that is known to work.".to_owned(),
            suggested: Some("openvino".to_owned()),
        }],
        selinux: true,
    }
}

fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cli").join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(&path).unwrap_or_default(), "{}", path.display());
}

#[test]
fn what_was_chosen_holds_and_is_all_that_is_set() {
    let seen = full();
    let text = write(&seen, &choose(&seen));
    golden("init-full.toml", &text);
    let loaded = loaded(&[&text]);
    let set = |key: &str| loaded.origins.get(key).unwrap().toml().unwrap();
    assert_eq!(set("storage.root"), r#""/mnt/My \"disk\"/photos""#);
    assert_eq!(set("immich.listen"), "\"127.0.0.1:2284\"");
    assert_eq!(set("postgres.storage"), "\"hdd\"");
    let of_files = loaded.origins.iter().filter(|setting| matches!(setting.origin, Origin::File { .. })).count();
    assert_eq!(of_files, 3);
}

#[test]
fn where_the_defaults_fit_or_nothing_is_known_the_file_sets_nothing() {
    let empty = Seen::default();
    let usual = Seen { pools: vec![pool("/var/lib/photos", 60, false)], ..Seen::default() };
    for (name, seen) in [("init-empty.toml", empty), ("init-usual.toml", usual)] {
        let text = write(&seen, &choose(&seen));
        golden(name, &text);
        assert_eq!(loaded(&[&text]).settings, loaded(&[""]).settings, "{name}");
        let sets = |line: &&str| !line.is_empty() && !line.starts_with('#') && !line.starts_with('[');
        assert_eq!(text.lines().filter(sets).count(), 0, "{name}");
    }
}

#[test]
fn every_choice_is_in_the_file_and_nothing_of_the_template_is_lost() {
    let seen = full();
    let choices = choose(&seen);
    let text = write(&seen, &choices);
    // And one of the host as a whole, at the top.
    assert_eq!(text.matches("# Here: ").count(), choices.len() + 1, "{text}");
    let template = photos_agent::config::template();
    let body = template.split_once("\n\n").unwrap().1;
    let lost: Vec<_> = body.lines().filter(|line| !text.lines().any(|other| other == *line)).collect();
    assert_eq!(
        lost,
        [
            "#root = \"/var/lib/photos\"",
            "#databases = \"/ssd/photos\"",
            "#listen = \"127.0.0.1:2283\"",
            "#storage = \"ssd\"",
            "#ml = \"auto\""
        ],
        "set, and so written otherwise"
    );
}
