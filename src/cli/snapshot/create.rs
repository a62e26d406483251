//! `photos-agent snapshot create`.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use crate::cli::Context;
use crate::cli::apply::{Talk, require_root};
use crate::cli::failure::Failure;
use crate::host::Host;
use crate::icloud;
use crate::model::{Refusal, UnitName};
use crate::notify;
use crate::record::Manifest;
use crate::snapshot::{self, Applied, Request, name_holes};

/// The reason of photos-snapshot.service.
const SCHEDULED: &str = "scheduled";

/// Longest reason, in characters: it is a line in a list.
const LONGEST: usize = 200;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Why, as `snapshot list` shows it
    #[arg(long, value_name = "TEXT", default_value = "asked for")]
    reason: String,

    /// Never prune it
    #[arg(long)]
    keep: bool,
}

#[derive(Serialize)]
struct Body<'a> {
    snapshot: &'a Manifest,
}

pub(super) async fn run(context: &Context, options: Options) -> Result<ExitCode, Failure> {
    require_root()?;
    let Options { reason, keep } = options;
    check(&reason)?;
    let command = "photos-agent snapshot".to_owned();
    let request = Request { reason, keep, whole: false, command, by: caller(), database: None };
    let mut talk = Talk::new(context.output);
    let made = snapshot::create(&context.host()?, &request, &mut talk).await;
    if request.reason == SCHEDULED {
        tell(context).await;
    }
    let manifest = made?;
    context.output.answer("snapshot", Body { snapshot: &manifest }, || text(&manifest));
    Ok(ExitCode::SUCCESS)
}

/// Nobody watches, and every night is often enough to look.
async fn tell(context: &Context) {
    let (Ok((loaded, _)), Ok(applied)) = (context.in_force(), Applied::read(&context.root)) else { return };
    let (root, settings) = (&context.root, &loaded.settings);
    notify::tell_space(root, &settings.notify, &snapshot::low(root, &applied.desired.disks)).await;
    // Runs of iCloud may be a month apart, and a session may end between two of them.
    notify::tell_endings(root, &settings.notify, &icloud::endings(root, settings, Timestamp::now())).await;
}

fn check(reason: &str) -> Result<(), Failure> {
    if reason.chars().any(char::is_control) || reason.chars().count() > LONGEST || reason.trim().is_empty() {
        let hint = format!("one line of at most {LONGEST} characters: --reason 'before the holidays'");
        return Err(Failure::Usage { what: "this reason cannot stand in a list".to_owned(), hint });
    }
    Ok(())
}

/// Whoever became root for it, where that is known.
pub(in crate::cli) fn caller() -> String {
    std::env::var("SUDO_USER").ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "root".to_owned())
}

fn text(manifest: &Manifest) -> String {
    let frozen = match manifest.frozen_us {
        0 => "nothing ran".to_owned(),
        long => format!("everything stood still for {}.{} ms", long / 1000, long % 1000 / 100),
    };
    let mut text = format!("Snapshot {}: {} subvolumes, {frozen}.\n", manifest.id, manifest.parts.len());
    if manifest.database.is_none() {
        let _ = writeln!(
            text,
            "note: the database did not run, or did not answer; a start from it recovers as after a power cut"
        );
    }
    if !manifest.holes.is_empty() {
        let holes = name_holes(&manifest.holes);
        let _ = writeln!(
            text,
            "WARNING: it is without {holes}: subvolumes of their own or mounts, which no snapshot holds"
        );
    }
    text
}

/// What the guard of a freeze becomes: thaws, and starts what the freeze left waiting.
pub(in crate::cli) async fn thaw(context: &Context) -> Result<ExitCode, Failure> {
    let host: Host = context.host()?;
    let applied = Applied::read(&context.root)?;
    let services: Vec<UnitName> = applied.desired.services.into_iter().map(|service| service.unit).collect();
    snapshot::thaw(&host, &services)
        .await
        .map_err(|error| Refusal::new("photos.slice", crate::observe::chain(&error), "systemctl thaw photos.slice"))?;
    Ok(ExitCode::SUCCESS)
}
