//! Whether the daemon can hear of changes (inotify): an instance of its own, and a watch for each folder.

use std::io;

use super::Finding;
use crate::host::{files, watch};
use crate::model::Root;

/// What the daemon takes, with room: a watch for each folder on the way to a unit, a record or a subvolume.
const WATCHES: u64 = 1024;

/// Under which one application more is one too many. The kernel's own default is 128.
const INSTANCES: u64 = 64;

const LIMITS: [(&str, u64, u64); 2] = [("max_user_watches", WATCHES, 65536), ("max_user_instances", INSTANCES, 512)];

pub(super) fn watches(root: &Root) -> Finding {
    let limit = |name: &str| {
        let text = files::read(&root.join(format!("/proc/sys/fs/inotify/{name}"))).ok().flatten()?;
        text.trim().parse().ok()
    };
    judge(&LIMITS.map(|(name, ..)| limit(name)), watch::can_listen())
}

/// The limits that were read, and whether there is one more instance and one more watch.
fn judge(limits: &[Option<u64>; 2], tried: io::Result<()>) -> Finding {
    let raise = |(name, _, better): &(&str, u64, u64)| {
        format!(
            "echo fs.inotify.{name}={better} >/etc/sysctl.d/60-inotify.conf && sysctl -p /etc/sysctl.d/60-inotify.conf"
        )
    };
    let low = LIMITS.iter().zip(limits).find(|((_, least, _), limit)| limit.is_some_and(|limit| limit < *least));
    if let (Some((key, Some(limit))), _) = (low, &tried) {
        let why =
            format!("fs.inotify.{} is {limit}: the daemon might not hear of what is changed behind its back", key.0);
        return Finding::fails(why, raise(key));
    }
    // EMFILE: no instance; ENOSPC: no watch.
    match tried.map_err(|error| error.raw_os_error()) {
        Ok(()) => Finding::holds(match limits {
            [Some(watches), Some(instances)] => format!("{watches} watches, {instances} instances for each user"),
            _ => "there is one to be had".to_owned(),
        }),
        Err(Some(nix::libc::ENOSPC)) => Finding::fails("all watches of this user are taken", raise(&LIMITS[0])),
        Err(Some(nix::libc::EMFILE)) => Finding::fails("all instances of this user are taken", raise(&LIMITS[1])),
        Err(_) => Finding::unknown("the kernel does not tell"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_are_low_or_used_up_are_found_each_with_its_own_remedy() {
        let errno = |number: i32| Err(io::Error::from_raw_os_error(number));
        let fails = |finding: Finding, key: &str| {
            assert!(matches!(finding, Finding::Fails { remedy, .. } if remedy.contains(key)), "{key}");
        };
        let usual = [Some(65536), Some(128)];
        assert!(matches!(judge(&usual, Ok(())), Finding::Holds { .. }));
        assert!(matches!(judge(&[None, None], Ok(())), Finding::Holds { .. }));
        fails(judge(&[Some(100), Some(128)], Ok(())), "max_user_watches=");
        fails(judge(&[Some(65536), Some(2)], Ok(())), "max_user_instances=");
        fails(judge(&usual, errno(nix::libc::ENOSPC)), "max_user_watches=");
        fails(judge(&usual, errno(nix::libc::EMFILE)), "max_user_instances=");
        assert!(matches!(judge(&usual, errno(nix::libc::EPERM)), Finding::Unknown { .. }));
    }
}
