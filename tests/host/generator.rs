//! What goes into a quadlet comes out at the program's end, exactly.
//!
//! Random values are written by `quadlet::Value`, read by Podman's own generator and by systemd, and run: a
//! program in the place of Podman writes down the arguments that it was given. Nothing of ours reads on the way.

#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

use std::collections::BTreeMap;

use photos_agent::model::HostPath;
use photos_agent::quadlet::{File, OnFailure, Value};

use crate::support::Host;

/// How many values are tried.
const CASES: usize = 300;
/// How many of them share one unit.
const PER_UNIT: usize = 15;
/// Everything that this test leaves behind, below a folder that a reboot clears.
const FOLDER: &str = "/run/photos-escape";
const ARGUMENTS: &str = "/run/photos-escape/arguments";

#[test]
fn values_in_quadlets_arrive_as_they_were_written() {
    let now = || std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let seed = std::env::var("TEST_SEED").map_or_else(|_| now(), |seed| seed.parse().expect("TEST_SEED is a number"));
    eprintln!("again with the same values: TEST_SEED={seed}");
    let host = Host::fresh("generator");
    let quote = |word: &&str| format!("'{}'", word.replace('\'', r"'\''"));
    // To the last byte, which Host::ok does not give.
    let run = |words: &[&str]| host.fails(0, &words.iter().map(quote).collect::<Vec<_>>().join(" ")).out;
    check(&cases(seed), &run, &|path, text| host.write(path, text)).unwrap_or_else(|changed| panic!("{changed}"));
}

/// What a value is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A word of `Environment=`, after `KEY=`.
    Environment,
    /// A word of `Label=`, after `key=`.
    Label,
    /// A word of `Exec=`.
    Exec,
    /// A word of `PodmanArgs=`.
    PodmanArgs,
    /// The text of `HealthCmd=`, of which a unit has one.
    Health,
    /// The text of `NetworkAlias=`, of which it may have many.
    Alias,
    /// The host's side of a `Volume=`.
    Volume,
    /// A path of systemd's `RequiresMountsFor=`.
    Mount,
    /// systemd's `Description=`, of which a unit has one.
    Description,
    /// An argument of systemd's `ExecStartPost=`.
    Command,
}

const KINDS: [Kind; 10] = [
    Kind::Environment,
    Kind::Label,
    Kind::Exec,
    Kind::PodmanArgs,
    Kind::Health,
    Kind::Alias,
    Kind::Volume,
    Kind::Mount,
    Kind::Description,
    Kind::Command,
];

/// One value and where it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Where.
    pub kind: Kind,
    /// What has to arrive.
    pub value: String,
}

/// Values of all kinds, the same for the same seed. First those that have been trouble, then random ones; what
/// a kind refuses is left out, since it is refused before anything is written.
pub fn cases(seed: u64) -> Vec<Case> {
    let mut random = Random(seed | 1);
    let mut cases = Vec::new();
    for known in
        ["", " ", ";", "a ; b", "%", "%%", "%n", "$", "$$", "$HOME", "${HOME}", "\\", "\\\\", "\"", "'", "#", "\t a"]
    {
        cases.extend(KINDS.map(|kind| Case { kind, value: known.to_owned() }));
    }
    cases.retain(accepted);
    // Two thirds are random.
    cases.truncate(CASES / 3);
    while cases.len() < CASES {
        let case = Case { kind: KINDS[random.below(KINDS.len())], value: random.text() };
        if accepted(&case) {
            cases.push(case);
        }
    }
    cases
}

fn accepted(case: &Case) -> bool {
    match case.kind {
        Kind::Exec | Kind::PodmanArgs => Value::word(&case.value).is_ok(),
        Kind::Health | Kind::Alias => Value::text(&case.value).is_ok(),
        Kind::Volume | Kind::Mount => path(&case.value).is_some(),
        Kind::Description => !case.value.is_empty() && Value::setting(&case.value).is_ok(),
        Kind::Environment | Kind::Label | Kind::Command => true,
    }
}

fn path(value: &str) -> Option<HostPath> {
    format!("/run/{value}").parse().ok()
}

/// A small generator of its own: the host tests need no property testing crate, and a seed to repeat.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        // xorshift64
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    fn text(&mut self) -> String {
        const PIECES: [&str; 36] = [
            " ",
            "  ",
            "\t",
            "'",
            "\"",
            "\\",
            "\\\\",
            "%",
            "%%",
            "%h",
            "%n",
            "$",
            "$$",
            "$HOME",
            "${HOME}",
            ";",
            " ; ",
            "#",
            "=",
            "\\n",
            "\\x41",
            "\\s",
            "é",
            "日本",
            "🖼",
            "\u{a0}",
            "\u{2028}",
            "\u{ad}",
            "[x]",
            "-",
            "--",
            "`id`",
            "$(id)",
            "*",
            "~",
            "&|<>!?{},:@^+",
        ];
        let mut text = String::new();
        for _ in 0..self.below(9) {
            if self.below(3) == 0 {
                text.push(char::from(u8::try_from(0x20 + self.below(0x5f)).unwrap()));
            } else {
                text.push_str(PIECES[self.below(PIECES.len())]);
            }
        }
        text
    }
}

/// Sends `cases` through the host's generator and systemd, and names the first that arrives changed.
///
/// `run` runs a command in the host and returns its standard output, `write` writes a file there.
pub fn check(cases: &[Case], run: &dyn Fn(&[&str]) -> String, write: &dyn Fn(&str, &str)) -> Result<(), String> {
    run(&["mkdir", "-p", &format!("{FOLDER}/units")]);
    write(
        ARGUMENTS,
        &format!("#!/bin/sh\n{{ printf '%s\\0' \"$@\" | od -An -v -tx1 | tr -d ' \\n'; echo; }} >> {FOLDER}/out\n"),
    );
    run(&["chmod", "755", ARGUMENTS]);
    let units = cases.chunks(PER_UNIT).map(unit).collect::<Vec<_>>();
    for (index, unit) in units.iter().enumerate() {
        write(&format!("{FOLDER}/units/{}.container", name(index)), &unit.text);
    }
    let generator = run(&["sh", "-c", "ls /usr/libexec/podman/quadlet /usr/lib/podman/quadlet 2>/dev/null | head -1"]);
    let folders = format!("QUADLET_UNIT_DIRS={FOLDER}/units");
    let generated = generated(&run(&["env", &folders, generator.trim(), "-dryrun"]));
    for (index, _) in units.iter().enumerate() {
        let service = format!("{}.service", name(index));
        let text = generated.get(&service).ok_or_else(|| format!("{service} was not generated"))?;
        write(&format!("/run/systemd/system/{service}"), &with_witness(text)?);
    }
    run(&["systemctl", "daemon-reload"]);
    for (index, unit) in units.iter().enumerate() {
        let service = format!("{}.service", name(index));
        run(&["rm", "-f", &format!("{FOLDER}/out")]);
        run(&["systemctl", "start", &service]);
        let arguments = run(&["cat", &format!("{FOLDER}/out")]);
        let property = |property: &str| run(&["systemctl", "show", "--property", property, "--value", &service]);
        let received = unit.received(&arguments, &property("Description"), &mounts(run, &service))?;
        for (case, received) in unit.cases.iter().zip(received) {
            if received.as_deref() != Some(case.value.as_str()) {
                return Err(format!("{:?}: sent {:?}, received {received:?}\n{}", case.kind, case.value, unit.text));
            }
        }
    }
    for (index, _) in units.iter().enumerate() {
        run(&["rm", "-f", &format!("/run/systemd/system/{}.service", name(index))]);
    }
    run(&["rm", "-rf", FOLDER]);
    run(&["systemctl", "daemon-reload"]);
    Ok(())
}

fn name(index: usize) -> String {
    format!("photos-escape-{index}")
}

/// The paths of systemd's own reading of `RequiresMountsFor=`.
fn mounts(run: &dyn Fn(&[&str]) -> String, service: &str) -> Vec<String> {
    let path = format!("/org/freedesktop/systemd1/unit/{}", service.replace('-', "_2d").replace('.', "_2e"));
    let bus = ["busctl", "--json=short", "get-property", "org.freedesktop.systemd1"];
    let json = run(&[&bus[..], &[&path, "org.freedesktop.systemd1.Unit", "RequiresMountsFor"]].concat());
    let value = serde_json::from_str::<serde_json::Value>(&json).unwrap_or_default();
    serde_json::from_value(value["data"].clone()).unwrap_or_default()
}

/// A quadlet and the cases that it carries.
struct Unit {
    cases: Vec<Case>,
    text: String,
}

/// Writes a chunk of cases into one quadlet. A kind of which a unit has only one takes the last, so that a
/// second one of the same chunk becomes an argument of the command instead.
fn unit(chunk: &[Case]) -> Unit {
    let mut seen = Vec::new();
    let mut file = File::default();
    let mut cases = chunk.to_vec();
    file.add("Container", "Image", Value::text("localhost/none:1").unwrap());
    let mut exec = vec!["exec".to_owned()];
    let mut command = vec!["post".to_owned()];
    for (index, case) in cases.iter_mut().enumerate() {
        if matches!(case.kind, Kind::Health | Kind::Description) {
            if seen.contains(&case.kind) {
                case.kind = Kind::Command;
            }
            seen.push(case.kind);
        }
        let value = case.value.as_str();
        match case.kind {
            Kind::Environment => {
                file.add("Container", "Environment", Value::word(&format!("E{index}={value}")).unwrap());
            }
            Kind::Label => file.add("Container", "Label", Value::word(&format!("l{index}={value}")).unwrap()),
            Kind::Exec => exec.push(value.to_owned()),
            Kind::PodmanArgs => file.add("Container", "PodmanArgs", Value::words(["--word", value]).unwrap()),
            Kind::Health => file.add("Container", "HealthCmd", Value::text(value).unwrap()),
            Kind::Alias => file.add("Container", "NetworkAlias", Value::text(value).unwrap()),
            Kind::Volume => {
                let text = format!("{}:/target{index}", path(value).unwrap());
                file.add("Container", "Volume", Value::text(&text).unwrap());
            }
            Kind::Mount => file.add("Unit", "RequiresMountsFor", Value::paths([&path(value).unwrap()]).unwrap()),
            Kind::Description => file.add("Unit", "Description", Value::setting(value).unwrap()),
            Kind::Command => command.push(value.to_owned()),
        }
    }
    file.add("Container", "Exec", Value::words(&exec).unwrap());
    let program = ARGUMENTS.parse().unwrap();
    file.add("Service", "ExecStartPost", Value::command(OnFailure::Fail, &program, &command).unwrap());
    Unit { cases, text: file.to_string() }
}

impl Unit {
    /// What arrived for each case, where anything did.
    fn received(&self, output: &str, description: &str, mounts: &[String]) -> Result<Vec<Option<String>>, String> {
        let lines = output.lines().map(arguments).collect::<Result<Vec<_>, _>>()?;
        let [podman, command] = lines.as_slice() else {
            return Err(format!("expected two commands, got {}\n{}", lines.len(), self.text));
        };
        let after = |option: &str, prefix: &str| {
            let at = podman.windows(2).find(|pair| pair[0] == option && pair[1].starts_with(prefix));
            at.and_then(|pair| pair[1].strip_prefix(prefix)).map(str::to_owned)
        };
        let mut exec = podman.iter().skip_while(|argument| *argument != "exec").skip(1);
        let mut command = command.iter().skip(1);
        let mut words = podman.windows(2).filter(|pair| pair[0] == "--word").map(|pair| pair[1].clone());
        let mut aliases = podman.windows(2).filter(|pair| pair[0] == "--network-alias").map(|pair| pair[1].clone());
        let received = self.cases.iter().enumerate().map(|(index, case)| match case.kind {
            Kind::Environment => after("--env", &format!("E{index}=")),
            Kind::Label => after("--label", &format!("l{index}=")),
            Kind::Exec => exec.next().cloned(),
            Kind::PodmanArgs => words.next(),
            Kind::Health => after("--health-cmd", ""),
            Kind::Alias => aliases.next(),
            Kind::Volume => {
                let end = format!(":/target{index}");
                let volume = podman.windows(2).find(|pair| pair[0] == "-v" && pair[1].ends_with(&end));
                let path = volume.and_then(|pair| pair[1].strip_suffix(&end));
                path.and_then(|path| path.strip_prefix("/run/")).map(str::to_owned)
            }
            Kind::Mount => mounts
                .iter()
                .find_map(|path| path.strip_prefix("/run/").filter(|path| *path == case.value))
                .map(str::to_owned),
            Kind::Description => description.strip_suffix('\n').map(str::to_owned),
            Kind::Command => command.next().cloned(),
        });
        Ok(received.collect())
    }
}

/// The arguments of one line of the witness: hexadecimal, each ended by a zero byte.
fn arguments(line: &str) -> Result<Vec<String>, String> {
    let bytes = line.as_bytes().chunks(2).map(|pair| {
        let text = std::str::from_utf8(pair).map_err(|error| error.to_string())?;
        u8::from_str_radix(text, 16).map_err(|error| format!("{error}: {text:?}"))
    });
    let bytes = bytes.collect::<Result<Vec<_>, _>>()?;
    let bytes = bytes.strip_suffix(&[0]).unwrap_or(&bytes);
    let words = bytes.split(|byte| *byte == 0).map(|word| String::from_utf8(word.to_vec()));
    words.collect::<Result<_, _>>().map_err(|error| error.to_string())
}

/// The units that the generator printed, by name.
fn generated(output: &str) -> BTreeMap<String, String> {
    let mut units = BTreeMap::<String, String>::new();
    let mut name = None;
    for line in output.lines() {
        if let Some(header) = line.strip_prefix("---").and_then(|line| line.strip_suffix("---")) {
            name = Some(header.to_owned());
        } else if let Some(name) = &name {
            let unit = units.entry(name.clone()).or_default();
            unit.push_str(line);
            unit.push('\n');
        }
    }
    units
}

/// The generated unit with the witness in Podman's place, as a plain oneshot.
fn with_witness(text: &str) -> Result<String, String> {
    let mut out = String::new();
    let dropped = ["Type=", "NotifyAccess=", "ExecStop", "Wants=", "After="];
    for line in text.lines().filter(|line| !dropped.iter().any(|start| line.starts_with(start))) {
        if let Some(command) = line.strip_prefix("ExecStart=") {
            let (_, arguments) = command.split_once(' ').ok_or("no arguments")?;
            out.push_str("Type=oneshot\nExecStart=");
            out.push_str(&[ARGUMENTS, arguments].join(" "));
            out.push('\n');
        } else {
            out.push_str(line);
            out.push('\n');
        }
    }
    Ok(out)
}
