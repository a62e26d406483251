//! What `hardware` tells, in lines.

use std::fmt::{Display, Write as _};

use super::{Body, Used};
use crate::cli::time;
use crate::model::hardware::{Given, Gpu, Hardware};

pub(super) fn text(body: &Body<'_>) -> String {
    let mut text = found(body.found);
    let learning = body.machine_learning.of;
    workload(&mut text, "Machine learning", &body.machine_learning, &learning.given, &learning.why);
    for (name, value) in &learning.environment {
        let _ = writeln!(text, "  with      {name}={value}");
    }
    let free = body.image_room.map_or_else(|| "?".to_owned(), |room| room.to_string());
    let _ = writeln!(text, "  image     {}", body.machine_learning.image);
    let _ = writeln!(text, "            takes up to {} GiB where images lie; {free} GiB are free", body.image_needs);
    others(&mut text, learning.not.iter());
    let encoding = body.transcoding.of;
    workload(&mut text, "Transcoding", &body.transcoding, &encoding.given, &encoding.why);
    others(&mut text, encoding.not.iter());
    for refusal in body.refusals {
        let _ = writeln!(text, "Refused: {refusal}\n  next: {}", refusal.remedy);
    }
    for concern in learning.concern().into_iter().chain(encoding.concern()) {
        let _ = writeln!(text, "Concern: {concern}\n  next: {}", concern.remedy);
    }
    text
}

/// What was found.
fn found(hardware: &Hardware) -> String {
    let mut text = "Found\n".to_owned();
    for gpu in &hardware.gpus {
        let _ = writeln!(text, "  {}", describe(gpu));
    }
    if hardware.gpus.is_empty() {
        text.push_str("  no graphics card with a render node\n");
    }
    if let Some(kfd) = &hardware.kfd {
        let _ = writeln!(text, "  {} (group {}, {:04o})", kfd.path, kfd.gid, kfd.mode);
    }
    if let Some(nvidia) = &hardware.nvidia {
        let _ = writeln!(text, "  NVIDIA's driver {}", nvidia.version.as_deref().unwrap_or("of an unknown version"));
    }
    for cdi in &hardware.cdi {
        let _ = writeln!(text, "  {}: nvidia.com/gpu={}", cdi.file, cdi.devices.join(", "));
    }
    for unseen in &hardware.unseen {
        let _ = writeln!(text, "  could not be looked at: {unseen}");
    }
    text
}

fn describe(gpu: &Gpu) -> String {
    let place = |what: &dyn Display| format!(", {what}");
    let mut line = gpu.render.map_or_else(|| "no render node".to_owned(), |render| render.to_string());
    let _ = write!(line, "  {}{}", gpu.title(), place(&gpu.driver));
    if let Some(kfd) = &gpu.kfd {
        line.push_str(&place(&kfd.target));
    }
    if let Some(bytes) = gpu.memory {
        let _ = write!(line, ", {} MiB", bytes >> 20);
    }
    if let Some(address) = &gpu.address {
        line.push_str(&place(address));
    }
    match &gpu.node {
        Some(node) => drop(write!(line, " (group {}, {:04o})", node.gid, node.mode)),
        None if gpu.render.is_some() => line.push_str(" (its node is not there)"),
        None => {}
    }
    line
}

fn workload<T>(text: &mut String, what: &str, used: &Used<'_, T>, given: &Given, why: &str) {
    let _ = writeln!(text, "{what}\n  uses      {}", used.uses);
    let _ = writeln!(text, "  since     {why}");
    if given.is_some() {
        let _ = writeln!(text, "  devices   {}", given.devices.join(", "));
        let groups: Vec<String> = given.groups.iter().map(ToString::to_string).collect();
        if !groups.is_empty() {
            let _ = writeln!(text, "  groups    {}", groups.join(", "));
        }
        if given.unconfined {
            text.push_str("  SELinux   does not confine it: it has no rule for these devices\n");
        }
        let _ = match used.proof {
            Some(proof) if proof.works => writeln!(text, "  proven    {}: {}", time::local(proof.at), proof.said),
            Some(proof) => writeln!(text, "  FAILED    {}: {}", time::local(proof.at), proof.said),
            None => writeln!(text, "  proven    not yet: photos-agent hardware test"),
        };
    }
}

fn others<'a>(text: &mut String, not: impl Iterator<Item = (impl Display + 'a, &'a String)>) {
    for (what, why) in not {
        let _ = writeln!(text, "  not {:<9} {why}", format!("{what}:"));
    }
}
