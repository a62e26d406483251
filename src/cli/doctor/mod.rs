//! `photos-agent doctor`: every precondition, each with its remedy. Changes nothing.
//!
//! Nothing that is wrong ends it: who asks a doctor does not know yet what is wrong, and may have several
//! things wrong at once.

mod checks;
mod clock;
mod doors;
mod early;
mod graphics;
mod labels;
mod podman;
mod ports;
mod processor;
mod public;
mod storage;
mod told;
mod watches;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::process::ExitCode;

use serde::Serialize;

use crate::apply::{self, ApplyError, Survey};
use crate::cli::Context;
use crate::cli::failure::Failure;
use crate::config::Loaded;
use crate::host::Host;
use crate::model::{Refusal, UnitName, UnitState};
use crate::observe::chain;
use crate::plan::PODMAN_SOCKET;

#[derive(Serialize)]
struct Body {
    well: bool,
    checks: Vec<Check>,
}

/// One precondition. That it could not be looked at is another thing than that it does not hold.
#[derive(Serialize)]
struct Check {
    what: &'static str,
    #[serde(flatten)]
    finding: Finding,
}

#[derive(Serialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
enum Finding {
    Holds { detail: String },
    Fails { why: String, remedy: String },
    Unknown { why: String },
}

impl Finding {
    fn fails(why: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Fails { why: why.into(), remedy: remedy.into() }
    }

    /// Root may see another thing than an ordinary user does.
    fn fails_for_root(why: impl Into<String>, remedy: impl Into<String>) -> Self {
        if is_root() { Self::fails(why, remedy) } else { Self::unknown(why) }
    }

    fn holds(detail: impl Into<String>) -> Self {
        Self::Holds { detail: detail.into() }
    }

    fn unknown(why: impl Into<String>) -> Self {
        Self::Unknown { why: why.into() }
    }
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// What is known before the first check, each part with the reason where it is not.
struct Known {
    loaded: Result<Loaded, Failure>,
    survey: Result<Survey, Silence>,
    /// Its version.
    podman: Result<String, String>,
    bus: Result<(), String>,
    /// The unit that Podman's socket comes from.
    socket: Result<UnitState, String>,
    /// What Podman's store lies in.
    driver: Result<String, String>,
    public: public::Public,
}

/// Why there is no survey.
enum Silence {
    /// What is wanted cannot be had.
    Refused(Vec<Refusal>),
    /// Told by another check, or by nobody.
    Because(String),
}

impl Known {
    async fn learn(context: &Context, host: &Host) -> Self {
        let loaded = context.load();
        let survey = match &loaded {
            Ok(loaded) => apply::survey(host, loaded).await.map_err(|error| match error {
                ApplyError::Refused(refusals) => Silence::Refused(refusals),
                ApplyError::Record(_) => Silence::Because("the agent's records cannot be read".to_owned()),
                error => Silence::Because(chain(&error)),
            }),
            Err(_) => Err(Silence::Because("the configuration has mistakes".to_owned())),
        };
        let (podman, socket) = if let Ok(survey) = &survey {
            let Survey { observed, .. } = survey;
            let podman = observed.podman.as_ref().map(|podman| podman.version.clone());
            let socket = observed.units.as_ref().map(socket).map_err(|silent| silent.0.clone());
            (podman.map_err(|silent| silent.0.clone()), socket)
        } else {
            tokio::join!(ask_podman(host), ask_systemd(host))
        };
        let driver = match &podman {
            Ok(_) => host.podman.image_driver().await.map_err(|error| chain(&error)),
            Err(_) => Err("Podman does not answer".to_owned()),
        };
        let public = public::ask(host).await;
        Self { public, loaded, survey, podman, bus: socket.as_ref().map(drop).map_err(String::clone), socket, driver }
    }
}

async fn ask_podman(host: &Host) -> Result<String, String> {
    host.podman.observe(&BTreeSet::new()).await.map(|podman| podman.version).map_err(|error| chain(&error))
}

async fn ask_systemd(host: &Host) -> Result<UnitState, String> {
    let systemd = host.systemd().await.map_err(|error| chain(&error))?;
    let any: Vec<_> = PODMAN_SOCKET.parse().into_iter().collect();
    systemd.units(&any).await.map(|units| socket(&units)).map_err(|error| chain(&error))
}

fn socket(units: &BTreeMap<UnitName, UnitState>) -> UnitState {
    let found = units.iter().find(|(name, _)| name.as_str() == PODMAN_SOCKET);
    found.map(|(_, state)| state.clone()).unwrap_or_default()
}

pub(super) async fn run(context: &Context) -> Result<ExitCode, Failure> {
    let known = Known::learn(context, &context.host()?).await;
    let checks = checks::all(&context.root, &known);
    let well = checks.iter().all(|check| matches!(check.finding, Finding::Holds { .. }));
    let body = Body { well, checks };
    context.output.answer("doctor", &body, || text(&body));
    Ok(ExitCode::from(match (&known.loaded, well) {
        (Err(_), _) => Failure::USAGE,
        (_, false) => 2,
        (_, true) => 0,
    }))
}

fn text(body: &Body) -> String {
    body.checks.iter().fold(String::new(), |mut text, Check { what, finding }| {
        let _ = match finding {
            Finding::Holds { detail } => writeln!(text, "ok       {what}: {detail}"),
            Finding::Fails { why, remedy } => writeln!(text, "FAILS    {what}: {why}\n         next: {remedy}"),
            Finding::Unknown { why } => writeln!(text, "unknown  {what}: {why}"),
        };
        text
    })
}
