//! Holding a slice still, and the guard that lets go of it whatever becomes of the agent.
//!
//! Frozen processes are stopped by the kernel where they are, and go on as if nothing had been. The guard is a process of
//! systemd's that is there before the freeze: it needs neither this process nor systemd's answers. Where a service dies in a
//! frozen slice, systemd starts its `ExecStop=` in there and waits, for ever, for a child that is born frozen.

use std::collections::BTreeMap;
use std::time::Duration;

use zbus::Variant;

use crate::host::systemd::{Systemd, SystemdError, Verb, refused};
use crate::model::UnitName;

/// Where the kernel has the freezer of each unit.
const CGROUPS: &str = "/sys/fs/cgroup";

impl Systemd {
    /// Stops all processes of the unit; when this returns, they stand.
    pub async fn freeze(&self, unit: &UnitName) -> Result<(), SystemdError> {
        self.manager.freeze_unit(unit.as_str()).await.map_err(|source| refused("freeze", unit.as_str(), source))
    }

    /// Lets them go on.
    pub async fn thaw(&self, unit: &UnitName) -> Result<(), SystemdError> {
        self.manager.thaw_unit(unit.as_str()).await.map_err(|source| refused("thaw", unit.as_str(), source))
    }

    /// Whether the unit is frozen, and nothing else, this moment.
    pub async fn is_frozen(&self, unit: &UnitName) -> Result<bool, SystemdError> {
        Ok(self.property(unit, "FreezerState").await?.is_some_and(|state| state == "frozen"))
    }

    /// Starts the service `guard`, which will thaw `slice` after `limit` and then have `after` run. It waits already when this
    /// returns, and vanishes when it has ended.
    pub async fn guard(
        &self,
        guard: &UnitName,
        slice: &UnitName,
        limit: Duration,
        after: &str,
    ) -> Result<(), SystemdError> {
        let script = script(slice, limit, after);
        let words = ["/bin/sh", "-c", script.as_str()].map(str::to_owned).to_vec();
        let properties = [
            ("Description", Variant::from("Thaws the photo stack where photos-agent does not")),
            // Started is what has begun to run.
            ("Type", Variant::from("exec")),
            ("ExecStart", Variant::from(vec![("/bin/sh".to_owned(), words, false)])),
            ("CollectMode", Variant::from("inactive-or-failed")),
            ("DefaultDependencies", Variant::from(false)),
        ];
        let removed = self.listen().await?;
        let refused = |source| refused("start", guard.as_str(), source);
        let job = self.manager.start_transient_unit(guard.as_str(), "fail", &properties, &[]).await.map_err(refused)?;
        let waiting = BTreeMap::from([(job.to_string(), guard)]);
        let results = self.follow(removed, waiting, &mut |_| {}).await?;
        match results.iter().find(|job| job.result != "done") {
            Some(job) => Err(refused(zbus::Error::Failure(format!("the job ended as {}", job.result)))),
            None => Ok(()),
        }
    }

    /// Ends the guard.
    pub async fn dismiss(&self, guard: &UnitName) -> Result<(), SystemdError> {
        self.run_jobs(Verb::Stop, std::slice::from_ref(guard), &mut |_| {}).await.map(drop)
    }
}

/// What the guard does: lets the kernel go on with the slice and its units, then systemd, whose word alone does not reach a
/// systemd that waits. `$$` is systemd's way to write `$`.
fn script(slice: &UnitName, limit: Duration, after: &str) -> String {
    let (folder, seconds) = (format!("{CGROUPS}/{}", slice.as_str()), limit.as_secs_f64());
    format!(
        "sleep {seconds}; for freezer in {folder}/cgroup.freeze {folder}/*/cgroup.freeze; do echo 0 >$$freezer; done; \
         systemctl thaw {}; exec {after}",
        slice.as_str()
    )
}

#[test]
fn the_guard_asks_the_kernel_before_it_asks_systemd() {
    let script = script(&UnitName::constant("photos.slice"), Duration::from_millis(1500), "/bin/true");
    assert_eq!(
        script,
        "sleep 1.5; for freezer in /sys/fs/cgroup/photos.slice/cgroup.freeze /sys/fs/cgroup/photos.slice/*/cgroup.freeze; \
         do echo 0 >$$freezer; done; systemctl thaw photos.slice; exec /bin/true"
    );
}
