//! Closes the doors to the server and opens them: rules in the packet filter, and the file that brings them back.
//!
//! The file lies beside the firewall's own, which includes it: whatever flushes all rules, and whatever starts a container,
//! at a boot too, loads the one with the other. What the rules say is decided elsewhere. No table but the two of this name
//! is touched.

use std::io;
use std::time::Duration;

use crate::host::files::{self, FileError};
use crate::host::firewall::{Family, has_rules};
use crate::host::process::{self, ProcessError};
use crate::model::Root;
use crate::model::layout::{DOORS, DOORS_TABLE};

/// The chains that have to have rules.
const CHAINS: [&str; 3] = ["forward", "output", "postrouting"];

/// The same for what goes from one container to another on a bridge.
const BRIDGED: [&str; 1] = ["forward"];

/// Loading takes milliseconds, unless the kernel has to load a module for it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why the doors are not as they should be.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// The packet filter takes none of the texts; this is what it says of the last.
    #[error("the packet filter does not take the rules that close the server's doors")]
    Rules(#[source] ProcessError),
    /// The file that brings them back.
    #[error(transparent)]
    File(#[from] FileError),
    /// The rules were loaded, and the kernel does not have them.
    #[error("the rules that close the server's doors do not stay loaded")]
    Gone,
    /// The kernel does not tell.
    #[error("the kernel does not tell whether the server's doors are closed")]
    Unknown(#[source] io::Error),
}

/// Whether the packet filter takes one of these texts, the best first. Changes nothing. Returns which.
pub async fn can_close(texts: &[String]) -> Result<&str, DoorError> {
    first(&["-c", "-f", "-"], texts).await
}

/// Closes them, by the first of these texts that the packet filter takes. Closed doors are closed once more. Where it
/// fails, they may be open or closed.
pub async fn close(root: &Root, texts: &[String]) -> Result<(), DoorError> {
    let text = can_close(texts).await?;
    // First: from here on whoever loads the firewall's rules closes them as well.
    files::write(&root.join(DOORS), text, 0o600)?;
    load(text).await.map_err(DoorError::Rules)?;
    if is_closed(root, texts)? { Ok(()) } else { Err(DoorError::Gone) }
}

/// Opens them. Open doors stay open.
pub async fn open(root: &Root) -> Result<(), DoorError> {
    // First: once it is open, nothing closes them again.
    files::remove(&root.join(DOORS))?;
    let mut text = gone("inet");
    // A kernel that knows no such family has no such table.
    if has_rules(Family::Bridge, DOORS_TABLE, &BRIDGED).unwrap_or(false) {
        text.push_str(&gone("bridge"));
    }
    load(&text).await.map_err(DoorError::Rules)
}

/// Whether they are, by one of these texts: others may leave a door open.
pub fn is_closed(root: &Root, texts: &[String]) -> Result<bool, DoorError> {
    let Some(text) = files::read(&root.join(DOORS))?.filter(|text| texts.contains(text)) else { return Ok(false) };
    let routed = has_rules(Family::Inet, DOORS_TABLE, &CHAINS).map_err(DoorError::Unknown)?;
    let is_bridged = text.contains(&format!("table bridge {DOORS_TABLE}"));
    Ok(routed && (!is_bridged || has_rules(Family::Bridge, DOORS_TABLE, &BRIDGED).map_err(DoorError::Unknown)?))
}

/// Whether any of it is there: they are closed, in part, or would be at the next start of a service.
pub fn is_any_closed(root: &Root) -> Result<bool, DoorError> {
    let path = root.join(DOORS);
    let file = path.try_exists().map_err(|source| FileError { doing: "look at", path, source })?;
    let routed = has_rules(Family::Inet, DOORS_TABLE, &CHAINS).map_err(DoorError::Unknown)?;
    Ok(file || routed || has_rules(Family::Bridge, DOORS_TABLE, &BRIDGED).unwrap_or(false))
}

/// Made before it is deleted, since deleting what is not there is an error, and one fails all.
fn gone(family: &str) -> String {
    format!("table {family} {DOORS_TABLE}\ndelete table {family} {DOORS_TABLE}\n")
}

async fn load(text: &str) -> Result<(), ProcessError> {
    nft(&["-f", "-"], text).await
}

async fn first<'a>(arguments: &[&str], texts: &'a [String]) -> Result<&'a str, DoorError> {
    let mut refused = None;
    for text in texts {
        match nft(arguments, text).await {
            Ok(()) => return Ok(text),
            Err(error @ ProcessError::Failed { .. }) => refused = Some(error),
            Err(error) => return Err(DoorError::Rules(error)),
        }
    }
    Err(refused.map_or(DoorError::Gone, DoorError::Rules))
}

async fn nft(arguments: &[&str], text: &str) -> Result<(), ProcessError> {
    let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
    process::feed("nft", &arguments, text.as_bytes(), PATIENCE).await.map(drop)
}
