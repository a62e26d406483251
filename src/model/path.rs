//! Paths on the host, and the root below which they are looked up.

use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Invalid, checked_text};

/// An absolute, normal path on the host that may stand in a quadlet `Volume=`.
///
/// UTF-8, no `.`, `..`, doubled or trailing slash, no control characters, and no `:`, which
/// podman-run(1) takes for the separator of a volume's parts and cannot be escaped there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPath(String);

impl HostPath {
    fn check(text: &str) -> Result<(), Invalid> {
        let refuse = |why: &str| Err(Invalid::new(format!("expected an absolute path, {why}")));
        if !text.starts_with('/') {
            return refuse("starting with `/`");
        }
        if text.chars().any(char::is_control) {
            return refuse("without control characters");
        }
        if text.contains(':') {
            return refuse("without `:`, which Podman reads as the end of a volume's path");
        }
        let normal = Path::new(text).components().skip(1).all(|c| matches!(c, Component::Normal(_)));
        let rebuilt = Path::new(text).components().collect::<PathBuf>();
        if text == "/" || !normal || rebuilt.as_os_str() != text {
            return refuse("without `.`, `..`, doubled or trailing `/`, and not `/` itself");
        }
        Ok(())
    }

    /// The path one level below, `name` being a constant of this crate or a checked name.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        Self(format!("{}/{name}", self.0))
    }

    /// As a standard path.
    pub fn as_path(&self) -> &Path {
        Path::new(&self.0)
    }

    /// Whether `self` is `other` or lies below it.
    pub fn starts_with(&self, other: &Self) -> bool {
        self.as_path().starts_with(other.as_path())
    }
}
checked_text!(HostPath);

/// Where the host's files are: `/`, or the folder that `--root` names.
///
/// Moves files and sysfs only; the bus and the sockets stay where they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root(PathBuf);

impl Default for Root {
    fn default() -> Self {
        Self(PathBuf::from("/"))
    }
}

impl Root {
    /// A root other than `/`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// `absolute` below this root.
    pub fn join(&self, absolute: impl AsRef<Path>) -> PathBuf {
        let path = absolute.as_ref();
        self.0.join(path.strip_prefix("/").unwrap_or(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_normal_absolute_paths() {
        for bad in ["", "/", "a", "./a", "/a/", "/a//b", "/a/../b", "/a/./b", "/a:b", "/a\nb", "/a\u{7f}"] {
            assert!(bad.parse::<HostPath>().is_err(), "{bad:?}");
        }
        for good in ["/a", "/var/lib/photos", "/mnt/My Photos 100%", "/ünï/\"q\""] {
            assert!(good.parse::<HostPath>().is_ok(), "{good:?}");
        }
    }

    #[test]
    fn a_root_moves_absolute_paths() {
        assert_eq!(Root::new("/tmp/x").join("/etc/a"), Path::new("/tmp/x/etc/a"));
        assert_eq!(Root::default().join("/etc/a"), Path::new("/etc/a"));
    }
}
