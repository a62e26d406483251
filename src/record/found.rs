//! What lies in the folder of snapshots: each by its name, with as much of its manifest as a list needs.
//!
//! Ten thousand are read in one go. A manifest that is not understood is a value here, not an error: the others
//! are no worse for it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::host::many::read_each;
use crate::model::{Service, SnapshotId};
use crate::record::manifest::{MANIFEST, Snapshots};
use crate::record::{Format, PROOF, Proof, RecordError, SCHEMA};

/// Images, at their digests. Most snapshots share them.
pub type Images = Arc<BTreeMap<Service, String>>;

/// What a list needs of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary<I = Images> {
    /// Format of the file. Not flattened in from outside: that reads everything twice.
    #[serde(skip_serializing)]
    schema: u32,
    /// Its name.
    pub id: SnapshotId,
    /// When everything stood still.
    pub created: Timestamp,
    /// Why it was taken.
    pub reason: String,
    /// Never pruned.
    pub keep: bool,
    /// Folders of the live trees that it is without.
    #[serde(default)]
    pub holes: Vec<String>,
    /// Immich's release.
    pub release: String,
    /// The images.
    pub images: I,
}

/// What a folder with the name of a snapshot is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A snapshot.
    Whole(Summary),
    /// Nothing whole: in the making, or left by what was interrupted.
    Debris,
    /// It has a manifest of a newer agent, of this format.
    Newer(u32),
    /// It has a manifest that says nothing; why.
    Damaged(String),
}

impl Snapshots {
    /// Every folder that bears the name of a snapshot, oldest first, and what it is.
    pub fn all(&self) -> Result<Vec<(SnapshotId, Found)>, RecordError> {
        let ids = self.names()?;
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let found = read_each(self.base(), &ids, MANIFEST, understand)?;
        let is_its_own = |(id, found): (SnapshotId, Found)| match found {
            Found::Whole(summary) if summary.id != id => (id, Found::Damaged(format!("it is that of {}", summary.id))),
            found => (id, found),
        };
        Ok(ids.into_iter().zip(found).map(is_its_own).collect())
    }

    /// Those of `ids` whose last trial was a proof. What is not understood proves nothing.
    pub fn proven<'a>(
        &self,
        ids: impl IntoIterator<Item = &'a SnapshotId>,
    ) -> Result<BTreeSet<SnapshotId>, RecordError> {
        let ids: Vec<&SnapshotId> = ids.into_iter().collect();
        if ids.is_empty() {
            return Ok(BTreeSet::new());
        }
        let is_proof = |(): &mut (), bytes: io::Result<&[u8]>| {
            let proof = bytes.ok().and_then(|bytes| serde_json::from_slice::<Proof>(bytes).ok());
            proof.filter(Proof::is_proven).map(|proof| proof.snapshot)
        };
        let proofs = read_each(self.base(), &ids, PROOF, is_proof)?;
        let own = ids.into_iter().zip(proofs).filter(|(id, proof)| proof.as_ref() == Some(id));
        Ok(own.map(|(id, _)| id.clone()).collect())
    }
}

/// The images of the manifest that was read before, and how they are written: a few texts for each are most of what a
/// list would have to make and to throw away.
#[derive(Default)]
struct Before {
    text: String,
    images: Images,
}

impl Before {
    fn images(&mut self, text: &RawValue) -> Result<Images, serde_json::Error> {
        if self.text != text.get() {
            self.images = serde_json::from_str(text.get())?;
            text.get().clone_into(&mut self.text);
        }
        Ok(self.images.clone())
    }
}

fn understand(before: &mut Before, bytes: io::Result<&[u8]>) -> Found {
    match bytes {
        Ok(bytes) => read(before, bytes),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Found::Debris,
        Err(error) => Found::Damaged(error.to_string()),
    }
}

fn read(before: &mut Before, bytes: &[u8]) -> Found {
    match summary(before, bytes) {
        Ok(summary) if summary.schema <= SCHEMA => Found::Whole(summary),
        Ok(summary) => Found::Newer(summary.schema),
        Err(error) => match serde_json::from_slice::<Format>(bytes) {
            Ok(format) if format.schema > SCHEMA => Found::Newer(format.schema),
            _ => Found::Damaged(error.to_string()),
        },
    }
}

fn summary(before: &mut Before, bytes: &[u8]) -> Result<Summary, serde_json::Error> {
    let Summary { schema, id, created, reason, keep, holes, release, images } =
        serde_json::from_slice::<Summary<&RawValue>>(bytes)?;
    Ok(Summary { schema, id, created, reason, keep, holes, release, images: before.images(images)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"schema": 1, "id": "20261121T020000Z", "created": "2026-11-21T02:00:00Z", "reason": "scheduled",
        "command": "photos-agent snapshot", "keep": false, "release": "v3.2.2", "images": {}, "texts": {"/a": "1"}}"#;

    #[test]
    fn images_are_those_of_each_however_many_share_them() {
        let folder = tempfile::tempdir().unwrap();
        let release = |number: usize| number * number / 70;
        for number in 0..200 {
            let id = format!("20261121T02{:02}{:02}Z", number / 60, number % 60);
            let images = format!("\"images\": {{\"redis\": \"valkey:{}\"}}", release(number));
            let text = TEXT.replace("20261121T020000Z", &id).replace("\"images\": {}", &images);
            std::fs::create_dir(folder.path().join(&id)).unwrap();
            std::fs::write(folder.path().join(&id).join(MANIFEST), text).unwrap();
        }
        let all = Snapshots::new(folder.path().to_owned()).all().unwrap();
        assert_eq!(all.len(), 200);
        for (number, (id, found)) in all.iter().enumerate() {
            let Found::Whole(summary) = found else { panic!("{id}: {found:?}") };
            assert_eq!(summary.images[&Service::Redis], format!("valkey:{}", release(number)), "{id}");
        }
    }

    #[test]
    fn a_manifest_is_whole_newer_or_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let put = |id: &str, text: &str| {
            std::fs::create_dir(folder.path().join(id)).unwrap();
            std::fs::write(folder.path().join(id).join(MANIFEST), text).unwrap();
        };
        put("20261121T020000Z", TEXT);
        put("20261122T020000Z", TEXT);
        put("20261122T030000Z", &TEXT.replace("\"images\": {}", "\"images\": {\"redis\": 5}"));
        put("20261123T020000Z", &TEXT.replace("\"schema\": 1", "\"schema\": 2"));
        put("20261124T020000Z", "{\"schema\": 7, \"all\": \"else\"}");
        put("20261125T020000Z", TEXT.lines().next().unwrap());
        put("20261126T020000Z", "");
        put("theirs", TEXT);
        std::fs::create_dir(folder.path().join("20261127T020000Z")).unwrap();
        std::fs::write(folder.path().join("20261128T020000Z"), TEXT).unwrap();
        let all = Snapshots::new(folder.path().to_owned()).all().unwrap();
        let words = |found: &Found| match found {
            Found::Whole(summary) => summary.reason.clone(),
            Found::Debris => "debris".to_owned(),
            Found::Newer(format) => format!("newer: {format}"),
            Found::Damaged(why) => format!("damaged: {}", why.split(' ').next().unwrap_or_default()),
        };
        let all: Vec<String> = all.iter().map(|(_, found)| words(found)).collect();
        assert_eq!(
            all,
            [
                "scheduled",
                "damaged: it",
                "damaged: invalid",
                "newer: 2",
                "newer: 7",
                "damaged: EOF",
                "damaged: EOF",
                "debris",
                "debris"
            ]
        );
        assert_eq!(Snapshots::new(folder.path().join("none")).all().unwrap(), []);
    }
}
