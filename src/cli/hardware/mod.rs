//! `photos-agent hardware`: what was found, what each workload uses, and why not the rest. Changes nothing.

mod test;
mod text;

use std::process::ExitCode;

use clap::Subcommand;
use serde::Serialize;

use crate::apply;
use crate::cli::Context;
use crate::cli::failure::Failure;
use crate::hardware::{GIB, room_for};
use crate::model::hardware::{Acceleration, Encoding, Hardware, Learning};
use crate::model::{Refusal, Service};
use crate::observe;
use crate::record::{Graphics, GraphicsTrial, Workload, graphics};
use crate::stack::{self, Desired};

/// What there is of them.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prove it: a short job for each card that is used, in a container made for it
    Test,
}

#[derive(Serialize)]
struct Body<'a> {
    found: &'a Hardware,
    machine_learning: Used<'a, Learning>,
    transcoding: Used<'a, Encoding>,
    /// GiB that the image of machine learning needs where images lie, while it is pulled.
    image_needs: u64,
    /// The same that are free there.
    image_room: Option<u64>,
    /// What is wished for and cannot be.
    refusals: &'a [Refusal],
}

#[derive(Serialize)]
struct Used<'a, T> {
    /// In words.
    uses: String,
    #[serde(flatten)]
    of: &'a T,
    image: String,
    /// The last proof, if it was of this.
    proof: Option<&'a GraphicsTrial>,
}

pub(super) async fn run(context: &Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    match arguments.command {
        None => show(context),
        Some(Command::Test) => test::run(context).await,
    }
}

fn show(context: &Context) -> Result<ExitCode, Failure> {
    let (loaded, _) = context.in_force()?;
    let facts = observe::facts(&context.root, &loaded.settings).map_err(apply::ApplyError::from)?;
    let known = graphics(&context.root)?;
    let desired = stack::desire(&loaded.settings, &facts);
    let desired = desired.map_err(|refusal| apply::ApplyError::Refused(vec![refusal]))?;
    let Acceleration { learning, encoding, .. } = &*desired.acceleration;
    let body = Body {
        found: &facts.graphics.hardware,
        machine_learning: used(Workload::Learning, learning.title(), learning, &desired, &known),
        transcoding: used(Workload::Encoding, encoding.title(), encoding, &desired, &known),
        image_needs: room_for(learning.variant) / GIB,
        image_room: facts.graphics.room.map(|room| room / GIB),
        refusals: &desired.unfit,
    };
    context.output.answer("hardware", &body, || text::text(&body));
    let lost = learning.lost.is_some() || encoding.lost.is_some();
    Ok(ExitCode::from(match lost {
        _ if !desired.unfit.is_empty() => 3,
        true => 2,
        false => 0,
    }))
}

fn used<'a, T>(of: Workload, uses: String, what: &'a T, desired: &Desired, known: &'a Graphics) -> Used<'a, T> {
    let image = image(desired, of);
    let proof = known.trials.get(&of).filter(|trial| trial.of == subject(&uses, &image));
    Used { uses, of: what, image, proof }
}

/// The image that a workload runs in, in words.
fn image(desired: &Desired, workload: Workload) -> String {
    let service = match workload {
        Workload::Learning => Service::Ml,
        Workload::Encoding => Service::Server,
    };
    let found = desired.services.iter().find(|desired| desired.service == service);
    found.map(|service| service.image.to_string()).unwrap_or_default()
}

/// What a proof is of: another card, way or image is another thing.
fn subject(uses: &str, image: &str) -> String {
    format!("{uses}, {image}")
}

/// The last proof of what is used, for `status`.
pub(super) fn proof<'a>(desired: &Desired, known: &'a Graphics, workload: Workload) -> Option<&'a GraphicsTrial> {
    let uses = match workload {
        Workload::Learning => desired.acceleration.learning.title(),
        Workload::Encoding => desired.acceleration.encoding.title(),
    };
    known.trials.get(&workload).filter(|trial| trial.of == subject(&uses, &image(desired, workload)))
}
