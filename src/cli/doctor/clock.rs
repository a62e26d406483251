//! Whether the host's clock is set by others.

use super::Finding;
use crate::host::process;
use crate::model::Root;

/// systemd-timesyncd touches it when it has set the clock.
const SYNCHRONIZED: &str = "/run/systemd/timesync/synchronized";

/// systemd writes it where it runs in a container.
const CONTAINER: &str = "/run/systemd/container";

pub(super) fn clock(root: &Root) -> Finding {
    let is_there = |path: &str| root.join(path).exists();
    judge(is_there(CONTAINER), is_there(SYNCHRONIZED), ask)
}

/// By the kernel, whoever tells it: chrony and ntpd as well.
fn ask() -> Option<String> {
    let said = process::run("timedatectl", &["show".as_ref(), "--property=NTPSynchronized".as_ref()]).ok()?;
    Some(String::from_utf8_lossy(&said.stdout).trim().to_owned())
}

fn judge(is_container: bool, synchronized: bool, ask: impl FnOnce() -> Option<String>) -> Finding {
    match (is_container, synchronized) {
        (true, _) => return Finding::holds("is the machine's, in which this host is a container"),
        (_, true) => return Finding::holds("set by systemd-timesyncd"),
        _ => {}
    }
    match ask().as_deref() {
        Some("NTPSynchronized=yes") => Finding::holds("set by the network"),
        Some("NTPSynchronized=no") => Finding::fails(
            "nobody sets it: snapshots are kept by their age, sessions at Apple and certificates end by it, and a clock \
             that jumps makes snapshots of the future",
            "timedatectl set-ntp true; where chrony is installed: systemctl enable --now chronyd (chrony on Debian). \
             Just booted: wait a minute",
        ),
        _ => Finding::unknown("timedatectl does not tell"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_set_by_timesyncd_by_anybody_or_by_nobody() {
        let said = |said: &'static str| move || Some(said.to_owned());
        let (yes, no) = ("NTPSynchronized=yes", "NTPSynchronized=no");
        assert!(matches!(judge(false, true, said(no)), Finding::Holds { detail } if detail.contains("timesyncd")));
        assert!(
            matches!(judge(false, false, said(yes)), Finding::Holds { .. }),
            "chrony leaves no file of timesyncd's"
        );
        assert!(matches!(judge(false, false, said(no)), Finding::Fails { remedy, .. } if remedy.contains("chrony")));
        assert!(matches!(judge(false, false, || None), Finding::Unknown { .. }));
        assert!(matches!(judge(true, false, said(no)), Finding::Holds { .. }));
    }
}
