//! Accounts of iCloud as files: exactly these, and none that says more than the configuration does.

#![cfg(test)]

use photos_agent::config::{self, Settings, Source};
use photos_agent::model::{AccountName, ImageRef, UnitName};
use photos_agent::quadlet::{FLOOR, File, since};
use photos_agent::stack::{Desired, MARKER, desire, icloudpd};
use proptest::prelude::*;

use crate::stack::{bare, compare, empty, locked};

/// The settings of a configuration file.
pub fn settings(text: &str) -> Settings {
    let source = Source { path: "/etc/photos-agent/config.toml".into(), text: text.to_owned() };
    config::parse(&[source]).unwrap_or_else(|diagnostics| panic!("{text}\n{diagnostics}")).settings
}

/// One account, with defaults and with everything else.
pub const ACCOUNTS: &str = r#"
[storage]
root = "/mnt/My Photos 100%"

[immich]
timezone = "Europe/Oslo"

[[icloud.account]]
name = "anna"
apple_id = "anna@example.org"

[[icloud.account]]
name = "ben-2"
apple_id = "o'ben+$HOME%h@example.org"
schedule = "Sun *-*-* 02:30:00"
timezone = "Europe/Berlin"
domain = "cn"
library = ["PrimarySync", "SharedSync-0123"]
album = ["Ferien \"100%\" $HOME", "-x; é"]
recent = 500
skip_created_before = "2010-01-01"
skip_created_after = "30d"
skip_videos = true
skip_live_photos = true
live_photo_size = "medium"
size = ["original", "adjusted"]
force_size = true
align_raw = "original"
folder_structure = "{0:%Y}/my photos/{0:%m}"
file_match_policy = "name-size-dedup-with-suffix"
keep_unicode_in_filenames = true
live_photo_mov_filename_policy = "original"
xmp_sidecar = false
set_exif_datetime = true

[[icloud.account]]
name = "by-hand"
apple_id = "+4712345678"
schedule = "off"
"#;

fn wanted(text: &str) -> Desired {
    let settings = settings(text);
    desire(&settings, &locked(&settings)).unwrap()
}

fn text<'a>(desired: &'a Desired, end: &str) -> &'a str {
    &desired.files.iter().find(|file| file.path.as_str().ends_with(end)).unwrap_or_else(|| panic!("{end}")).text
}

#[test]
fn accounts_make_these_files() {
    compare("accounts", &wanted(ACCOUNTS));
}

#[test]
fn without_an_account_there_is_nothing_of_icloudpd() {
    let with = settings("");
    let desired = desire(&with, &locked(&with)).unwrap();
    assert_eq!(desired, desire(&empty(), &locked(&empty())).unwrap());
    assert!(desired.accounts.is_empty());
    assert!(!desired.files.iter().any(|file| file.path.as_str().contains("icloudpd@")));
    assert!(!desired.files.iter().any(|file| file.text.contains("53939")));
}

#[test]
fn its_image_is_no_part_of_the_release() {
    let desired = wanted(ACCOUNTS);
    assert_eq!(desired.wish, None);
    assert!(desired.runs.written.len() == 4, "{:?}", desired.runs);
    let named = "[images]\nicloudpd = \"docker.io/mine/icloudpd:2.0.0\"\n";
    let image: ImageRef = "docker.io/mine/icloudpd:2.0.0".parse().unwrap();
    let settings = settings(&format!("{ACCOUNTS}{named}"));
    let desired = desire(&settings, &bare()).unwrap();
    assert!(desired.accounts.iter().all(|account| account.image == image));
    assert_eq!(desired.wish, None);
}

#[test]
fn two_accounts_share_no_folder_and_no_name() {
    let desired = wanted(ACCOUNTS);
    let mut seen = std::collections::BTreeSet::new();
    for account in &desired.accounts {
        for what in [
            account.photos.to_string(),
            account.cookies.to_string(),
            account.good_cookies().unwrap().to_string(),
            icloudpd::container(&account.name),
            icloudpd::run_file(&account.name).to_string(),
        ] {
            assert!(seen.insert(what.clone()), "{what}");
        }
    }
    assert!(desired.accounts.iter().all(|account| account.hash.len() == 16));
}

#[test]
fn the_unit_is_shut_in() {
    let desired = wanted(ACCOUNTS);
    for account in &desired.accounts {
        let file = File::parse(text(&desired, &format!("/icloudpd@{}.container", account.name))).unwrap();
        let one = |section: &str, key: &str| {
            let values: Vec<_> = file.values(section, key).map(str::to_owned).collect();
            assert_eq!(values.len(), 1, "{key}: {values:?}");
            values[0].clone()
        };
        assert_eq!(one("Container", "Network"), "photos-egress.network");
        assert_eq!((one("Container", "User"), one("Container", "Group")), ("53939".to_owned(), "53939".to_owned()));
        assert_eq!(one("Container", "User"), icloudpd::UID.to_string());
        assert_eq!(one("Container", "ReadOnly"), "true");
        assert_eq!(one("Container", "DropCapability"), "all");
        assert_eq!(one("Container", "NoNewPrivileges"), "true");
        assert_eq!(file.values("Container", "AddCapability").count(), 0);
        assert_eq!(file.values("Container", "Volume").count(), 2);
        assert_eq!((one("Service", "MemoryMax"), one("Service", "CPUQuota")), ("1G".to_owned(), "100%".to_owned()));
        assert_eq!(
            (one("Service", "Type"), one("Service", "TimeoutStartSec")),
            ("oneshot".to_owned(), "24h".to_owned())
        );
        assert_eq!(one("Service", "Slice"), "photos.slice");
        assert_eq!(one("Unit", "PartOf"), "photos.target");
        assert_eq!(file.values("Service", "Restart").count(), 0);
        assert_eq!(file.values("Unit", "ConditionPathExists").count(), 3);
    }
}

#[test]
fn the_timer_goes_by_the_clocks_of_the_account() {
    let desired = wanted(ACCOUNTS);
    assert!(text(&desired, "/icloudpd@anna.timer").contains("OnCalendar=*-*-01 03:00:00 Europe/Oslo\n"));
    assert!(text(&desired, "/icloudpd@ben-2.timer").contains("OnCalendar=Sun *-*-* 02:30:00 Europe/Berlin\n"));
    assert!(text(&desired, "/icloudpd@ben-2.timer").contains("Unit=photos-icloud@%i.service\n"));
    assert!(!desired.files.iter().any(|file| file.path.as_str().ends_with("by-hand.timer")));
    let timers: Vec<_> = desired.timers.iter().map(UnitName::as_str).collect();
    assert_eq!(timers[..2], ["icloudpd@anna.timer", "icloudpd@ben-2.timer"]);
    // Without a zone anywhere, the host's own.
    let plain = wanted("[[icloud.account]]\nname = \"anna\"\napple_id = \"a@b.org\"\n");
    assert!(text(&plain, "/icloudpd@anna.timer").contains("OnCalendar=*-*-01 03:00:00\n"));
    let unit = text(&plain, "/icloudpd@anna.container");
    assert!(unit.contains("Timezone=local\n") && unit.contains("Environment=TZ=:/etc/localtime\n"), "{unit}");
}

#[test]
fn an_icloudpd_of_a_catalogue_file_may_not_be_older_either() {
    let sources = [
        Source { path: "/etc/photos-agent/config.toml".into(), text: ACCOUNTS.to_owned() },
        Source {
            path: "/etc/photos-agent/config.d/mine.catalogue.toml".into(),
            text: "[[release]]\nversion = \"v3.2.2\"\nimages.icloudpd = \"docker.io/icloudpd/icloudpd:1.30.0\"\n"
                .into(),
        },
    ];
    let settings = config::parse(&sources).unwrap().settings;
    let refusal = desire(&settings, &bare()).unwrap_err();
    assert_eq!(refusal.what, "images.icloudpd");
    assert!(refusal.to_string().contains("1.30.0 is older than 1.32.3"), "{refusal}");
}

/// The words of an `Exec=`, as quadlet and then systemd read them.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted, mut any) = (Vec::new(), String::new(), false, false);
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        match c {
            '"' => (quoted, any) = (!quoted, true),
            '\\' if quoted => word.extend(characters.next().map(|c| if c == 't' { '\t' } else { c })),
            ' ' if !quoted => {
                if any {
                    words.push(std::mem::take(&mut word));
                }
                any = false;
            }
            _ => {
                word.push(c);
                any = true;
            }
        }
    }
    if any {
        words.push(word);
    }
    words.into_iter().map(|word| word.replace("%%", "%").replace("$$", "$")).collect()
}

proptest! {
    #[test]
    fn no_value_becomes_another_option(
        album in "[ -~é]{1,20}[a-z]",
        structure in prop::sample::select(vec!["{:%Y/%m}", "none", "a b/{:%Y}", "{0:%Y}-$X/{0:%m \"x\"}"]),
    ) {
        prop_assume!(!album.trim().is_empty());
        let toml = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let account = format!(
            "[[icloud.account]]\nname = \"anna\"\napple_id = \"a@b.org\"\nalbum = [{}]\nfolder_structure = {}\n",
            toml(&album), toml(structure)
        );
        let desired = wanted(&account);
        let file = File::parse(text(&desired, "/icloudpd@anna.container")).unwrap();
        let exec: Vec<String> = file.values("Container", "Exec").flat_map(words).collect();
        prop_assert_eq!(&exec[..2], ["icloudpd", "$ICLOUDPD_OPTIONS"]);
        let said = format!("--album={album}");
        prop_assert!(exec.contains(&said), "{:?}", exec);
        let said = format!("--folder-structure={structure}");
        prop_assert!(exec.contains(&said), "{:?}", exec);
        prop_assert!(exec.iter().skip(2).all(|word| word.starts_with("--") || word == "a@b.org"));
        prop_assert!(!exec.iter().any(|word| word.contains("delete") && !word.starts_with("--album=")));
    }
}

#[test]
fn no_key_is_newer_than_the_oldest_podman() {
    for file in wanted(ACCOUNTS).files {
        assert!(file.text.starts_with(MARKER), "{}", file.path);
        if !file.path.as_str().ends_with(".container") {
            continue;
        }
        for section in File::parse(&file.text).unwrap().sections() {
            for entry in section.entries().iter().filter(|_| section.name() == "Container") {
                let since = since("Container", entry.key());
                assert!(since.is_some_and(|since| since <= FLOOR), "{}: {}", file.path, entry.key());
            }
        }
    }
}

#[test]
fn units_are_named_after_the_account() {
    let anna: AccountName = "anna".parse().unwrap();
    assert_eq!(icloudpd::run_unit(&anna).as_str(), "icloudpd@anna.service");
    assert_eq!(icloudpd::sync_unit(&anna).as_str(), "photos-icloud@anna.service");
}
