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
    /// Services are killed.
    Unit,
    /// Services are killed, and then the command.
    Both,
}

impl Kind {
    /// Those that happen to any operation.
    pub const ANY: [Self; 6] = [Self::Kill, Self::PowerCut, Self::NoSpace, Self::Crash, Self::Io, Self::Bus];

    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Kill, Self::PowerCut, Self::Crash, Self::Both, Self::Unit, Self::NoSpace, Self::Io, Self::Bus];

    /// As in `FAULT=` and in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Crash => "crash",
            Self::PowerCut => "powercut",
            Self::NoSpace => "nospace",
            Self::Io => "io",
            Self::Bus => "bus",
            Self::Unit => "unit",
            Self::Both => "both",
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
    /// As this part of a snapshot is taken, everything frozen: one of [`PARTS`], from 1.
    Shot(u64),
}

/// The parts of a snapshot, as [`Point::Shot`] counts them.
pub const PARTS: [&str; 4] = ["postgres", "redis", "media", "icloud"];

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
    /// Subvolumes that it takes snapshots of while everything stands still.
    pub shots: u64,
    /// System calls by name, of those in [`CALLS`], by the thread that makes the most of them.
    pub calls: BTreeMap<String, u64>,
}

/// The calls that are counted: all that change a file or speak to somebody. `?` is for those that not every machine has.
pub const CALLS: &str = "openat,fsync,fdatasync,syncfs,?rename,renameat,renameat2,?mkdir,mkdirat,?unlink,unlinkat,?rmdir,\
                         fchmod,fchmodat,?chmod,?chown,fchownat,?symlink,symlinkat,ioctl,sendmsg,write,writev";

/// Those that a full disk refuses. `ioctl` takes snapshots and deletes them.
const NEED_SPACE: [&str; 8] = ["fsync", "syncfs", "rename", "renameat", "renameat2", "mkdir", "mkdirat", "ioctl"];

/// Those that speak to nobody but the disk.
const OF_FILES: [&str; 15] = [
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
    "ioctl",
];

impl Fault {
    /// Any moment of an operation of this extent.
    pub fn draw(kind: Kind, extent: &Extent, random: &mut Random) -> Self {
        let measures = measures(kind, extent);
        let point = match random.one_of(&measures) {
            Measure::Steps => Point::Step(1 + random.below(extent.steps)),
            // It was measured under strace: later would often be too late.
            Measure::Millis => Point::After(random.below(extent.millis * 3 / 4)),
            Measure::Calls => any_call(extent, random),
            Measure::CallsOf(names) => one_of_a_name(names, extent, random),
            Measure::Room(folder, pages) => Point::Room(*folder, random.below(*pages)),
            Measure::Shots => Point::Shot(1 + random.below(extent.shots)),
        };
        Self { kind, point }
    }
}

/// What a point can be counted in.
enum Measure {
    Steps,
    Millis,
    Calls,
    CallsOf(&'static [&'static str]),
    Room(Folder, u64),
    Shots,
}

/// Those that this kind has in an operation of this extent. What the operation has none of, nothing can happen at.
fn measures(kind: Kind, extent: &Extent) -> Vec<Measure> {
    let mut measures = match kind {
        Kind::NoSpace => {
            let rooms = [(Folder::State, extent.state), (Folder::Units, extent.units)];
            let rooms = rooms.into_iter().filter(|(_, pages)| *pages > 0);
            let rooms = rooms.map(|(folder, pages)| Measure::Room(folder, pages));
            rooms.chain([Measure::CallsOf(&NEED_SPACE)]).collect()
        }
        Kind::Io => vec![Measure::CallsOf(&OF_FILES)],
        // The only step is the same moment each time.
        _ if extent.steps == 1 => vec![Measure::Millis, Measure::Calls],
        _ => vec![Measure::Steps, Measure::Millis, Measure::Calls],
    };
    if extent.shots > 0 {
        measures.push(Measure::Shots);
    }
    measures
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
            Point::Shot(number) => write!(f, "shot={number}"),
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
            "shot" => Point::Shot(number),
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
                "shots" => extent.shots = number,
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
    let calls = "100 openat\n29 fsync\n7 unlink\n80 sendmsg\n";
    for others in ["9 state\n2 units\n0 shots", "0 state\n0 units\n4 shots"] {
        let extent: Extent = format!("5 steps\n6000 millis\n{others}\n{calls}").parse().unwrap();
        for number in 0..500 {
            for kind in Kind::ALL {
                let fault = Fault::draw(kind, &extent, &mut Random::of(1, number));
                assert_eq!(fault.to_string().parse(), Ok(fault.clone()));
                assert_eq!(Fault::draw(kind, &extent, &mut Random::of(1, number)), fault);
                match fault.point {
                    Point::Step(step) => assert!((1..=5).contains(&step)),
                    Point::After(millis) => assert!(millis < 6000),
                    Point::Call(name, number) => assert!((1..=extent.calls[&name]).contains(&number)),
                    Point::Room(Folder::State, pages) => assert!(kind == Kind::NoSpace && pages < extent.state),
                    Point::Room(Folder::Units, pages) => assert!(kind == Kind::NoSpace && pages < extent.units),
                    Point::Shot(number) => assert!((1..=extent.shots).contains(&number)),
                }
            }
        }
    }
}
