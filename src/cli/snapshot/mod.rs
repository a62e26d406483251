//! `photos-agent snapshot`: one moment of everything, and what becomes of it.

mod create;
mod delete;
mod list;
mod prune;
mod select;
mod show;
mod verify;

pub(super) use create::caller;

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
    /// List snapshots, the newest first
    List,
    /// Show one snapshot, what keeps it, and what changed since the one before
    Show(show::Options),
    /// Delete snapshots, and live trees that a restore has replaced
    Delete(delete::Options),
    /// Delete the snapshots that `snapshots.keep` does not keep
    Prune(prune::Options),
    /// Try whether a snapshot would do; exit code 1 if it would not
    Verify(verify::Options),
}

pub(super) async fn run(context: &Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    match arguments.command.unwrap_or(Command::Create(arguments.create)) {
        Command::Create(options) => create::run(context, options).await,
        Command::List => list::run(context),
        Command::Show(options) => show::run(context, &options),
        Command::Delete(options) => delete::run(context, &options).await,
        Command::Prune(options) => prune::run(context, &options).await,
        Command::Verify(options) => verify::run(context, options).await,
    }
}

/// Bytes as people read them.
fn bytes(number: u64) -> String {
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let unit = units.into_iter().find(|(_, shift)| number >> shift > 0);
    unit.map_or_else(
        || format!("{number} B"),
        |(unit, shift)| {
            let tenths = (number >> (shift - 10)) * 10 / 1024;
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        },
    )
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn bytes_have_one_unit() {
        for (number, said) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_600_000, "1.5 MiB"),
            (5 << 30, "5.0 GiB"),
            (u64::MAX, "16777215.9 TiB"),
        ] {
            assert_eq!(bytes(number), said);
        }
    }
}
