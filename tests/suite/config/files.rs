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
