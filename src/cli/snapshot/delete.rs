//! `photos-agent snapshot delete`: what somebody names, after a question.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{BufRead, IsTerminal};
use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::select::select;
use crate::cli::apply::{Talk, require_root};
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::{Context, time};
use crate::model::{Refusal, SnapshotId};
use crate::record::Found;
use crate::snapshot::replaced::{self, Replaced};
use crate::snapshot::{self, Applied, Doomed, why_left};

/// The command, as the history has it.
const COMMAND: &str = "photos-agent snapshot delete";

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Names of snapshots, beginnings of names, `latest`, or replaced-NUMBER
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,

    /// Do not ask
    #[arg(long)]
    yes: bool,
}

#[derive(Serialize)]
struct Body {
    operation: Option<u64>,
    deleted: Vec<String>,
}

pub(super) async fn run(context: &Context, options: &Options) -> Result<ExitCode, Failure> {
    require_root()?;
    let applied = Applied::read(&context.root)?;
    let found = applied.snapshots(&context.root).all()?;
    let trees = replaced::all(&context.root, &applied.desired.disks)?;
    let doomed = options.ids.iter().map(|text| doomed(text, &found, &trees)).collect::<Result<Vec<_>, _>>()?;
    // Two beginnings may mean the same one.
    let mut seen = BTreeSet::new();
    let doomed: Vec<Doomed> = doomed.into_iter().filter(|one| seen.insert(name(one))).collect();
    if !options.yes {
        confirm(&question(&doomed, &found))?;
    }
    let operation = snapshot::delete(&context.host()?, &doomed, COMMAND, &mut Talk::new(context.output)).await?;
    let body = Body { operation, deleted: doomed.iter().map(name).collect() };
    context.output.answer("deleted", &body, || format!("Deleted {}.", body.deleted.join(", ")));
    Ok(ExitCode::SUCCESS)
}

fn doomed(text: &str, found: &[(SnapshotId, Found)], trees: &[Replaced]) -> Result<Doomed, Failure> {
    if let Some(tree) = Replaced::named(text) {
        let missing = || Refusal::new(text, "is not there", "photos-agent snapshot list");
        return trees.contains(&tree).then_some(Doomed::Replaced(tree)).ok_or_else(|| missing().into());
    }
    let (id, found) = select(text, found)?;
    match found {
        // Who knows what the newer one needs it for.
        Found::Newer(_) => {
            let remedy = "install that version again, and delete it with that";
            Err(Refusal::new(format!("snapshot {id}"), why_left(&found), remedy).into())
        }
        _ => Ok(Doomed::Snapshot(id, "asked for".to_owned())),
    }
}

fn name(doomed: &Doomed) -> String {
    match doomed {
        Doomed::Snapshot(id, _) => id.to_string(),
        Doomed::Replaced(tree) => tree.name(),
    }
}

fn question(doomed: &[Doomed], found: &[(SnapshotId, Found)]) -> String {
    let mut text = String::new();
    let now = Timestamp::now();
    for one in doomed {
        let about = match one {
            Doomed::Replaced(_) => "the photographs and the database as they were before that restore".to_owned(),
            Doomed::Snapshot(id, _) => match found.iter().find(|(other, _)| other == id) {
                Some((_, Found::Whole(summary))) => {
                    let kept = if summary.keep { ", asked to keep" } else { "" };
                    format!("{} old, {}{kept}", time::age(summary.created, now), summary.reason)
                }
                Some((_, found)) => why_left(found),
                None => String::new(),
            },
        };
        let _ = writeln!(text, "  {}  {about}", name(one));
    }
    text
}

/// Asks on a terminal. Without one nobody can answer, and silence is no consent.
fn confirm(what: &str) -> Result<(), Refusal> {
    let refused = |why: &str| Refusal::new("the deletion", why, "the same command with --yes");
    if !std::io::stdin().is_terminal() {
        return Err(refused("cannot be undone, and there is no terminal to ask on"));
    }
    Output::complain(&format!("{what}Delete for good? Type yes:"));
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    if read.is_ok() && answer.trim() == "yes" { Ok(()) } else { Err(refused("was not confirmed; nothing was deleted")) }
}
