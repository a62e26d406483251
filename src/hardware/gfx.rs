//! The table of AMD's targets: which ones the libraries of Immich's ROCm image can compute with.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::model::hardware::{GfxOverride, GfxTarget};

/// What is known of a target.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools)]
pub struct Target {
    /// Which.
    pub gfx: GfxTarget,
    /// Cards that have it.
    pub what: String,
    /// Whether it computes.
    pub support: Support,
    /// As what it is taken, where it computes as another one.
    #[serde(default, rename = "override")]
    pub taken_as: Option<GfxOverride>,
    /// Whether shared virtual memory works.
    #[serde(default = "yes")]
    pub svm: bool,
    /// Whether it is a part of a processor.
    #[serde(default)]
    pub integrated: bool,
    /// Whether it encodes videos.
    #[serde(default = "yes")]
    pub encodes: bool,
    /// Whether it is taken only by somebody who asks for it: it works, at a risk to the whole machine.
    #[serde(default)]
    pub ask: bool,
    /// Why it does not compute, or with what risk.
    #[serde(default)]
    pub why: Option<String>,
}

/// Whether a target computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Support {
    /// As itself.
    Native,
    /// As another one.
    Override,
    /// It does not.
    Bad,
}

const fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    target: Vec<Target>,
}

// Read by a test of this module, so that an empty table cannot be shipped.
static TARGETS: LazyLock<Vec<Target>> =
    LazyLock::new(|| toml::from_str::<Table>(include_str!("gfx.toml")).map(|table| table.target).unwrap_or_default());

/// What is known of `target`.
pub fn find(target: GfxTarget) -> Option<&'static Target> {
    TARGETS.iter().find(|known| known.gfx == target)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_table_is_whole() {
        let table: Table = toml::from_str(include_str!("gfx.toml")).unwrap();
        assert!(table.target.len() >= 20);
        let names: BTreeSet<_> = table.target.iter().map(|target| target.gfx).collect();
        assert_eq!(names.len(), table.target.len(), "a target that is there twice");
        for target in &table.target {
            assert_eq!(target.taken_as.is_some(), target.support == Support::Override, "{}", target.gfx);
            let is_bad = target.support == Support::Bad;
            assert!(
                !(is_bad || target.ask) || target.why.as_ref().is_some_and(|why| !why.is_empty()),
                "{}: why",
                target.gfx
            );
            assert!(!target.what.is_empty());
        }
        let of = |name: &str| find(name.parse().unwrap()).unwrap();
        assert_eq!(of("gfx1030").support, Support::Native);
        assert_eq!((of("gfx90c").support, of("gfx1031").taken_as.clone()), (Support::Bad, "10.3.0".parse().ok()));
        assert!(!of("gfx1103").svm && of("gfx1103").integrated);
        assert_eq!(find("gfx700".parse().unwrap()), None);
    }
}
