//! Gives a command and lets a fault happen to it.

use std::process::Child;
use std::time::{Duration, Instant};

use crate::faults::fault::{CALLS, Extent, Fault, Folder, Kind, PARTS, Point};
use crate::faults::hosts::BASES;
use crate::faults::scenario::Scenario;
use crate::support::Host;

/// The open operation.
pub const PENDING: &str = "/var/lib/photos-agent/pending";

/// Two services at once, however they are, with nothing said to systemd.
const KILL_UNITS: &str = "for unit in immich-redis immich-postgres; do \
                            pid=$(systemctl show -P MainPID $unit); [ $pid = 0 ] || kill -KILL $pid; done";

/// What the command said.
pub const LOG: &str = "/root/fault.log";

/// How long a command may take that somebody made stumble. Longer than any: it would hang.
const PATIENCE: Duration = Duration::from_secs(240);

/// How it went.
pub struct Struck {
    /// The command was at work; otherwise it had ended before.
    pub at_work: bool,
    /// What it was doing, for people.
    pub doing: String,
    /// How long the host took to boot, if it did.
    pub boot: Duration,
}

/// The process in question, as soon as it is there; `at_work` asks after it.
const PID: &str =
    "until [ -s /run/fault.pid ]; do :; done; pid=$(cat /run/fault.pid); at_work() { kill -0 $pid 2>/dev/null; }; ";

/// Runs the scenario's command and returns when the fault is over: the command has ended, the host has booted.
pub fn strike(host: &Host, scenario: &dyn Scenario, fault: &Fault) -> Struck {
    if let Point::Room(folder, pages) = fault.point {
        fill(host, folder, pages);
    }
    let mut child = begin(host, scenario.command(), fault);
    let mut seen = wait(host, fault);
    let begun = Instant::now();
    match fault.kind {
        Kind::Crash => host.crash(),
        Kind::PowerCut => host.cut_power(),
        Kind::Bus => drop(host.run(&format!("pkill -KILL -x 'dbus-broker|dbus-daemon'; {}", go_on(fault)))),
        Kind::Unit => drop(host.run(&format!("{KILL_UNITS}; {}", go_on(fault)))),
        Kind::Both => drop(host.run(&format!("{KILL_UNITS}; pkill -KILL -f '^photos-agent '"))),
        Kind::Kill | Kind::NoSpace | Kind::Io => {}
    }
    let boot = begun.elapsed();
    let code = end(&mut child);
    if !fault.kind.boots() && matches!(fault.point, Point::Call(..) | Point::Shot(..) | Point::Room(..)) {
        seen = look(host);
    }
    let at_work = match (fault.kind, &fault.point) {
        (Kind::Kill, Point::Call(..) | Point::Shot(..)) => seen.contains("killed by SIGKILL"),
        (Kind::NoSpace | Kind::Io, Point::Call(..) | Point::Shot(..)) => seen.contains("(INJECTED)"),
        (_, Point::Call(..) | Point::Shot(..)) => seen.contains("stopped by SIGSTOP"),
        (_, Point::Room(..)) => code != Some(0),
        (_, Point::Step(_) | Point::After(_)) => seen.contains("at work"),
    };
    if let Point::Room(folder, _) = fault.point {
        empty(host, folder);
    }
    if !fault.kind.boots() {
        let log = host.run(&format!("cat {LOG}")).out;
        assert!(!log.contains("panicked"), "{log}");
    }
    Struck { at_work, doing: said(&seen), boot }
}

/// Lets the command go on that was stopped.
fn go_on(fault: &Fault) -> &'static str {
    match fault.point {
        // Another thread of it may come to the same folder; it is not to be stopped again.
        Point::Shot(_) => "pkill -x strace; while pgrep -x strace; do sleep 0.02; done; pkill -CONT -x photos-agent",
        _ => "pkill -CONT -x photos-agent",
    }
}

/// Starts the command, its process id in /run/fault.pid.
fn begin(host: &Host, command: &str, fault: &Fault) -> Child {
    host.ok("rm -f /run/fault.pid /dev/shm/fault.calls");
    let trace = match &fault.point {
        Point::Shot(number) => return host.start(&attached(command, fault.kind, *number)),
        Point::Call(name, number) => {
            let what = injection(fault.kind, &number.to_string());
            format!("{STRACE} -e trace={CALLS} -e inject={name}:{what} ")
        }
        _ => String::new(),
    };
    host.start(&format!("echo $$ >/run/fault.pid; exec {trace}{command} >{LOG} 2>&1"))
}

/// All threads of the command, whose calls it counts one by one, and nothing of what it starts.
const STRACE: &str = "strace -f -b execve -qq -s 0 -o /dev/shm/fault.calls";

/// What happens at the call.
fn injection(kind: Kind, when: &str) -> String {
    match kind {
        Kind::Kill => format!("signal=KILL:when={when}"),
        Kind::NoSpace => format!("error=ENOSPC:when={when}+"),
        Kind::Io => format!("error=EIO:when={when}"),
        Kind::Bus | Kind::Crash | Kind::PowerCut | Kind::Unit | Kind::Both => format!("signal=STOP:when={when}"),
    }
}

/// The command, and strace on it as soon as the snapshot has a name: each part is taken by a thread of its own, and is known
/// by the folder that it is put in. Before that, there is time: the database makes a checkpoint.
///
/// The command is a child of the shell: nsenter stops with a child of its own that is stopped, and nobody lets it go on.
fn attached(command: &str, kind: Kind, number: u64) -> String {
    let part = PARTS[usize::try_from(number - 1).expect("it is small")];
    let folders = BASES.map(|base| format!("-P {base}/.snapshots/$id/{part}")).join(" ");
    let what = injection(kind, "1");
    let id = format!("id=$(grep -o 'take snapshot [^\"]*' {PENDING} | cut -d' ' -f3)");
    format!(
        "{command} >{LOG} 2>&1 & pid=$!; echo $pid >/run/fault.pid; exec >/dev/null 2>&1; id=; \
         until [ -n \"$id\" ] || ! kill -0 $pid; do {id}; done; \
         {STRACE} -p $pid {folders} -e trace=ioctl -e inject=ioctl:{what} & wait $pid"
    )
}

/// Waits for the moment; kills, where that is what happens. Returns what was seen then.
fn wait(host: &Host, fault: &Fault) -> String {
    let until = |condition: &str| format!("while at_work && ! {{ {condition}; }}; do :; done; ");
    let moment = match (&fault.point, fault.kind) {
        (Point::Step(step), _) => until(&format!("[ $(grep -c '\"step\"' {PENDING}) -ge {step} ]")),
        (Point::After(millis), _) => format!("sleep {}.{:03}; ", millis / 1000, millis % 1000),
        (Point::Call(..) | Point::Shot(..), Kind::Crash | Kind::PowerCut | Kind::Bus | Kind::Unit | Kind::Both) => {
            until("grep -q 'stopped by SIGSTOP' /dev/shm/fault.calls")
        }
        // It comes by itself.
        (Point::Call(..) | Point::Shot(..) | Point::Room(..), _) => return String::new(),
    };
    let kill = if fault.kind == Kind::Kill { "kill -KILL $pid; " } else { "" };
    let tell = format!("jq -r '.steps[-1].step' {PENDING}; tail -n 2 /dev/shm/fault.calls");
    host.run(&format!("exec 2>/dev/null; {PID}{moment}at_work && echo at work; {kill}{tell}")).out
}

/// What there is to see after a command that was not waited for.
fn look(host: &Host) -> String {
    let first = "grep -h -m 1 -o -e '[a-z0-9_]*(.*INJECTED)'";
    host.run(&format!(
        "cd /dev/shm; {first} fault.calls; for end in 'killed by SIGKILL' 'stopped by SIGSTOP'; do \
           grep -h -m 1 -o \"$end\" fault.calls; done; tail -n 2 {LOG}"
    ))
    .out
}

/// Waits for the end of the command. Returns its exit code.
fn end(child: &mut Child) -> Option<i32> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("it is ours") {
            return status.code();
        }
        assert!(begun.elapsed() < PATIENCE, "the command hangs");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// One line of it.
fn said(seen: &str) -> String {
    let mut line = seen.lines().filter(|line| *line != "at work").collect::<Vec<_>>().join(" | ");
    line.truncate(line.floor_char_boundary(160));
    line
}

/// Gives a folder a small disk of its own.
fn fill(host: &Host, folder: Folder, pages: u64) {
    let path = folder.path();
    host.ok(&format!(
        "mkdir -p {path} /run/full && mount -t tmpfs tmpfs /run/full && cp -a {path}/. /run/full/ && \
         size=$(( $(df -k --output=used /run/full | tail -n 1) + 4 * {pages} )) && \
         mount -o remount,size=$(( size > 4 ? size : 4 ))k /run/full && mount --bind /run/full {path}"
    ));
}

/// Takes it away again, and keeps what is on it.
fn empty(host: &Host, folder: Folder) {
    let path = folder.path();
    host.ok(&format!(
        "umount {path} && find {path} -mindepth 1 -delete && cp -a /run/full/. {path}/ && umount /run/full && sync -f {path}"
    ));
}

/// Counts what the scenario's command does when nothing happens to it.
pub fn measure(host: &Host, scenario: &dyn Scenario) -> Extent {
    scenario.prepare(host, 0);
    host.ok("touch /run/measure && sleep 0.1");
    let begun = Instant::now();
    host.ok(&format!("{STRACE} -e trace={CALLS} {} >{LOG} 2>&1", scenario.command()));
    let millis = begun.elapsed().as_millis();
    scenario.assert_achieved(host, 0, None);
    let steps = host.ok("tail -n 1 /var/lib/photos-agent/history.jsonl | jq '.steps | length'");
    let calls = host.ok("sed -nE 's/^([0-9]+) +([a-z0-9_]+)\\(.*/\\1 \\2/p' /dev/shm/fault.calls | sort | uniq -c | \
         awk '{if ($1 > most[$3]) most[$3] = $1} END {for (name in most) print most[name], name}' | sort -k 2");
    let shots =
        host.ok("grep -c 'SNAP_CREATE_V2.*SUBVOL_RDONLY' /dev/shm/fault.calls || true; rm /dev/shm/fault.calls");
    // Of a snapshot that takes more than is taken while everything stands still.
    let shots = shots.parse::<usize>().expect("it was counted").min(PARTS.len());
    let pages = |folder: Folder| {
        let sizes = format!("find {} -type f -newer /run/measure -printf '%s\n'", folder.path());
        host.ok(&format!("{sizes} | awk '{{pages += int(($1 + 4095) / 4096)}} END {{print pages + 0}}'"))
    };
    let (state, units) = (pages(Folder::State), pages(Folder::Units));
    let text = format!("{steps} steps\n{millis} millis\n{state} state\n{units} units\n{shots} shots\n{calls}\n");
    host.write(&format!("/root/extent/{}", scenario.name()), &text);
    text.parse().expect("it was counted")
}

/// What was counted when this host was made.
pub fn measured(host: &Host, scenario: &dyn Scenario) -> Extent {
    host.ok(&format!("cat /root/extent/{}", scenario.name())).parse().expect("it was counted")
}
