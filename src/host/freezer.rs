//! Holding a slice still, and the guard that lets go of it whatever becomes of the agent.
//!
//! Frozen processes are stopped by the kernel where they are, and go on as if nothing had been. systemd is asked to
//! freeze, since it must start nothing in the slice meanwhile. To thaw the kernel is asked: where a service dies while
//! it is frozen, systemd starts its stop commands in the frozen cgroup (clone3 with `CLONE_VFORK` and `CLONE_INTO_CGROUP`, systemd
//! 257) and waits for them to begin, so that it answers nobody, and no timer of its own elapses, until the cgroup is thawed.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use zbus::Variant;

use crate::host::systemd::{JobResult, Systemd, SystemdError, Verb, refused};
use crate::model::UnitName;

/// Where systemd mounts version 2 of control groups.
const CGROUPS: &str = "/sys/fs/cgroup";

/// The kernel's switches of a slice and of what lies right below it, opened while systemd still answers (cgroups(7),
/// `cgroup.freeze`).
#[derive(Debug)]
pub struct Freezer {
    path: PathBuf,
    events: File,
    /// The slice's own is the last: all that is below goes on in the same moment.
    switches: Vec<File>,
}

impl Freezer {
    /// Of the slice at `path`.
    fn open(path: PathBuf) -> io::Result<Self> {
        let mut switches = Vec::new();
        for entry in fs::read_dir(&path)? {
            switches.extend(switch(&entry?.path())?);
        }
        switches.push(switch(&path)?.ok_or(io::ErrorKind::NotFound)?);
        let events = File::open(path.join("cgroup.events"))?;
        Ok(Self { path, events, switches })
    }

    /// Whether a service of this name runs in it.
    pub fn has(&self, service: &UnitName) -> bool {
        self.path.join(service.as_str()).is_dir()
    }

    /// Whether all that is in it stands, this moment.
    pub fn is_frozen(&self) -> Result<bool, SystemdError> {
        // Two lines of a word and a digit, and what later kernels add.
        let mut text = [0; 256];
        let length = self.events.read_at(&mut text, 0).map_err(|source| self.error(source))?;
        Ok(says_frozen(&String::from_utf8_lossy(text.get(..length).unwrap_or_default())))
    }

    /// Lets all of it go on. Needs nobody's answer but the kernel's.
    pub fn thaw(&self) -> Result<(), SystemdError> {
        for switch in &self.switches {
            match switch.write_all_at(b"0", 0) {
                // Its service has ended.
                Err(error) if error.raw_os_error() == Some(nix::libc::ENODEV) => {}
                other => other.map_err(|source| self.error(source))?,
            }
        }
        Ok(())
    }

    fn error(&self, source: io::Error) -> SystemdError {
        SystemdError::Cgroup { path: self.path.clone(), source }
    }
}

/// That of the cgroup at `path`, if it is one.
fn switch(path: &Path) -> io::Result<Option<File>> {
    match OpenOptions::new().write(true).open(path.join("cgroup.freeze")) {
        Ok(file) => Ok(Some(file)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

fn says_frozen(events: &str) -> bool {
    events.lines().any(|line| line == "frozen 1")
}

impl Systemd {
    /// The switches of a slice in which something runs.
    pub async fn freezer(&self, slice: &UnitName) -> Result<Freezer, SystemdError> {
        let cgroup = self.property(slice, "org.freedesktop.systemd1.Slice", "ControlGroup").await?;
        let path = Path::new(CGROUPS).join(cgroup.unwrap_or_default().trim_start_matches('/'));
        Freezer::open(path.clone()).map_err(|source| SystemdError::Cgroup { path, source })
    }

    /// Stops all processes of the unit; when this returns, they stand.
    pub async fn freeze(&self, unit: &UnitName) -> Result<(), SystemdError> {
        self.manager.freeze_unit(unit.as_str()).await.map_err(|source| refused("freeze", unit.as_str(), source))
    }

    /// Lets them go on.
    pub async fn thaw(&self, unit: &UnitName) -> Result<(), SystemdError> {
        self.manager.thaw_unit(unit.as_str()).await.map_err(|source| refused("thaw", unit.as_str(), source))
    }

    /// Whether systemd holds the unit for frozen, and starts nothing in it.
    pub async fn is_frozen(&self, unit: &UnitName) -> Result<bool, SystemdError> {
        let state = self.property(unit, "org.freedesktop.systemd1.Unit", "FreezerState").await?;
        Ok(state.is_some_and(|state| state == "frozen"))
    }

    /// Starts a service, outside of the slice, that will thaw it after `limit` and then become `command`. It waits
    /// already when this returns, and vanishes when it has ended.
    pub async fn guard(
        &self,
        service: &UnitName,
        freezer: &Freezer,
        limit: Duration,
        command: &str,
    ) -> Result<Vec<JobResult>, SystemdError> {
        let removed = self.listen().await?;
        let script = script(&freezer.path, limit, command);
        let words = ["/bin/sh", "-c", &script].map(str::to_owned).to_vec();
        let properties = [
            ("Description", Variant::from("Thaws the photo stack where photos-agent does not")),
            // Started is what has begun to run.
            ("Type", Variant::from("exec")),
            ("ExecStart", Variant::from(vec![("/bin/sh".to_owned(), words, false)])),
            ("CollectMode", Variant::from("inactive-or-failed")),
            ("DefaultDependencies", Variant::from(false)),
            // What it is for is more urgent than what it is for.
            ("OOMScoreAdjust", Variant::from(-900)),
        ];
        let job = self.manager.start_transient_unit(service.as_str(), "fail", &properties, &[]).await;
        let job = job.map_err(|source| refused("start", service.as_str(), source))?;
        self.follow(removed, [(job.to_string(), service.clone())].into(), &mut |_| {}).await
    }

    /// Ends the guard, and returns when it has: its name may be that of the next one.
    pub async fn dismiss(&self, service: &UnitName) -> Result<(), SystemdError> {
        self.run_jobs(Verb::Stop, std::slice::from_ref(service), &mut |_| {}).await.map(drop)
    }
}

/// A shell, so that whoever kills every process of the agent's leaves it alone. `$$` is systemd's way to write `$`.
fn script(slice: &Path, limit: Duration, command: &str) -> String {
    let (slice, seconds) = (slice.display(), limit.as_secs_f64());
    format!(
        "sleep {seconds}; for each in {slice}/*/cgroup.freeze {slice}/cgroup.freeze; do echo 0 >$$each; done; exec {command}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cgroup(path: &Path) {
        fs::create_dir_all(path).unwrap();
        fs::write(path.join("cgroup.freeze"), "1").unwrap();
        fs::write(path.join("cgroup.events"), "populated 1\nfrozen 1\n").unwrap();
    }

    #[test]
    fn a_slice_is_thawed_with_what_lies_below() {
        let folder = tempfile::tempdir().unwrap();
        let (slice, service) = (folder.path().join("photos.slice"), folder.path().join("photos.slice/a.service"));
        cgroup(&slice);
        cgroup(&service);
        let freezer = Freezer::open(slice.clone()).unwrap();
        assert!(freezer.is_frozen().unwrap());
        assert!(freezer.has(&"a.service".parse().unwrap()) && !freezer.has(&"b.service".parse().unwrap()));
        freezer.thaw().unwrap();
        for path in [slice, service] {
            assert_eq!(fs::read_to_string(path.join("cgroup.freeze")).unwrap(), "0", "{}", path.display());
        }
    }

    #[test]
    fn a_guard_thaws_the_slice_last_and_whatever_becomes_of_a_service() {
        let folder = tempfile::tempdir().unwrap();
        let slice = folder.path().join("photos.slice");
        cgroup(&slice);
        cgroup(&slice.join("a.service"));
        // One that is gone when its turn comes.
        std::os::unix::fs::symlink("nowhere/cgroup.freeze", slice.join("b.service")).unwrap();
        let script = script(&slice, Duration::from_millis(1), "true").replace("$$", "$");
        assert!(std::process::Command::new("sh").args(["-c", &script]).status().unwrap().success());
        for path in [slice.join("a.service"), slice] {
            assert_eq!(fs::read_to_string(path.join("cgroup.freeze")).unwrap(), "0\n", "{}", path.display());
        }
    }

    #[test]
    fn only_a_slice_that_stands_is_frozen() {
        assert!(says_frozen("populated 1\nfrozen 1\n"));
        assert!(!says_frozen("populated 1\nfrozen 0\n"));
        assert!(!says_frozen("populated 0\n"));
    }

    #[test]
    fn where_there_is_no_cgroup_there_is_no_switch() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Freezer::open(folder.path().join("photos.slice")).is_err());
        assert!(Freezer::open(folder.path().to_owned()).is_err());
    }
}
