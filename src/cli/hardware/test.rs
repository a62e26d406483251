//! `photos-agent hardware test`: a short job for each card, in a container of the image that uses it.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::LazyLock;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::{image, subject};
use crate::apply::{self, ApplyError, LOCK};
use crate::cli::Context;
use crate::cli::apply::require_root;
use crate::cli::failure::Failure;
use crate::hardware::trial::{self, Came};
use crate::host::process::{self, Heard, ProcessError};
use crate::host::{Host, lock};
use crate::model::{Refusal, Service};
use crate::record::{GraphicsTrial, Workload, set_graphics_trial};
use crate::stack::{Desired, DesiredService};

/// Longest time for one. ROCm compiles for its card first, which takes minutes.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

const COMMAND: &str = "photos-agent hardware test";

#[derive(Serialize)]
struct Body {
    /// Whether every card that is used did its job.
    works: bool,
    machine_learning: Row,
    transcoding: Row,
}

#[derive(Serialize)]
struct Row {
    uses: String,
    /// Why there is nothing to prove, where it is the processor that is used.
    why: Option<String>,
    trial: Option<GraphicsTrial>,
}

pub(super) async fn run(context: &Context) -> Result<ExitCode, Failure> {
    require_root()?;
    let host = context.host()?;
    let (loaded, _) = context.in_force()?;
    let desired = apply::survey(&host, &loaded).await?.desired;
    // One at a time: two of them would be in each other's way on the card.
    let one = context.root.join("/run/photos-agent/hardware.lock");
    let _one = lock::take(&one, COMMAND, lock::PATIENCE).await.map_err(ApplyError::from)?;
    let machine_learning = learning(context, &host, &desired).await?;
    let transcoding = encoding(context, &host, &desired).await?;
    let works = |row: &Row| row.trial.as_ref().is_none_or(|trial| trial.works);
    let body = Body { works: works(&machine_learning) && works(&transcoding), machine_learning, transcoding };
    context.output.answer("hardware_test", &body, || text(&body));
    Ok(ExitCode::from(if body.works { 0 } else { 2 }))
}

async fn learning(context: &Context, host: &Host, desired: &Desired) -> Result<Row, Failure> {
    let learning = &desired.acceleration.learning;
    let uses = learning.title();
    let service = of(desired, Service::Ml);
    let Some(arguments) = service.and_then(|service| trial::learning(name(), &service.image, learning)) else {
        return Ok(Row { uses, why: Some(learning.why.clone()), trial: None });
    };
    let heard = job(context, host, service, &arguments, &uses).await?;
    let came = heard.map_or_else(late, |Heard { code, out, err }| trial::computed(learning, code, &out, &err));
    let trial = remember(context, desired, Workload::Learning, &uses, came).await?;
    Ok(Row { uses, why: None, trial: Some(trial) })
}

async fn encoding(context: &Context, host: &Host, desired: &Desired) -> Result<Row, Failure> {
    let encoding = &desired.acceleration.encoding;
    let uses = encoding.title();
    let service = of(desired, Service::Server);
    let Some(arguments) = service.and_then(|service| trial::encoding(name(), &service.image, encoding)) else {
        return Ok(Row { uses, why: Some(encoding.why.clone()), trial: None });
    };
    let heard = job(context, host, service, &arguments, &uses).await?;
    let came = heard.map_or_else(late, |Heard { code, err, .. }| trial::encoded(encoding, code, &err));
    let trial = remember(context, desired, Workload::Encoding, &uses, came).await?;
    Ok(Row { uses, why: None, trial: Some(trial) })
}

/// The name of this command's containers. What bears another one may be somebody else's.
fn name() -> &'static str {
    static NAME: LazyLock<String> = LazyLock::new(|| format!("{}-{}", trial::NAME, Timestamp::now().as_microsecond()));
    &NAME
}

fn of(desired: &Desired, service: Service) -> Option<&DesiredService> {
    desired.services.iter().find(|desired| desired.service == service)
}

/// Runs it; none where it did not end in its time.
async fn job(
    context: &Context,
    host: &Host,
    service: Option<&DesiredService>,
    arguments: &[String],
    uses: &str,
) -> Result<Option<Heard>, Failure> {
    if let Some(service) = service
        && !host.podman.has(&service.image).await?
    {
        let why = "is not in Podman's store, so there is nothing to try it with";
        let refusal = Refusal::new(service.image.to_string(), why, "photos-agent apply");
        return Err(ApplyError::Refused(vec![refusal]).into());
    }
    context.output.talk(&format!("Trying {uses} ..."));
    match process::hear("podman", arguments, PATIENCE).await {
        Ok(heard) => Ok(Some(heard)),
        Err(ProcessError::Late { .. }) => {
            host.podman.remove_container(name()).await?;
            Ok(None)
        }
        Err(error) => Err(ApplyError::Step { step: "run the test".to_owned(), source: Box::new(error.into()) }.into()),
    }
}

fn late() -> Came {
    Came { works: false, said: format!("it did not end within {} minutes", PATIENCE.as_secs() / 60) }
}

async fn remember(
    context: &Context,
    desired: &Desired,
    workload: Workload,
    uses: &str,
    Came { works, said }: Came,
) -> Result<GraphicsTrial, Failure> {
    let of = subject(uses, &image(desired, workload));
    let trial = GraphicsTrial { at: Timestamp::now(), of, works, said };
    let path = context.root.join(LOCK);
    let _lock = lock::take(&path, COMMAND, lock::PATIENCE).await.map_err(ApplyError::from)?;
    set_graphics_trial(&context.root, workload, trial.clone())?;
    Ok(trial)
}

fn text(body: &Body) -> String {
    let mut text = String::new();
    for (what, row) in [("Machine learning", &body.machine_learning), ("Transcoding", &body.transcoding)] {
        let Row { uses, why, trial } = row;
        let _ = match trial {
            Some(trial) if trial.works => writeln!(text, "{what}: {uses} works: {}", trial.said),
            Some(trial) => writeln!(text, "{what}: {uses} does NOT work: {}", trial.said),
            None => {
                let why = why.as_deref().unwrap_or_default();
                writeln!(text, "{what}: nothing to prove: {uses} does it, since {why}")
            }
        };
    }
    if !body.works {
        text.push_str(
            "next: dmesg, for what the driver says; until it works: `ml = \"cpu\"` or `transcoding = \"off\"` in [hardware]\n",
        );
    }
    text
}
