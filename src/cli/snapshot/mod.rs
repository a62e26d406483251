//! `photos-agent snapshot`: one moment of everything, and what becomes of it.

mod create;
mod verify;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::cli::Context;
use crate::cli::failure::Failure;

pub(super) use create::thaw;

/// `snapshot` alone is `snapshot create`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    create: create::Options,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take a snapshot of database, queue and photographs, while the service runs
    Create(create::Options),
    /// Try whether a snapshot would do; exit code 1 if it would not
    Verify(verify::Options),
}

pub(super) async fn run(context: &Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    match arguments.command.unwrap_or(Command::Create(arguments.create)) {
        Command::Create(arguments) => create::run(context, arguments).await,
        Command::Verify(arguments) => verify::run(context, arguments).await,
    }
}
