//! `photos-agent daemon`: what photos-agent.service runs; and `photos-agent resolve`, for photos-resolve.service.

use std::process::ExitCode;

use crate::agent;
use crate::cli::Context;
use crate::cli::apply::require_root;
use crate::cli::failure::Failure;
use crate::config::{self, DEFAULT_PATH, Diagnostics, Loaded};

pub(super) async fn run(context: &Context) -> Result<ExitCode, Failure> {
    require_root()?;
    Box::pin(agent::run(context.root.clone(), loader(context))).await.map_err(Failure::Runtime)?;
    Ok(ExitCode::SUCCESS)
}

/// What photos-resolve.service runs.
pub(super) async fn resolve(context: &Context) -> Result<ExitCode, Failure> {
    require_root()?;
    agent::resolve::<Failure>(&context.host()?, loader(context)).await?;
    Ok(ExitCode::SUCCESS)
}

/// Reads the configuration, each time anew.
fn loader(context: &Context) -> impl Fn() -> Result<Loaded, Diagnostics> + use<> {
    let (path, root) = (context.config.clone(), context.root.clone());
    move || {
        let (path, explicit) = path.as_ref().map_or((DEFAULT_PATH.as_ref(), false), |path| (path.as_path(), true));
        config::load(&root, path, explicit)
    }
}
