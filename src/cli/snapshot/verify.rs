//! `photos-agent snapshot verify`.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::cli::Context;
use crate::cli::apply::{Talk, require_root};
use crate::cli::failure::Failure;
use crate::record::{Finding, Proof};
use crate::snapshot::{self, Which};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Which snapshot
    #[arg(value_name = "ID|latest", default_value = "latest")]
    which: String,
}

#[derive(Serialize)]
struct Body<'a> {
    proven: bool,
    proof: &'a Proof,
}

pub(super) async fn run(context: &Context, options: Options) -> Result<ExitCode, Failure> {
    require_root()?;
    let which = match options.which.as_str() {
        "latest" => Which::Latest,
        id => Which::This(id.parse().map_err(|invalid: crate::model::Invalid| Failure::Usage {
            what: format!("{id:?}: {invalid}"),
            hint: "photos-agent snapshot list, or `latest`".to_owned(),
        })?),
    };
    let mut talk = Talk::new(context.output);
    let proof = snapshot::verify(&context.host()?, &which, "photos-agent snapshot verify", &mut talk).await?;
    let proven = proof.is_proven();
    context.output.answer("proof", Body { proven, proof: &proof }, || text(&proof));
    Ok(if proven { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn text(proof: &Proof) -> String {
    let mut text = String::new();
    for check in &proof.checks {
        let what = &check.what;
        let _ = match &check.finding {
            Finding::Passed { detail } => writeln!(text, "ok           {what}: {detail}"),
            Finding::Failed { why } => writeln!(text, "FAILS        {what}: {why}"),
            Finding::NotChecked { why } => writeln!(text, "not checked  {what}: {why}"),
        };
    }
    let (id, seconds) = (&proof.snapshot, std::time::Duration::from_millis(proof.took_ms).as_secs_f32());
    let _ = if proof.is_proven() {
        writeln!(text, "Snapshot {id} is proven, in {seconds:.1} s.")
    } else {
        writeln!(text, "Snapshot {id} is NOT proven, in {seconds:.1} s.")
    };
    text
}
