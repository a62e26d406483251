//! The file that says of a folder that it holds the photographs of an account.

use serde::{Deserialize, Serialize};

use super::{AccountName, PathOptions};

/// Its name in the account's folder. Hidden, so that neither icloudpd nor Immich takes it for a picture.
pub const SENTINEL: &str = ".photos-agent";

/// What it says: whose the folder is, and by which options its pictures lie where they lie. It lies with the pictures, so that
/// it goes back together with them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sentinel {
    /// Whose pictures these are.
    pub account: AccountName,
    /// How their paths are made.
    pub paths: PathOptions,
}

impl Sentinel {
    /// Its text.
    pub fn text(&self) -> String {
        // Words and names: nothing of it cannot be written.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// What such a text says; none where it is something else.
    pub fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::icloud::{AlignRaw, FileMatchPolicy, LivePhotoSize, MovFilenamePolicy, PhotoSize};

    #[test]
    fn it_says_what_was_written() {
        let sentinel = Sentinel {
            account: "anna".parse().unwrap(),
            paths: PathOptions {
                folder_structure: "{:%Y/%m}".parse().unwrap(),
                file_match_policy: FileMatchPolicy::NameId,
                keep_unicode_in_filenames: true,
                live_photo_mov_filename_policy: MovFilenamePolicy::Suffix,
                live_photo_size: LivePhotoSize::Original,
                size: vec![PhotoSize::Original],
                align_raw: AlignRaw::AsIs,
                timezone: "Europe/Oslo".parse().ok(),
            },
        };
        assert_eq!(Sentinel::read(&sentinel.text()), Some(sentinel));
        for bad in ["", "anna", "{}", "{\"account\":\"../x\"}"] {
            assert_eq!(Sentinel::read(bad), None, "{bad}");
        }
    }
}
