//! `photos-agent icloud sync`: one account, now, with progress.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::find;
use crate::cli::Context;
use crate::cli::apply::require_root;
use crate::cli::failure::Failure;
use crate::cli::immich::{NotScanned, text as scan_text};
use crate::cli::output::Output;
use crate::config::Settings;
use crate::host::{Host, lock};
use crate::icloud::{self, IcloudError, News};
use crate::immich::{self, Scanned, Which, Wish};
use crate::model::icloud::SyncResult;
use crate::model::{AccountName, SecretName};
use crate::notify::{self, Outcome};
use crate::observe::chain;
use crate::record::Run;

/// How often the counts are told.
const TELL: Duration = Duration::from_secs(2);

/// How long the scan of a scheduled run waits for that of another account, or for whoever changes the host.
const PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);

/// How often it is tried, where nothing was wrong with the tree, and how long it waits in between: the server may be restarted.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_secs(10 * 60);

#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    /// Which account, by its name in the configuration
    #[arg(value_name = "ACCOUNT")]
    account: String,
    /// Let Immich look at the library even where more is missing than `icloud.max_missing`, or another subvolume lies there than
    /// at the last look: you have seen to it
    #[arg(long)]
    force: bool,
    /// Nobody watches: what comes of it is told in the journal
    #[arg(long, hide = true)]
    scheduled: bool,
}

#[derive(Serialize)]
struct Body<'a> {
    account: &'a AccountName,
    #[serde(flatten)]
    run: &'a Run,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
    /// None where there was no scan.
    #[serde(skip_serializing_if = "Option::is_none")]
    scanned: Option<Scanned>,
    /// Why there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_scanned: Option<NotScanned>,
}

pub(super) async fn run(context: &Context, options: Options) -> Result<ExitCode, Failure> {
    require_root()?;
    let (loaded, _) = context.in_force()?;
    let (account, desired) = find(context, &loaded, &options.account)?;
    let host = context.host()?;
    let mut talk = Talk { output: context.output, told: None };
    let name = &account.name;
    let outcome = icloud::sync(&host, &account, &desired, &mut |news| talk.hear(&news)).await;
    if options.scheduled {
        tell(context, &loaded.settings, name, &outcome).await;
    }
    let run = outcome?;
    // Only what is fit to be seen, and nothing before it is written down what came of the run.
    let scanned = if run.result.is_fit() { scan(&host, name, &options).await } else { Ok(None) };
    if options.scheduled {
        tell_scan(context, &loaded.settings, name, &scanned).await;
    }
    answer(context, name, &run, scanned)
}

/// What came of both, in one answer.
fn answer(
    context: &Context,
    name: &AccountName,
    run: &Run,
    scanned: Result<Option<Scanned>, immich::Error>,
) -> Result<ExitCode, Failure> {
    let remedy = run.result.remedy(name);
    let (scanned, failed) = scanned.map_or_else(|error| (None, Some(error)), |scanned| (scanned, None));
    let not_scanned = failed.as_ref().map(|error| NotScanned::new(name.as_str(), error));
    let body = Body { account: name, run, remedy: remedy.clone(), scanned, not_scanned };
    context.output.answer("sync", &body, || {
        let scanned = body.scanned.as_ref().map(|scanned| format!("{}\n", scan_text(scanned)));
        text(name, run) + &scanned.unwrap_or_default()
    });
    if run.result.is_fit() && body.scanned.is_none() && failed.is_none() {
        context.output.talk("Immich was not asked to look: the agent has no key. next: photos-agent immich setup");
    }
    if let Some(error) = failed {
        let failure = Failure::from(error);
        // Programs have read it in the answer.
        return if context.output.json { Ok(ExitCode::from(failure.code())) } else { Err(failure) };
    }
    if let Some(remedy) = remedy.filter(|_| !context.output.json) {
        Output::complain(&format!("  next: {remedy}"));
    }
    let is_well =
        run.result == SyncResult::Done && body.scanned.is_none_or(|scanned| scanned.lost() <= scanned.missing);
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Lets Immich look; none where the agent has no key of Immich's. Where nobody waits for it, as often as it takes.
async fn scan(host: &Host, account: &AccountName, options: &Options) -> Result<Option<Scanned>, immich::Error> {
    let key = SecretName::constant(immich::API_KEY);
    if host.podman.secret_value(&key).await?.is_none() {
        return Ok(None);
    }
    let command = "photos-agent icloud sync".to_owned();
    let (patience, mut tries) = if options.scheduled { (PATIENCE, TRIES) } else { (lock::PATIENCE, 1) };
    let wish = Wish { which: Which::Account(account.clone()), force: options.force, command, patience };
    loop {
        match Box::pin(immich::guarded_scan(host, &wish)).await {
            Err(error) if tries > 1 && !matches!(error, immich::Error::Guarded { .. }) => {
                tries -= 1;
                tracing::warn!("the scan of {account} is tried again: {}", chain(&error));
                tokio::time::sleep(PAUSE).await;
            }
            ended => return ended.map(Some),
        }
    }
}

/// Tells what stands in the way of a scan, and one after which more is gone than was missing.
async fn tell_scan(
    context: &Context,
    settings: &Settings,
    account: &AccountName,
    scanned: &Result<Option<Scanned>, immich::Error>,
) {
    let said = match scanned {
        Ok(None) => return,
        Ok(Some(scanned)) if scanned.lost() > scanned.missing => (Outcome::Failed, scan_text(scanned)),
        Ok(Some(scanned)) => (Outcome::Done, scan_text(scanned)),
        Err(error) => (Outcome::Refused, NotScanned::new(account.as_str(), error).to_string()),
    };
    let details = scanned.as_ref().ok().and_then(Option::as_ref);
    notify::tell_run(&context.root, &settings.notify, "scan", account, said, details).await;
}

/// A unit that fails says why in its own words, not "exit code 1".
async fn tell(context: &Context, settings: &Settings, account: &AccountName, outcome: &Result<Run, IcloudError>) {
    let said = match outcome {
        Ok(run) if run.result == SyncResult::Done => (Outcome::Done, text(account, run).trim_end().to_owned()),
        Ok(run) => {
            let next = run.result.remedy(account).unwrap_or_default();
            (Outcome::Failed, format!("{}; next: {next}", text(account, run).trim_end()))
        }
        Err(error @ IcloudError::Refused(refusal)) => {
            (Outcome::Refused, format!("{}; next: {}", chain(error), refusal.remedy))
        }
        Err(error) => (Outcome::Failed, format!("{}; next: photos-agent icloud status", chain(error))),
    };
    notify::tell_run(&context.root, &settings.notify, "icloud", account, said, outcome.as_ref().ok()).await;
    let endings = icloud::endings(&context.root, settings, Timestamp::now());
    notify::tell_endings(&context.root, &settings.notify, &endings).await;
}

fn text(account: &AccountName, run: &Run) -> String {
    let counts = &run.counts;
    let found = counts.found.map(|found| format!(" of {found} pictures")).unwrap_or_default();
    let mib = counts.bytes.div_ceil(1 << 20);
    let kind = if run.full { "through everything" } else { "what is new" };
    format!("{account} ({kind}{found}): {} files came, {mib} MiB; {}\n", counts.downloaded, run.result)
}

struct Talk {
    output: Output,
    told: Option<Instant>,
}

impl Talk {
    fn hear(&mut self, news: &News<'_>) {
        match news {
            News::Counts(counts) => {
                if self.told.is_some_and(|told| told.elapsed() < TELL) {
                    return;
                }
                self.told = Some(Instant::now());
                let of = counts.found.map(|found| format!(" ({found} pictures at Apple)")).unwrap_or_default();
                let failed = if counts.failed > 0 { format!(", {} did not", counts.failed) } else { String::new() };
                self.output.talk(&format!("{} files came{failed}{of}", counts.downloaded));
            }
            News::Again(result, wait) => {
                self.output.talk(&format!("{result}; once more in {} s", wait.as_secs()));
            }
            News::Said(line) if self.output.verbose => self.output.talk(&format!("    {line}")),
            News::Said(_) => {}
        }
    }
}
