//! Whether what is done by a card is done by it: accelerated, or not and why.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use crate::apply::Survey;
use crate::cli::failure::Failure;
use crate::cli::hardware::proof;
use crate::host::{Host, journal};
use crate::model::hardware::{ENCODING, LEARNING};
use crate::model::{Refusal, Service, UnitName};
use crate::plan::failing;
use crate::plan::transcoding::{self, Asked};
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
    /// There is a card for it, and its service has started without it.
    Degraded,
    /// The service has its card, and Immich's own setting is another.
    Unused,
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
        let said = lines(survey, Service::Ml, HOUR).await;
        concerns.extend(failing::workers(said.iter().map(String::as_str), learning.given.is_some()));
        if encoding.given.is_some() {
            let said = lines(survey, Service::Server, DAY).await;
            concerns.extend(failing::encodings(said.iter().map(String::as_str)));
        }
        let is_given = (learning.given.is_some(), encoding.given.is_some());
        let machine_learning = uses(Workload::Learning, Service::Ml, learning.title(), is_given.0, lost.0);
        let mut transcoding = uses(Workload::Encoding, Service::Server, encoding.title(), is_given.1, lost.1);
        if transcoding.state == State::Accelerated && !is_set(survey) {
            transcoding.state = State::Unused;
        }
        let both = [(LEARNING, &machine_learning), (ENCODING, &transcoding)];
        concerns.extend(both.into_iter().filter_map(failed));
        Ok(Self { machine_learning, transcoding, concerns })
    }

    /// Whether there is a card that is not used.
    pub(super) fn is_degraded(&self) -> bool {
        [&self.machine_learning, &self.transcoding].iter().any(|of| of.state == State::Degraded)
    }

    /// A line for each that a card does, or should.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for (what, of) in [(LEARNING, &self.machine_learning), (ENCODING, &self.transcoding)] {
            let proven = match &of.proof {
                Some(proof) if proof.works => ", proven",
                _ => "",
            };
            let _ = match of.state {
                State::Processor => continue,
                State::Accelerated => writeln!(text, "  {what}: {}{proven}", of.uses),
                State::Degraded => writeln!(text, "  {what}: degraded, without its card"),
                State::Unused => {
                    writeln!(text, "  {what}: {}{proven}, and Immich is not set to it: see below", of.uses)
                }
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

/// What a service has said within that time, since it was last started: what came before is over.
async fn lines(survey: &Survey, service: Service, within: Duration) -> Vec<String> {
    let unit = UnitName::constant(service.unit());
    let states = survey.observed.units.as_ref().ok();
    let since = states.and_then(|states| states.get(&unit)).map_or(0, |state| state.active_since);
    let now = u64::try_from(jiff::Timestamp::now().as_microsecond()).unwrap_or(0);
    // In seconds, of which the first is not cut off.
    let runs = Duration::from_micros(now.saturating_sub(since)) + Duration::from_secs(1);
    journal::lines_within(&unit, within.min(runs), LINES).await
}

/// Whether Immich's own setting is what it has to be. Where it could not be asked, nobody knows better.
fn is_set(survey: &Survey) -> bool {
    let wanted = transcoding::wanted(&survey.desired.acceleration.encoding);
    match &survey.observed.transcoding {
        Some(Asked::Seen(seen)) => seen.now == wanted,
        Some(Asked::NoKey) => false,
        _ => true,
    }
}

/// Whether the container was given its card when it started. Where Podman is silent, nobody knows better.
fn has_devices(survey: &Survey, service: Service) -> bool {
    let Ok(podman) = &survey.observed.podman else { return true };
    podman.containers.get(service.stem()).is_none_or(|container| container.has_devices)
}
