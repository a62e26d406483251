//! Building one file: a base, what is added to it, and the line that says whose it is.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::{Context, DesiredFile, Refusal, network};
use crate::model::layout::{FIRST_START, STATE};
use crate::model::{Component, HASH_LABEL, HostPath, Service, Subvolume, UnitName};
use crate::quadlet::{File, OnFailure, Value};

/// How every file of the agent begins, so that it is recognised.
pub const MARKER: &str = "# Written by photos-agent.";

/// sync(1) and rm(1) of coreutils.
const SYNC: &str = "/usr/bin/sync";
const RM: &str = "/usr/bin/rm";

/// A unit that is being written.
#[derive(Debug)]
pub(super) struct Unit {
    file: File,
    /// Paths in the container at which subvolumes are mounted.
    mounts: Vec<&'static str>,
}

impl Unit {
    /// Starts with an embedded base.
    pub(super) fn base(text: &str) -> Result<Self, Refusal> {
        // Every embedded base is parsed by a test, so that this is not seen outside one.
        let broken = |error: crate::quadlet::ParseError| {
            Refusal::new("embedded unit", error.to_string(), "This is a fault of photos-agent; please report it.")
        };
        File::parse(text).map(|file| Self { file, mounts: Vec::new() }).map_err(broken)
    }

    /// Starts with the base of a service and adds what all services have: image, health, firewall and limits.
    pub(super) fn service(base: &str, service: Service, context: &Context<'_>) -> Result<Self, Refusal> {
        let mut unit = Self::base(base)?;
        let image = context.images.run(service, &context.facts.lock);
        unit.text("Image", &image.to_string())?;
        let health = context.images.health(service);
        unit.text("HealthCmd", health)?;
        unit.text("HealthStartupCmd", health)?;
        // No container without the rules: a service whose rules cannot be loaded does not start.
        unit.add("Service", "ExecStartPre", network::load_rules(context))?;
        unit.limits(service.component(), context)?;
        Ok(unit)
    }

    /// What it may use.
    pub(super) fn limits(&mut self, component: Component, context: &Context<'_>) -> Result<(), Refusal> {
        let Some(limits) = context.settings.resources.get(&component) else { return Ok(()) };
        if let Some(memory) = &limits.memory_max {
            self.add("Service", "MemoryMax", Value::literal(memory.as_str()))?;
        }
        if let Some(quota) = &limits.cpu_quota {
            self.add("Service", "CPUQuota", Value::literal(quota.as_str()))?;
        }
        Ok(())
    }

    /// Adds an entry, or says which key its value does not fit.
    pub(super) fn add(
        &mut self,
        section: &'static str,
        key: &'static str,
        value: Result<Value, crate::model::Invalid>,
    ) -> Result<(), Refusal> {
        self.file.add(section, key, value.map_err(super::unfit(key))?);
        Ok(())
    }

    /// Adds a key of `[Container]` that is taken whole.
    pub(super) fn text(&mut self, key: &'static str, text: &str) -> Result<(), Refusal> {
        self.add("Container", key, Value::text(text))
    }

    /// Adds a variable.
    pub(super) fn environment(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        let word = Value::word(&format!("{name}={value}"));
        self.file.add("Container", "Environment", word.map_err(super::unfit(name))?);
        Ok(())
    }

    /// Mounts a subvolume at `target`, with `options` as podman-run(1) writes them (`:ro`), or none.
    pub(super) fn mount(
        &mut self,
        context: &Context<'_>,
        subvolume: Subvolume,
        target: &'static str,
        options: &str,
    ) -> Result<(), Refusal> {
        self.mounts.push(target);
        self.volume(&context.places.of(subvolume), target, options)
    }

    /// The same of any folder.
    pub(super) fn volume(&mut self, path: &HostPath, target: &str, options: &str) -> Result<(), Refusal> {
        self.text("Volume", &format!("{path}:{target}{options}"))?;
        // The generator adds RequiresMountsFor= itself, but unquoted: a path with a space becomes two.
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
        if !path.as_str().chars().all(plain) {
            self.add("Unit", "RequiresMountsFor", Value::paths([path]))?;
        }
        Ok(())
    }

    /// Where subvolumes are mounted in the container.
    pub(super) fn mounts(&self) -> Vec<&'static str> {
        self.mounts.clone()
    }

    /// Before the service counts as started, what it wrote to the filesystem of `subvolume` is on disk.
    ///
    /// The images sync not all that they write at their first start: after a power cut the database would be there
    /// without the line that lets the server in, or the server's row that says that there are `.immich` files
    /// without the files. Neither would ever start again.
    pub(super) fn commit(&mut self, context: &Context<'_>, subvolume: Subvolume) -> Result<(), Refusal> {
        let path = context.places.of(subvolume);
        let sync = |arguments: &[&str]| Value::command(OnFailure::Fail, &HostPath::constant(SYNC), arguments);
        self.add("Service", "ExecStartPost", sync(&["--file-system", path.as_str()]))?;
        // It is whole now, and must never again be taken for half-made: after a power cut neither.
        let mark = format!("{FIRST_START}{}", subvolume.name());
        let remove = Value::command(OnFailure::Fail, &HostPath::constant(RM), ["-f", &mark]);
        self.add("Service", "ExecStartPost", remove)?;
        self.add("Service", "ExecStartPost", sync(&[STATE]))
    }

    /// The host's time zone, or the one that the settings name.
    pub(super) fn time_zone(&mut self, context: &Context<'_>) -> Result<(), Refusal> {
        match &context.settings.immich.timezone {
            Some(zone) => self.environment("TZ", zone.as_str()),
            // Without that file Podman does not start the container.
            None if context.facts.local_time => self.text("Timezone", "local"),
            None => Ok(()),
        }
    }

    /// Labels the container or network with the hash of this text, and returns the hash.
    pub(super) fn label(&mut self, section: &'static str) -> Result<String, Refusal> {
        let digest = Sha256::digest(self.file.to_string());
        let hash = digest.iter().take(8).fold(String::new(), |mut hex, byte| {
            // Writing to a String does not fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        self.add(section, "Label", Value::word(&format!("{HASH_LABEL}={hash}")))?;
        Ok(hash)
    }

    /// The file at `path`.
    pub(super) fn into_file(self, path: HostPath, unit: UnitName) -> DesiredFile {
        let name = path.as_str().rsplit('/').next().unwrap_or_default();
        let text = format!(
            "{MARKER} Extend it with a drop-in, {name}.d/50-mine.conf; changes here are overwritten.\n\n{}",
            self.file
        );
        DesiredFile { path, text, mode: 0o644, unit: Some(unit) }
    }
}

impl Unit {
    /// The file at `path`, where it is not a unit of its own.
    pub(super) fn into_plain_file(self, path: HostPath) -> DesiredFile {
        plain_file(path, &self.file.to_string())
    }
}

/// A file that is not a unit, so takes no drop-ins.
pub(super) fn plain_file(path: HostPath, text: &str) -> DesiredFile {
    DesiredFile { path, text: format!("{MARKER} Changes here are overwritten.\n\n{text}"), mode: 0o644, unit: None }
}
