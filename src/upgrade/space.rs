//! What an upgrade takes on the disks, as far as that can be known before it.

use std::path::PathBuf;

use serde::Serialize;

use crate::apply::ApplyError;
use crate::config::Settings;
use crate::host::storage::{self, Space};
use crate::host::{Host, size};
use crate::model::{HostPath, Refusal};
use crate::snapshot;
use crate::stack::{self, Disk};

/// Bytes that are needed, and where they would lie.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Needs {
    /// What the database takes: as much has its dump, about, and as much may a snapshot of it grow to, as it is written
    /// anew. None where it cannot be read.
    pub database: Option<u64>,
    /// What the images take that are not in Podman's store yet: an estimate, since nobody tells before the pull.
    pub images: u64,
    /// Where images lie.
    pub image_folder: Option<PathBuf>,
    /// What is free there.
    pub free_for_images: Option<Space>,
    /// Where the photographs lie.
    pub storage: Option<HostPath>,
    /// What is free there.
    pub free_for_data: Option<Space>,
}

/// Measures. What cannot be measured is left out.
pub(super) async fn measure(host: &Host, settings: &Settings, images: u64) -> Needs {
    let cluster = stack::cluster_versions(settings).into_iter().map(|version| host.root.join(version.as_path()));
    let folder = cluster.filter(|version| version.is_file()).find_map(|version| Some(version.parent()?.join("base")));
    let database = match folder {
        Some(folder) => size::size_below(folder).await.ok(),
        None => None,
    };
    // Podman's own folder is the host's, wherever the other files are looked up.
    let image_folder = host.podman.image_folder().await.ok();
    let storage = settings.storage.root.clone();
    Needs {
        database,
        images,
        free_for_images: image_folder.as_deref().and_then(|folder| storage::space(folder).ok()),
        image_folder,
        free_for_data: storage::space(&host.root.join(storage.as_path())).ok(),
        storage: Some(storage),
    }
}

impl Needs {
    /// What may turn out to be too little. An estimate refuses nothing: what does not fit is noticed while the old
    /// version runs.
    pub(super) fn concerns(&self) -> Vec<Refusal> {
        let short = |free: Option<Space>, needs: u64| free.filter(|free| free.free < needs);
        let images = self.image_folder.as_ref().zip(short(self.free_for_images, self.images)).map(|(folder, free)| {
            let why = format!("has {free}, and the images may take {} GiB", self.images.div_ceil(1 << 30));
            Refusal::new(folder.display().to_string(), why, "podman image prune, or free space otherwise")
        });
        let dump = self.storage.as_ref().zip(short(self.free_for_data, self.database.unwrap_or(0)));
        let dump = dump.map(|(storage, free)| {
            let why = format!("has {free}, and a dump of the database may take as much as the database");
            Refusal::new(storage.to_string(), why, "photos-agent snapshot prune, or free space otherwise")
        });
        images.into_iter().chain(dump).collect()
    }
}

/// Refuses where there is no room for the snapshot that every hop begins with.
pub(super) fn refuse_full(host: &Host, disks: &[Disk]) -> Result<Vec<Refusal>, ApplyError> {
    match snapshot::refuse_full(&host.root, disks) {
        Ok(()) => Ok(Vec::new()),
        Err(ApplyError::Refused(refusals)) => Ok(refusals),
        Err(error) => Err(error),
    }
}
