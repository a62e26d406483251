//! What the running database says of itself, asked through its container.

use std::time::Duration;

use crate::apply::StepError;
use crate::host::process;
use crate::model::Service;
use crate::record::DatabaseFacts;
use crate::stack::{self, VITALS};

/// A question that reads a few rows. A busy disk takes its time all the same.
const PATIENCE: Duration = Duration::from_secs(60);

/// What it says now, the number of damaged pages among it. Changes nothing.
pub async fn vitals() -> Result<DatabaseFacts, StepError> {
    ask_database(VITALS, PATIENCE).await
}

/// What Immich has migrated it to, to be compared; none where Immich has not made its tables.
pub async fn schema_version() -> Result<Option<String>, StepError> {
    Ok(vitals().await?.migrations)
}

/// Runs statements of [`stack`] that end in the same answer.
pub async fn ask_database(statements: &str, patience: Duration) -> Result<DatabaseFacts, StepError> {
    let arguments = stack::session(Service::Postgres.stem());
    let said = process::feed("podman", &arguments, statements.as_bytes(), patience).await?;
    understand(&said).ok_or_else(|| StepError::Jobs(vec![format!("the database's answer was not understood: {said}")]))
}

/// Documents, one a line, which together are one.
fn understand(said: &str) -> Option<DatabaseFacts> {
    let mut all = serde_json::Map::new();
    for line in said.lines().filter(|line| !line.trim().is_empty()) {
        all.extend(serde_json::from_str::<serde_json::Map<_, _>>(line).ok()?);
    }
    serde_json::from_value(all.into()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_one_document_in_lines() {
        let facts = "{\"version\" : \"17.5\", \"checksums\" : true, \"checksum_failures\" : 0}\n";
        let known = understand(facts).unwrap();
        assert_eq!((known.version.as_str(), known.checksums, known.migration), ("17.5", true, None));
        let migrated = understand(&format!("{facts}{{\"migration\" : \"1700000000000-A\"}}\n")).unwrap();
        assert_eq!(migrated.migration.as_deref(), Some("1700000000000-A"));
        assert_eq!(understand("CHECKPOINT\n"), None);
        assert_eq!(understand(""), None);
    }
}
