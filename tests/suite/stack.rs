//! `stack`: the files for given settings, exactly; and that no setting can say more than it says.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use photos_agent::catalogue::Catalogue;
use photos_agent::config::{
    Hardware, Icloud, Immich, Keep, Limits, Network, Notify, NotifyCommand, Postgres, Settings, Snapshots, Storage,
    Upgrade,
};
use photos_agent::hardware::Seen;
use photos_agent::model::HASH_LABEL;
use photos_agent::model::{
    Component, DatabaseStorage, Digest, ImageRef, MaxMissing, PostgresMajor, Service, Subvolume,
};
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
        snapshots: Snapshots {
            schedule: Some("*-*-* 02:00:00".parse().unwrap()),
            keep: Keep { last: 3, hourly: 0, daily: 7, weekly: 4, monthly: 6, yearly: 0 },
        },
        hardware: Hardware::default(),
        upgrade: upgrade(),
        notify: Notify::default(),
        icloud: icloud(),
        images: BTreeMap::new(),
        resources: BTreeMap::new(),
        catalogue: Catalogue::embedded(),
    }
}

fn icloud() -> Icloud {
    Icloud { max_missing: MaxMissing { share: "1%".parse().unwrap(), files: 10 }, accounts: Vec::new() }
}

fn upgrade() -> Upgrade {
    let span = |text: &str| text.parse().unwrap();
    let schedule = "Sat *-*-* 04:30:00".parse().unwrap();
    let (min_age, settle, timeout, window) = (span("7 days"), span("5 s"), span("30 min"), span("2h"));
    Upgrade { min_age, settle, timeout, automatic: false, schedule, window }
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
        snapshots: Snapshots {
            schedule: Some("Mon..Fri *-*-* 1..5/2:30 Europe/Oslo".parse().unwrap()),
            keep: Keep { last: 1, hourly: 24, daily: 14, weekly: 8, monthly: 12, yearly: 10 },
        },
        hardware: Hardware::default(),
        upgrade: Upgrade {
            automatic: true,
            schedule: "Mon..Thu *-*-* 5..6:15 Europe/Oslo".parse().unwrap(),
            window: "1h 30m".parse().unwrap(),
            ..upgrade()
        },
        notify: Notify {
            command: Some(NotifyCommand { program: "/opt/My Tools/tell 100%".parse().unwrap(), arguments: Vec::new() }),
            remote: None,
        },
        icloud: icloud(),
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
        catalogue: Catalogue::embedded(),
    }
}

fn digest(digit: char) -> Digest {
    format!("sha256:{}", digit.to_string().repeat(64)).parse().unwrap()
}

/// A host on which the images of `settings` are locked.
pub fn locked(settings: &Settings) -> Facts {
    let mut facts = bare();
    let images = desire(settings, &facts).unwrap().runs.written;
    facts.lock = images.into_values().zip("1234".chars().map(digest)).collect();
    let accounts = desire(settings, &facts).unwrap().accounts;
    facts.lock.extend(accounts.into_iter().map(|account| (account.image, digest('5'))));
    facts
}

pub fn bare() -> Facts {
    let programs = Programs { nft: "/usr/sbin/nft".parse().unwrap(), podman: "/usr/bin/podman".parse().unwrap() };
    let graphics = Seen::default();
    Facts { in_force: None, lock: BTreeMap::new(), cluster: None, local_time: true, programs, graphics }
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/units")
}

/// Compares every file with the one in `tests/fixtures/units/<name>`; `BLESS=1` writes them.
pub fn compare(name: &str, desired: &Desired) {
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

#[test]
fn no_key_is_newer_than_the_oldest_podman_and_every_file_says_whose_it_is() {
    for settings in [empty(), every_key()] {
        for file in desire(&settings, &locked(&settings)).unwrap().files {
            assert!(file.text.starts_with(MARKER), "{}", file.path);
            let quadlet = [".container", ".network"].iter().any(|end| file.path.as_str().ends_with(end));
            if !quadlet {
                continue;
            }
            for section in File::parse(&file.text).unwrap().sections() {
                for entry in section.entries().iter().filter(|_| matches!(section.name(), "Container" | "Network")) {
                    let since = since(section.name(), entry.key());
                    assert!(since.is_some_and(|since| since <= FLOOR), "{}: {}", file.path, entry.key());
                }
            }
        }
    }
}

#[test]
fn every_base_is_a_unit_that_says_why() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let bases = ["quadlets", "systemd"].into_iter().flat_map(|folder| std::fs::read_dir(root.join(folder)).unwrap());
    let ours = |name: &str| {
        name.starts_with("immich-")
            || name.starts_with("icloudpd")
            || (name.starts_with("photos") && !name.contains("agent"))
    };
    let mut seen = 0;
    for path in bases.map(|entry| entry.unwrap().path()) {
        if !ours(path.file_name().unwrap().to_str().unwrap()) {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# "), "{}: begins with what it is for", path.display());
        let file = File::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(file.values("Unit", "Description").count(), 1, "{}", path.display());
        // Podman and systemd join continued lines differently.
        assert!(!text.lines().any(|line| line.ends_with('\\')), "{}", path.display());
        seen += 1;
    }
    assert_eq!(seen, 21);
}

#[test]
fn services_networks_and_images_agree_with_their_files() {
    let facts = locked(&every_key());
    let desired = desire(&every_key(), &facts).unwrap();
    let text = |name: &str| &desired.files.iter().find(|file| file.path.as_str().ends_with(name)).unwrap().text;
    for service in &desired.services {
        let file = File::parse(text(&format!("/{}.container", service.service.stem()))).unwrap();
        let label = format!("{HASH_LABEL}={}", service.hash);
        assert_eq!(file.values("Container", "Label").collect::<Vec<_>>(), [label]);
        assert_eq!(file.values("Container", "Image").collect::<Vec<_>>(), [service.image.to_string()]);
        assert!(service.image.tag().is_none() && service.image.digest().is_some());
        for needed in &service.needs {
            assert!(file.values("Unit", "After").any(|units| units.split(' ').any(|unit| unit == needed.unit())));
        }
        assert!(text("photos.target").contains(&format!("Upholds={}\n", service.unit)));
    }
    for network in &desired.networks {
        let file = File::parse(text(&format!("/{}.network", network.name))).unwrap();
        assert_eq!(file.values("Network", "NetworkName").collect::<Vec<_>>(), [network.name.as_str()]);
        assert_eq!(file.values("Network", "Subnet").next(), network.subnet.map(|subnet| subnet.to_string()).as_deref());
        assert_eq!(file.values("Network", "Internal").next(), network.internal.then_some("true"));
        let interface = format!("--interface-name={}", network.interface);
        assert_eq!(file.values("Network", "PodmanArgs").collect::<Vec<_>>(), [interface]);
        assert_eq!(network.unit.to_string(), format!("{}-network.service", network.name));
    }
}

#[test]
fn the_label_changes_with_the_text_and_with_nothing_else() {
    let hashes = |settings: &Settings| {
        let desired = desire(settings, &bare()).unwrap();
        desired.services.into_iter().map(|service| service.hash).collect::<Vec<_>>()
    };
    let before = hashes(&empty());
    assert_eq!(before, hashes(&empty()));
    let mut settings = empty();
    settings.immich.listen = "127.0.0.1:2284".parse().unwrap();
    let after = hashes(&settings);
    let changed = |service: Service| before[service as usize] != after[service as usize];
    assert_eq!(Service::ALL.map(changed), [false, false, true, false]);
}

#[test]
fn storage_lies_where_the_settings_say() {
    let places = |settings: &Settings| {
        let desired = desire(settings, &bare()).unwrap();
        let subvolumes = desired.subvolumes.iter().map(|place| place.path.to_string()).collect::<Vec<_>>();
        let folders = desired.folders.iter().filter(|folder| !folder.ours).map(|folder| folder.path.to_string());
        (folders.collect::<Vec<_>>(), subvolumes)
    };
    let (folders, subvolumes) = places(&empty());
    assert_eq!(folders, ["/var/lib/photos", "/var/lib/photos/live", "/var/lib/photos/keep"]);
    assert_eq!(subvolumes.len(), Subvolume::ALL.len());
    assert_eq!(subvolumes[0], "/var/lib/photos/live/postgres");
    assert_eq!(subvolumes[7], "/var/lib/photos/keep/ml-cache");
    let (folders, subvolumes) = places(&every_key());
    assert_eq!(folders[3..], ["/ssd/photos", "/ssd/photos/live"]);
    assert_eq!(
        subvolumes[..3],
        ["/ssd/photos/live/postgres", "/ssd/photos/live/redis", "/mnt/My Photos 100%/live/media"]
    );
    assert_eq!(subvolumes[7], "/ssd/ml");
}

#[test]
fn data_is_mounted_where_the_image_of_that_major_keeps_it() {
    for (major, target) in
        [(14, "/var/lib/postgresql/data"), (17, "/var/lib/postgresql/data"), (18, "/var/lib/postgresql")]
    {
        let cluster = PostgresMajor::try_from(major).ok();
        let desired = desire(&empty(), &Facts { cluster, ..bare() }).unwrap();
        assert!(desired.runs.written[&Component::Postgres].tag().unwrap().starts_with(&format!("{major}-")));
        let file = File::parse(&desired.files[0].text).unwrap();
        let volume = format!("/var/lib/photos/live/postgres:{target}");
        assert_eq!(file.values("Container", "Volume").collect::<Vec<_>>(), [volume]);
    }
}

#[test]
fn a_release_that_the_catalogue_lacks_runs_on_the_operators_images() {
    let mut settings = empty();
    settings.immich.version = "v3.1.7".parse().unwrap();
    let own = |component: Component, name: &str| (component, format!("ghcr.io/mine/{name}:v3.1.7").parse().unwrap());
    settings.images = BTreeMap::from([own(Component::Server, "server")]);
    assert_eq!(desire(&settings, &bare()).unwrap_err().what, "immich.version");
    settings.images.extend([own(Component::Ml, "ml")]);
    let desired = desire(&settings, &bare()).unwrap();
    assert_eq!(desired.runs.written[&Component::Server].to_string(), "ghcr.io/mine/server:v3.1.7");
    assert_eq!(desired.runs.written[&Component::Redis].to_string(), "docker.io/valkey/valkey:9");
    let file = desired.files.iter().find(|file| file.path.as_str().ends_with("/immich-server.container")).unwrap();
    assert!(file.text.contains("HealthCmd=immich-healthcheck\n"), "{}", file.text);
}

#[test]
fn what_is_in_force_runs_on_whatever_the_settings_say_by_now() {
    let mut settings = empty();
    settings.immich.version = "v3.1.0".parse().unwrap();
    let first = desire(&settings, &bare()).unwrap();
    assert_eq!(first.wish, None);
    let facts = Facts { in_force: Some(first.runs.clone()), ..bare() };
    assert_eq!(desire(&settings, &facts).unwrap(), first);
    settings.immich.version = "v3.2.2".parse().unwrap();
    settings.images = BTreeMap::from([(Component::Redis, "docker.io/mine/valkey:10".parse().unwrap())]);
    let held = desire(&settings, &facts).unwrap();
    assert_eq!((&held.runs, &held.services), (&first.runs, &first.services));
    let wish = held.wish.unwrap();
    assert_eq!(wish.release.to_string(), "v3.2.2");
    assert_eq!(wish.written[&Component::Redis].to_string(), "docker.io/mine/valkey:10");
    // A catalogue that has forgotten it, and a new component.
    let mut old = first.runs;
    old.release = "v0.9.0".parse().unwrap();
    old.written.remove(&Component::Ml);
    let held = desire(&settings, &Facts { in_force: Some(old), ..bare() }).unwrap();
    assert_eq!(held.runs.release.to_string(), "v0.9.0");
    assert!(held.runs.written[&Component::Ml].to_string().ends_with(":v3.2.2"));
}

#[test]
fn a_wish_for_another_major_version_waits_for_an_operation_of_its_own() {
    let major = |number: u32| PostgresMajor::try_from(number).ok();
    let image = |tag: &str| format!("ghcr.io/immich-app/postgres:{tag}").parse::<ImageRef>().unwrap();
    let runs = desire(&empty(), &Facts { cluster: major(17), ..bare() }).unwrap().runs;
    let facts = Facts { in_force: Some(runs), cluster: major(17), ..bare() };
    let as_ever = desire(&empty(), &facts).unwrap();
    assert_eq!((&as_ever.wish, &as_ever.other_major), (&None, &None));
    for (written, named, key, wished) in [
        (18, None, "postgres.major", 18),
        (16, None, "postgres.major", 16),
        (17, Some("18-vectorchord1.1.1"), "images.postgres", 18),
        (18, Some("18-vectorchord1.1.1"), "postgres.major", 18),
    ] {
        let mut settings = empty();
        settings.postgres.major = major(written);
        settings.images.extend(named.map(|tag| (Component::Postgres, image(tag))));
        let mut held = desire(&settings, &facts).unwrap();
        let other = held.other_major.take().unwrap();
        assert_eq!((other.key, other.wished.get(), other.runs.get()), (key, wished, 17));
        // What runs goes on, mounts and all, and no upgrade to another release brings it along.
        assert_eq!(held, as_ever);
        let kept = photos_agent::stack::within_major(&settings, &facts);
        let next = desire(&kept, &Facts { in_force: None, ..facts.clone() }).unwrap();
        assert_eq!(next.runs.written[&Component::Postgres], as_ever.runs.written[&Component::Postgres]);
    }
    // Its own name for an image of the same major version is an ordinary wish.
    let mut settings = empty();
    settings.images.insert(Component::Postgres, image("17-mine"));
    let held = desire(&settings, &facts).unwrap();
    assert_eq!((held.other_major, held.wish.is_some()), (None, true));
}

/// A change of the settings or the facts, and words that the refusal has to contain.
type Refused = (fn(&mut Settings, &mut Facts), &'static [&'static str]);

#[test]
fn what_cannot_work_is_refused_with_the_way_out() {
    let cases: &[Refused] = &[
        (|s, _| s.immich.version = "v1.0.0".parse().unwrap(), &["immich.version", "v1.0.0", "v3.2.2"]),
        (
            |s, f| {
                s.postgres.major = PostgresMajor::try_from(16).ok();
                f.cluster = PostgresMajor::try_from(17).ok();
            },
            &["postgres.major", "16", "PG_VERSION", "17", "Remove"],
        ),
        (
            |s, f| {
                s.images.insert(Component::Postgres, "ghcr.io/immich-app/postgres:18-x".parse().unwrap());
                f.cluster = PostgresMajor::try_from(17).ok();
            },
            &["images.postgres", "18-x", "17"],
        ),
        (
            |s, _| {
                s.images.insert(Component::Postgres, "ghcr.io/immich-app/postgres:18-x".parse().unwrap());
                s.postgres.major = PostgresMajor::try_from(17).ok();
            },
            &["images.postgres", "18", "postgres.major", "17"],
        ),
        (|s, _| s.network.server_networks = vec!["photos".parse().unwrap()], &["server_networks", "photos"]),
        (|s, _| s.storage.ml_cache = "/var/lib/photos".parse().ok(), &["storage", "ml-cache", "ml_cache"]),
        (|s, _| s.storage.ml_cache = "/var/lib".parse().ok(), &["storage", "/var/lib/photos"]),
        (|s, _| s.storage.ml_cache = "/var/lib/photos/live/media/ml".parse().ok(), &["storage", "media"]),
        (|s, _| s.storage.ml_cache = "/var/lib/photos/.snapshots/ml".parse().ok(), &["storage", ".snapshots"]),
        (|s, _| s.storage.databases = "/var/lib/photos/live/media".parse().ok(), &["storage", "media"]),
        (|s, _| s.storage.root = "/var/lib/photos-agent/data".parse().unwrap(), &["storage", "/var/lib/photos-agent"]),
        (
            |s, _| drop(s.immich.environment.insert("A".parse().unwrap(), "x\n[Service]".to_owned())),
            &["A", "line breaks"],
        ),
    ];
    for (index, (change, words)) in cases.iter().enumerate() {
        let (mut settings, mut facts) = (empty(), bare());
        change(&mut settings, &mut facts);
        let refusal = desire(&settings, &facts).map(|_| ()).unwrap_err();
        let text = format!("{refusal} {}", refusal.remedy);
        assert!(words.iter().all(|word| text.contains(word)), "case {index}: {text}");
        assert!([&refusal.what, &refusal.why, &refusal.remedy].iter().all(|part| !part.is_empty()), "case {index}");
    }
}

fn path() -> impl Strategy<Value = photos_agent::model::HostPath> {
    r#"(/[a-zA-Z0-9 %$"'\\;#é._-]{1,12}){1,3}"#.prop_filter_map("not a path", |text| text.parse().ok())
}

proptest! {
    #[test]
    fn no_value_says_more_than_it_says(
        root in path(),
        environment in prop::collection::btree_map("[A-Z]{1,3}", r#"[ -~é%$"'\\;#\t]{0,16}"#, 0..4),
    ) {
        let mut settings = empty();
        settings.storage.root = root;
        let names = environment.iter().filter(|(name, _)| *name != "TZ");
        settings.immich.environment = names.map(|(name, value)| (name.parse().unwrap(), value.clone())).collect();
        let plain = desire(&empty(), &bare()).unwrap();
        let Ok(desired) = desire(&settings, &bare()) else {
            return Ok(());
        };
        for (file, plain) in desired.files.iter().zip(&plain.files) {
            let (Ok(read), Ok(plain)) = (File::parse(&file.text), File::parse(&plain.text)) else {
                let ending = file.path.as_path().extension().unwrap();
                prop_assert!(ending == "nft" || ending == "conf");
                continue;
            };
            // The same sections and keys in the same order, but for these two, which there may be more of.
            let keys = |file: &File| {
                let entries = file.sections().iter().flat_map(|section| {
                    section.entries().iter().map(|entry| (section.name().to_owned(), entry.key().to_owned()))
                });
                let counted = |key: &str| key == "Environment" || key == "RequiresMountsFor";
                entries.filter(|(_, key)| !counted(key)).collect::<Vec<_>>()
            };
            prop_assert_eq!(keys(&read), keys(&plain));
            if file.path.as_str().ends_with("immich-server.container") {
                let ours = plain.values("Container", "Environment").count();
                prop_assert_eq!(read.values("Container", "Environment").count(), ours + settings.immich.environment.len());
            }
        }
    }
}
