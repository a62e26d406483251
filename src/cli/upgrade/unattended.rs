//! `photos-agent upgrade --unattended`: what photos-upgrade.service runs.

use std::process::ExitCode;

use crate::apply::applied;
use crate::cli::Context;
use crate::cli::apply::{Talk, require_root};
use crate::cli::failure::Failure;
use crate::model::Refusal;
use crate::notify::tell_night;
use crate::record::{CameTo, Generations};
use crate::stack::UPGRADE_TIMER;
use crate::upgrade::{self, Order, Wish};

/// The command, as the history has it.
const UNATTENDED: &str = "photos-agent upgrade --unattended";

pub(super) async fn run(context: &Context) -> Result<ExitCode, Failure> {
    require_root()?;
    let host = context.host()?;
    // What is in force, since it is what the timer was made from; a mistake in a file is among what is refused.
    let Some(loaded) = Generations::new(&host.root).last()?.and_then(applied) else {
        let why = "was applied on this host, or not by this photos-agent";
        return Err(Refusal::new("nothing that is understood", why, "photos-agent apply").into());
    };
    let settings = &loaded.settings;
    if let Some(news) = upgrade::catch_up(&host.root).await? {
        tell_night(&host.root, &settings.notify, &news.night, news.is_news).await;
    }
    let wish = Wish {
        order: Order { to: None, at_once: false },
        // Files that cannot be read are not those that were applied, which is refused, and told.
        files: context.sources().unwrap_or_default(),
        command: UNATTENDED.to_owned(),
        by: crate::cli::snapshot::caller(),
    };
    // systemd says who has started it (systemd.exec(5)).
    let by_timer = std::env::var("TRIGGER_UNIT").is_ok_and(|unit| unit == UPGRADE_TIMER);
    let mut talk = Talk::new(context.output);
    let news = Box::pin(upgrade::unattended(&host, &settings.upgrade, &wish, by_timer, &mut talk)).await?;
    tell_night(&host.root, &settings.notify, &news.night, news.is_news).await;
    // The journal has it in words.
    context.output.answer("unattended_upgrade", &news.night, String::new);
    Ok(ExitCode::from(match &news.night.came_to {
        CameTo::Begun | CameTo::Nothing | CameTo::Deferred { .. } | CameTo::Done { .. } => 0,
        CameTo::WentBack { .. } | CameTo::Failed { .. } => 1,
        CameTo::Refused { .. } => 3,
    }))
}
