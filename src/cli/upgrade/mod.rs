//! `photos-agent upgrade`: to a newer release, or exactly back to where it began.

mod check;
mod unattended;

use std::fmt::Write as _;
use std::process::ExitCode;

use crate::cli::Context;
use crate::cli::apply::{Talk, report_text, require_root};
use crate::cli::failure::Failure;
use clap::Args;
use serde::Serialize;

use crate::model::{Invalid, PostgresMajor, Release};
use crate::upgrade::{self, Done, Hop, Moved, Order, Wish};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// To this release instead of the newest that is old enough
    #[arg(long, value_name = "VERSION")]
    to: Option<Release>,

    /// Say what there is and what it would take, and do nothing; exit code 2 if there is an upgrade
    #[arg(long)]
    check: bool,

    /// Take a release that has just come out, too (see `upgrade.min_age`)
    #[arg(long)]
    now: bool,

    /// Move the database to this newer major version of PostgreSQL instead; the release stays
    #[arg(long, value_name = "MAJOR", value_parser = major, conflicts_with_all = ["to", "check", "now"])]
    postgres: Option<PostgresMajor>,

    /// At its moment and in nobody's way, or not now (run by photos-upgrade.service)
    #[arg(long, hide = true, conflicts_with_all = ["to", "check", "now", "postgres"])]
    unattended: bool,
}

fn major(text: &str) -> Result<PostgresMajor, Invalid> {
    text.parse()
}

/// The command, as the history has it.
const UPGRADE: &str = "photos-agent upgrade";

pub(super) async fn run(context: &Context, options: Options) -> Result<ExitCode, Failure> {
    let Options { to, check, now, postgres, unattended } = options;
    if unattended {
        return Box::pin(unattended::run(context)).await;
    }
    if check {
        return check::run(context, &Order { to, at_once: now }).await;
    }
    require_root()?;
    let order = Order { to, at_once: now };
    let command = postgres.map_or_else(|| UPGRADE.to_owned(), |wanted| format!("{UPGRADE} --postgres {wanted}"));
    let wish = Wish { order, files: context.sources()?, command, by: super::snapshot::caller() };
    let host = context.host()?;
    let mut talk = Talk::new(context.output);
    if let Some(wanted) = postgres {
        let moved = Box::pin(upgrade::change_major(&host, &wish, wanted, &mut talk)).await?;
        context.output.answer("upgrade_postgres", Postgres { moved: &moved }, || told(moved.as_ref(), wanted));
        return Ok(ExitCode::SUCCESS);
    }
    let done = Box::pin(upgrade::upgrade(&host, &wish, &mut talk)).await?;
    context.output.answer("upgrade", &done, || text(&done));
    Ok(ExitCode::SUCCESS)
}

#[derive(Serialize)]
struct Postgres<'a> {
    moved: &'a Option<Moved>,
}

fn told(moved: Option<&Moved>, wanted: PostgresMajor) -> String {
    let Some(Moved { from, to, report }) = moved else {
        return format!("PostgreSQL {wanted} runs already.\n");
    };
    let operation = report.operation.map(|number| format!("; what was live is kept: {}", kept(number)));
    format!(
        "{}PostgreSQL {to} runs; it was {from}{}. To go back, the data of then included: photos-agent rollback\n",
        report_text(report),
        operation.unwrap_or_default()
    )
}

fn kept(operation: u64) -> String {
    format!("replaced-{operation:06} (photos-agent snapshot list)")
}

fn text(done: &Done) -> String {
    let mut text = if done.hops.is_empty() { "Nothing to upgrade.\n".to_owned() } else { String::new() };
    for Hop { from, to, report } in &done.hops {
        text.push_str(&report_text(report));
        let what = if from == to {
            format!("Immich {to} runs on newer images")
        } else {
            format!("Immich {to} runs; it was {from}")
        };
        let _ = writeln!(text, "{what}. To go back, the data of then included: photos-agent rollback");
    }
    for note in &done.notes {
        let _ = writeln!(text, "note: {note}");
    }
    text
}
