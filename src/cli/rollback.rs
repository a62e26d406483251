//! `photos-agent rollback`: an earlier generation, its data included, once it is said what was added since.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::apply::Report;
use crate::cli::Context;
use crate::cli::apply::{Talk, report_text, require_root};
use crate::cli::failure::Failure;
use crate::cli::plan::count;
use crate::cli::restore;
use crate::model::Refusal;
use crate::upgrade::{self, Added, Outlook, Target};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Its number in `photos-agent history` [default: the newest before this one that has its data]
    #[arg(value_name = "GENERATION")]
    generation: Option<u32>,

    /// Although photographs were added since, which are kept aside
    #[arg(long)]
    accept_loss: bool,

    /// Do not ask
    #[arg(long)]
    yes: bool,

    /// Say what would be done, and do nothing
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
}

/// The command, as the history has it.
const ROLLBACK: &str = "photos-agent rollback";

#[derive(Serialize)]
struct Body<'a> {
    outlook: &'a Outlook,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<&'a Report>,
}

pub(super) async fn run(context: &Context, options: Options) -> Result<ExitCode, Failure> {
    require_root()?;
    let Options { generation, accept_loss, yes, dry_run } = options;
    let target = Target { generation, files: context.sources()?, looks_only: dry_run, command: ROLLBACK.to_owned() };
    let host = context.host()?;
    let outlook = upgrade::outlook(&host, &target).await?;
    let told = text(&outlook);
    if dry_run {
        context.output.answer("rollback", Body { outlook: &outlook, report: None }, || told);
        return Ok(ExitCode::SUCCESS);
    }
    context.output.talk(&told);
    if !accept_loss && !outlook.added.is_nothing() {
        let why = format!("would take out of sight what was added since: {}", added(&outlook.added));
        let remedy = format!("photos-agent rollback {} --accept-loss", outlook.generation);
        return Err(Refusal::new(format!("rollback to generation {}", outlook.generation), why, remedy).into());
    }
    if !yes {
        let again = format!("photos-agent rollback {} --accept-loss --yes", outlook.generation);
        restore::ask(&format!("rollback to generation {}", outlook.generation), &again)?;
    }
    let mut talk = Talk::new(context.output);
    let report = Box::pin(upgrade::rollback(&host, &target, &outlook, &mut talk)).await?;
    context.output.answer("rollback", Body { outlook: &outlook, report: Some(&report) }, || done(&outlook, &report));
    Ok(ExitCode::SUCCESS)
}

fn text(outlook: &Outlook) -> String {
    let Outlook { generation, added: since, restore } = outlook;
    let mut text = format!("Roll back to generation {generation}. Added since: {}\n", added(since));
    text.push_str(&restore::text(restore));
    text
}

fn added(added: &Added) -> String {
    if added.is_nothing() {
        return "nothing".to_owned();
    }
    let assets = match added.assets {
        Some(assets) => format!("{assets} photographs and videos in the database"),
        None if added.is_asked => "an unknown number of photographs and videos (the database does not tell)".to_owned(),
        None => "photographs and videos (a dry run does not have the database count them)".to_owned(),
    };
    let files = usize::try_from(added.files).unwrap_or(usize::MAX);
    let more = if added.or_more { " or more" } else { "" };
    format!("{assets}, {}{more} on disk", count(files, "new file"))
}

fn done(outlook: &Outlook, report: &Report) -> String {
    let mut text = report_text(report);
    let _ = writeln!(text, "Generation {} is back, with Immich {}.", outlook.generation, outlook.restore.release.then);
    for kept in &outlook.restore.kept {
        let _ = writeln!(text, "What was live is kept in {kept}");
    }
    if outlook.added.files > 0 {
        let _ = writeln!(text, "With it the photographs since: {}, in media and icloud there", added(&outlook.added));
    }
    text
}
