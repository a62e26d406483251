//! What was found on the host, as data: the planner's only knowledge of it.
//!
//! A part that could not be looked at is a value here, not an error: the planner decides what follows.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::icloud::Sentinel;
use crate::model::{
    AccountName, FileState, HostPath, Kernel, PlaceState, PodmanState, RolePassword, Subvolume, UnitName, UnitState,
};
use crate::plan::transcoding;

/// The host at one moment.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools)]
pub struct Observed {
    /// What Podman holds, or why it could not be asked.
    pub podman: Result<PodmanState, Unreachable>,
    /// Unit states, or why systemd could not be asked.
    pub units: Result<BTreeMap<UnitName, UnitState>, Unreachable>,
    /// Where the stack's subvolumes lie, from the moment they were made: one that is gone is not a missing one.
    pub known: BTreeMap<Subvolume, HostPath>,
    /// Every folder and subvolume that is wanted.
    pub places: BTreeMap<HostPath, Result<PlaceState, String>>,
    /// The files that are wanted, and those that were.
    pub files: BTreeMap<HostPath, Result<FileState, String>>,
    /// Quadlets of other people that bear the name of one of ours, which would win or lose against it.
    pub shadows: Vec<HostPath>,
    /// The kernel's forwarding switches.
    pub kernel: Kernel,
    /// The texts of each file that are known to be ours, and so may be replaced: that of the last generation, and
    /// what was written since by operations that failed.
    pub recorded: BTreeMap<HostPath, Vec<String>>,
    /// The files of the last generation: what was there when all was last well.
    pub settled: BTreeSet<HostPath>,
    /// Which secret the running database's role was last given, if it was given another than its container has.
    pub role: Option<RolePassword>,
    /// Whether this host was ever converged.
    pub converged: bool,
    /// Whether an interrupted operation had stopped a running stack.
    pub stack_was_stopped: bool,
    /// Subvolumes whose first start has begun and not ended well.
    pub first_starts: BTreeSet<Subvolume>,
    /// The folders of photographs of the accounts that are wanted, where there are such folders.
    pub libraries: BTreeMap<AccountName, Result<LibraryState, String>>,
    /// Accounts whose folder has had pictures in it: what is not there is gone, and not missing.
    pub filled: BTreeSet<AccountName>,
    /// Whether data of another moment is being put back, which brings its own order of photographs along.
    pub going_back: bool,
    /// What of the graphics cards that services are given is there now.
    pub devices: BTreeSet<HostPath>,
    /// Immich's own setting, where the agent answers for it and could ask.
    pub transcoding: Option<transcoding::Asked>,
    /// Whether SELinux is on, so that new subvolumes need a label.
    pub selinux: bool,
}

/// The folder of an account's photographs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LibraryState {
    /// Whether there is anything but the sentinel in it.
    pub has_pictures: bool,
    /// What the sentinel says.
    pub sentinel: SentinelState,
}

/// The file that says what a folder is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SentinelState {
    /// It is not there.
    Missing,
    /// It is not understood.
    Strange,
    /// It says this.
    Says(Sentinel),
}

/// Why a whole source of knowledge was silent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreachable(pub String);
