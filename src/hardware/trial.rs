//! A short job for a card, in a container that is made for it and has what the real one has: how it is run, and what its words
//! mean.

use serde::Deserialize;

use crate::model::ImageRef;
use crate::model::hardware::{Encoder, Encoding, Given, Learning};

/// How the name of its container begins. A number of its own stands behind it: what bears the name may be somebody else's.
pub const NAME: &str = "photos-hardware-test";

/// Multiplies four numbers, and says who did it.
const COMPUTE: &str = include_str!("compute.py");

/// What came of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Came {
    /// Whether the card did it.
    pub works: bool,
    /// What was seen, in a line.
    pub said: String,
}

/// Podman's arguments for machine learning; none where it has no card.
pub fn learning(name: &str, image: &ImageRef, learning: &Learning) -> Option<Vec<String>> {
    let provider = learning.variant.provider().filter(|_| learning.given.is_some())?;
    let mut arguments = container(name, &learning.given, "python3");
    // The program and the image stand behind all options.
    let variables = learning.environment.iter().map(|(name, value)| format!("--env={name}={value}"));
    arguments.extend(variables);
    arguments.extend([image.to_string(), "-c".to_owned(), COMPUTE.to_owned(), provider.to_owned()]);
    Some(arguments)
}

/// Podman's arguments for transcoding: one second of a test picture.
pub fn encoding(name: &str, image: &ImageRef, encoding: &Encoding) -> Option<Vec<String>> {
    let encoder = encoding.encoder.filter(|_| encoding.given.is_some())?;
    let mut arguments = container(name, &encoding.given, "ffmpeg");
    arguments.push(image.to_string());
    arguments.extend(encode(encoder, &encoding.given));
    Some(arguments)
}

/// As Immich asks ffmpeg, with the devices named in its words.
fn encode(encoder: Encoder, given: &Given) -> Vec<String> {
    let node = given.render.map(|render| render.to_string()).unwrap_or_default();
    let (device, upload) = match encoder {
        Encoder::Vaapi => (format!("vaapi=card:{node}"), "hwupload"),
        Encoder::Qsv => (format!("qsv=card,child_device={node}"), "hwupload=extra_hw_frames=64"),
        Encoder::Nvenc => ("cuda=card:0".to_owned(), "hwupload_cuda"),
    };
    let words = ["-hide_banner", "-nostdin", "-v", "error", "-init_hw_device", &device, "-filter_hw_device", "card"];
    let source = ["-f", "lavfi", "-i", "testsrc2=duration=1:size=320x240:rate=10"];
    let (filter, codec) = (format!("format=nv12,{upload}"), format!("h264_{encoder}"));
    let made = ["-vf", &filter, "-c:v", &codec, "-f", "null", "-"];
    words.iter().chain(&source).chain(&made).map(ToString::to_string).collect()
}

/// The container: what the real one may, and no network.
fn container(name: &str, given: &Given, program: &str) -> Vec<String> {
    let fixed = [
        "run",
        "--rm",
        // Whatever becomes of the agent, in seconds.
        "--timeout=1200",
        "--pull=never",
        "--network=none",
        "--log-driver=none",
        "--no-healthcheck",
        "--cap-drop=all",
        "--security-opt=no-new-privileges",
    ];
    let mut arguments: Vec<String> = fixed.map(str::to_owned).into();
    arguments.push(format!("--name={name}"));
    arguments.push(format!("--entrypoint={program}"));
    arguments.extend(given.devices.iter().map(|device| format!("--device={device}")));
    arguments.extend(given.groups.iter().map(|group| format!("--group-add={group}")));
    if given.unconfined {
        arguments.push("--security-opt=label=disable".to_owned());
    }
    arguments
}

#[derive(Deserialize)]
struct Computed {
    available: Vec<String>,
    used: Vec<String>,
    right: bool,
}

/// What the words of machine learning's job mean.
pub fn computed(learning: &Learning, code: Option<i32>, out: &str, err: &str) -> Came {
    let provider = learning.variant.provider().unwrap_or_default();
    // Warnings of libraries stand before it.
    let said = out.lines().rev().find_map(|line| serde_json::from_str::<Computed>(line).ok());
    let Some(Computed { available, used, right }) = said else {
        return Came { works: false, said: complaint(code, err) };
    };
    let did = used.iter().any(|other| other == provider);
    let list = |names: &[String]| names.join(", ");
    let said = match (did, right) {
        (true, true) => format!("{provider} computed; there are {}", list(&available)),
        (true, false) => format!("{provider} computed, and the result is wrong"),
        (false, _) if available.iter().any(|other| other == provider) => {
            format!("{provider} is there and did not compute: {} did", list(&used))
        }
        (false, _) => format!("{provider} is not in the image, which has {}", list(&available)),
    };
    Came { works: did && right, said }
}

/// What those of transcoding's mean.
pub fn encoded(encoding: &Encoding, code: Option<i32>, err: &str) -> Came {
    let how = encoding.encoder.map_or("", Encoder::title);
    match code {
        Some(0) => Came { works: true, said: format!("{how} encoded one second of a test picture") },
        _ => Came { works: false, said: complaint(code, err) },
    }
}

fn complaint(code: Option<i32>, err: &str) -> String {
    let ended = code.map_or_else(|| "a signal ended it".to_owned(), |code| format!("exit code {code}"));
    // The first line is the reason, those after it what follows from it.
    let first = err.lines().map(str::trim).find(|line| !line.is_empty());
    first.map_or_else(|| ended.clone(), |line| format!("{line} ({ended})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::hardware::Variant;

    #[test]
    fn who_computed_is_read_and_not_believed() {
        let learning = Learning { variant: Variant::Rocm, ..Learning::on_processor("") };
        let answer = |used: &str, right: bool| {
            format!(
                "warning\n{{\"available\":[\"MIGraphXExecutionProvider\",\"CPUExecutionProvider\"],\"used\":[\"{used}\"],\
                 \"right\":{right}}}\n"
            )
        };
        let said = |out: &str| computed(&learning, Some(0), out, "");
        assert!(said(&answer("MIGraphXExecutionProvider", true)).works);
        assert!(!said(&answer("MIGraphXExecutionProvider", false)).works);
        let fell_back = said(&answer("CPUExecutionProvider", true));
        assert!(!fell_back.works && fell_back.said.contains("did not compute"), "{}", fell_back.said);
        let died = computed(&learning, Some(139), "", "\n rocBLAS error: no kernels\nmore");
        assert_eq!(died.said, "rocBLAS error: no kernels (exit code 139)");
        let cuda = Learning { variant: Variant::Cuda, ..learning };
        let other = computed(&cuda, Some(0), &answer("CPUExecutionProvider", true), "");
        assert!(other.said.contains("is not in the image"), "{}", other.said);
    }
}
