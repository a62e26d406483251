//! Where the pictures and the session of an account lie, and what is looked at there.

use std::path::PathBuf;

use crate::config::Account;
use crate::host::interrupt::Interrupt;
use crate::host::{Host, files, storage};
use crate::icloud::arrived::{self, Arrived};
use crate::icloud::{Cookies, IcloudError, failed, remember};
use crate::model::Refusal;
use crate::model::icloud::SENTINEL;
use crate::plan::sync as plan;
use crate::record::AccountRecord;
use crate::stack::DesiredAccount;

/// An account for the time of a run.
pub(super) struct Place<'a> {
    pub host: &'a Host,
    pub account: &'a Account,
    pub desired: &'a DesiredAccount,
    pub interrupt: Interrupt,
    pub cookies: Cookies,
    pub subvolume: PathBuf,
    photos: PathBuf,
}

impl<'a> Place<'a> {
    pub(super) fn new(host: &'a Host, account: &'a Account, desired: &'a DesiredAccount, interrupt: Interrupt) -> Self {
        let photos = host.root.join(desired.photos.as_path());
        let subvolume = photos.parent().map(PathBuf::from).unwrap_or_default();
        let cookies = Cookies::new(host.root.join(desired.cookies.as_path()), &account.apple_id);
        Self { host, account, desired, interrupt, cookies, subvolume, photos }
    }

    /// A folder that is not the right one would be filled with everything once more.
    pub(super) fn refuse_missing(&self) -> Result<(), IcloudError> {
        let what = format!("iCloud account {}", self.account.name);
        let no = |why: String, remedy: &str| Err(Refusal::new(what.clone(), why, remedy).into());
        if arrived::moment(&self.subvolume)?.is_none() {
            let why = format!("{} is not there, or no subvolume: is its disk mounted?", self.subvolume.display());
            return no(why, "photos-agent doctor");
        }
        if !files::is_there(&self.photos.join(SENTINEL))? {
            let why = format!("{} does not have the file {SENTINEL} that says whose it is", self.photos.display());
            return no(why, "photos-agent plan");
        }
        if !self.has_room()? {
            let why = format!("the disk of {} has less than {} MiB left", self.photos.display(), plan::ROOM >> 20);
            return no(why, "photos-agent snapshot prune, or free space otherwise");
        }
        Ok(())
    }

    pub(super) fn has_room(&self) -> Result<bool, IcloudError> {
        let space = storage::space(&self.subvolume)?;
        // Of a small disk, a twentieth.
        Ok(space.free >= plan::ROOM.min(space.total / 20))
    }

    /// Whether the tree is another one than was looked at.
    pub(super) fn went_back(&self, record: &AccountRecord) -> Result<bool, IcloudError> {
        arrived::went_back(&self.subvolume, record.looked.as_ref())
    }

    /// Brings all that came to the disk, and writes down up to where that is so.
    pub(super) async fn commit(&self) -> Result<(), IcloudError> {
        files::commit(&self.subvolume).await?;
        let synced = arrived::moment(&self.subvolume)?;
        remember(&self.host.root, &self.account.name, |record| record.synced = synced).await
    }

    /// Looks at what came since the last look, when all of it is on the disk. `torn`: see [`arrived::look`].
    pub(super) async fn look(&self, record: &AccountRecord, torn: bool) -> Result<Arrived, IcloudError> {
        files::commit(&self.subvolume).await?;
        let moment = arrived::moment(&self.subvolume)?;
        let (subvolume, name, before) = (self.subvolume.clone(), self.account.name.clone(), record.clone());
        let interrupt = self.interrupt.clone();
        let work = tokio::task::spawn_blocking(move || arrived::look(&subvolume, &name, &before, torn, &interrupt));
        let arrived = work.await.map_err(|error| failed("look through", &self.photos)(error.into()))??;
        files::commit(&self.subvolume).await?;
        remember(&self.host.root, &self.account.name, |record| {
            record.looked.clone_from(&moment);
            record.synced = moment;
        })
        .await?;
        Ok(arrived)
    }
}
