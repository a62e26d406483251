//! The options of an account that decide at which path a picture lies.

use serde::{Deserialize, Serialize};

use super::{AlignRaw, FileMatchPolicy, FolderStructure, LivePhotoSize, MovFilenamePolicy, PhotoSize};
use crate::model::TimeZone;

/// All that icloudpd computes a path from. Where one of these changes, every picture comes down again at another path, and
/// Immich takes it for a new one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathOptions {
    /// Folders by date.
    pub folder_structure: FolderStructure,
    /// File names.
    pub file_match_policy: FileMatchPolicy,
    /// Whether letters beyond ASCII stay in file names.
    pub keep_unicode_in_filenames: bool,
    /// The name of a live photo's video.
    pub live_photo_mov_filename_policy: MovFilenamePolicy,
    /// The version of a live photo's video, which others than the original have in their names.
    pub live_photo_size: LivePhotoSize,
    /// The versions of pictures, likewise.
    pub size: Vec<PhotoSize>,
    /// Which of a RAW and JPEG pair has the plain name.
    pub align_raw: AlignRaw,
    /// In which zone a picture has its date; none: the host's own.
    pub timezone: Option<TimeZone>,
}

impl PathOptions {
    /// The keys, as the configuration has them, in which `other` says something else.
    pub fn changed(&self, other: &Self) -> Vec<&'static str> {
        let differ = [
            ("folder_structure", self.folder_structure != other.folder_structure),
            ("file_match_policy", self.file_match_policy != other.file_match_policy),
            ("keep_unicode_in_filenames", self.keep_unicode_in_filenames != other.keep_unicode_in_filenames),
            (
                "live_photo_mov_filename_policy",
                self.live_photo_mov_filename_policy != other.live_photo_mov_filename_policy,
            ),
            ("live_photo_size", self.live_photo_size != other.live_photo_size),
            ("size", self.size != other.size),
            ("align_raw", self.align_raw != other.align_raw),
            ("timezone", self.timezone != other.timezone),
        ];
        differ.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_is_named() {
        let before = PathOptions {
            folder_structure: "{:%Y/%m}".parse().unwrap(),
            file_match_policy: FileMatchPolicy::NameId,
            keep_unicode_in_filenames: false,
            live_photo_mov_filename_policy: MovFilenamePolicy::Suffix,
            live_photo_size: LivePhotoSize::Original,
            size: vec![PhotoSize::Original],
            align_raw: AlignRaw::AsIs,
            timezone: None,
        };
        assert_eq!(before.changed(&before), [""; 0]);
        let after = PathOptions {
            folder_structure: "none".parse().unwrap(),
            size: vec![PhotoSize::Original, PhotoSize::Adjusted],
            timezone: "Europe/Oslo".parse().ok(),
            ..before.clone()
        };
        assert_eq!(before.changed(&after), ["folder_structure", "size", "timezone"]);
        let record = serde_json::to_string(&after).unwrap();
        assert_eq!(serde_json::from_str::<PathOptions>(&record).unwrap(), after);
    }
}
