//! Keys of iCloud: those of all accounts, and those of each, by icloudpd's own names where it has one.

use super::{Key, Kind};
use crate::config::value::Value;
use crate::model::icloud::{AlignRaw, Domain, FileMatchPolicy, LivePhotoSize, MovFilenamePolicy, PhotoSize};

/// The section of each account, which a file may have several of.
pub(in crate::config) const ACCOUNT: &str = "icloud.account";

/// The key of an account that says which it is.
pub(in crate::config) const NAME: &str = "name";

pub(super) fn keys() -> Vec<Key> {
    let mut keys = of_all().to_vec();
    keys.extend(who_and_when());
    keys.extend(what());
    keys.extend(how());
    keys
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn of_all() -> [Key; 2] {
    let key = |name: &str, kind, default, about: &str| Key {
        path: format!("icloud.{name}"),
        kind,
        default: Some(default),
        unset: "",
        about: about.to_owned(),
    };
    [
        key(
            "max_missing",
            Kind::Share,
            Value::Text("1%".to_owned()),
            "The share of the files known to Immich that may be missing, or it is not told to look at them.",
        ),
        key(
            "max_missing_files",
            Kind::Count,
            Value::Integer(10),
            "How many may be missing in any case, for small libraries.",
        ),
    ]
}

fn account(name: &str, kind: Kind, default: Option<Value>, unset: &'static str, about: &str) -> Key {
    Key { path: format!("{ACCOUNT}.{name}"), kind, default, unset, about: about.to_owned() }
}

/// Whose pictures, and when.
fn who_and_when() -> [Key; 6] {
    [
        account(NAME, Kind::Account, None, "refused", "What the account is called here: letters, digits and `-`."),
        account("apple_id", Kind::AppleId, None, "refused", "The Apple ID, an e-mail address."),
        account(
            "schedule",
            Kind::Schedule,
            Some(text("*-*-01 03:00:00")),
            "",
            "When pictures are downloaded: a calendar expression of systemd, or \"off\".",
        ),
        account(
            "timezone",
            Kind::TimeZone,
            None,
            "that of immich.timezone, else the host's own",
            "The time zone of the schedule, and of the dates in folders.",
        ),
        account(
            "domain",
            Kind::Word(Domain::WORDS),
            Some(text("com")),
            "",
            "Apple's service: \"com\", or \"cn\" for accounts of mainland China.",
        ),
        account(
            "library_owner",
            Kind::Email,
            None,
            "the first admin",
            "The e-mail address of the user in Immich to whom the pictures belong.",
        ),
    ]
}

/// Which pictures.
fn what() -> [Key; 10] {
    let list = |items: &[&str]| Some(Value::List(items.iter().map(|item| (*item).to_owned()).collect()));
    let switch = |name, about| account(name, Kind::Switch, Some(Value::Boolean(false)), "", about);
    [
        account(
            "library",
            Kind::Libraries,
            list(&["PrimarySync"]),
            "",
            "The libraries at Apple: the account's own, and shared ones by their names.",
        ),
        account("album", Kind::Albums, list(&[]), "", "Only these albums; an empty list is everything."),
        account("recent", Kind::Number(1), None, "all", "Only so many of the newest pictures."),
        account(
            "until_found",
            Kind::Number(0),
            Some(Value::Integer(50)),
            "",
            "A run ends after so many pictures in a row that are there already; 0 is never.",
        ),
        account("skip_created_before", Kind::Created, None, "all", "Only pictures taken from this day on."),
        account("skip_created_after", Kind::Created, None, "all", "Only pictures taken up to this day."),
        switch("skip_videos", "Whether videos are left out."),
        switch("skip_photos", "Whether photos are left out."),
        switch("skip_live_photos", "Whether the videos of live photos are left out."),
        account(
            "live_photo_size",
            Kind::Word(LivePhotoSize::WORDS),
            Some(text("original")),
            "",
            "Which version of the video of a live photo: \"original\", \"medium\" or \"thumb\".",
        ),
    ]
}

/// In which form.
fn how() -> [Key; 9] {
    let switch = |name, on, about| account(name, Kind::Switch, Some(Value::Boolean(on)), "", about);
    [
        account(
            "size",
            Kind::Words(PhotoSize::WORDS),
            Some(Value::List(vec!["original".to_owned()])),
            "",
            "Which versions of a picture: \"original\", \"adjusted\" as edited, \"alternative\", \"medium\", \"thumb\".",
        ),
        switch(
            "force_size",
            false,
            "Whether a picture without such a version is left out rather than taken as original.",
        ),
        account(
            "align_raw",
            Kind::Word(AlignRaw::WORDS),
            Some(text("as-is")),
            "",
            "Which of a RAW and JPEG pair is the original: \"as-is\", \"original\" for RAW, \"alternative\" for JPEG.",
        ),
        account(
            "folder_structure",
            Kind::Folders,
            Some(text("{:%Y/%m}")),
            "",
            "Folders by date, as icloudpd takes them, or \"none\".",
        ),
        account(
            "file_match_policy",
            Kind::Word(FileMatchPolicy::WORDS),
            Some(text("name-id7")),
            "",
            "How files are told apart: \"name-id7\", or \"name-size-dedup-with-suffix\".",
        ),
        switch("keep_unicode_in_filenames", false, "Whether letters beyond ASCII stay in the names of files."),
        account(
            "live_photo_mov_filename_policy",
            Kind::Word(MovFilenamePolicy::WORDS),
            Some(text("suffix")),
            "",
            "How the video of a live photo is named: \"suffix\" (IMG_1_HEVC.MOV) or \"original\" (IMG_1.MOV).",
        ),
        switch("xmp_sidecar", true, "Whether captions, keywords and places are written to a file beside each picture."),
        switch(
            "set_exif_datetime",
            false,
            "Whether a missing date is written into the file, which then comes down again as another one.",
        ),
    ]
}

/// Options of icloudpd that no account has, and why not.
const REFUSED: &[(&[&str], &str)] = &[
    (
        &["auto_delete"],
        "it deletes files here by their names when something of that name is deleted at Apple; nothing deletes here",
    ),
    (
        &["delete_after_download", "keep_icloud_recent_days"],
        "it deletes pictures at Apple, where they may be the last copy; nothing deletes there",
    ),
    (&["directory", "cookie_directory"], "photographs and cookies of an account have their places below storage.root"),
    (&["username"], "write the Apple ID as `apple_id`"),
    (&["password"], "it never stands in a file: `photos-agent icloud login NAME` asks for it"),
    (
        &["password_provider", "mfa_provider"],
        "`photos-agent icloud login NAME` signs in, and asks for password and code",
    ),
    (&["watch_with_interval"], "write when as `schedule`"),
    (
        &[
            "smtp_username",
            "smtp_password",
            "smtp_host",
            "smtp_port",
            "smtp_no_tls",
            "notification_email",
            "notification_email_from",
            "notification_script",
        ],
        "who is told, and how, stands in [notify]",
    ),
    (
        &[
            "auth_only",
            "dry_run",
            "list_albums",
            "list_libraries",
            "only_print_filenames",
            "log_level",
            "no_progress_bar",
            "threads_num",
            "use_os_locale",
        ],
        "photos-agent runs icloudpd itself and reads what it says",
    ),
];

/// Why an option of icloudpd is none of an account's, if this is one. It may be written in icloudpd's own way.
pub(in crate::config) fn refused(name: &str) -> Option<&'static str> {
    let name = name.trim_start_matches('-').replace('-', "_");
    REFUSED.iter().find(|(names, _)| names.contains(&name.as_str())).map(|(_, why)| *why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_no_key() {
        for name in REFUSED.iter().flat_map(|(names, _)| *names) {
            assert!(super::super::find(&format!("{ACCOUNT}.{name}")).is_none(), "{name}");
        }
        assert_eq!(refused("--auto-delete"), refused("auto_delete"));
        assert!(refused("auto_delete").is_some() && refused("recent").is_none());
    }
}
