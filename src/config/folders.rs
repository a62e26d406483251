//! Which folders the stack may have, and whether those that were chosen get in each other's way.
//!
//! Compares paths as text. Symbolic links and mounts are looked at where the host is observed.

use crate::model::{HostPath, Tree};

use super::meaning::Refusal;

/// Folders that hold the system and cannot be the stack's.
const SYSTEM: &[&str] =
    &["/usr", "/etc", "/boot", "/bin", "/sbin", "/lib", "/lib64", "/home", "/root", "/var", "/var/lib", "/opt"];

/// Folders in which nothing may lie either: the kernel's, what a reboot empties, and what belongs
/// to the agent and to Podman.
const FORBIDDEN: &[&str] = &["/proc", "/sys", "/dev", "/run", "/tmp", "/var/lib/photos-agent", "/var/lib/containers"];

/// Why `folder` cannot be the stack's, if it cannot.
pub(super) fn refusal(folder: &HostPath) -> Option<Refusal> {
    let below = FORBIDDEN.iter().find(|place| folder.as_path().starts_with(place));
    if let Some(place) = below {
        return Some(Refusal::new(format!("a folder that is not in `{place}`"), None));
    }
    if SYSTEM.contains(&folder.as_str()) {
        let help = format!("name a folder of its own in it, like \"{folder}/photos\"");
        return Some(Refusal::new("a folder that holds nothing else", Some(help)));
    }
    None
}

/// A folder of the configuration, and whether everything in it is taken or only the trees.
pub(super) struct Claim<'a> {
    pub key: &'static str,
    pub folder: &'a HostPath,
    pub whole: bool,
}

impl Claim<'_> {
    fn taken(&self) -> Vec<HostPath> {
        if self.whole {
            return vec![self.folder.clone()];
        }
        let trees = [Tree::Live.folder(), Tree::Keep.folder(), "next", ".snapshots", "replaced"];
        trees.map(|name| self.folder.join(name)).to_vec()
    }
}

/// The folder of `one` in which a folder of `other` would lie or which it is, if there is one.
pub(super) fn overlap(one: &Claim<'_>, other: &Claim<'_>) -> Option<HostPath> {
    let others = other.taken();
    let touches = |mine: &HostPath| others.iter().any(|its| its.starts_with(mine) || mine.starts_with(its));
    one.taken().into_iter().find(touches)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(text: &str) -> HostPath {
        text.parse().unwrap()
    }

    #[test]
    fn system_folders_are_refused() {
        for bad in
            ["/usr", "/etc", "/home", "/var", "/var/lib", "/tmp", "/tmp/x", "/run/media/disk", "/var/lib/containers/x"]
        {
            assert!(refusal(&folder(bad)).is_some(), "{bad}");
        }
        for good in ["/srv", "/home/photos", "/var/lib/photos", "/mnt/disk", "/temporary", "/var/lib/photos-agent-2"] {
            assert!(refusal(&folder(good)).is_none(), "{good}");
        }
    }

    #[test]
    fn folders_overlap_only_where_one_writes_into_the_other() {
        let root = folder("/srv/photos");
        let of_root = Claim { key: "storage.root", folder: &root, whole: false };
        for (other, whole, clash) in [
            ("/ssd/photos", false, false),
            ("/srv/photos", false, true),
            ("/srv", false, false),
            ("/srv/photos/ssd", false, false),
            ("/srv/photos/live", false, true),
            ("/srv/photos/keep/x", false, true),
            ("/srv/photos/keepsake", false, false),
            ("/srv/photos/.snapshots/db", false, true),
            ("/srv/photos/ml", true, false),
            ("/srv/photos", true, true),
            ("/srv", true, true),
            ("/srv/photos/keep/ml-cache", true, true),
        ] {
            let path = folder(other);
            let claim = Claim { key: "storage.databases", folder: &path, whole };
            assert_eq!(overlap(&of_root, &claim).is_some(), clash, "{other} {whole}");
            assert_eq!(overlap(&claim, &of_root).is_some(), clash, "{other} {whole}");
        }
    }
}
