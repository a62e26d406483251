//! A fault: what happens, and at which moment of an operation. A value, drawn from a seed, written and read as text.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::faults::random::Random;

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The command is killed.
    Kill,
    /// Everything is killed, and the host boots.
    Crash,
    /// The same, and what had not reached the disk is lost.
    PowerCut,
    /// From here on the disk is full.
    NoSpace,
    /// One system call fails, as on a disk that is failing.
    Io,
    /// The system bus is killed; systemd starts it again.
    Bus,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Kill, Self::PowerCut, Self::NoSpace, Self::Crash, Self::Io, Self::Bus];

    /// As in `FAULT=` and in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Crash => "crash",
            Self::PowerCut => "powercut",
            Self::NoSpace => "nospace",
            Self::Io => "io",
            Self::Bus => "bus",
        }
    }

    /// Whether the host is started anew.
    pub const fn boots(self) -> bool {
        matches!(self, Self::Crash | Self::PowerCut)
    }
}

/// When.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Point {
    /// At a step of the journal.
    Step(u64),
    /// At the n-th system call of this name that the command makes.
    Call(String, u64),
    /// So many milliseconds after the command was given.
    After(u64),
    /// When so many pages of this folder have been used up.
    Room(Folder, u64),
}

/// A folder with a disk of its own, for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folder {
    /// The agent's records.
    State,
    /// The quadlets.
    Units,
}

impl Folder {
    /// Where it is.
    pub const fn path(self) -> &'static str {
        match self {
            Self::State => "/var/lib/photos-agent",
            Self::Units => "/etc/containers/systemd",
        }
    }
}

/// What happens, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub kind: Kind,
    pub point: Point,
}

/// How long an operation is, in each of the measures that a point has.
#[derive(Debug, Clone, Default)]
pub struct Extent {
    /// Journalled steps.
    pub steps: u64,
    /// Its duration.
    pub millis: u64,
    /// Pages that it writes in [`Folder::State`].
    pub state: u64,
    /// The same in [`Folder::Units`].
    pub units: u64,
    /// System calls by name, of those in [`CALLS`].
    pub calls: BTreeMap<String, u64>,
}

/// The calls that are counted: all that change a file or speak to somebody. `?` is for those that not every machine has.
pub const CALLS: &str = "openat,fsync,fdatasync,syncfs,?rename,renameat,renameat2,?mkdir,mkdirat,?unlink,unlinkat,?rmdir,\
                         fchmod,fchmodat,?chmod,?chown,fchownat,?symlink,symlinkat,ioctl,sendmsg,write,writev";

/// Those that a full disk refuses.
const NEED_SPACE: [&str; 7] = ["fsync", "syncfs", "rename", "renameat", "renameat2", "mkdir", "mkdirat"];

/// Those that speak to nobody but the disk.
const OF_FILES: [&str; 14] = [
    "openat",
    "fsync",
    "syncfs",
    "rename",
    "renameat",
    "renameat2",
    "mkdir",
    "mkdirat",
    "unlink",
    "unlinkat",
    "fchmod",
    "chmod",
    "chown",
    "fchownat",
];

impl Fault {
    /// Any moment of an operation of this extent.
    pub fn draw(kind: Kind, extent: &Extent, random: &mut Random) -> Self {
        let point = match (kind, random.below(3)) {
            (Kind::NoSpace, 0) => Point::Room(Folder::State, random.below(extent.state)),
            (Kind::NoSpace, 1) => Point::Room(Folder::Units, random.below(extent.units)),
            (Kind::NoSpace, _) => one_of_a_name(&NEED_SPACE, extent, random),
            (Kind::Io, _) => one_of_a_name(&OF_FILES, extent, random),
            (_, 0) => Point::Step(1 + random.below(extent.steps)),
            // It was measured under strace: later would often be too late.
            (_, 1) => Point::After(random.below(extent.millis * 3 / 4)),
            (_, _) => any_call(extent, random),
        };
        Self { kind, point }
    }
}

/// Calls with few of their name are as likely as those with many: each name fails in a way of its own.
fn one_of_a_name(names: &[&str], extent: &Extent, random: &mut Random) -> Point {
    let made: Vec<_> = extent.calls.iter().filter(|(name, _)| names.contains(&name.as_str())).collect();
    let (name, count) = random.one_of(&made);
    Point::Call((*name).clone(), 1 + random.below(**count))
}

/// Every call is as likely as any other, but for those that mostly read.
fn any_call(extent: &Extent, random: &mut Random) -> Point {
    let made = || extent.calls.iter().filter(|(name, _)| *name != "openat");
    let mut number = random.below(made().map(|(_, count)| count).sum());
    for (name, count) in made() {
        match number.checked_sub(*count) {
            None => return Point::Call(name.clone(), number + 1),
            Some(rest) => number = rest,
        }
    }
    unreachable!("it is less than the sum")
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind.name())?;
        match &self.point {
            Point::Step(step) => write!(f, "step={step}"),
            Point::Call(name, number) => write!(f, "{name}={number}"),
            Point::After(millis) => write!(f, "after={millis}"),
            Point::Room(Folder::State, pages) => write!(f, "state={pages}"),
            Point::Room(Folder::Units, pages) => write!(f, "units={pages}"),
        }
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("not a fault: {text:?}; one is `powercut step=3`, `kill fsync=7` or `crash after=1500`");
        let (kind, point) = text.split_once(' ').ok_or_else(wrong)?;
        let kind = Kind::ALL.into_iter().find(|known| known.name() == kind).ok_or_else(wrong)?;
        let (name, number) = point.split_once('=').ok_or_else(wrong)?;
        let number = number.parse().map_err(|_| wrong())?;
        let point = match name {
            "step" => Point::Step(number),
            "after" => Point::After(number),
            "state" => Point::Room(Folder::State, number),
            "units" => Point::Room(Folder::Units, number),
            call => Point::Call(call.to_owned(), number),
        };
        Ok(Self { kind, point })
    }
}

impl FromStr for Extent {
    type Err = String;

    /// Lines of a number and a name.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut extent = Self::default();
        for line in text.lines() {
            let (number, name) = line.trim().split_once(' ').ok_or_else(|| format!("not a count: {line}"))?;
            let number: u64 = number.parse().map_err(|error| format!("{line}: {error}"))?;
            match name {
                "steps" => extent.steps = number,
                "millis" => extent.millis = number,
                "state" => extent.state = number,
                "units" => extent.units = number,
                call => drop(extent.calls.insert(call.to_owned(), number)),
            }
        }
        if extent.steps == 0 || extent.millis == 0 || extent.calls.is_empty() {
            return Err(format!("not an extent: {text}"));
        }
        Ok(extent)
    }
}

#[test]
fn a_fault_is_drawn_within_the_operation_and_read_as_it_is_written() {
    let extent: Extent =
        "5 steps\n6000 millis\n9 state\n2 units\n100 openat\n29 fsync\n7 unlink\n80 sendmsg\n".parse().unwrap();
    for number in 0..500 {
        for kind in Kind::ALL {
            let fault = Fault::draw(kind, &extent, &mut Random::of(1, number));
            assert_eq!(fault.to_string().parse(), Ok(fault.clone()));
            assert_eq!(Fault::draw(kind, &extent, &mut Random::of(1, number)), fault);
            match fault.point {
                Point::Step(step) => assert!((1..=5).contains(&step)),
                Point::After(millis) => assert!(millis < 6000),
                Point::Call(name, number) => assert!((1..=extent.calls[&name]).contains(&number)),
                Point::Room(..) => assert_eq!(kind, Kind::NoSpace),
            }
        }
    }
}
