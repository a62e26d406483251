//! Secrets: made once, and never again while a database knows the old one.

use crate::model::{ActiveState, HostPath, PlaceState, PodmanState, SecretName, Subvolume, SubvolumeState, UnitName};
use crate::plan::{Observed, Plan, Step, unit};
use crate::stack::{Desired, DesiredService};

/// Makes what is missing, where no database knows it.
pub(super) fn plan(observed: &Observed, podman: &PodmanState, desired: &Desired, plan: &mut Plan) {
    if database(observed, desired).is_none() {
        for secret in missing(podman, desired) {
            plan.step(Step::MakeSecret { secret: secret.clone() }, "it does not exist");
        }
    }
}

/// Tells of secrets that are gone although a database knows them: after all steps are known, since a stack that runs with
/// its copies goes on, and one that any step starts again does not.
pub(super) fn tell_lost(observed: &Observed, podman: &PodmanState, desired: &Desired, plan: &mut Plan) {
    // Until Podman has been asked, nobody knows whether the secret is there.
    let Some(path) = database(observed, desired).filter(|_| observed.podman.is_ok()) else { return };
    for secret in missing(podman, desired) {
        let what = format!("secret {secret}");
        let why = format!("is missing from Podman's store, but a database exists in {path}");
        let readers: Vec<&DesiredService> =
            desired.services.iter().filter(|service| service.secrets.contains(secret)).collect();
        let has_copy = |service: &&DesiredService| {
            let container = podman.containers.get(service.service.stem());
            unit(observed, service.unit.as_str()).active == ActiveState::Active
                && container.is_some_and(|container| container.secrets.contains_key(secret.as_str()))
        };
        if readers.iter().all(has_copy) && !plan.steps.iter().any(|planned| disturbs(&planned.step, &readers, desired))
        {
            let why = format!("{why}; what runs has a copy, and could not be started again");
            plan.concern(what, why, format!("photos-agent secret rotate {secret}   (a new one, without a stop)"));
        } else {
            let remedy = format!(
                "photos-agent secret set {secret}   (the password the database was made with, or a new one: \
                 the role's password is set from it when postgres starts)"
            );
            plan.refuse(what, why, remedy);
        }
    }
}

/// Whether the step stops or starts one of these services. A network takes its containers with it.
fn disturbs(step: &Step, services: &[&DesiredService], desired: &Desired) -> bool {
    let is_theirs = |name: &UnitName| {
        services.iter().any(|service| service.unit == *name)
            || desired.networks.iter().any(|network| network.unit == *name)
    };
    match step {
        Step::StopStack { .. } | Step::SetAside { .. } | Step::RemoveNetwork { .. } => true,
        Step::Stop { units } | Step::Start { units, .. } | Step::Restart { units } => units.iter().any(is_theirs),
        _ => false,
    }
}

fn missing<'a>(podman: &PodmanState, desired: &'a Desired) -> impl Iterator<Item = &'a SecretName> {
    desired.secrets.iter().filter(|secret| !podman.secrets.contains_key(secret.as_str()))
}

/// Where a database lies, whoever made it: anything in the subvolume counts, but what a first start left half-made.
fn database<'a>(observed: &Observed, desired: &'a Desired) -> Option<&'a HostPath> {
    if observed.first_starts.contains(&Subvolume::Postgres) {
        return None;
    }
    let place = desired.subvolumes.iter().find(|place| place.subvolume == Subvolume::Postgres)?;
    let is_empty = match observed.places.get(&place.path) {
        None | Some(Ok(PlaceState::Absent { .. })) => true,
        Some(Ok(PlaceState::Folder { empty, .. } | PlaceState::Subvolume(SubvolumeState { empty, .. }))) => *empty,
        // What cannot be looked at may be one.
        Some(Ok(PlaceState::Other) | Err(_)) => false,
    };
    (!is_empty).then_some(&place.path)
}
