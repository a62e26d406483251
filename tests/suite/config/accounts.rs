//! `[[icloud.account]]`: what an account is with nothing but its name, and what is said of one that is wrong.

use photos_agent::config::Account;
use photos_agent::model::icloud::{FileMatchPolicy, LibraryName, PhotoSize};

use super::{loaded, refused};

const ANNA: &str = "[[icloud.account]]\nname = \"anna\"\napple_id = \"anna@example.org\"\n";
const BEN: &str = "[[icloud.account]]\nname = \"ben\"\napple_id = \"ben@example.org\"\n";

fn anna(more: &str) -> Account {
    loaded(&[&format!("{ANNA}{more}")]).settings.icloud.accounts.remove(0)
}

#[test]
fn without_an_account_there_is_none() {
    let icloud = loaded(&[""]).settings.icloud;
    assert!(icloud.accounts.is_empty());
    assert_eq!(icloud.max_missing.to_string(), "1% or 10 files, whichever is more");
}

#[test]
fn a_name_and_an_apple_id_are_enough() {
    let account = anna("");
    assert_eq!(account.schedule.as_ref().unwrap().as_str(), "*-*-01 03:00:00");
    assert_eq!(account.paths.folder_structure.as_str(), "{:%Y/%m}");
    assert_eq!((account.until_found, account.recent), (50, None));
    assert_eq!((account.xmp_sidecar, account.set_exif_datetime), (true, false));
    assert_eq!(account.paths.file_match_policy, FileMatchPolicy::NameId);
    assert_eq!(account.paths.size, [PhotoSize::Original]);
    assert_eq!(account.library.iter().map(LibraryName::as_str).collect::<Vec<_>>(), ["PrimarySync"]);
    assert_eq!(account.paths.timezone, None);
}

#[test]
fn its_time_zone_is_its_own_else_the_servers() {
    let of = |text: &str| loaded(&[text]).settings.icloud.accounts.remove(0).paths.timezone.map(String::from);
    let server = "[immich]\ntimezone = \"Europe/Oslo\"\n";
    assert_eq!(of(&format!("{server}{ANNA}")).as_deref(), Some("Europe/Oslo"));
    assert_eq!(of(&format!("{server}{ANNA}timezone = \"Asia/Tokyo\"")).as_deref(), Some("Asia/Tokyo"));
}

#[test]
fn accounts_of_all_files_count_in_their_order() {
    let all = loaded(&[BEN, ANNA]);
    let names: Vec<_> = all.settings.icloud.accounts.iter().map(|account| account.name.as_str()).collect();
    assert_eq!(names, ["ben", "anna"]);
    let shown = all.show(true);
    assert!(shown.contains("[[icloud.account]]\nname = \"ben\" # /etc/photos-agent/config.toml:2\n"), "{shown}");
    assert!(shown.contains("apple_id = \"anna@example.org\" # /etc/photos-agent/config.d/1.toml:3\n"), "{shown}");
    assert!(shown.contains("until_found = 50 # default\n"), "{shown}");
    assert_eq!(loaded(&[&shown]).settings, all.settings);
}

#[test]
fn an_account_twice() {
    insta::assert_snapshot!(refused(&[&format!("{ANNA}{ANNA}")]), @r#"
    /etc/photos-agent/config.toml:5:8: bad value for `icloud.account.name`
      5 | name = "anna"
        |        ^^^^^^
      expected each account once, found "anna"
      give one of them another name, or put both together
    "#);
    insta::assert_snapshot!(refused(&[ANNA, ANNA]), @r#"
    /etc/photos-agent/config.d/1.toml:2:8: bad value for `icloud.account.name`
      2 | name = "anna"
        |        ^^^^^^
      expected each account once, found "anna"
      give one of them another name, or put both together
    "#);
}

#[test]
fn an_account_that_says_too_little() {
    insta::assert_snapshot!(refused(&["[[icloud.account]]\napple_id = \"anna@example.org\"\nrecent = 0\n"]), @r#"
    /etc/photos-agent/config.toml:1:1: an account without a name
      1 | [[icloud.account]]
        | ^^^^^^^^^^^^^^^^^^
      expected name = "..." in each [[icloud.account]]

    /etc/photos-agent/config.toml:3:10: bad value for `icloud.account.recent`
      3 | recent = 0
        |          ^
      expected a number from 1 to 10000000, found 0
    "#);
    insta::assert_snapshot!(refused(&["[icloud]\n\n[[icloud.account]]\nname = \"anna\"\n"]), @r#"
    /etc/photos-agent/config.toml:4:8: no value for `icloud.account.anna.apple_id`
      4 | name = "anna"
        |        ^^^^^^
      add it to the account: apple_id = "anna@example.org"
    "#);
}

#[test]
fn an_account_as_a_table() {
    insta::assert_snapshot!(refused(&["[icloud.account]\nname = \"anna\"\n"]), @r#"
    /etc/photos-agent/config.toml:1:1: wrong type for `icloud.account`
      1 | [icloud.account]
        | ^^^^^^^^^^^^^^^^
      expected a list of tables, found a table
      write it like this, once for each account: [[icloud.account]]
    "#);
}

#[test]
fn a_name_or_an_apple_id_that_is_none() {
    insta::assert_snapshot!(refused(&["[[icloud.account]]\nname = \"Anna B\"\napple_id = \"anna\"\n"]), @r#"
    /etc/photos-agent/config.toml:2:8: bad value for `icloud.account.name`
      2 | name = "Anna B"
        |        ^^^^^^^^
      expected a short name of your choice: lower-case letters, digits and `-`, first a letter, at most 32, found "Anna B"

    /etc/photos-agent/config.toml:3:12: bad value for `icloud.account.apple_id`
      3 | apple_id = "anna"
        |            ^^^^^^
      expected an Apple ID: an e-mail address, or a telephone number with its country code, found "anna"
    "#);
}

#[test]
fn options_that_delete_do_not_exist() {
    insta::assert_snapshot!(
        refused(&[&format!("{ANNA}auto_delete = true\nkeep_icloud_recent_days = 30\n\"--delete-after-download\" = true\n")]),
        @r#"
    /etc/photos-agent/config.toml:4:1: not an option `icloud.account.anna.auto_delete`
      4 | auto_delete = true
        | ^^^^^^^^^^^
      it deletes files here by their names when something of that name is deleted at Apple; nothing deletes here

    /etc/photos-agent/config.toml:5:1: not an option `icloud.account.anna.keep_icloud_recent_days`
      5 | keep_icloud_recent_days = 30
        | ^^^^^^^^^^^^^^^^^^^^^^^
      it deletes pictures at Apple, where they may be the last copy; nothing deletes there

    /etc/photos-agent/config.toml:6:1: not an option `icloud.account.anna.--delete-after-download`
      6 | "--delete-after-download" = true
        | ^^^^^^^^^^^^^^^^^^^^^^^^^
      it deletes pictures at Apple, where they may be the last copy; nothing deletes there
    "#
    );
}

#[test]
fn a_password_is_not_shown() {
    let report = refused(&[&format!("{ANNA}password = \"open-sesame\"\n")]).to_string();
    assert!(!report.contains("sesame") && report.contains("photos-agent icloud login NAME"), "{report}");
}

#[test]
fn a_misspelt_option_and_a_misspelt_word() {
    insta::assert_snapshot!(refused(&[&format!("{ANNA}folder_stucture = \"none\"\nalign_raw = \"orginal\"\n")]), @r#"
    /etc/photos-agent/config.toml:4:1: unknown key `icloud.account.folder_stucture`
      4 | folder_stucture = "none"
        | ^^^^^^^^^^^^^^^
      expected one of: album, align_raw, apple_id, domain, file_match_policy, folder_structure, force_size, keep_unicode_in_filenames, library, library_owner, live_photo_mov_filename_policy, live_photo_size, name, recent, schedule, set_exif_datetime, size, skip_created_after, skip_created_before, skip_live_photos, skip_photos, skip_videos, timezone, until_found, xmp_sidecar
      did you mean `folder_structure`?

    /etc/photos-agent/config.toml:5:13: bad value for `icloud.account.anna.align_raw`
      5 | align_raw = "orginal"
        |             ^^^^^^^^^
      expected one of: "as-is", "original", "alternative", found "orginal"
      did you mean "original"?
    "#);
}

#[test]
fn folders_that_lead_elsewhere_or_that_icloudpd_cannot_make() {
    for (bad, why) in [
        ("../{:%Y}", "hidden, or lead elsewhere"),
        ("/{:%Y}", "without a `/` at the start"),
        ("{:%Y}/{:%m}", "{0:%Y}/{0:%m}"),
        ("%Y/%m", "outside of a `{:...}`"),
        ("{:%Q}", "one of the letters"),
    ] {
        let report = refused(&[&format!("{ANNA}folder_structure = \"{bad}\"\n")]).to_string();
        assert!(report.contains(why) && report.contains("config.toml:4:20"), "{report}");
    }
}

#[test]
fn a_schedule_with_a_zone_of_its_own() {
    insta::assert_snapshot!(refused(&[&format!("{ANNA}schedule = \"daily Europe/Oslo\"\n")]), @r#"
    /etc/photos-agent/config.toml:4:12: bad value for `icloud.account.anna.schedule`
      4 | schedule = "daily Europe/Oslo"
        |            ^^^^^^^^^^^^^^^^^^^
      expected a calendar expression without a time zone
      write it as a key of its own: timezone = "Europe/Oslo"
    "#);
    assert_eq!(anna("schedule = \"off\"\n").schedule, None);
}

#[test]
fn nothing_to_download() {
    insta::assert_snapshot!(refused(&[&format!("{ANNA}skip_videos = true\nskip_photos = true\n")]), @r#"
    /etc/photos-agent/config.toml:5:15: bad value for `icloud.account.anna.skip_photos`
      5 | skip_photos = true
        |               ^^^^
      expected not both `skip_videos` and `skip_photos`
      to download nothing: schedule = "off"
    "#);
}

#[test]
fn lists_and_numbers() {
    for (bad, why) in [
        ("recent = 0", "a number from 1"),
        ("until_found = -1", "a number from 0"),
        ("size = []", "at least one"),
        ("size = [\"original\", \"original\"]", "each of them once"),
        ("size = [\"small\"]", "one of: \"original\""),
        ("album = [\"\"]", "the name of an album"),
        ("library = \"PrimarySync\"", "a list of strings"),
        ("skip_created_before = \"yesterday\"", "a number of days ago"),
        ("skip_created_before = 2024-01-01", "a string"),
        ("xmp_sidecar = \"yes\"", "a boolean"),
    ] {
        let report = refused(&[&format!("{ANNA}{bad}\n")]).to_string();
        assert!(report.contains(why) && report.contains("config.toml:4:"), "{report}");
    }
    assert_eq!(anna("until_found = 0\n").until_found, 0);
    assert_eq!(anna("album = [\"Ferien\", \"-x\"]\n").album.len(), 2);
}

#[test]
fn an_icloudpd_that_apple_has_left_behind() {
    insta::assert_snapshot!(refused(&["[images]\nicloudpd = \"docker.io/icloudpd/icloudpd:1.32.2\"\n"]), @r#"
    /etc/photos-agent/config.toml:2:12: bad value for `images.icloudpd`
      2 | icloudpd = "docker.io/icloudpd/icloudpd:1.32.2"
        |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      expected icloudpd 1.32.3 or newer, found "docker.io/icloudpd/icloudpd:1.32.2"
      Apple has changed how a code is asked for, and older ones get none
    "#);
    loaded(&["[images]\nicloudpd = \"docker.io/icloudpd/icloudpd:1.33.0\"\n"]);
}

#[test]
fn how_much_may_be_missing() {
    let max = loaded(&["[icloud]\nmax_missing = \"0.5%\"\nmax_missing_files = 3\n"]).settings.icloud.max_missing;
    assert_eq!(max.of(10_000), 50);
    assert!(refused(&["[icloud]\nmax_missing = \"5\"\n"]).to_string().contains("a share from 0% to 100%"));
}
