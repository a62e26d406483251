//! images.lock: which release runs with which images, and which digest a tag meant when it was pulled.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::model::{Digest, ImageRef, InForce, Root};
use crate::record::{RecordError, SCHEMA, read, state, write};

/// What runs, and tags with their digests. But for an upgrade, a tag in it is never asked for again, so a re-pushed one
/// changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageLock {
    path: PathBuf,
    in_force: Option<InForce>,
    images: BTreeMap<ImageRef, Digest>,
}

#[derive(Serialize, Deserialize)]
struct File {
    schema: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    in_force: Option<InForce>,
    images: BTreeMap<ImageRef, Digest>,
}

impl ImageLock {
    /// Reads the lock file; an empty lock where there is none.
    pub fn read(root: &Root) -> Result<Self, RecordError> {
        let path = state(root, "images.lock");
        let (in_force, images) = read::<File>(&path)?.map(|file| (file.in_force, file.images)).unwrap_or_default();
        Ok(Self { path, in_force, images })
    }

    /// The locked tags.
    pub const fn images(&self) -> &BTreeMap<ImageRef, Digest> {
        &self.images
    }

    /// Locks `image` to `digest`, durable on return.
    pub fn add(&mut self, image: ImageRef, digest: Digest) -> Result<(), RecordError> {
        self.images.insert(image, digest);
        self.write()
    }

    /// What runs; none before the first apply is whole.
    pub const fn in_force(&self) -> Option<&InForce> {
        self.in_force.as_ref()
    }

    /// Puts a release and the digests of its tags in force at once, durable on return.
    pub fn put_in_force(
        &mut self,
        in_force: InForce,
        images: impl IntoIterator<Item = (ImageRef, Digest)>,
    ) -> Result<(), RecordError> {
        let before = self.clone();
        self.in_force = Some(in_force);
        self.images.extend(images);
        if *self == before { Ok(()) } else { self.write() }
    }

    fn write(&self) -> Result<(), RecordError> {
        let (in_force, images) = (self.in_force.clone(), self.images.clone());
        write(&self.path, &File { schema: SCHEMA, in_force, images })
    }
}
