//! Images: pulled before a unit needs them, so that a start never waits for a registry. Which ones run, only an upgrade moves.

use std::collections::BTreeSet;

use crate::model::{InForce, PodmanState};
use crate::plan::{Plan, Step};
use crate::stack::{Desired, OtherMajor};

pub(super) fn plan(podman: &PodmanState, desired: &Desired, plan: &mut Plan) {
    let mut asked = BTreeSet::new();
    let services = desired.services.iter().map(|service| &service.image);
    for image in services.chain(desired.accounts.iter().map(|account| &account.image)) {
        if podman.images.contains(&image.to_string()) || !asked.insert(image) {
            continue;
        }
        let reason = match image.digest() {
            Some(_) => "it is not in Podman's store",
            None => "its tag is not locked to a digest yet",
        };
        plan.step(Step::Pull { image: image.clone() }, reason);
    }
    plan.notes.extend(desired.wish.as_ref().map(|wish| note(&desired.runs, wish)));
    plan.notes.extend(desired.other_major.as_ref().map(of_major));
}

/// A cluster is opened by its own major version only, and so what the files say waits.
fn of_major(OtherMajor { key, wished, runs }: &OtherMajor) -> String {
    if wished < runs {
        return format!(
            "PostgreSQL {runs} runs, and {key} says {wished}: a cluster goes to a newer major version only. Let {key} say \
             {runs}, or remove it; an older one comes back with its data: photos-agent rollback"
        );
    }
    format!("PostgreSQL {runs} runs, and {key} says {wished}; to go there: photos-agent upgrade --postgres {wished}")
}

/// What the files say and does not run.
fn note(runs: &InForce, wish: &InForce) -> String {
    let (now, then) = (&runs.release, &wish.release);
    if then < now {
        return format!(
            "Immich {now} runs, and the files say {then}; what is older comes back with its data: photos-agent rollback"
        );
    }
    if then > now {
        return format!("Immich {now} runs; to go to {then}: photos-agent upgrade");
    }
    let differs = wish.written.iter().filter(|(component, image)| runs.written.get(component) != Some(image));
    let names: Vec<String> = differs.map(|(component, image)| format!("{} = {image}", component.key())).collect();
    format!("the files say {}; to put it in force: photos-agent upgrade", names.join(", "))
}
