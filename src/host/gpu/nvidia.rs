//! NVIDIA's driver, and the specifications by which Podman passes its cards.
//!
//! The Container Device Interface has its files in YAML or JSON, made by nvidia-ctk. Only the names of devices are wanted of
//! them, which stand in a form that is read line by line; Podman reads the rest.

use std::path::Path;

use super::{Unseen, line};
use crate::host::files::{self, FileError};
use crate::model::hardware::{Cdi, Nvidia, NvidiaCard};
use crate::model::{HostPath, Root};

const DRIVER: &str = "/proc/driver/nvidia";

/// Where Podman looks for specifications, the later one winning (containers.conf(5), `cdi_spec_dirs`).
const FOLDERS: [&str; 3] = ["/etc/cdi", "/run/cdi", "/var/run/cdi"];

/// What the specification is of.
const KIND: &str = "nvidia.com/gpu";

/// The driver, where it is loaded.
pub(super) fn driver(root: &Root) -> Result<Option<Nvidia>, FileError> {
    let folder = root.join(DRIVER);
    let Some(said) = line(&folder.join("version"))? else { return Ok(None) };
    let mut cards = Vec::new();
    for name in files::list(&folder.join("gpus"))? {
        let Ok(address) = name.parse() else { continue };
        let about = files::read(&folder.join("gpus").join(&name).join("information"))?.unwrap_or_default();
        let model = about.lines().find_map(|line| line.strip_prefix("Model:")).map(|model| model.trim().to_owned());
        cards.push(NvidiaCard { address, model });
    }
    Ok(Some(Nvidia { version: version(&said), cards }))
}

/// From `NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.163.01  Tue Apr ...`.
fn version(said: &str) -> Option<String> {
    let first = said.lines().next()?;
    let is_version = |word: &&str| word.contains('.') && word.split('.').all(|part| part.parse::<u32>().is_ok());
    first.split_whitespace().find(is_version).map(str::to_owned)
}

/// The files that name NVIDIA's cards. /var/run is /run, so that one file is not told of twice.
pub(super) fn specifications(root: &Root, unseen: &mut Unseen) -> Vec<Cdi> {
    let mut found: Vec<Cdi> = Vec::new();
    for folder in FOLDERS.map(Path::new) {
        if folder.starts_with("/var") && root.join("/var/run").is_symlink() {
            continue;
        }
        for name in unseen.of(files::list(&root.join(folder))) {
            let file = folder.join(&name);
            let is_one = file.extension().is_some_and(|end| ["yaml", "yml", "json"].iter().any(|known| end == *known));
            let path = file.to_str().and_then(|path| path.parse::<HostPath>().ok());
            let Some(path) = path.filter(|_| is_one) else { continue };
            // A folder of such a name is somebody else's business.
            let Some(text) = files::look(&root.join(&file)).ok().flatten().map(|found| found.text) else { continue };
            if let Some(devices) = devices(&text) {
                let nodes = nodes(&text);
                let missing = nodes.iter().filter(|node| !root.join(node.as_path()).exists()).cloned().collect();
                found.push(Cdi { file: path, devices, nodes, missing });
            }
        }
    }
    found
}

/// The devices of a specification; none where it is of another kind.
fn devices(text: &str) -> Option<Vec<String>> {
    if let Ok(json) = serde_json::from_str::<serde_json::Value>(text) {
        let names = json.get("devices").and_then(|devices| devices.as_array()).into_iter().flatten();
        let names = names.filter_map(|device| Some(device.get("name")?.as_str()?.to_owned())).collect();
        return (json.get("kind")?.as_str()? == KIND).then_some(names);
    }
    let value = |line: &str, key: &str| {
        let rest = line.strip_prefix(key)?.strip_prefix(':')?;
        Some(rest.trim().trim_matches(['"', '\'']).to_owned())
    };
    let kind = text.lines().find_map(|line| value(line, "kind"))?;
    if kind != KIND {
        return None;
    }
    let below = text.lines().skip_while(|line| !line.starts_with("devices:")).skip(1);
    let list: Vec<&str> = below.take_while(|line| line.starts_with([' ', '-', '#']) || line.is_empty()).collect();
    // The names of what a device is made of lie deeper.
    let depth = |line: &str| line.len() - line.trim_start_matches([' ', '-']).len();
    let outer = list.iter().filter(|line| line.trim_start().starts_with('-')).map(|line| depth(line)).min()?;
    let names = list.iter().filter(|line| depth(line) == outer);
    Some(names.filter_map(|line| value(line.trim_start_matches([' ', '-']), "name")).collect())
}

/// The device nodes that it names, in whichever of the two forms: each stands alone behind its key.
fn nodes(text: &str) -> Vec<HostPath> {
    let words = text.split(|c: char| c.is_whitespace() || "\"',[]{}".contains(c));
    let mut nodes: Vec<HostPath> =
        words.filter(|word| word.starts_with("/dev/")).filter_map(|word| word.parse().ok()).collect();
    nodes.sort();
    nodes.dedup();
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_devices_of_a_specification_are_read() {
        let yaml = "---\ncdiVersion: 0.5.0\ncontainerEdits:\n  deviceNodes:\n  - path: /dev/nvidiactl\ndevices:\n\
                    - containerEdits:\n    deviceNodes:\n    - path: /dev/nvidia0\n  name: \"0\"\n\
                    - name: all\n  containerEdits:\n    hooks:\n    - hookName: x\n      name: inner\nkind: nvidia.com/gpu\n";
        assert_eq!(devices(yaml).unwrap(), ["0", "all"]);
        let named = |text: &str| nodes(text).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(named(yaml), ["/dev/nvidia0", "/dev/nvidiactl"]);
        assert_eq!(named(r#"{"deviceNodes":[{"path":"/dev/nvidia0","hostPath":"/dev/nvidia0"}]}"#), ["/dev/nvidia0"]);
        assert_eq!(
            devices(&yaml.replace("\n- ", "\n  - ").replace("\n  name: \"0\"", "\n    name: \"0\"")).unwrap(),
            ["0", "all"]
        );
        assert_eq!(devices(&yaml.replace("nvidia.com", "amd.com")), None);
        let json = r#"{"kind":"nvidia.com/gpu","devices":[{"name":"all"},{"name":"GPU-1"}],"cdiVersion":"0.6.0"}"#;
        assert_eq!(devices(json).unwrap(), ["all", "GPU-1"]);
        for other in ["", "{", "kind:", "kind: nvidia.com/gpu", r#"{"kind":"x/y"}"#] {
            assert!(devices(other).unwrap_or_default().is_empty(), "{other}");
        }
    }

    #[test]
    fn the_drivers_version_is_found_in_its_sentence() {
        for (said, found) in [
            ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.163.01  Tue Apr  8 12:41:17 UTC 2025", "550.163.01"),
            (
                "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  575.57.08  Release Build  (root@x)",
                "575.57.08",
            ),
        ] {
            assert_eq!(version(said).as_deref(), Some(found));
        }
        assert_eq!(version("NVRM version: none"), None);
    }
}
