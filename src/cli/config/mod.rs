//! `photos-agent config`: init, check, show, schema.

mod init;

use std::process::ExitCode;

use clap::Subcommand;
use serde::Serialize;

use crate::cli::Context;
use crate::cli::failure::Failure;
use crate::config;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Look at this host and write a configuration file that explains every key, with what was chosen and why
    ///
    /// A file that somebody has written is never overwritten; the one that the package brought is, as long as nothing was
    /// changed in it. Nothing else is touched.
    Init {
        /// Print it and write nothing
        #[arg(long)]
        stdout: bool,
    },
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
struct Checked {
    files: Vec<String>,
}

#[derive(Serialize)]
struct Shown<'a> {
    settings: &'a config::Origins,
}

pub(super) fn run(context: &Context, command: &Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Init { stdout } => init::run(context, *stdout)?,
        Command::Check => check(context)?,
        Command::Show { origin } => {
            let loaded = context.load()?;
            context.output.document("settings", Shown { settings: &loaded.origins }, || loaded.show(*origin));
        }
        // A schema is a document of its own kind, with or without --json.
        Command::Schema => {
            let schema = serde_json::to_string_pretty(&config::schema()).unwrap_or_default();
            crate::cli::output::Output { json: false, ..context.output }.document("schema", (), || schema);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn check(context: &Context) -> Result<(), Failure> {
    let loaded = context.load()?;
    let files: Vec<String> = loaded.sources.iter().map(|source| source.path.display().to_string()).collect();
    let text = if files.is_empty() { "no file: the defaults".to_owned() } else { files.join(", ") };
    context.output.answer("checked", Checked { files }, || format!("No mistake in {text}."));
    Ok(())
}
