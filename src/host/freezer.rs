//! Holding a slice still, and the guard that lets go of it whatever becomes of the agent.
//!
//! Frozen processes are stopped by the kernel where they are, and go on as if nothing had been. The guard is a timer of
//! systemd's: it needs neither this process nor its answers.

use std::time::Duration;

use zbus::Variant;

use crate::host::systemd::{Systemd, SystemdError, Verb, refused};
use crate::model::UnitName;

/// systemd's command; the guard must not depend on more than systemd.
const SYSTEMCTL: &str = "/usr/bin/systemctl";

/// How exactly the guard keeps its time. systemd's default is a minute.
const ACCURACY: Duration = Duration::from_millis(10);

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

    /// Starts a timer, of the name of `service` but for its type, that will thaw `slice` after `limit` and then have
    /// `after` run. Both vanish when they have ended.
    pub async fn guard(
        &self,
        timer: &UnitName,
        slice: &UnitName,
        limit: Duration,
        after: &[&str],
    ) -> Result<(), SystemdError> {
        let service = timer.as_str().replace(".timer", ".service");
        let limit = micros(limit);
        let properties = [
            ("Description", Variant::from("Thaws the photo stack where photos-agent does not")),
            ("TimersMonotonic", Variant::from(vec![("OnActiveSec", limit)])),
            ("AccuracyUSec", Variant::from(micros(ACCURACY))),
            ("RemainAfterElapse", Variant::from(false)),
            ("CollectMode", Variant::from("inactive-or-failed")),
            ("DefaultDependencies", Variant::from(false)),
        ];
        let thaw = command(&[SYSTEMCTL, "thaw", slice.as_str()]);
        let commands = vec![thaw, command(after)];
        let of_service = vec![
            ("Description", Variant::from("Thaws the photo stack where photos-agent does not")),
            ("Type", Variant::from("oneshot")),
            ("ExecStart", Variant::from(commands)),
            ("CollectMode", Variant::from("inactive-or-failed")),
            ("DefaultDependencies", Variant::from(false)),
        ];
        let job = self
            .manager
            .start_transient_unit(timer.as_str(), "fail", &properties, &[(&service, of_service)])
            .await
            .map_err(|source| refused("start", timer.as_str(), source))?;
        drop(job);
        Ok(())
    }

    /// Ends the guard.
    pub async fn dismiss(&self, timer: &UnitName) -> Result<(), SystemdError> {
        self.run_jobs(Verb::Stop, std::slice::from_ref(timer), &mut |_| {}).await.map(drop)
    }
}

/// `ExecStart=`: the program, its arguments with it as the first, and whether its failure is none.
fn command(words: &[&str]) -> (String, Vec<String>, bool) {
    let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    (words.first().cloned().unwrap_or_default(), words, true)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
