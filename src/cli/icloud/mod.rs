//! `photos-agent icloud`: sign in, download, and how it stands.

mod login;
pub(super) mod status;
mod sync;

use std::process::ExitCode;

use clap::Subcommand;

use crate::cli::Context;
use crate::cli::failure::Failure;
use crate::config::{Account, Loaded};
use crate::model::AccountName;
use crate::observe::{self, FactsError};
use crate::stack::{self, DesiredAccount};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Sign in at Apple, with a code
    Login(login::Options),
    /// Show accounts: how long the session is good, the last run, the next; exit code 2 if somebody has to do something
    Status,
    /// Download what is new of one account, now
    Sync(sync::Options),
}

pub(super) async fn run(context: &Context, command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Login(options) => login::run(context, options).await,
        Command::Status => status::run(context).await,
        Command::Sync(options) => sync::run(context, options).await,
    }
}

/// The account of this name, by the configuration and as it was laid out.
fn find(context: &Context, loaded: &Loaded, name: &str) -> Result<(Account, DesiredAccount), Failure> {
    let unknown = || {
        let names: Vec<&str> = loaded.settings.icloud.accounts.iter().map(|account| account.name.as_str()).collect();
        let hint = if names.is_empty() {
            "name one in the configuration: [[icloud.account]], see photos-agent-config(5)".to_owned()
        } else {
            format!("one of: {}", names.join(", "))
        };
        Failure::Usage { what: format!("there is no iCloud account {name:?}"), hint }
    };
    let wanted: AccountName = name.parse().map_err(|_| unknown())?;
    let account = loaded.settings.icloud.accounts.iter().find(|account| account.name == wanted).ok_or_else(unknown)?;
    let facts = observe::facts(&context.root, &loaded.settings).map_err(|error| match error {
        FactsError::Record(error) => Failure::from(error),
        FactsError::Refused(refusal) => refusal.into(),
    })?;
    let desired = stack::desire(&loaded.settings, &facts)?;
    let found = desired.accounts.into_iter().find(|desired| desired.name == wanted).ok_or_else(unknown)?;
    Ok((account.clone(), found))
}
