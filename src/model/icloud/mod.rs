//! The nouns of iCloud: accounts, and what icloudpd can be told of one.
//!
//! Each of these reaches icloudpd's argument list, a unit name or a folder, so each holds only what is right there.

mod choice;
mod folder;
mod image;
mod missing;
mod name;
mod paths;
mod result;
mod sentinel;

pub use choice::{AlignRaw, Domain, FileMatchPolicy, LivePhotoSize, MovFilenamePolicy, PhotoSize};
pub use folder::FolderStructure;
pub use image::{OLDEST_ICLOUDPD, icloudpd_is_too_old};
pub use missing::{MaxMissing, Share};
pub use name::{AccountName, AlbumName, AppleId, CreatedBound, EmailAddress, LibraryName};
pub use paths::PathOptions;
pub use result::{Mends, SyncCounts, SyncResult};
pub use sentinel::{SENTINEL, Sentinel};
