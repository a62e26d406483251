//! Looks at what a run has brought: what breaks off is put aside, so that the next run brings it again.
//!
//! Which files are new is told by the subvolume itself, in transactions: no clock, and no walk through a library of years.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::host::interrupt::Interrupt;
use crate::host::subvolume::{self, Identity};
use crate::icloud::whole::{Verdict, judge};
use crate::icloud::{IcloudError, failed};
use crate::model::AccountName;
use crate::record::{AccountRecord, Looked};

/// New files that are looked at after one run, at most.
const MOST: usize = 1_000_000;

/// Where what was put aside lies, beside the folders of accounts: in no library.
const ASIDE: &str = ".aside";

/// What icloudpd calls a file that it has not got whole.
const PART: &str = "part";

/// How often a file has to come with the same length until that is believed: it is broken at Apple, too.
const BELIEVED: u32 = 2;

/// What has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Arrived {
    /// Files that broke off.
    pub cut: u64,
    /// Bytes of those that did not.
    pub bytes: u64,
}

/// The moment up to which everything of the subvolume is known; to be asked for when all is on its disk.
pub(super) fn moment(subvolume: &Path) -> Result<Option<Looked>, IcloudError> {
    let identity = subvolume::identify(subvolume)?;
    Ok(identity.and_then(|found| Some(Looked { subvolume: found.uuid?, transaction: found.generation })))
}

/// Looks at all that is new in the account's folder of the subvolume. `torn`: whether the host may have gone down meanwhile,
/// so that of what is not known to be on the disk nothing is believed.
pub(super) fn look(
    subvolume: &Path,
    account: &AccountName,
    record: &AccountRecord,
    torn: bool,
    interrupt: &Interrupt,
) -> Result<Arrived, IcloudError> {
    let Some(identity) = subvolume::identify(subvolume)? else { return Ok(Arrived::default()) };
    let new = subvolume::made_since(subvolume, unseen(record.looked.as_ref(), &identity), MOST)?;
    let doubted: BTreeSet<PathBuf> = if torn {
        subvolume::made_since(subvolume, unsure(record.synced.as_ref(), &identity), MOST)?.into_iter().collect()
    } else {
        BTreeSet::new()
    };
    let mut arrived = Arrived::default();
    for path in new {
        if interrupt.has_come() {
            // Whoever looks next begins where this one did.
            return Err(IcloudError::Interrupted);
        }
        let Ok(inside) = path.strip_prefix(account.as_str()) else { continue };
        let whole = subvolume.join(&path);
        if is_hidden(inside) {
            continue;
        }
        // Left by a run that ended in the middle. icloudpd would go on behind what it has, and can do nothing any more with one
        // that lacks nothing but its name.
        if inside.extension().is_some_and(|extension| extension == PART) {
            fs::remove_file(&whole).map_err(failed("remove", &whole))?;
            continue;
        }
        let length = match fs::symlink_metadata(&whole) {
            Ok(file) if file.is_file() => file.len(),
            Ok(_) => continue,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(failed("look at", &whole)(error)),
        };
        let verdict =
            File::open(&whole).and_then(|mut file| judge(&mut file, length)).map_err(failed("read", &whole))?;
        let is_cut = verdict == Verdict::Cut || verdict == Verdict::Unknown && doubted.contains(&path);
        if is_cut && put_aside(subvolume, account, inside, &whole, length)? {
            arrived.cut += 1;
        } else {
            arrived.bytes += length;
        }
    }
    Ok(arrived)
}

/// Whether the tree that was looked at is another one than this: it went back, or moved, and lacks what came since.
pub(super) fn went_back(subvolume: &Path, looked: Option<&Looked>) -> Result<bool, IcloudError> {
    let Some(identity) = subvolume::identify(subvolume)? else { return Ok(false) };
    Ok(looked.is_some_and(|looked| !is_of(looked, &identity)))
}

fn is_of(looked: &Looked, identity: &Identity) -> bool {
    identity.uuid.as_ref() == Some(&looked.subvolume)
}

/// From which transaction on nobody has looked. What was seen in another tree says nothing of this one: it may be of a
/// moment before the look, with all that was cut off then.
fn unseen(looked: Option<&Looked>, identity: &Identity) -> u64 {
    match looked {
        Some(looked) if is_of(looked, identity) => looked.transaction,
        Some(_) => 0,
        None => identity.made_in,
    }
}

/// From which transaction on a power cut may have torn files. What lay in a tree when it was cloned was on the disk.
fn unsure(synced: Option<&Looked>, identity: &Identity) -> u64 {
    synced.filter(|synced| is_of(synced, identity)).map_or(identity.made_in, |synced| synced.transaction)
}

fn is_hidden(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str().to_string_lossy().starts_with('.'))
}

/// Whether it was put aside: one that comes again and again with the same length is left.
fn put_aside(
    subvolume: &Path,
    account: &AccountName,
    inside: &Path,
    whole: &Path,
    length: u64,
) -> Result<bool, IcloudError> {
    let base = subvolume.join(ASIDE).join(account.as_str()).join(inside);
    let (mut number, mut same) = (1_u32, 0);
    let place = loop {
        let mut name = base.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{number}"));
        let place = base.with_file_name(name);
        match fs::symlink_metadata(&place) {
            Ok(before) => same += u32::from(before.len() == length && length > 0),
            Err(_) => break place,
        }
        number += 1;
    };
    if same >= BELIEVED {
        return Ok(false);
    }
    let folder = place.parent().unwrap_or(subvolume);
    fs::create_dir_all(folder).map_err(failed("make the folder", folder))?;
    fs::rename(whole, &place).map_err(failed("put aside", whole))?;
    tracing::warn!(file = %whole.display(), kept = %place.display(), "a file came cut off and was put aside");
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_with_the_same_length_again_and_again_is_believed() {
        let folder = tempfile::tempdir().unwrap();
        let account = "anna".parse().unwrap();
        let picture = folder.path().join("anna/2026/a.JPG");
        fs::create_dir_all(picture.parent().unwrap()).unwrap();
        let mut again = |text: &str| {
            fs::write(&picture, text).unwrap();
            put_aside(folder.path(), &account, Path::new("2026/a.JPG"), &picture, text.len() as u64).unwrap()
        };
        assert_eq!(["abc", "abcd", "abc", "abc", "abcd"].map(&mut again), [true, true, true, false, true]);
        // Nothing at all is never a picture.
        assert_eq!(["", "", "", ""].map(&mut again), [true; 4]);
        let kept = fs::read_dir(folder.path().join(".aside/anna/2026")).unwrap().count();
        assert_eq!(kept, 8);
    }

    #[test]
    fn a_tree_that_went_back_is_looked_through_as_a_whole() {
        let uuid = |last: char| format!("00000000-0000-0000-0000-00000000000{last}").parse().ok();
        let identity =
            Identity { id: 300, uuid: uuid('1'), parent: uuid('2'), generation: 90, made_in: 50, read_only: false };
        let looked = |last| Some(Looked { subvolume: uuid(last).unwrap(), transaction: 70 });
        for (of, seen, sure) in [(looked('1'), 70, 70), (looked('2'), 0, 50), (None, 50, 50)] {
            assert_eq!(unseen(of.as_ref(), &identity), seen, "{of:?}");
            assert_eq!(unsure(of.as_ref(), &identity), sure, "{of:?}");
        }
    }

    #[test]
    fn the_agents_own_files_are_no_pictures() {
        for (path, hidden) in
            [(".photos-agent", true), ("2026/.x/a.JPG", true), ("2026/a.JPG", false), ("a.b.JPG", false)]
        {
            assert_eq!(is_hidden(Path::new(path)), hidden, "{path}");
        }
    }
}
