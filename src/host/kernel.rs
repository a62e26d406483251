//! The kernel's forwarding switches and name in /proc/sys, our rules in its packet filter, and whether SELinux is on.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::host::files::{self, FileError};
use crate::host::firewall::{self, Family};
use crate::host::process;
use crate::model::Kernel;
use crate::model::Root;

const IP_FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";

fn forwarding(root: &Root, interface: &str) -> PathBuf {
    root.join(format!("/proc/sys/net/ipv4/conf/{interface}/forwarding"))
}

/// Reads the switches; `inner` is the bridge that must not forward, `chains` are those of our `table`.
pub fn observe(root: &Root, inner: &str, table: &str, chains: &[&str]) -> Result<Kernel, FileError> {
    let on = |text: String| text.trim() == "1";
    Ok(Kernel {
        ip_forward: files::read(&root.join(IP_FORWARD))?.is_some_and(on),
        inner_forwarding: files::read(&forwarding(root, inner))?.map(on),
        // An ordinary user may not ask.
        rules: firewall::has_rules(Family::Inet, table, chains).ok(),
    })
}

/// The name that the host goes by; none where nobody says.
pub fn host_name(root: &Root) -> String {
    let name = files::read(&root.join("/proc/sys/kernel/hostname")).ok().flatten().unwrap_or_default();
    name.trim().to_owned()
}

/// Lets the host forward between its networks.
pub fn allow_forwarding(root: &Root) -> Result<(), FileError> {
    set(root.join(IP_FORWARD), "1")
}

/// Stops the host forwarding for one interface.
pub fn deny_forwarding(root: &Root, interface: &str) -> Result<(), FileError> {
    set(forwarding(root, interface), "0")
}

/// These files are written in place: the kernel takes each write(2) as a command.
fn set(path: PathBuf, value: &str) -> Result<(), FileError> {
    std::fs::write(&path, value).map_err(|source| FileError { doing: "set", path, source })
}

/// What names this boot of the host; none where the kernel does not tell (random(4)).
pub fn boot(root: &Root) -> Option<String> {
    let id = files::read(&root.join("/proc/sys/kernel/random/boot_id")).ok()??;
    Some(id.trim().to_owned())
}

/// How long ago the first process was started: on a host in a container, too, whose kernel has run for longer. None where
/// that cannot be told.
pub fn since_boot(root: &Root) -> Option<Duration> {
    // proc_pid_stat(5): the 22nd field, in ticks since the kernel's start; a name in brackets before it may hold spaces.
    let stat = files::read(&root.join("/proc/1/stat")).ok()??;
    let started: f64 = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    let uptime: f64 = files::read(&root.join("/proc/uptime")).ok()??.split_whitespace().next()?.parse().ok()?;
    // USER_HZ is 100 wherever Linux runs on (time(7)).
    Duration::try_from_secs_f64(uptime - started / 100.0).ok()
}

/// Whether SELinux is enabled on this host, enforcing or not.
pub fn has_selinux(root: &Root) -> bool {
    root.join("/sys/fs/selinux/enforce").exists()
}

/// Whether it keeps processes from what its policy does not let them, and does not only write that down.
pub fn is_selinux_enforcing(root: &Root) -> bool {
    files::read(&root.join("/sys/fs/selinux/enforce")).is_ok_and(|text| text.is_some_and(|text| text.trim() == "1"))
}

/// The label of a file or folder, `user:role:type:level`; none where it has none, or it may not be read.
pub fn label(path: &Path) -> Option<String> {
    let said = process::run("stat", &["--format=%C".as_ref(), path.as_os_str()]).ok()?;
    Some(String::from_utf8_lossy(&said.stdout).trim().to_owned()).filter(|label| label != "?")
}

/// Whether processes can be limited in this way (`memory`, `pids`): a host in a container may not be let to.
pub fn limits(root: &Root, controller: &str) -> bool {
    let known = std::fs::read_to_string(root.join("/sys/fs/cgroup/cgroup.controllers")).unwrap_or_default();
    known.split_whitespace().any(|word| word == controller)
}
