//! `photos-agent secret`: list, set and rotate. Values are random, or come from a prompt without echo or from standard
//! input, never from an argument, and go nowhere but to Podman's store.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{IsTerminal, Read};
use std::process::ExitCode;

use clap::Subcommand;
use serde::Serialize;

use crate::apply::{self, Role};
use crate::cli::apply::{Talk, report_text, require_root};
use crate::cli::failure::Failure;
use crate::cli::{Context, time};
use crate::host::lock;
use crate::immich::API_KEY;
use crate::model::SecretName;
use crate::record::{Generations, mends};
use crate::stack::DATABASE_PASSWORD;

/// The secrets of the stack and what each is for.
const KNOWN: [(&str, &str); 3] = [
    (DATABASE_PASSWORD, "password of the database role that Immich uses"),
    (NOTIFY_URL, "address to which messages are sent, with its token ([notify] url_secret)"),
    (API_KEY, "the agent's key for Immich: libraries and scans (photos-agent immich setup makes one)"),
];

/// The secret that `[notify] url_secret` is expected to name.
const NOTIFY_URL: &str = "photos-notify-url";

/// How the names begin, which may be left out.
const PREFIX: &str = "photos-";

/// How those of iCloud accounts go on, with the account's name behind it. Only `icloud login --keep-password` stores one, when
/// Apple has taken it.
const ICLOUD: &str = "icloud-";

/// Longest value that Podman stores, in bytes.
const LONGEST: usize = 512_000;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the secrets: whether each is set and since when, never its value
    List,
    /// Set a secret, from a prompt or from standard input
    Set {
        /// The secret's name, as `secret list` shows it
        name: String,
    },
    /// Replace a secret by a new random one, in the running database too, and restart what reads it
    Rotate {
        /// The secret's name, as `secret list` shows it
        name: String,
    },
}

#[derive(Serialize)]
struct Listed {
    secrets: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    purpose: String,
    set: bool,
    changed: Option<jiff::Timestamp>,
}

#[derive(Serialize)]
struct Stored {
    stored: String,
}

pub(super) async fn run(context: &Context, command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::List => list(context).await?,
        Command::Set { name } => set(context, &name).await?,
        Command::Rotate { name } => rotate(context, &name).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(context: &Context) -> Result<(), Failure> {
    let stored = context.host()?.podman.observe(&BTreeSet::new()).await?.secrets;
    let row = |name: &str, purpose: String| {
        let state = stored.get(name);
        Row { name: name.to_owned(), purpose, set: state.is_some(), changed: state.map(|state| state.updated) }
    };
    let mut secrets: Vec<Row> = KNOWN.iter().map(|(name, purpose)| row(name, (*purpose).to_owned())).collect();
    // Those of accounts that are gone, too: somebody may want to take them away.
    for name in stored.keys() {
        let account = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix(ICLOUD));
        secrets.extend(account.map(|account| row(name, format!("password of the iCloud account {account}"))));
    }
    let body = Listed { secrets };
    context.output.answer("secrets", &body, || {
        body.secrets.iter().fold(String::new(), |mut text, row| {
            let state = row.changed.map_or_else(|| "not set".to_owned(), |at| format!("set {}", time::local(at)));
            let _ = writeln!(text, "{}  {state}  {}", row.name, row.purpose);
            text
        })
    });
    Ok(())
}

async fn set(context: &Context, name: &str) -> Result<(), Failure> {
    require_root()?;
    let secret = known(name)?;
    let value = read_value(&secret)?;
    let _lock = lock::take(&context.root.join(apply::LOCK), "photos-agent secret set", lock::PATIENCE).await?;
    context.host()?.podman.replace_secret(&secret, value).await.map(drop)?;
    apply::commit_secrets(&context.root).await?;
    let text = if secret.as_str() == DATABASE_PASSWORD {
        let mends = mends(Generations::new(&context.root).last().ok().flatten().as_ref());
        format!("Stored {secret}. Services that read it get it with: {mends}")
    } else {
        format!("Stored {secret}.")
    };
    context.output.answer("stored", Stored { stored: secret.to_string() }, || text);
    Ok(())
}

async fn rotate(context: &Context, name: &str) -> Result<(), Failure> {
    require_root()?;
    let secret = known(name)?;
    if secret.as_str() != DATABASE_PASSWORD {
        let hint = format!("ask who gave it to you for a new one, then: photos-agent secret set {secret}");
        return Err(Failure::Usage { what: format!("{secret} is nothing that could be made up"), hint });
    }
    let (loaded, _) = context.in_force()?;
    let host = context.host()?;
    let mut talk = Talk::new(context.output);
    let rotation = apply::rotate(&host, &loaded, &secret, "photos-agent secret rotate", &mut talk).await?;
    context.output.answer("rotated", &rotation, || {
        let told = match rotation.role {
            Role::Set => "the database and whoever reads it have the new one",
            Role::AtNextStart => "the database is down and takes the new one when it starts",
        };
        format!("Rotated {secret}: {told}.\n{}", report_text(&rotation.report))
    });
    Ok(())
}

fn known(name: &str) -> Result<SecretName, Failure> {
    let hint = || format!("one of: {}", KNOWN.map(|(name, _)| name).join(", "));
    let wrong = || Failure::Usage { what: format!("there is no secret `{name}`"), hint: hint() };
    let is_meant = |known: &str| known == name || known.strip_prefix(PREFIX) == Some(name);
    let found = KNOWN.iter().find(|(known, _)| is_meant(known)).ok_or_else(wrong)?;
    found.0.parse().map_err(|_| wrong())
}

fn read_value(secret: &SecretName) -> Result<Vec<u8>, Failure> {
    let value = if std::io::stdin().is_terminal() {
        let first = prompt(&format!("{secret}: "))?;
        if prompt(&format!("{secret} once more: "))? != first {
            return Err(Failure::Usage { what: "the two values differ".to_owned(), hint: "try again".to_owned() });
        }
        first
    } else {
        let mut text = String::new();
        let limit = LONGEST as u64 + 2;
        std::io::stdin().lock().take(limit).read_to_string(&mut text).map_err(Failure::Input)?;
        // What `echo` and editors add is not part of a password.
        text.strip_suffix('\n').map(|text| text.strip_suffix('\r').unwrap_or(text).to_owned()).unwrap_or(text)
    };
    check(&value)?;
    Ok(value.into_bytes())
}

fn prompt(text: &str) -> Result<String, Failure> {
    rpassword::prompt_password(text).map_err(Failure::Input)
}

/// What both sides of the database read the same way: a file's content without a line break.
fn check(value: &str) -> Result<(), Failure> {
    let wrong = |what: &str| {
        let hint = "1 or more printable ASCII characters in one line; Immich advises letters and digits only";
        Err(Failure::Usage { what: what.to_owned(), hint: hint.to_owned() })
    };
    match value {
        "" => wrong("the value is empty"),
        _ if value.len() > LONGEST => wrong("the value is longer than Podman stores (512000 bytes)"),
        _ if !value.chars().all(|c| c.is_ascii_graphic()) => wrong("the value has a character that does not fit"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_two_programs_could_read_differently_are_refused() {
        for bad in ["", "a b", "a\nb", "tab\t", "ü", &"x".repeat(LONGEST + 1)] {
            assert!(check(bad).is_err());
        }
        assert!(check("a'b\"c\\d$e%f").is_ok());
    }
}
