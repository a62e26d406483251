//! Whether the processor runs the images: amd64 and arm64 there are, and machine learning of Immich 3 wants more of the first.

use super::{Finding, Known};
use crate::host::files;
use crate::model::{Release, Root};
use crate::observe::chain;

/// What x86-64-v2 adds, by the names of `proc_cpuinfo`(5).
const V2: [&str; 7] = ["cx16", "lahf_lm", "pni", "popcnt", "sse4_1", "sse4_2", "ssse3"];

pub(super) fn processor(root: &Root, known: &Known) -> Finding {
    let release = known.loaded.as_ref().ok().map(|loaded| &loaded.settings.immich.version);
    match files::read(&root.join("/proc/cpuinfo")) {
        Ok(text) => judge(std::env::consts::ARCH, &text.unwrap_or_default(), release),
        Err(error) => Finding::unknown(chain(&error)),
    }
}

fn judge(architecture: &str, cpuinfo: &str, release: Option<&Release>) -> Finding {
    match architecture {
        "aarch64" => return Finding::holds("arm64"),
        "x86_64" => {}
        other => {
            return Finding::fails(
                format!("there are no images of Immich for {other}"),
                "use a machine with amd64 or arm64",
            );
        }
    }
    let Some(flags) = cpuinfo.lines().find_map(|line| line.strip_prefix("flags")) else {
        return Finding::unknown("the kernel does not tell what the processor can do");
    };
    let missing: Vec<&str> = V2.into_iter().filter(|flag| !flags.split_whitespace().any(|has| has == *flag)).collect();
    if missing.is_empty() {
        return Finding::holds("amd64, x86-64-v2 or newer");
    }
    if release.is_some_and(|release| release.major() < 3) {
        return Finding::holds("amd64; Immich 3 would want x86-64-v2");
    }
    Finding::fails(
        format!(
            "it is older than x86-64-v2 (no {}): machine learning of Immich 3 does not run on it",
            missing.join(", ")
        ),
        "systemctl mask --now immich-ml, for a library without search and faces; in a virtual machine, give it the \
         processor of its host",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_learning_of_immich_3_wants_an_x86_64_v2() {
        let new = "flags\t\t: fpu lahf_lm cx16 pni popcnt ssse3 sse4_1 sse4_2 avx2\n";
        let old = "processor\t: 0\nflags\t\t: fpu lahf_lm cx16 pni ssse3 sse4_1\n";
        let release = |text: &str| text.parse::<Release>().unwrap();
        let (three, two) = (release("v3.2.2"), release("v2.7.5"));
        assert!(matches!(judge("x86_64", new, Some(&three)), Finding::Holds { .. }));
        assert!(matches!(judge("x86_64", old, Some(&three)), Finding::Fails { why, remedy }
            if why.contains("popcnt, sse4_2") && remedy.contains("immich-ml")));
        assert!(matches!(judge("x86_64", old, None), Finding::Fails { .. }));
        assert!(matches!(judge("x86_64", old, Some(&two)), Finding::Holds { .. }));
        assert!(matches!(judge("x86_64", "", Some(&three)), Finding::Unknown { .. }));
    }

    #[test]
    fn arm64_is_fine_and_others_have_no_images() {
        assert!(matches!(judge("aarch64", "", None), Finding::Holds { .. }));
        assert!(matches!(judge("riscv64", "", None), Finding::Fails { why, .. } if why.contains("riscv64")));
    }
}
