//! `photos-agent upgrade`: to a newer release, or exactly back to where it began.

mod check;
mod unattended;

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::cli::Context;
use crate::cli::apply::{Talk, report_text, require_root};
use crate::cli::failure::Failure;
use crate::model::Release;
use crate::upgrade::{self, Hop, Order, Wish};

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

    /// At its moment and in nobody's way, or not now (run by photos-upgrade.service)
    #[arg(long, hide = true, conflicts_with_all = ["to", "check", "now"])]
    unattended: bool,
}

/// The command, as the history has it.
const UPGRADE: &str = "photos-agent upgrade";

#[derive(Serialize)]
struct Body<'a> {
    hops: &'a [Hop],
}

pub(super) async fn run(context: &Context, options: Options) -> Result<ExitCode, Failure> {
    let Options { to, check, now, unattended } = options;
    if unattended {
        return Box::pin(unattended::run(context)).await;
    }
    if check {
        return check::run(context, &Order { to, at_once: now }).await;
    }
    require_root()?;
    let order = Order { to, at_once: now };
    let wish = Wish { order, files: context.sources()?, command: UPGRADE.to_owned(), by: super::snapshot::caller() };
    let host = context.host()?;
    let mut talk = Talk::new(context.output);
    let hops = Box::pin(upgrade::upgrade(&host, &wish, &mut talk)).await?;
    context.output.answer("upgrade", Body { hops: &hops }, || text(&hops));
    Ok(ExitCode::SUCCESS)
}

fn text(hops: &[Hop]) -> String {
    if hops.is_empty() {
        return "Nothing to upgrade.\n".to_owned();
    }
    let mut text = String::new();
    for Hop { from, to, report } in hops {
        text.push_str(&report_text(report));
        let what = if from == to {
            format!("Immich {to} runs on newer images")
        } else {
            format!("Immich {to} runs; it was {from}")
        };
        let _ = writeln!(text, "{what}. To go back, the data of then included: photos-agent rollback");
    }
    text
}
