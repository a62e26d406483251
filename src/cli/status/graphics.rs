//! Whether what is done by a card is done by it: accelerated, or not and why.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use crate::apply::Survey;
use crate::cli::failure::Failure;
use crate::cli::hardware::proof;
use crate::host::{Host, journal};
use crate::model::{Refusal, Service, UnitName};
use crate::plan::failing;
use crate::record::{GraphicsTrial, Workload, graphics};

/// How far back the services' own words are read, and how many lines at most.
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const LINES: usize = 5000;

#[derive(Debug, Serialize)]
pub(super) struct Graphics {
    machine_learning: Use,
    transcoding: Use,
    /// What a person must see to; among the others.
    #[serde(skip)]
    pub(super) concerns: Vec<Refusal>,
}

#[derive(Debug, Serialize)]
struct Use {
    /// In words.
    uses: String,
    state: State,
    /// The last proof of it.
    proof: Option<GraphicsTrial>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// There is no card for it.
    Processor,
    /// By a card.
    Accelerated,
    /// There is a card for it, and it is not used.
    Degraded,
}

impl Graphics {
    pub(super) async fn look(host: &Host, survey: &Survey) -> Result<Self, Failure> {
        let known = graphics(&host.root)?;
        let acceleration = &survey.desired.acceleration;
        let (learning, encoding) = (&acceleration.learning, &acceleration.encoding);
        let uses = |workload, service, uses: String, is_given: bool, is_lost: bool| Use {
            uses,
            state: match () {
                () if is_lost || (is_given && !has_devices(survey, service)) => State::Degraded,
                () if is_given => State::Accelerated,
                () => State::Processor,
            },
            proof: proof(&survey.desired, &known, workload).cloned(),
        };
        let lost = (learning.lost.is_some(), encoding.lost.is_some());
        let mut concerns = Vec::new();
        // Without a card, too: what kills it then is mostly a want of memory.
        let said = lines(Service::Ml, HOUR).await;
        concerns.extend(failing::workers(said.iter().map(String::as_str), learning.given.is_some()));
        if encoding.given.is_some() {
            concerns.extend(failing::encodings(lines(Service::Server, DAY).await.iter().map(String::as_str)));
        }
        let machine_learning =
            uses(Workload::Learning, Service::Ml, learning.title(), learning.given.is_some(), lost.0);
        let transcoding = uses(Workload::Encoding, Service::Server, encoding.title(), encoding.given.is_some(), lost.1);
        concerns.extend(
            [("machine learning", &machine_learning), ("transcoding", &transcoding)].into_iter().filter_map(failed),
        );
        Ok(Self { machine_learning, transcoding, concerns })
    }

    /// Whether there is a card that is not used.
    pub(super) fn is_degraded(&self) -> bool {
        [&self.machine_learning, &self.transcoding].iter().any(|of| of.state == State::Degraded)
    }

    /// A line for each that a card does, or should.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for (what, of) in [("machine learning", &self.machine_learning), ("transcoding", &self.transcoding)] {
            let proven = match &of.proof {
                Some(proof) if proof.works => ", proven",
                _ => "",
            };
            let _ = match of.state {
                State::Processor => continue,
                State::Accelerated => writeln!(text, "  {what}: {}{proven}", of.uses),
                State::Degraded => writeln!(text, "  {what}: degraded, without its card"),
            };
        }
        text
    }
}

/// The concern of a proof that failed, as long as nothing else is used.
fn failed((what, of): (&str, &Use)) -> Option<Refusal> {
    let proof = of.proof.as_ref().filter(|proof| !proof.works)?;
    let why = format!("{} did not pass its test: {}", of.uses, proof.said);
    Some(Refusal::new(what, why, "photos-agent hardware test tries it again; photos-agent hardware says what there is"))
}

async fn lines(service: Service, within: Duration) -> Vec<String> {
    journal::lines_within(&UnitName::constant(service.unit()), within, LINES).await
}

/// Whether the container was given its card when it started. Where Podman is silent, nobody knows better.
fn has_devices(survey: &Survey, service: Service) -> bool {
    let Ok(podman) = &survey.observed.podman else { return true };
    podman.containers.get(service.stem()).is_none_or(|container| container.has_devices)
}
