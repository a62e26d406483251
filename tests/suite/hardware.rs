//! Machines as others have published them: what is read of each, and what is used of it, whole, as a golden file.
//!
//! `tests/fixtures/hardware/NAME.tree` says where it is from; `NAME.txt` is what comes of it, and `BLESS=1` writes it.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use photos_agent::config::{Hardware, Settings};
use photos_agent::hardware::{Image, Seen, choose};
use photos_agent::host::gpu;
use photos_agent::model::hardware::{Acceleration, Given};
use photos_agent::model::{Root, Service};
use photos_agent::stack::{Facts, desire};
use tempfile::TempDir;

use crate::stack::{bare, empty, locked};

/// A recorded machine, as files below a root of its own.
pub struct Machine(TempDir);

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hardware")
}

/// The machine of this name.
pub fn machine(name: &str) -> Machine {
    let text = std::fs::read_to_string(fixtures().join(format!("{name}.tree"))).unwrap();
    let machine = Machine(tempfile::tempdir().unwrap());
    let mut lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).peekable();
    while let Some(line) = lines.next() {
        if let Some(path) = line.strip_suffix(" :") {
            let mut content = String::new();
            while let Some(more) = lines.next_if(|line| line.starts_with("    ")) {
                content.push_str(more.strip_prefix("    ").unwrap());
                content.push('\n');
            }
            machine.write(path, &content);
        } else if let Some((path, target)) = line.split_once(" -> ") {
            let path = machine.path(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(target, path).unwrap();
        } else if let Some((path, node)) = line.split_once(" node ") {
            machine.write(path, node);
        } else {
            let (path, content) = line.split_once(" = ").unwrap_or_else(|| panic!("{name}: {line:?}"));
            machine.write(path, &format!("{content}\n"));
        }
    }
    machine
}

impl Machine {
    pub fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path.trim_start_matches('/'))
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub fn root(&self) -> Root {
        Root::new(self.0.path())
    }

    pub fn seen(&self) -> Seen {
        let hardware = gpu::observe(&self.root());
        assert_eq!(hardware.unseen, Vec::<String>::new());
        Seen { hardware, selinux: self.path("/sys/fs/selinux/enforce").exists(), ..Seen::default() }
    }
}

/// What else is asked of some of them: of which, `ml`, `transcoding`, `device`.
const FORCED: &[(&str, &str, &str, Option<&str>)] = &[
    ("radeon-780m", "rocm", "vaapi", None),
    ("ryzen-gfx90c", "rocm", "off", None),
    ("two-amd-cards", "auto", "auto", Some("/dev/dri/renderD129")),
    ("intel-igpu", "openvino", "qsv", None),
    ("intel-arc-and-igpu", "openvino", "qsv", Some("/dev/dri/renderD128")),
    ("nvidia-with-cdi", "cpu", "nvenc", None),
    ("nvidia-without-cdi", "cuda", "auto", None),
    ("no-gpu", "auto", "vaapi", None),
];

/// All that comes of it: what was read, what is used and why, and the lines that the units have more than without a card.
fn golden(machine: &Machine, wishes: &Hardware) -> String {
    let mut text = String::new();
    let seen = machine.seen();
    for gpu in &seen.hardware.gpus {
        let node = gpu.node.as_ref().map(|node| format!("{} {}:{} {:04o}", node.path, node.uid, node.gid, node.mode));
        let target = gpu.kfd.as_ref().map(|kfd| kfd.target.to_string());
        let of = [Some(gpu.title()), Some(gpu.driver.clone()), target, node];
        let _ = writeln!(text, "found: {}", of.into_iter().flatten().collect::<Vec<_>>().join(", "));
    }
    let settings = Settings { hardware: wishes.clone(), ..empty() };
    let facts = Facts { graphics: seen, ..locked(&empty()) };
    let desired = desire(&settings, &facts).unwrap();
    text.extend(desired.unfit.iter().map(|refusal| format!("refused: {refusal}\n  next: {}\n", refusal.remedy)));
    let Acceleration { learning, encoding, .. } = &*desired.acceleration;
    let image = &desired.runs.written[&Service::Ml.component()];
    let _ = writeln!(text, "machine learning: {}\n  since: {}\n  image: {image}", learning.title(), learning.why);
    given(&mut text, &learning.given);
    text.extend(learning.environment.iter().map(|(name, value)| format!("  environment: {name}={value}\n")));
    text.extend(learning.not.iter().map(|(variant, why)| format!("  not {variant}: {why}\n")));
    let _ = writeln!(text, "transcoding: {}\n  since: {}", encoding.title(), encoding.why);
    given(&mut text, &encoding.given);
    text.extend(encoding.not.iter().map(|(encoder, why)| format!("  not {encoder}: {why}\n")));
    let plain = desire(&empty(), &Facts { graphics: Seen::default(), ..facts }).unwrap();
    for (with, without) in desired.files.iter().zip(&plain.files) {
        let before: BTreeSet<&str> = without.text.lines().collect();
        let is_ours =
            |line: &&str| !before.contains(line) && !line.starts_with("Label=") && !line.starts_with("Image=");
        let more: Vec<&str> = with.text.lines().filter(is_ours).collect();
        if !more.is_empty() {
            let _ = writeln!(text, "{}", with.path.as_path().file_name().unwrap().to_str().unwrap());
            text.extend(more.iter().map(|line| format!("  {line}\n")));
        }
    }
    text
}

fn given(text: &mut String, given: &Given) {
    for device in &given.devices {
        let _ = writeln!(text, "  device: {device}");
    }
    for group in &given.groups {
        let _ = writeln!(text, "  group: {group}");
    }
    if given.unconfined {
        let _ = writeln!(text, "  unconfined");
    }
}

#[test]
fn every_machine_gets_what_is_written_beside_it() {
    let mut names: Vec<String> = std::fs::read_dir(fixtures())
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".tree").map(str::to_owned))
        .collect();
    names.sort();
    for wanted in [
        "radeon-rx-6800",
        "radeon-rx-7900-xtx",
        "radeon-780m",
        "ryzen-gfx90c",
        "radeon-890m",
        "two-amd-cards",
        "intel-igpu",
        "intel-arc-and-igpu",
        "nvidia-with-cdi",
        "nvidia-without-cdi",
        "no-gpu",
        "virtio-gpu",
    ] {
        assert!(names.iter().any(|name| name == wanted), "{wanted}");
    }
    for name in names {
        let mut text = golden(&machine(&name), &Hardware::default());
        for forced in FORCED.iter().filter(|(of, ..)| *of == name) {
            let (_, ml, transcoding, device) = forced;
            let wishes = Hardware {
                ml: ml.parse().unwrap(),
                transcoding: transcoding.parse().unwrap(),
                device: device.map(|device| device.parse().unwrap()),
                ..Hardware::default()
            };
            let _ = write!(
                text,
                "\nml = \"{ml}\", transcoding = \"{transcoding}\"{}\n",
                device.map_or_else(String::new, |device| format!(", device = \"{device}\""))
            );
            text.push_str(&golden(&machine(&name), &wishes));
        }
        let path = fixtures().join(format!("{name}.txt"));
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        assert_eq!(text, std::fs::read_to_string(&path).unwrap_or_default(), "{name}");
        let source = std::fs::read_to_string(fixtures().join(format!("{name}.tree"))).unwrap();
        assert!(source.contains("# Source: https://"), "{name} says where it is from");
    }
}

#[test]
fn a_card_is_named_by_its_node_or_by_its_place() {
    let machine = machine("two-amd-cards");
    let mut wishes = Hardware { gfx_override: Some("10.3.0".parse().unwrap()), ..Default::default() };
    let chosen = |wishes: &Hardware| {
        let chosen = choose(wishes, &machine.seen(), &Image::Release(Vec::new())).acceleration;
        (chosen.learning.given.render.unwrap().to_string(), chosen.encoding.given.render.unwrap().to_string())
    };
    let both = |node: &str| (node.to_owned(), node.to_owned());
    wishes.device = Some("/dev/dri/renderD129".parse().unwrap());
    assert_eq!(chosen(&wishes), both("/dev/dri/renderD129"));
    let links = std::fs::read_dir(machine.path("/dev/dri/by-path")).unwrap();
    for link in links.map(|entry| entry.unwrap().path()).filter(|path| path.to_str().unwrap().ends_with("-render")) {
        let node = std::fs::read_link(&link).unwrap().file_name().unwrap().to_str().unwrap().to_owned();
        wishes.device =
            Some(format!("/dev/dri/by-path/{}", link.file_name().unwrap().to_str().unwrap()).parse().unwrap());
        assert_eq!(chosen(&wishes), both(&format!("/dev/dri/{node}")));
    }
}

#[test]
fn a_tree_that_makes_no_sense_is_no_card() {
    let machine = machine("radeon-rx-6800");
    for (path, content) in [
        ("/sys/class/drm/renderD128/device/uevent", "DRIVER\nPCI_ID=zz:1\nPCI_SLOT_NAME=x\n"),
        ("/sys/class/kfd/kfd/topology/nodes/1/properties", "gfx_target_version 99999999999\ndrm_render_minor -1\n"),
        ("/dev/dri/renderD128", "b 8:0 0660 0:6"),
        ("/dev/kfd", ""),
    ] {
        machine.write(path, content);
        let facts = Facts { graphics: machine.seen(), ..bare() };
        let desired = desire(&empty(), &facts).unwrap();
        assert!(!desired.acceleration.learning.given.is_some(), "{path}");
    }
}
