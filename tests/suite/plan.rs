//! `plan`: pure, so that every drift and every refusal is a line of a table, and every interruption a loop.

#![cfg(test)]

mod accounts;
mod door;
mod graphics;
mod health;
mod properties;
mod scan;
mod table;
mod upgrade;
mod world;

use photos_agent::plan::Plan;

/// A plan, a line for each of its parts.
fn said(plan: &Plan) -> Vec<String> {
    let refusals = plan.refusals.iter().map(|refusal| format!("refused: {refusal}"));
    let steps = plan.steps.iter().map(|planned| format!("{} ({})", planned.step, planned.reason));
    let concerns = plan.concerns.iter().map(|concern| format!("concern: {concern}"));
    let notes = plan.notes.iter().map(|note| format!("note: {note}"));
    refusals.chain(concerns).chain(steps).chain(notes).collect()
}
