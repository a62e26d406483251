//! Reading from disk: which files count, and what is said of those that cannot be read.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use photos_agent::config::{self, DEFAULT_PATH, Diagnostics, Loaded};
use photos_agent::model::Root;
use tempfile::TempDir;

/// A host with these files below /etc/photos-agent.
fn host(files: &[(&str, &[u8])]) -> TempDir {
    let host = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = host.path().join("etc/photos-agent").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    host
}

fn load(host: &TempDir) -> Result<Loaded, Diagnostics> {
    config::load(&Root::new(host.path()), Path::new(DEFAULT_PATH), false)
}

/// What is wrong, with the host's folder taken out.
fn problems(host: &TempDir) -> String {
    let text = load(host).unwrap_err().to_string();
    text.replace(&host.path().display().to_string(), "")
}

#[test]
fn no_file_is_an_empty_one_unless_it_was_named() {
    let host = host(&[]);
    assert_eq!(load(&host).unwrap().settings, config::parse(&[]).unwrap().settings);
    let named = host.path().join("my.toml");
    let error = config::load(&Root::default(), &named, true).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{}: no such file", named.display())), "{error}");
}

#[test]
fn files_count_by_name_after_the_main_file() {
    let host = host(&[
        ("config.toml", b"[storage]\nroot = \"/a\"\ndatabases = \"/d\"\n"),
        ("config.d/20-b.toml", b"[storage]\nroot = \"/c\"\n"),
        ("config.d/10-a.toml", b"[storage]\nroot = \"/b\"\n"),
        ("config.d/.hidden.toml", b"nonsense"),
        ("config.d/99.toml~", b"nonsense"),
        ("config.d/README", b"nonsense"),
    ]);
    let loaded = load(&host).unwrap();
    assert_eq!(loaded.settings.storage.root.as_str(), "/c");
    let names: Vec<_> = loaded.sources.iter().map(|source| source.path.file_name().unwrap()).collect();
    assert_eq!(names, ["config.toml", "10-a.toml", "20-b.toml"]);
    let origin = loaded.origins.get("storage.databases").unwrap().origin.to_string();
    assert_eq!(origin, format!("{}:2", host.path().join("etc/photos-agent/config.toml").display()).replace(":2", ":3"));
}

#[test]
fn a_named_file_is_taken_as_it_is_and_with_its_neighbours() {
    let host = host(&[("config.toml", b""), ("config.d/1.toml", b"[postgres]\nmajor = 16\n")]);
    let named = host.path().join("etc/photos-agent/config.toml");
    let loaded = config::load(&Root::new("/nowhere"), &named, true).unwrap();
    assert_eq!(loaded.settings.postgres.major.unwrap().get(), 16);
}

#[test]
fn what_is_no_readable_text_is_said_for_each_file() {
    let host = host(&[
        ("config.toml", b"[immich]\nversion = \"v3.\xff\"\n"),
        ("config.d/1.toml", &vec![b'#'; 1024 * 1024 + 1]),
        ("config.d/5.toml", b"[storage]\nrot = 1\n"),
    ]);
    let folder = host.path().join("etc/photos-agent/config.d");
    fs::create_dir(folder.join("2.toml")).unwrap();
    symlink("nowhere", folder.join("3.toml")).unwrap();
    symlink("/dev/zero", folder.join("4.toml")).unwrap();
    insta::assert_snapshot!(problems(&host), @r#"
    /etc/photos-agent/config.toml:2:11: bad value for `immich.version`
      2 | version = "v3.�"
        |           ^^^^^^
      expected a release of Immich with its three numbers, like "v3.2.2", found "v3.�"

    /etc/photos-agent/config.toml:2:15: not UTF-8
      2 | version = "v3.�"
        |               ^
      expected a text file in UTF-8

    /etc/photos-agent/config.d/1.toml: too large
      expected a configuration file of at most 1 MiB

    /etc/photos-agent/config.d/2.toml: not a file
      expected a file, found a folder

    /etc/photos-agent/config.d/3.toml: a symbolic link to a file that does not exist

    /etc/photos-agent/config.d/4.toml: not a file
      expected a file, found a device, pipe or socket

    /etc/photos-agent/config.d/5.toml:2:1: unknown key `storage.rot`
      2 | rot = 1
        | ^^^
      expected one of: databases, ml_cache, root
      did you mean `root`?
    "#);
}

#[test]
fn a_link_to_a_file_is_read() {
    let host = host(&[("elsewhere", b"[postgres]\nmajor = 15\n")]);
    let folder = host.path().join("etc/photos-agent");
    symlink("elsewhere", folder.join("config.toml")).unwrap();
    assert_eq!(load(&host).unwrap().settings.postgres.major.unwrap().get(), 15);
}

#[test]
fn a_file_of_exactly_the_limit_is_read() {
    let host = host(&[("config.toml", &vec![b'\n'; 1024 * 1024])]);
    assert!(load(&host).is_ok());
}

#[test]
fn a_file_where_the_folder_belongs_is_not_passed_over() {
    let host = host(&[("config.d", b"")]);
    insta::assert_snapshot!(problems(&host), @"
    /etc/photos-agent/config.d: cannot be listed: Not a directory (os error 20)
    ");
}

#[test]
fn releases_come_from_files_of_their_own_and_are_recorded_with_the_others() {
    let host = host(&[
        ("config.d/50-immich.catalogue.toml", b"[[release]]\nversion = \"v3.2.3\"\npublished = 2026-11-02\n"),
        ("config.d/60-mine.toml", b"[upgrade]\nmin_age = \"36h\"\n"),
    ]);
    let loaded = load(&host).unwrap();
    // The newest that is known is the default.
    assert_eq!(loaded.settings.immich.version.to_string(), "v3.2.3");
    assert_eq!(loaded.origins.get("immich.version").unwrap().toml().as_deref(), Some("\"v3.2.3\""));
    assert!(!loaded.origins.is_written("immich.version") && loaded.origins.is_written("upgrade.min_age"));
    assert_eq!(loaded.settings.catalogue.names()[..2], ["v3.2.3", "v3.2.2"]);
    assert_eq!(loaded.settings.upgrade.min_age.length().as_secs(), 36 * 3600);
    // As they were recorded, they mean the same.
    assert_eq!(loaded.sources.len(), 2);
    assert_eq!(config::parse(&loaded.sources).unwrap().settings, loaded.settings);
}

#[test]
fn what_is_wrong_with_a_catalogue_is_said_with_its_place() {
    let host = host(&[
        ("config.toml", b"[[release]]\nversion = \"v3.2.3\"\n"),
        (
            "config.d/1.catalogue.toml",
            b"[storage]\nroot = \"/srv\"\n\n[[release]]\nversion = \"3.2.3\"\n\n[[release]]\nversion = \"v3.2.4\"\npublished = \"2026-11-02\"\n",
        ),
        ("config.d/2.catalogue.toml", b"[[release]]\nversion = \"v3.2.5\nDB_PASSWORD = \"hunter2\"\n"),
    ]);
    insta::assert_snapshot!(problems(&host), @r#"
    /etc/photos-agent/config.toml:1:3: unknown key `release`
      1 | [[release]]
        |   ^^^^^^^
      expected one of: hardware, icloud, images, immich, network, notify, postgres, resources, snapshots, storage, upgrade
      releases stand in a file of their own: config.d/NAME.catalogue.toml

    /etc/photos-agent/config.d/1.catalogue.toml:1:2: catalogue: unknown key
      1 | [storage]
        |  ^^^^^^^
      expected only [[release]]
      settings stand in a file whose name does not end in .catalogue.toml

    /etc/photos-agent/config.d/1.catalogue.toml:5:11: catalogue: bad value
      5 | version = "3.2.3"
        |           ^^^^^^^
      expected a release of Immich with its three numbers, like "v3.2.2"

    /etc/photos-agent/config.d/1.catalogue.toml:9:13: catalogue: not a day
      9 | published = "2026-11-02"
        |             ^^^^^^^^^^^^
      expected one without quotes, like 2026-09-16

    /etc/photos-agent/config.d/2.catalogue.toml:2:18: not valid TOML: invalid basic string
      2 | version = "v3.2.5
        |                  ^
      expected `"`
    "#);
    let host = self::host(&[(
        "config.d/1.catalogue.toml",
        b"[[release]]\nversion = \"v3.2.4\"\npublished = 2026-10-01\nimages.postgres = \"x\\u001b[31m\"\n\n[[release]]\nversion = \"v2.7.5\"\npublished = 2026-04-20\n",
    )]);
    insta::assert_snapshot!(problems(&host), @r#"
    /etc/photos-agent/config.d/1.catalogue.toml:2:11: catalogue: `images.postgres` is no image
      2 | version = "v3.2.4"
        |           ^^^^^^^^
      expected a fully qualified image with a tag or a digest, like `ghcr.io/immich-app/immich-...

    /etc/photos-agent/config.d/1.catalogue.toml:7:11: catalogue: a release without `postgres.majors`
      7 | version = "v2.7.5"
        |           ^^^^^^^^
      name `postgres.majors`: neither this nor a release below it in the catalogue does
    "#);
}
