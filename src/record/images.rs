//! images.lock: which digest a tag meant when it was first pulled.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::model::{Digest, ImageRef, Root};
use crate::record::{RecordError, SCHEMA, read, state, write};

/// Tags and their digests. A tag in it is never asked for again, so a re-pushed one changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageLock {
    path: PathBuf,
    images: BTreeMap<ImageRef, Digest>,
}

#[derive(Serialize, Deserialize)]
struct File {
    schema: u32,
    images: BTreeMap<ImageRef, Digest>,
}

impl ImageLock {
    /// Reads the lock file; an empty lock where there is none.
    pub fn read(root: &Root) -> Result<Self, RecordError> {
        let path = state(root, "images.lock");
        let images = read::<File>(&path)?.map(|file| file.images).unwrap_or_default();
        Ok(Self { path, images })
    }

    /// The locked tags.
    pub const fn images(&self) -> &BTreeMap<ImageRef, Digest> {
        &self.images
    }

    /// Locks `image` to `digest`, durable on return.
    pub fn add(&mut self, image: ImageRef, digest: Digest) -> Result<(), RecordError> {
        self.images.insert(image, digest);
        write(&self.path, &File { schema: SCHEMA, images: self.images.clone() })
    }
}
