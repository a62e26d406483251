//! The command line: one file per command, one place that prints, one that chooses the exit code.

mod apply;
mod config;
mod daemon;
mod doctor;
mod failure;
mod hardware;
mod history;
mod icloud;
mod immich;
mod open;
mod output;
mod plan;
mod restore;
mod rollback;
mod secret;
mod snapshot;
mod status;
mod time;
mod upgrade;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgAction, CommandFactory, Parser, Subcommand};
use tracing::level_filters::LevelFilter;

use crate::config::{self as settings, Loaded, Source};
use crate::host::Host;
use crate::log;
use crate::model::Root;
use crate::record::Generations;
use failure::Failure;
use output::Output;

/// Builds and keeps an Immich photo service that can always go back.
#[derive(Debug, Parser)]
#[command(name = "photos-agent", version, disable_help_subcommand = true, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 changes pending or not healthy, 3 refused, 64 bad usage or \
                        configuration.\nManual: photos-agent(1), photos-agent-config(5)")]
struct Arguments {
    #[command(subcommand)]
    command: Command,

    /// Print one JSON document instead of text
    #[arg(long, global = true)]
    json: bool,

    /// Read this configuration file [default: /etc/photos-agent/config.toml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Look up files below this folder; the bus and the sockets stay the host's
    #[arg(long, global = true, value_name = "DIR")]
    root: Option<PathBuf>,

    /// Say more (can be repeated)
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,

    /// Say nothing but answers and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what `apply` would do; exit code 2 if there is something
    Plan,
    /// Bring the host to what the configuration says; a second run changes nothing
    Apply(apply::Options),
    /// Show services, health, storage and pending work; exit code 2 if something is not well
    Status,
    /// Show operations and generations, newest first
    History,
    /// Check every precondition and name the remedy of each that fails
    Doctor,
    /// Show what was found of graphics cards, what uses them, and why not the rest
    Hardware(hardware::Arguments),
    /// Take, list and delete snapshots of database, queue and photographs
    Snapshot(snapshot::Arguments),
    /// Put a snapshot back: database, photographs, images and units of one moment
    Restore(restore::Options),
    /// Go to a newer release of Immich, or end exactly where it began; with `--check` say whether there is one
    Upgrade(upgrade::Options),
    /// Go back to an earlier generation, its data included
    Rollback(rollback::Options),
    /// List, set and rotate the secrets of the stack
    #[command(subcommand)]
    Secret(secret::Command),
    /// Give the agent a key for Immich, and scan external libraries that are provably there
    #[command(subcommand)]
    Immich(immich::Command),
    /// Sign in at iCloud, download, and see how long a session is good
    #[command(subcommand)]
    Icloud(icloud::Command),
    /// Check, show and explain the configuration
    #[command(subcommand)]
    Config(config::Command),
    /// Keep the host as the configuration says (run by photos-agent.service)
    Daemon,
    /// Finish an interrupted operation, if there is one (run by photos-resolve.service)
    #[command(hide = true)]
    Resolve,
    /// Let the services go on that a snapshot has stopped (run by its guard)
    #[command(hide = true)]
    Thaw,
}

/// What every command gets.
struct Context {
    output: Output,
    root: Root,
    config: Option<PathBuf>,
}

impl Context {
    /// The configuration, or all that is wrong with it.
    fn load(&self) -> Result<Loaded, Failure> {
        let default = PathBuf::from(settings::DEFAULT_PATH);
        let (path, explicit) = self.config.as_ref().map_or((&default, false), |path| (path, true));
        Ok(settings::load(&self.root, path, explicit)?)
    }

    /// What is in force: the files, unless a restore has put them out of force and nobody has said anything since; and then
    /// a note that says so.
    fn in_force(&self) -> Result<(Loaded, Option<String>), Failure> {
        let files = self.load()?;
        let last = Generations::new(&self.root).last()?;
        Ok(match crate::apply::held(last.as_ref(), &files.sources) {
            Some(held) => (held, last.and_then(|last| last.note())),
            None => (files, None),
        })
    }

    /// The configuration files, whatever they say.
    fn sources(&self) -> Result<Vec<Source>, Failure> {
        let default = PathBuf::from(settings::DEFAULT_PATH);
        let (path, explicit) = self.config.as_ref().map_or((&default, false), |path| (path, true));
        Ok(settings::sources(&self.root, path, explicit)?)
    }

    fn host(&self) -> Result<Host, Failure> {
        Ok(Host::new(self.root.clone())?)
    }
}

/// The command line as data: its manual pages and completions are made from it.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Parses the arguments, runs the command, prints its errors.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { Failure::USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    let output = Output { json: arguments.json, quiet: arguments.quiet, verbose: arguments.verbose > 0 };
    log::start(level(&arguments), || output::Beside);
    let root = arguments.root.map_or_else(Root::default, Root::new);
    let context = Context { output, root, config: arguments.config };
    match run(&context, arguments.command) {
        Ok(code) => code,
        Err(failure) => failure.report(output, &context.root),
    }
}

fn level(arguments: &Arguments) -> LevelFilter {
    let daemon = matches!(arguments.command, Command::Daemon | Command::Resolve);
    match (arguments.verbose, arguments.quiet) {
        (_, true) => LevelFilter::ERROR,
        (0, _) if daemon => LevelFilter::INFO,
        (0, _) => LevelFilter::WARN,
        (1, _) => LevelFilter::INFO,
        (2, _) => LevelFilter::DEBUG,
        (_, _) => LevelFilter::TRACE,
    }
}

fn run(context: &Context, command: Command) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::Runtime)?;
    runtime.block_on(async {
        match command {
            Command::Plan => plan::run(context).await,
            Command::Apply(options) => apply::run(context, &options).await,
            Command::Status => status::run(context).await,
            Command::History => history::run(context),
            Command::Doctor => doctor::run(context).await,
            Command::Hardware(arguments) => hardware::run(context, arguments).await,
            Command::Snapshot(arguments) => snapshot::run(context, arguments).await,
            Command::Restore(options) => Box::pin(restore::run(context, options)).await,
            Command::Upgrade(options) => upgrade::run(context, options).await,
            Command::Rollback(options) => rollback::run(context, options).await,
            Command::Thaw => snapshot::thaw(context).await,
            Command::Secret(command) => secret::run(context, command).await,
            Command::Immich(command) => immich::run(context, command).await,
            Command::Config(command) => config::run(context, &command),
            Command::Icloud(command) => icloud::run(context, command).await,
            Command::Daemon => daemon::run(context).await,
            Command::Resolve => Box::pin(daemon::resolve(context)).await,
        }
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_tree_is_consistent() {
        super::command().debug_assert();
    }
}
