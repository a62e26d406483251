//! Whether what the agent writes into /etc is there when systemd reads it at boot: generators run before any disk but the
//! first is mounted.

use std::path::Path;

use super::Finding;
use crate::host::mounts::{self, Mount};
use crate::model::Root;
use crate::observe::chain;
use crate::stack::{QUADLETS, UNITS};

pub(super) fn early(root: &Root) -> Finding {
    let mounts = match mounts::all(root) {
        Ok(mounts) => mounts,
        Err(error) => return Finding::unknown(chain(&error)),
    };
    // Where links lead; a folder that is not there yet will be in the one above.
    let real = |path: &str| {
        let existing = Path::new(path).ancestors().find_map(|folder| root.join(folder).canonicalize().ok());
        (path.to_owned(), existing.unwrap_or_else(|| root.join("/")))
    };
    let places = [QUADLETS, UNITS].map(real);
    let late = places.iter().find_map(|(path, real)| Some((path.as_str(), late(&mounts, real)?)));
    judge(late)
}

/// The mount that comes too late for what lies here. That of /etc is made before systemd starts, if there is one.
fn late<'a>(mounts: &'a [Mount], real: &Path) -> Option<&'a Mount> {
    mounts::around(mounts, real).filter(|mount| ![Path::new("/"), Path::new("/etc")].contains(&mount.at.as_path()))
}

fn judge(late: Option<(&str, &Mount)>) -> Finding {
    match late {
        None => Finding::holds("on the root filesystem"),
        Some((path, mount)) => Finding::fails(
            format!(
                "{path} lies on {}, which is mounted after systemd has read its units: at the next boot the stack would \
                 not be there",
                mount.at.display()
            ),
            format!(
                "copy what is in it to the root filesystem: take the mount of {} out of /etc/fstab, or the link away, \
                 then: photos-agent apply",
                mount.at.display()
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_on_a_mount_of_its_own_comes_too_late() {
        let mount = |at: &str| Mount { at: at.into(), kind: "x".into(), source: "y".into(), writable: true };
        let mounts = [mount("/"), mount("/etc"), mount("/etc/containers"), mount("/srv")];
        let at = |path: &str| late(&mounts, Path::new(path)).map(|mount| mount.at.display().to_string());
        assert_eq!(at("/etc/systemd/system"), None);
        assert_eq!(at("/usr/etc"), None);
        assert_eq!(at("/etc/containers/systemd/photos-agent").as_deref(), Some("/etc/containers"));
        assert_eq!(at("/srv/units").as_deref(), Some("/srv"));
        assert!(matches!(judge(None), Finding::Holds { .. }));
        assert!(matches!(judge(Some((QUADLETS, &mounts[2]))), Finding::Fails { why, remedy }
            if why.contains("next boot") && remedy.contains("/etc/fstab")));
    }
}
