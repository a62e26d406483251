//! `photos-agent daemon`: what photos-agent.service runs.

use std::process::ExitCode;

use crate::agent;
use crate::cli::Context;
use crate::cli::apply::require_root;
use crate::cli::failure::Failure;
use crate::config::{self, DEFAULT_PATH};

pub(super) async fn run(context: &Context) -> Result<ExitCode, Failure> {
    require_root()?;
    let path = context.config.clone();
    let root = context.root.clone();
    let load = move || {
        let (path, explicit) = path.as_ref().map_or((DEFAULT_PATH.as_ref(), false), |path| (path.as_path(), true));
        config::load(&root, path, explicit)
    };
    agent::run(context.root.clone(), load).await.map_err(Failure::Runtime)?;
    Ok(ExitCode::SUCCESS)
}
