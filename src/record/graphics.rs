//! graphics.json: what of the graphics was in use when all was last well, what the agent has set in Immich, and what the last
//! proofs came to.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::Root;
use crate::model::hardware::Acceleration;
use crate::record::{RecordError, SCHEMA, read, state, write};

const NAME: &str = "graphics.json";

/// Most settings of Immich that are remembered.
const SETTINGS: usize = 16;

/// What is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Graphics {
    schema: u32,
    /// What was in use.
    #[serde(default)]
    pub last: Option<Acceleration>,
    /// The boot in which all of that was last there: in that one, what is missing is gone and not late.
    #[serde(default)]
    pub boot: Option<String>,
    /// What was set in Immich: `ffmpeg.accel` and `ffmpeg.preferredHwDevice`, the newest last.
    #[serde(default)]
    pub settings: Vec<(String, String)>,
    /// The last proof of each workload.
    #[serde(default)]
    pub trials: BTreeMap<Workload, GraphicsTrial>,
}

/// Who uses a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Workload {
    /// Machine learning.
    Learning,
    /// Transcoding.
    Encoding,
}

/// A short job in a container that was made for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraphicsTrial {
    /// When.
    pub at: Timestamp,
    /// On what, in words: of another card or image it says nothing.
    pub of: String,
    /// Whether the card did it.
    pub works: bool,
    /// What was seen.
    pub said: String,
}

/// What is remembered. A damaged file is no reason to mend nothing: it is as good as none, and written anew.
pub fn graphics(root: &Root) -> Result<Graphics, RecordError> {
    match read(&state(root, NAME)) {
        Ok(found) => Ok(found.unwrap_or_default()),
        Err(error @ RecordError::Damaged { .. }) => {
            tracing::warn!("what is remembered of the graphics is taken as nothing: {error}");
            Ok(Graphics::default())
        }
        Err(error) => Err(error),
    }
}

/// Remembers what is in use, and the boot if all of it is there; durable on return. Nothing is written where it is known.
pub fn set_acceleration(root: &Root, acceleration: &Acceleration, boot: Option<String>) -> Result<(), RecordError> {
    change(root, |known| {
        known.last = Some(acceleration.clone());
        known.boot = boot.or(known.boot.take());
    })
}

/// Remembers what is set in Immich, durable on return.
pub fn add_setting(root: &Root, accel: &str, device: &str) -> Result<(), RecordError> {
    let setting = (accel.to_owned(), device.to_owned());
    change(root, |known| {
        known.settings.retain(|other| *other != setting);
        known.settings.push(setting);
        let surplus = known.settings.len().saturating_sub(SETTINGS);
        known.settings.drain(..surplus);
    })
}

/// Remembers what a proof came to, durable on return.
pub fn set_graphics_trial(root: &Root, workload: Workload, trial: GraphicsTrial) -> Result<(), RecordError> {
    change(root, |known| drop(known.trials.insert(workload, trial)))
}

fn change(root: &Root, change: impl FnOnce(&mut Graphics)) -> Result<(), RecordError> {
    let before = graphics(root)?;
    let mut after = before.clone();
    change(&mut after);
    after.schema = SCHEMA;
    if after == before { Ok(()) } else { write(&state(root, NAME), &after) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::hardware::{Encoding, Learning};

    #[test]
    fn what_is_written_is_read_again_and_a_damaged_file_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path());
        std::fs::create_dir_all(state(&root, "")).unwrap();
        assert_eq!(graphics(&root).unwrap(), Graphics::default());
        let (learning, encoding) = (Learning::on_processor("x"), Encoding::on_processor("y"));
        let of = Acceleration { learning, encoding, wishes: String::new() };
        set_acceleration(&root, &of, Some("b".to_owned())).unwrap();
        for number in 0..20 {
            add_setting(&root, "vaapi", &number.to_string()).unwrap();
        }
        let known = graphics(&root).unwrap();
        assert_eq!((known.last.as_ref(), known.settings.len()), (Some(&of), SETTINGS));
        assert_eq!(known.settings.last().unwrap().1, "19");
        std::fs::write(state(&root, NAME), "{").unwrap();
        assert_eq!(graphics(&root).unwrap(), Graphics::default());
        set_acceleration(&root, &of, None).unwrap();
        assert_eq!(graphics(&root).unwrap().last, Some(of));
    }
}
