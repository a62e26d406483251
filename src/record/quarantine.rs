//! quarantine.json: releases that did not come up on this host.

use serde::{Deserialize, Serialize};

use crate::model::{Quarantined, Release, Root};
use crate::record::{RecordError, SCHEMA, read, state, write};

#[derive(Serialize, Deserialize)]
struct File {
    schema: u32,
    releases: Vec<Quarantined>,
}

const NAME: &str = "quarantine.json";

/// All of them, the oldest first.
pub fn quarantine(root: &Root) -> Result<Vec<Quarantined>, RecordError> {
    Ok(read::<File>(&state(root, NAME))?.map(|file| file.releases).unwrap_or_default())
}

/// Adds one, in place of what was known of the same release; durable on return.
pub fn add_quarantined(root: &Root, quarantined: Quarantined) -> Result<(), RecordError> {
    let mut releases = quarantine(root)?;
    releases.retain(|other| other.release != quarantined.release);
    releases.push(quarantined);
    write(&state(root, NAME), &File { schema: SCHEMA, releases })
}

/// Takes one out, once it has come up after all; durable on return.
pub fn lift_quarantine(root: &Root, release: &Release) -> Result<(), RecordError> {
    let mut releases = quarantine(root)?;
    let before = releases.len();
    releases.retain(|other| other.release != *release);
    if releases.len() == before {
        return Ok(());
    }
    write(&state(root, NAME), &File { schema: SCHEMA, releases })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_in_quarantine_once_until_it_is_lifted() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path());
        let one = |release: &str, why: &str| Quarantined {
            release: release.parse().unwrap(),
            digests: [format!("sha256:{}", "a".repeat(64)).parse().unwrap()].into(),
            since: "2026-11-21T10:00:00Z".parse().unwrap(),
            why: why.to_owned(),
        };
        assert_eq!(quarantine(&root).unwrap(), []);
        lift_quarantine(&root, &"v3.2.2".parse().unwrap()).unwrap();
        assert!(!state(&root, NAME).exists(), "nothing to lift, nothing to write");
        add_quarantined(&root, one("v3.2.2", "first")).unwrap();
        add_quarantined(&root, one("v3.3.0", "other")).unwrap();
        add_quarantined(&root, one("v3.2.2", "second")).unwrap();
        assert_eq!(quarantine(&root).unwrap(), [one("v3.3.0", "other"), one("v3.2.2", "second")]);
        lift_quarantine(&root, &"v3.3.0".parse().unwrap()).unwrap();
        assert_eq!(quarantine(&root).unwrap(), [one("v3.2.2", "second")]);
    }
}
