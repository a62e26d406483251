//! Generations: one record for each converged state of the host.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::host::files;
use crate::model::{HostPath, ImageRef, Root, Service, SnapshotId};
use crate::record::{RecordError, SCHEMA, read, state, write};

/// A converged state: enough to tell what ran and to write the same units again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// Format of this record.
    pub schema: u32,
    /// Counted from 1.
    pub number: u32,
    /// When it was first converged to.
    pub created: Timestamp,
    /// The agent that did.
    pub agent: String,
    /// Immich's release.
    pub release: String,
    /// The configuration files, by path.
    pub config: BTreeMap<String, String>,
    /// The images, at their digests.
    pub images: BTreeMap<Service, ImageRef>,
    /// Every file that the agent wrote, by path.
    pub files: BTreeMap<HostPath, String>,
    /// The data at its end, where an upgrade took a snapshot of it: what to go back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<SnapshotId>,
    /// The restore that brought its configuration back, where the files said something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<Restored>,
}

/// Where a configuration came from that is not the files'.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// The snapshot that it was of.
    pub snapshot: SnapshotId,
    /// The configuration files as they were then, by path. As long as they say just this, nobody has said anything since.
    pub out_of_force: BTreeMap<String, String>,
}

impl Generation {
    /// Whether `other` describes the same state, whenever and by whichever agent it was recorded.
    pub fn is_same_state(&self, other: &Self) -> bool {
        let state = |this: &Self| (this.config.clone(), this.images.clone(), this.restored.clone());
        state(self) == state(other) && self.files == other.files
    }

    /// Whether its configuration holds although the files say something else: a restore brought it back, and they are
    /// just as they were then.
    pub fn holds_against(&self, files: &BTreeMap<String, String>) -> bool {
        self.restored.as_ref().is_some_and(|restored| restored.out_of_force == *files)
    }

    /// For people, where its configuration is not the files'.
    pub fn note(&self) -> Option<String> {
        let snapshot = &self.restored.as_ref()?.snapshot;
        Some(format!(
            "the configuration came back with snapshot {snapshot}, and the files are out of force; to put them in force \
             again: photos-agent apply"
        ))
    }
}

/// The command that mends the host, for people: `apply` goes by the files, and where a restore has put them out of force, the
/// daemon's start leaves them so.
pub fn mends(last: Option<&Generation>) -> &'static str {
    let restored = last.is_some_and(|last| last.restored.is_some());
    if restored { "systemctl restart photos-agent" } else { "photos-agent apply" }
}

/// What is looked for among many; the rest is skipped.
#[derive(Deserialize)]
struct Way {
    #[serde(default)]
    snapshot: Option<SnapshotId>,
}

/// The records on disk.
#[derive(Debug)]
pub struct Generations {
    folder: PathBuf,
}

impl Generations {
    /// Those below `root`.
    pub fn new(root: &Root) -> Self {
        Self { folder: state(root, "generations") }
    }

    /// Numbers, oldest first.
    pub fn numbers(&self) -> Result<Vec<u32>, RecordError> {
        let names = files::list(&self.folder)?;
        Ok(names.iter().filter_map(|name| name.strip_suffix(".json")?.parse().ok()).collect())
    }

    /// The newest one.
    pub fn last(&self) -> Result<Option<Generation>, RecordError> {
        self.numbers()?.into_iter().max().map_or(Ok(None), |number| self.get(number))
    }

    /// One of them.
    pub fn get(&self, number: u32) -> Result<Option<Generation>, RecordError> {
        read(&self.path(number))
    }

    /// Records `state` unless it is that of the last generation. Returns the number it has.
    pub fn record(&self, mut generation: Generation) -> Result<u32, RecordError> {
        let last = self.last()?;
        if let Some(last) = last.as_ref().filter(|last| last.is_same_state(&generation)) {
            return Ok(last.number);
        }
        generation.schema = SCHEMA;
        generation.number = last.map_or(1, |last| last.number + 1);
        write(&self.path(generation.number), &generation)?;
        Ok(generation.number)
    }

    /// Writes down which snapshot holds the data at the end of one of them.
    pub fn attach(&self, number: u32, snapshot: &SnapshotId) -> Result<(), RecordError> {
        let Some(generation) = self.get(number)? else { return Ok(()) };
        write(&self.path(number), &Generation { snapshot: Some(snapshot.clone()), ..generation })
    }

    /// The newest so many with a snapshot of their data, newest first.
    pub fn ways_back(&self, limit: usize) -> Result<Vec<(u32, SnapshotId)>, RecordError> {
        let mut found = Vec::new();
        for number in self.numbers()?.into_iter().rev() {
            let way = read::<Way>(&self.path(number))?.and_then(|way| way.snapshot);
            found.extend(way.map(|snapshot| (number, snapshot)));
            if found.len() >= limit {
                break;
            }
        }
        Ok(found)
    }

    fn path(&self, number: u32) -> PathBuf {
        // Six digits, so that names sort as numbers do.
        self.folder.join(format!("{number:06}.json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(zone: &str) -> BTreeMap<String, String> {
        BTreeMap::from([("/etc/photos-agent/config.toml".to_owned(), zone.to_owned())])
    }

    fn generation(out_of_force: Option<BTreeMap<String, String>>) -> Generation {
        Generation {
            schema: 0,
            number: 0,
            created: "2026-11-21T14:45:12Z".parse().unwrap(),
            agent: String::new(),
            release: "v3.2.2".to_owned(),
            config: texts("then"),
            images: BTreeMap::new(),
            files: BTreeMap::new(),
            snapshot: None,
            restored: out_of_force
                .map(|out_of_force| Restored { snapshot: "20261121T144512Z".parse().unwrap(), out_of_force }),
        }
    }

    #[test]
    fn what_a_restore_brought_back_holds_until_a_file_is_edited() {
        let restored = generation(Some(texts("now")));
        assert!(restored.holds_against(&texts("now")));
        assert!(!restored.holds_against(&texts("edited")));
        assert!(!restored.holds_against(&texts("then")));
        assert!(!restored.holds_against(&BTreeMap::new()), "a file that was removed");
        assert!(!generation(None).holds_against(&texts("now")));
        assert_eq!(mends(Some(&restored)), "systemctl restart photos-agent");
        assert!([None, Some(&generation(None))].iter().all(|last| mends(*last) == "photos-agent apply"));
        assert!(restored.note().unwrap().contains("photos-agent apply") && generation(None).note().is_none());
    }

    #[test]
    fn the_newest_ways_back_are_found_and_no_other_state() {
        let folder = tempfile::tempdir().unwrap();
        let generations = Generations::new(&Root::new(folder.path()));
        assert_eq!(generations.ways_back(2).unwrap(), []);
        for (number, zone) in [(1, "a"), (2, "b"), (3, "c"), (4, "d")] {
            assert_eq!(generations.record(Generation { config: texts(zone), ..generation(None) }).unwrap(), number);
        }
        let id = |day: u32| format!("202611{day:02}T020000Z").parse::<SnapshotId>().unwrap();
        for number in [1, 2, 4] {
            generations.attach(number, &id(number)).unwrap();
        }
        generations.attach(9, &id(9)).unwrap();
        assert_eq!(generations.ways_back(2).unwrap(), [(4, id(4)), (2, id(2))]);
        // The same state, with or without.
        assert_eq!(generations.record(Generation { config: texts("d"), ..generation(None) }).unwrap(), 4);
        assert_eq!(generations.ways_back(1).unwrap(), [(4, id(4))]);
    }

    #[test]
    fn a_restore_is_a_state_of_its_own_and_older_records_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let generations = Generations::new(&Root::new(folder.path()));
        assert_eq!(generations.record(generation(None)).unwrap(), 1);
        let text = std::fs::read_to_string(generations.path(1)).unwrap();
        assert!(!text.contains("restored"), "{text}");
        assert_eq!(generations.get(1).unwrap().unwrap().restored, None);
        assert_eq!(generations.record(generation(Some(texts("now")))).unwrap(), 2);
        assert_eq!(generations.record(generation(Some(texts("now")))).unwrap(), 2);
        assert_eq!(generations.record(generation(Some(texts("edited")))).unwrap(), 3);
        assert_eq!(generations.record(generation(None)).unwrap(), 4);
    }
}
