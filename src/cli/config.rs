//! `photos-agent config`: init, check, show, schema.

use std::process::ExitCode;

use clap::Subcommand;
use serde::Serialize;

use crate::cli::Context;
use crate::cli::apply::require_root;
use crate::cli::failure::Failure;
use crate::config::{self, DEFAULT_PATH};
use crate::host::files;
use crate::model::Refusal;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Write a configuration file in which every key is explained and commented out
    Init,
    /// Check the configuration files; exit code 64 if there is a mistake
    Check,
    /// Show every key with its value
    Show {
        /// Tell where each value came from
        #[arg(long)]
        origin: bool,
    },
    /// Print the JSON Schema of a configuration file
    Schema,
}

#[derive(Serialize)]
struct Written {
    written: String,
}

#[derive(Serialize)]
struct Checked {
    files: Vec<String>,
}

#[derive(Serialize)]
struct Shown<'a> {
    settings: &'a config::Origins,
}

pub(super) fn run(context: &Context, command: &Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Init => init(context)?,
        Command::Check => check(context)?,
        Command::Show { origin } => {
            let loaded = context.load()?;
            context.output.answer("settings", Shown { settings: &loaded.origins }, || loaded.show(*origin));
        }
        // A schema is a document of its own kind, with or without --json.
        Command::Schema => {
            let schema = serde_json::to_string_pretty(&config::schema()).unwrap_or_default();
            crate::cli::output::Output { json: false, ..context.output }.answer("schema", (), || schema);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn init(context: &Context) -> Result<(), Failure> {
    let path = context.config.clone().unwrap_or_else(|| context.root.join(DEFAULT_PATH));
    let shown = path.display().to_string();
    if files::read(&path)?.is_some() {
        let remedy = format!("photos-agent config check, or edit {shown}");
        return Err(Refusal::new(shown, "exists and is left as it is", remedy).into());
    }
    if context.config.is_none() && context.root == crate::model::Root::default() {
        require_root()?;
    }
    files::write(&path, config::template(), 0o644)?;
    context.output.answer("written", Written { written: shown.clone() }, || format!("Wrote {shown}."));
    Ok(())
}

fn check(context: &Context) -> Result<(), Failure> {
    let loaded = context.load()?;
    let files: Vec<String> = loaded.sources.iter().map(|source| source.path.display().to_string()).collect();
    let text = if files.is_empty() { "no file: the defaults".to_owned() } else { files.join(", ") };
    context.output.answer("checked", Checked { files }, || format!("No mistake in {text}."));
    Ok(())
}
