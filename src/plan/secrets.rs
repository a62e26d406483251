//! Secrets: made once, and never again while a database knows the old one.

use crate::model::{HostPath, PlaceState, PodmanState, SecretName, Subvolume, SubvolumeState};
use crate::plan::{Observed, Plan, Step};
use crate::stack::Desired;

pub(super) fn plan(observed: &Observed, podman: &PodmanState, desired: &Desired, plan: &mut Plan) {
    for secret in &desired.secrets {
        if podman.secrets.contains_key(secret.as_str()) {
            continue;
        }
        match database(observed, desired) {
            // Until Podman has been asked, nobody knows whether the secret is there.
            Some(_) if observed.podman.is_err() => {}
            Some(path) => refuse(secret, path, plan),
            None => plan.step(Step::MakeSecret { secret: secret.clone() }, "it does not exist"),
        }
    }
}

fn refuse(secret: &SecretName, path: &HostPath, plan: &mut Plan) {
    let why = format!("is missing from Podman's store, but a database exists in {path}");
    let remedy = format!(
        "photos-agent secret set {secret}   (the password the database was made with, or a new one: \
         the role's password is set from it when postgres starts)"
    );
    plan.refuse(format!("secret {secret}"), why, remedy);
}

/// Where a database lies, whoever made it: anything in the subvolume counts.
fn database<'a>(observed: &Observed, desired: &'a Desired) -> Option<&'a HostPath> {
    let place = desired.subvolumes.iter().find(|place| place.subvolume == Subvolume::Postgres)?;
    let is_empty = match observed.places.get(&place.path) {
        None | Some(Ok(PlaceState::Absent { .. })) => true,
        Some(Ok(PlaceState::Folder { empty, .. } | PlaceState::Subvolume(SubvolumeState { empty, .. }))) => *empty,
        // What cannot be looked at may be one.
        Some(Ok(PlaceState::Other) | Err(_)) => false,
    };
    (!is_empty).then_some(&place.path)
}
