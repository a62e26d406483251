//! The stream of a pull: JSON lines, bytes counted by layer, an error as a line of its own.

use std::collections::BTreeMap;

use futures_util::StreamExt;
use reqwest::Response;
use serde::Deserialize;

use super::{PodmanError, unreachable};

/// Bytes of an image that have arrived, of those announced so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PullProgress {
    /// Arrived.
    pub current: u64,
    /// Announced; grows as layers are found.
    pub total: u64,
}

/// Follows the JSON lines of a pull. An error comes as a line of its own, after a status of 200.
pub(super) async fn read(
    response: Response,
    doing: &str,
    progress: &mut (dyn FnMut(PullProgress) + Send),
) -> Result<(), PodmanError> {
    let mut layers: BTreeMap<String, PullProgress> = BTreeMap::new();
    let mut stream = response.bytes_stream();
    let mut rest = Vec::new();
    while let Some(chunk) = stream.next().await {
        rest.extend_from_slice(&chunk.map_err(|source| unreachable(doing, source))?);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            let Ok(line) = serde_json::from_slice::<PullLine>(&line) else { continue };
            if let Some(message) = line.error {
                return Err(PodmanError::Refused { doing: doing.to_owned(), status: 200, message });
            }
            if let (Some(id), Some(detail)) = (line.id, line.progress_detail)
                && detail.total > 0
            {
                layers.insert(id, PullProgress { current: detail.current, total: detail.total });
                progress(layers.values().fold(PullProgress::default(), |sum, layer| PullProgress {
                    current: sum.current + layer.current,
                    total: sum.total + layer.total,
                }));
            }
        }
    }
    Ok(())
}

#[derive(Deserialize)]
struct PullLine {
    id: Option<String>,
    error: Option<String>,
    #[serde(rename = "progressDetail")]
    progress_detail: Option<PullDetail>,
}

#[derive(Deserialize)]
struct PullDetail {
    #[serde(default)]
    current: u64,
    #[serde(default)]
    total: u64,
}
