//! `photos-agent upgrade`: to a newer release, or exactly back to where it began.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::cli::Context;
use crate::cli::apply::{Talk, report_text, require_root};
use crate::cli::failure::Failure;
use crate::model::Release;
use crate::upgrade::{self, Hop, Wish};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// This release, and not the newest that is old enough
    #[arg(long, value_name = "VERSION")]
    to: Option<Release>,

    /// However young it is
    #[arg(long)]
    now: bool,
}

/// The command, as the history has it.
const UPGRADE: &str = "photos-agent upgrade";

#[derive(Serialize)]
struct Body<'a> {
    hops: &'a [Hop],
}

pub(super) async fn run(context: &Context, options: Options) -> Result<ExitCode, Failure> {
    require_root()?;
    let Options { to, now } = options;
    let wish = Wish { to, now, files: context.sources()?, command: UPGRADE.to_owned(), by: super::snapshot::caller() };
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
