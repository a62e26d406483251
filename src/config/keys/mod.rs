//! The keys: which there are, of what kind, and what holds when a key is not set.
//!
//! The one list from which files are read, `config show` is ordered and the schema is made. The
//! template is written by hand, and a test compares it with this list.

mod icloud;
mod timed;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use crate::catalogue::Catalogue;
use crate::model::Component;
use crate::model::hardware::{EncoderChoice, MlChoice};

use super::value::Value;

pub(super) use icloud::{ACCOUNT, NAME, refused};

/// What a value means, which decides its type and its rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Path,
    Subnet,
    Networks,
    Release,
    Listen,
    TimeZone,
    Environment,
    Major,
    Disk,
    Image,
    Memory,
    Processor,
    Schedule,
    Calendar,
    Count,
    Span,
    Switch,
    Program,
    Secret,
    Icloudpd,
    Share,
    Account,
    AppleId,
    Email,
    Libraries,
    Albums,
    Created,
    Folders,
    Render,
    Gfx,
    /// A whole number, at least this one.
    Number(u32),
    /// One of these words.
    Word(&'static [&'static str]),
    /// Several of these words.
    Words(&'static [&'static str]),
}

impl Kind {
    /// The type of TOML, with its article.
    pub const fn shape(self) -> &'static str {
        match self {
            Self::Program => "a string, or a list of strings",
            Self::Networks | Self::Libraries | Self::Albums | Self::Words(_) => "a list of strings",
            Self::Environment => "a table",
            Self::Major | Self::Count | Self::Number(_) => "an integer",
            Self::Switch => "a boolean",
            _ => "a string",
        }
    }

    /// A right value, as TOML.
    pub const fn example(self) -> &'static str {
        match self {
            Self::Path => r#""/srv/photos""#,
            Self::Subnet => r#""10.89.5.0/24""#,
            Self::Networks => r#"["reverse_proxy"]"#,
            Self::Release => r#""v3.2.2""#,
            Self::Listen => r#""127.0.0.1:2283""#,
            Self::TimeZone => r#""Europe/Oslo""#,
            Self::Environment => r#"{ IMMICH_LOG_LEVEL = "verbose" }"#,
            Self::Major => "17",
            Self::Disk => r#""ssd""#,
            Self::Image => r#""ghcr.io/immich-app/immich-server:v3.2.2""#,
            Self::Memory => r#""4G""#,
            Self::Processor => r#""200%""#,
            Self::Schedule => r#""*-*-* 02:00:00""#,
            Self::Calendar => r#""Sat *-*-* 04:30:00""#,
            Self::Count => "7",
            Self::Span => r#""36h""#,
            Self::Switch => "true",
            Self::Program => r#""/usr/local/bin/tell-me""#,
            Self::Secret => r#""photos-notify-url""#,
            Self::Icloudpd => r#""docker.io/icloudpd/icloudpd:1.32.3""#,
            Self::Share => r#""1%""#,
            Self::Account => r#""anna""#,
            Self::AppleId | Self::Email => r#""anna@example.org""#,
            Self::Libraries => r#"["PrimarySync"]"#,
            Self::Albums => r#"["Family"]"#,
            Self::Created => r#""2024-12-31""#,
            Self::Folders => r#""{:%Y/%m}""#,
            Self::Render => r#""/dev/dri/renderD128""#,
            Self::Gfx => r#""10.3.0""#,
            Self::Number(_) => "50",
            Self::Word(_) => r#""original""#,
            Self::Words(_) => r#"["original"]"#,
        }
    }
}

/// One key.
#[derive(Debug, Clone)]
pub(super) struct Key {
    /// With its sections: `storage.root`.
    pub path: String,
    pub kind: Kind,
    pub default: Option<Value>,
    /// What holds without a value, where there is no default.
    pub unset: &'static str,
    /// What it sets, in one sentence.
    pub about: String,
}

impl Key {
    /// The path without its last part.
    pub fn section(&self) -> &str {
        self.path.rsplit_once('.').map_or("", |(section, _)| section)
    }

    /// The last part of the path.
    pub fn name(&self) -> &str {
        self.path.rsplit_once('.').map_or(self.path.as_str(), |(_, name)| name)
    }
}

/// All keys, in the order of the manual.
pub(super) fn all() -> &'static [Key] {
    &KEYS
}

/// The key of this path.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    all().iter().find(|key| key.path == path)
}

/// What holds where no file sets `key` and these releases are known.
pub(super) fn default(key: &Key, catalogue: &Catalogue) -> Option<Value> {
    if key.kind == Kind::Release { newest(catalogue) } else { key.default.clone() }
}

fn newest(catalogue: &Catalogue) -> Option<Value> {
    catalogue.newest().map(|entry| Value::Text(entry.release.to_string()))
}

/// A right value of the key of this path.
pub(super) fn example(path: &str) -> &'static str {
    find(path).map_or("", |key| key.kind.example())
}

/// The names that may stand below `section` ("" is the top of a file); empty if it is no section.
pub(super) fn below(section: &str) -> BTreeSet<&'static str> {
    let inside = |path: &'static str| match section {
        "" => Some(path),
        _ => path.strip_prefix(section)?.strip_prefix('.'),
    };
    all().iter().filter_map(|key| inside(&key.path)).filter_map(|rest| rest.split('.').next()).collect()
}

static KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| {
    let mut keys = fixed();
    keys.extend(timed::snapshots());
    keys.extend(timed::upgrade());
    keys.extend(timed::notify());
    keys.extend(icloud::keys());
    keys.extend(Component::ALL.map(image));
    keys.extend(Component::ALL.into_iter().flat_map(limits));
    keys
});

fn fixed() -> Vec<Key> {
    let text = |value: &str| Some(Value::Text(value.to_owned()));
    let newest = newest(&Catalogue::embedded());
    let key = |path: &str, kind, default, unset, about: &str| Key {
        path: path.to_owned(),
        kind,
        default,
        unset,
        about: about.to_owned(),
    };
    vec![
        key("storage.root", Kind::Path, text("/var/lib/photos"), "", "The folder, on BTRFS, that holds everything."),
        key(
            "storage.databases",
            Kind::Path,
            None,
            "below storage.root",
            "Another folder on BTRFS for the database and Redis.",
        ),
        key(
            "storage.ml_cache",
            Kind::Path,
            None,
            "below storage.root",
            "Another place for the downloaded machine learning models.",
        ),
        key(
            "network.subnet",
            Kind::Subnet,
            text("10.89.5.0/24"),
            "",
            "The private IPv4 subnet of the inner network, which has no way out.",
        ),
        key(
            "network.server_networks",
            Kind::Networks,
            Some(Value::List(Vec::new())),
            "",
            "Existing Podman networks that the server joins as well.",
        ),
        key("immich.version", Kind::Release, newest, "", "The release of Immich, one that this agent knows."),
        key(
            "immich.listen",
            Kind::Listen,
            text("127.0.0.1:2283"),
            "",
            "The one address and port at which the server answers.",
        ),
        key("immich.timezone", Kind::TimeZone, None, "the host's own", "The time zone of the server."),
        key("immich.environment", Kind::Environment, None, "none", "Further environment variables of the server."),
        key(
            "postgres.major",
            Kind::Major,
            None,
            "that of the database on disk, else that of the release",
            "The major version of PostgreSQL.",
        ),
        key("postgres.storage", Kind::Disk, text("ssd"), "", "What the database lies on: \"ssd\" or \"hdd\"."),
        key(
            "hardware.ml",
            Kind::Word(MlChoice::WORDS),
            text("auto"),
            "",
            "What machine learning computes with: \"auto\" is a card that is known to work, else the processor.",
        ),
        key(
            "hardware.transcoding",
            Kind::Word(EncoderChoice::WORDS),
            text("auto"),
            "",
            "What encodes videos; with \"off\", Immich's own setting is left alone.",
        ),
        key(
            "hardware.device",
            Kind::Render,
            None,
            "the best that there is",
            "The render node of the one card that is used, or its link below /dev/dri/by-path.",
        ),
        key(
            "hardware.gfx_override",
            Kind::Gfx,
            None,
            "as the agent's table of targets says",
            "As what an AMD card is taken (HSA_OVERRIDE_GFX_VERSION).",
        ),
    ]
}

fn image(component: Component) -> Key {
    let name = component.key();
    Key {
        path: format!("images.{name}"),
        kind: if component == Component::Icloudpd { Kind::Icloudpd } else { Kind::Image },
        default: None,
        unset: "that of the release",
        about: format!("The image of {name}, with a tag or a digest."),
    }
}

fn limits(component: Component) -> [Key; 2] {
    let name = component.key();
    // What is downloaded for hours beside everything else has limits from the start.
    let of_icloudpd = |text: &str| (component == Component::Icloudpd).then(|| Value::Text(text.to_owned()));
    let key = |last: &str, kind, default: Option<Value>, about: &str| Key {
        path: format!("resources.{name}.{last}"),
        kind,
        unset: if default.is_some() { "" } else { "no limit" },
        default,
        about: format!("{about} of {name}."),
    };
    [
        key("memory_max", Kind::Memory, of_icloudpd("1G"), "Most memory (systemd's MemoryMax=)"),
        key("cpu_quota", Kind::Processor, of_icloudpd("100%"), "Most processor time (systemd's CPUQuota=)"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_list_what_is_in_them() {
        assert_eq!(below("storage").into_iter().collect::<Vec<_>>(), ["databases", "ml_cache", "root"]);
        assert_eq!(below("resources.ml").into_iter().collect::<Vec<_>>(), ["cpu_quota", "memory_max"]);
        assert_eq!(below("").len(), 11);
        assert!(below("stor").is_empty() && below("storage.root").is_empty());
    }

    #[test]
    fn a_key_has_a_default_or_says_what_holds_without_one() {
        for key in all() {
            assert_ne!(key.default.is_some(), !key.unset.is_empty(), "{}", key.path);
            assert!(!key.section().is_empty() && !key.name().is_empty());
        }
    }
}
