//! Podman: whether its socket comes back at the next boot, and what its store lies in.

use super::{Finding, Known};
use crate::model::UnitState;
use crate::plan::PODMAN_SOCKET;

pub(super) fn socket(known: &Known) -> Finding {
    match &known.socket {
        Ok(state) => judge_socket(state),
        Err(why) => Finding::unknown(why),
    }
}

fn judge_socket(state: &UnitState) -> Finding {
    if ["enabled", "static", "enabled-runtime", "linked", "alias"].contains(&state.file_state.as_str()) {
        return Finding::holds(format!("{PODMAN_SOCKET} is {}", state.file_state));
    }
    let found = if state.file_state.is_empty() { "not there" } else { &state.file_state };
    Finding::fails(
        format!("{PODMAN_SOCKET} is {found}: after a boot the agent could not speak to Podman"),
        format!("systemctl enable --now {PODMAN_SOCKET}"),
    )
}

pub(super) fn store(known: &Known) -> Finding {
    match &known.driver {
        Ok(driver) => judge_store(driver),
        Err(why) => Finding::unknown(why),
    }
}

fn judge_store(driver: &str) -> Finding {
    let why = match driver {
        "overlay" => return Finding::holds("overlay"),
        "btrfs" => {
            "makes a subvolume of each layer of an image: hundreds beside the library's, each of which slows deleting down"
        }
        "vfs" => "copies each layer of an image whole: a release takes several times its size",
        _ => "was never tried with this stack",
    };
    Finding::fails(
        format!("the storage driver {driver} {why}"),
        "write driver = \"overlay\" under [storage] in /etc/containers/storage.conf, then podman system reset: that \
         deletes all containers, images and secrets on this host, so before the first apply",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_no_boot_brings_back_is_found() {
        let state = |file_state: &str| UnitState { file_state: file_state.to_owned(), ..UnitState::default() };
        assert!(matches!(judge_socket(&state("enabled")), Finding::Holds { .. }));
        for gone in ["disabled", "masked", ""] {
            assert!(
                matches!(judge_socket(&state(gone)), Finding::Fails { remedy, .. } if remedy.contains("enable --now")),
                "{gone}"
            );
        }
    }

    #[test]
    fn only_overlay_is_a_store_for_it() {
        assert!(matches!(judge_store("overlay"), Finding::Holds { .. }));
        for other in ["btrfs", "vfs", "zfs"] {
            assert!(matches!(judge_store(other), Finding::Fails { why, .. } if why.contains(other)), "{other}");
        }
    }
}
