//! `stack`: the files for given settings, exactly; and that no setting can say more than it says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use photos_agent::config::{Immich, Limits, Network, Postgres, Settings, Storage};
use photos_agent::model::HASH_LABEL;
use photos_agent::model::{Component, DatabaseStorage, Digest, ImageRef, PostgresMajor, Service, Subvolume};
use photos_agent::quadlet::{FLOOR, File, since};
use photos_agent::stack::{Desired, Facts, MARKER, Programs, desire};
use proptest::prelude::*;

/// What an empty configuration means.
pub fn empty() -> Settings {
    Settings {
        storage: Storage { root: "/var/lib/photos".parse().unwrap(), databases: None, ml_cache: None },
        network: Network { subnet: "10.89.5.0/24".parse().unwrap(), server_networks: Vec::new() },
        immich: Immich {
            version: "v3.2.2".parse().unwrap(),
            listen: "127.0.0.1:2283".parse().unwrap(),
            timezone: None,
            environment: BTreeMap::new(),
        },
        postgres: Postgres { major: None, storage: DatabaseStorage::Ssd },
        images: BTreeMap::new(),
        resources: BTreeMap::new(),
    }
}

/// Every key, with values that need their escapes.
fn every_key() -> Settings {
    let limits = |memory: &str, cpu: &str| Limits {
        memory_max: Some(memory.parse().unwrap()),
        cpu_quota: Some(cpu.parse().unwrap()),
    };
    Settings {
        storage: Storage {
            root: "/mnt/My Photos 100%".parse().unwrap(),
            databases: Some("/ssd/photos".parse().unwrap()),
            ml_cache: Some("/ssd/ml".parse().unwrap()),
        },
        network: Network {
            subnet: "172.20.8.0/22".parse().unwrap(),
            server_networks: vec!["reverse_proxy".parse().unwrap(), "monitoring".parse().unwrap()],
        },
        immich: Immich {
            version: "v3.1.0".parse().unwrap(),
            listen: "[::1]:8080".parse().unwrap(),
            timezone: Some("Europe/Oslo".parse().unwrap()),
            environment: BTreeMap::from([
                ("IMMICH_LOG_LEVEL".parse().unwrap(), "verbose".to_owned()),
                ("IMMICH_TRUSTED_PROXIES".parse().unwrap(), "10.0.0.0/8, \"quoted\" 100% $HOME \\".to_owned()),
            ]),
        },
        postgres: Postgres { major: PostgresMajor::try_from(18).ok(), storage: DatabaseStorage::Hdd },
        images: BTreeMap::from([
            (Component::Ml, "ghcr.io/immich-app/immich-machine-learning:v3.1.0-cuda".parse().unwrap()),
            (Component::Redis, format!("docker.io/valkey/valkey:9@{}", digest('9')).parse().unwrap()),
        ]),
        resources: BTreeMap::from([
            (Component::Server, limits("4G", "200%")),
            (Component::Ml, limits("50%", "150%")),
            (Component::Postgres, limits("2G", "100%")),
            (Component::Redis, limits("512M", "50%")),
        ]),
    }
}

fn digest(digit: char) -> Digest {
    format!("sha256:{}", digit.to_string().repeat(64)).parse().unwrap()
}

/// A host on which the images of `settings` are locked.
pub fn locked(settings: &Settings) -> Facts {
    let mut facts = bare();
    let images = desire(settings, &facts).unwrap().images;
    facts.lock = images.into_values().zip("1234".chars().map(digest)).collect();
    facts
}

pub fn bare() -> Facts {
    let programs = Programs { nft: "/usr/sbin/nft".parse().unwrap(), podman: "/usr/bin/podman".parse().unwrap() };
    Facts { lock: BTreeMap::new(), cluster: None, programs }
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/units")
}

/// Compares every file with the one in `tests/fixtures/units/<name>`; `BLESS=1` writes them.
fn compare(name: &str, desired: &Desired) {
    let folder = fixtures().join(name);
    if std::env::var_os("BLESS").is_some() {
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        for file in &desired.files {
            std::fs::write(folder.join(file.path.as_path().file_name().unwrap()), &file.text).unwrap();
        }
    }
    let mut expected = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    for file in &desired.files {
        let path = folder.join(file.path.as_path().file_name().unwrap());
        assert_eq!(file.text, std::fs::read_to_string(&path).unwrap_or_default(), "{}", path.display());
        expected.retain(|other| *other != path);
    }
    assert_eq!(expected, Vec::<PathBuf>::new(), "no longer written");
}

#[test]
fn the_empty_configuration_makes_these_files() {
    compare("empty", &desire(&empty(), &locked(&empty())).unwrap());
}

#[test]
fn a_configuration_with_every_key_makes_these_files() {
    compare("every-key", &desire(&every_key(), &locked(&every_key())).unwrap());
}
