//! The operator's word that the pictures in a folder are an account's, and may come again by other options.
//!
//! Writes what the configuration says into the folder's own file, and nothing else: the apply after it finds all as it
//! should be. Cut off in between, the word has been given.

use crate::apply::{ApplyError, LOCK, survey};
use crate::config::Loaded;
use crate::host::lock::{self, PATIENCE};
use crate::host::{Host, library};
use crate::model::icloud::SENTINEL;
use crate::model::{AccountName, Refusal};
use crate::plan::SentinelState;
use crate::stack::DesiredAccount;

/// Accepts it for those of these accounts for which there is something to accept, and says which these are.
pub async fn accept(
    host: &Host,
    loaded: &Loaded,
    accounts: &[AccountName],
    command: &str,
) -> Result<Vec<AccountName>, ApplyError> {
    let _lock = lock::take(&host.root.join(LOCK), command, PATIENCE).await?;
    let survey = survey(host, loaded).await?;
    let desired = &survey.desired.accounts;
    if let Some(unknown) = accounts.iter().find(|name| !desired.iter().any(|account| account.name == **name)) {
        let why = "is no account in the configuration";
        let refusal = Refusal::new(unknown.to_string(), why, "photos-agent icloud status   (names them)");
        return Err(ApplyError::Refused(vec![refusal]));
    }
    let differs = |account: &&DesiredAccount| match survey.observed.libraries.get(&account.name) {
        Some(Ok(library)) => match &library.sentinel {
            SentinelState::Says(found) => found.account == account.name && *found != account.sentinel,
            SentinelState::Missing | SentinelState::Strange => true,
        },
        _ => false,
    };
    let mut accepted = Vec::new();
    for account in desired.iter().filter(|account| accounts.contains(&account.name)).filter(differs) {
        let text = account.sentinel.text();
        library::say(&host.root.join(account.photos.as_path()), (SENTINEL, &text)).map_err(|error| {
            ApplyError::Step { step: format!("accept the folder of {}", account.name), source: Box::new(error.into()) }
        })?;
        accepted.push(account.name.clone());
    }
    Ok(accepted)
}
