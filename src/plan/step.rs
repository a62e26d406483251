//! A plan: steps in order, each with its reason. Data, and nothing that acts.

use std::fmt;

use serde::Serialize;

use crate::model::icloud::{SENTINEL, Sentinel};
use crate::model::{HostPath, ImageRef, NetworkName, Refusal, SecretName, Subvolume, UnitName};
use crate::plan::transcoding::Setting;

/// What to do, in order, or why nothing may be done.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Plan {
    /// Each of them forbids the whole plan.
    pub refusals: Vec<Refusal>,
    /// What a person must see to, and what forbids nothing: all else is mended meanwhile.
    pub concerns: Vec<Refusal>,
    /// The steps.
    pub steps: Vec<Planned>,
    /// What was seen and is left alone.
    pub notes: Vec<String>,
}

impl Plan {
    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.refusals.is_empty()
    }

    /// The steps up to those whose outcome changes what the rest should be: what follows is planned anew.
    ///
    /// Podman's socket at once, since without it nothing of Podman's is known; pulls all together.
    pub fn certain_steps(&self) -> &[Planned] {
        let is_pull = |planned: &Planned| matches!(planned.step, Step::Pull { .. });
        let reveals = |planned: &Planned| planned.step.reveals();
        let socket = self.steps.iter().position(|planned| reveals(planned) && !is_pull(planned));
        let last = socket.or_else(|| self.steps.iter().rposition(is_pull));
        last.and_then(|last| self.steps.get(..=last)).unwrap_or(&self.steps)
    }

    pub(super) fn step(&mut self, step: Step, reason: impl Into<String>) {
        self.steps.push(Planned { step, reason: reason.into() });
    }

    pub(super) fn refuse(&mut self, what: impl Into<String>, why: impl Into<String>, remedy: impl Into<String>) {
        self.refusals.push(Refusal::new(what, why, remedy));
    }

    pub(super) fn concern(&mut self, what: impl Into<String>, why: impl Into<String>, remedy: impl Into<String>) {
        self.concerns.push(Refusal::new(what, why, remedy));
    }
}

/// A step and why it is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Planned {
    /// What is done.
    #[serde(flatten)]
    pub step: Step,
    /// Why.
    pub reason: String,
}

/// One thing that is done to the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// `systemctl enable`, and start it if it is a socket or a timer.
    Enable {
        /// The unit.
        unit: UnitName,
    },
    /// `systemctl disable`, and stop it.
    Disable {
        /// The unit.
        unit: UnitName,
    },
    /// A plain folder.
    MakeFolder {
        /// Where.
        path: HostPath,
        /// Permission bits.
        mode: u32,
    },
    /// The folder of an account's photographs, with the file that says so: both or nothing.
    MakeLibrary {
        /// Where.
        path: HostPath,
        /// What the file says.
        sentinel: Sentinel,
    },
    /// Only that file, of a folder without photographs.
    WriteSentinel {
        /// The folder.
        path: HostPath,
        /// What the file says.
        sentinel: Sentinel,
    },
    /// A subvolume, NOCOW and owner set while it is empty.
    MakeSubvolume {
        /// Which.
        subvolume: Subvolume,
        /// Where.
        path: HostPath,
        /// Whether containers need a SELinux label to enter.
        label: bool,
    },
    /// NOCOW on an empty subvolume that lost it.
    SetNocow {
        /// Where.
        path: HostPath,
    },
    /// Owner and mode of one folder, not of what is in it.
    SetOwner {
        /// Where.
        path: HostPath,
        /// uid and gid.
        owner: u32,
        /// Permission bits.
        mode: u32,
    },
    /// A random password, made once.
    MakeSecret {
        /// Its name.
        secret: SecretName,
    },
    /// An image by tag or digest.
    Pull {
        /// The image.
        image: ImageRef,
    },
    /// Stops the target and all services.
    StopStack {
        /// Started again later in the same plan, and by whoever takes it up if this is interrupted.
        resume: bool,
    },
    /// Writes a set of files all or nothing, after Podman's generator accepted them, and reloads systemd.
    InstallFiles {
        /// The files.
        files: Vec<FileChange>,
    },
    /// Has systemd read its files again.
    Reload,
    /// Removes files that the agent wrote and that nothing wants any more, and reloads systemd.
    RemoveFiles {
        /// The files.
        paths: Vec<HostPath>,
    },
    /// Puts what an interrupted first start left aside, and an empty subvolume in its place.
    SetAside {
        /// Which one.
        subvolume: Subvolume,
        /// Where it lies.
        path: HostPath,
        /// Whether it gets SELinux' type for containers.
        label: bool,
    },
    /// Writes the `.immich` files that an interrupted first start of the server may have lost.
    WriteMarkers {
        /// The folders that have one.
        folders: Vec<HostPath>,
    },
    /// Removes a network, so that its unit makes it anew.
    RemoveNetwork {
        /// Its name.
        network: NetworkName,
        /// The unit that made it.
        unit: UnitName,
    },
    /// Lets the host forward between networks, before the first one is made.
    AllowForwarding,
    /// Turns forwarding off on the inner bridge.
    DenyInnerForwarding,
    /// Loads the rules again that close the inner network, and has Podman load its own.
    LoadRules {
        /// The unit that does, when it is told to reload.
        unit: UnitName,
    },
    /// Stops units.
    Stop {
        /// The units.
        units: Vec<UnitName>,
    },
    /// Starts units side by side, as far as their own order allows.
    Start {
        /// The units.
        units: Vec<UnitName>,
        /// What is empty, so that the units fill it for the first time.
        first: Vec<Subvolume>,
    },
    /// Restarts units side by side, as far as their own order allows.
    Restart {
        /// The units.
        units: Vec<UnitName>,
    },
    /// Changes Immich's own setting of what encodes videos.
    SetTranscoding {
        /// What it is.
        from: Setting,
        /// What it becomes.
        to: Setting,
    },
}

/// A file that is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileChange {
    /// Where.
    pub path: HostPath,
    /// What it says now, where it exists.
    pub before: Option<String>,
    /// What it shall say.
    pub text: String,
    /// Permission bits.
    pub mode: u32,
    /// Somebody edited it: the old text is kept in the history.
    pub displaces: bool,
    /// Where it points, if it is a symbolic link now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

/// What is the matter with a file that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileDrift {
    /// It is not there.
    Missing,
    /// It says what an older configuration, or an older agent, wanted.
    OutOfDate,
    /// It says what somebody wrote into it.
    Edited,
    /// It says what it should, with another owner or other permission bits.
    Permissions,
    /// It is a symbolic link.
    Link,
}

impl FileChange {
    /// Why it is written.
    pub fn drift(&self) -> FileDrift {
        match &self.before {
            None => FileDrift::Missing,
            Some(_) if self.link.is_some() => FileDrift::Link,
            Some(_) if self.displaces => FileDrift::Edited,
            Some(before) if *before == self.text => FileDrift::Permissions,
            Some(_) => FileDrift::OutOfDate,
        }
    }
}

/// What an interruption within a step would leave to a service that starts then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// Nothing that could hurt: services may start at any time.
    Open,
    /// Something half-done: no service starts before it is finished, at a boot neither.
    Closed,
    /// The step itself starts services. What they make at a first start is not taken up again by their images,
    /// so that after a boot it has to be seen to before they start again.
    Starts {
        /// Whether one of them starts for the first time.
        first: bool,
    },
}

impl Step {
    /// What services may do meanwhile.
    pub fn gate(&self) -> Gate {
        match self {
            Self::StopStack { .. }
            | Self::SetAside { .. }
            | Self::RemoveNetwork { .. }
            | Self::InstallFiles { .. }
            | Self::RemoveFiles { .. } => Gate::Closed,
            Self::Start { first, .. } => Gate::Starts { first: !first.is_empty() },
            Self::Restart { .. } => Gate::Starts { first: false },
            _ => Gate::Open,
        }
    }

    /// Whether what comes after it can only be known once it is done: the apply plans anew then.
    pub fn reveals(&self) -> bool {
        match self {
            Self::Enable { unit } => unit.as_str() == super::PODMAN_SOCKET,
            Self::Pull { .. } => true,
            _ => false,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Enable { unit } => write!(f, "enable {unit}"),
            Self::Disable { unit } => write!(f, "disable {unit}"),
            Self::MakeFolder { path, mode } => write!(f, "make folder {path} ({mode:04o})"),
            Self::MakeLibrary { path, sentinel } => {
                write!(f, "make folder {path} for the pictures of {}", sentinel.account)
            }
            Self::WriteSentinel { path, .. } => write!(f, "write {path}/{SENTINEL}"),
            Self::MakeSubvolume { subvolume, path, .. } => {
                let nocow = if subvolume.nocow() { "NOCOW, " } else { "" };
                write!(f, "make subvolume {path} ({nocow}owner {}, {:04o})", subvolume.owner(), subvolume.mode())
            }
            Self::SetNocow { path } => write!(f, "set NOCOW on {path}"),
            Self::SetOwner { path, owner, mode } => write!(f, "set owner {owner} and mode {mode:04o} on {path}"),
            Self::MakeSecret { secret } => write!(f, "make secret {secret} (32 random characters)"),
            Self::Pull { image } => write!(f, "pull {image}"),
            Self::StopStack { .. } => f.write_str("stop the stack"),
            Self::InstallFiles { files } => {
                let plural = if files.len() == 1 { "" } else { "s" };
                write!(f, "write {} file{plural} and reload systemd", files.len())
            }
            Self::Reload => f.write_str("reload systemd"),
            Self::RemoveFiles { paths } => write!(f, "remove {}", join(paths)),
            Self::RemoveNetwork { network, .. } => write!(f, "remove network {network}"),
            Self::AllowForwarding => f.write_str("turn on net.ipv4.ip_forward"),
            Self::DenyInnerForwarding => f.write_str("turn off forwarding on the inner bridge"),
            Self::LoadRules { .. } => f.write_str("load the rules of the inner network"),
            Self::Stop { units } => write!(f, "stop {}", join(units)),
            Self::SetAside { path, .. } => write!(f, "set {path} aside and make it anew"),
            Self::WriteMarkers { folders } => write!(f, "write .immich in {}", join(folders)),
            Self::Start { units, .. } => write!(f, "start {}", join(units)),
            Self::Restart { units } => write!(f, "restart {}", join(units)),
            Self::SetTranscoding { from, to } => write!(f, "set Immich's video encoding from \"{from}\" to \"{to}\""),
        }
    }
}

fn join(items: &[impl fmt::Display]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
