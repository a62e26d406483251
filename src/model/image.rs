//! Image references and digests.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Invalid, checked_text};

/// A manifest digest: `sha256:` and 64 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

impl Digest {
    fn check(text: &str) -> Result<(), Invalid> {
        let hex = text.strip_prefix("sha256:").unwrap_or("");
        if hex.len() != 64 || !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(Invalid::new("expected a digest: `sha256:` and 64 lower-case hex digits"));
        }
        Ok(())
    }
}
checked_text!(Digest);

/// A fully qualified image: registry, path, and a tag, a digest, or both.
///
/// Short names are refused: which registry they mean depends on the host's configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageRef {
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl ImageRef {
    /// Registry and path, without tag and digest.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, where one was written.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, where one was written or locked.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// This image with another tag, and no digest.
    #[must_use]
    pub fn with_tag(&self, tag: &str) -> Option<Self> {
        let repository = self.repository.clone();
        is_tag(tag).then(|| Self { repository, tag: Some(tag.to_owned()), digest: None })
    }

    /// This image at exactly `digest`. The tag is dropped: Podman refuses to run a reference with both.
    #[must_use]
    pub fn at(&self, digest: Digest) -> Self {
        Self { repository: self.repository.clone(), tag: None, digest: Some(digest) }
    }
}

impl FromStr for ImageRef {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = || {
            Invalid::new(
                "expected a fully qualified image with a tag or a digest, like `ghcr.io/immich-app/immich-server:v3.2.2`",
            )
        };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse::<Digest>()?)),
            None => (text, None),
        };
        let (registry, path) = rest.split_once('/').ok_or_else(wrong)?;
        let (path, tag) = match path.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (path, None),
        };
        if !is_registry(registry) || !path.split('/').all(is_path_part) || !tag.is_none_or(is_tag) {
            return Err(wrong());
        }
        if tag.is_none() && digest.is_none() {
            return Err(wrong());
        }
        Ok(Self { repository: format!("{registry}/{path}"), tag: tag.map(str::to_owned), digest })
    }
}

fn is_registry(text: &str) -> bool {
    let (host, port) = text.split_once(':').unwrap_or((text, "0"));
    let host_ok =
        host.split('.').all(|label| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
    host_ok && (host.contains('.') || host == "localhost" || text.contains(':')) && port.parse::<u16>().is_ok()
}

/// One part of a repository path (OCI distribution spec: lower case, digits, single separators).
fn is_path_part(text: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    edge(text.as_bytes().first())
        && edge(text.as_bytes().last())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
}

/// A tag (OCI distribution spec: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`).
fn is_tag(text: &str) -> bool {
    text.len() <= 128
        && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

impl TryFrom<String> for ImageRef {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<ImageRef> for String {
    fn from(image: ImageRef) -> Self {
        image.to_string()
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_survive_a_round_trip() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for text in [
            "ghcr.io/immich-app/immich-server:v3.2.2".to_owned(),
            "localhost:5000/a:1".to_owned(),
            format!("docker.io/valkey/valkey@{digest}"),
            format!("docker.io/valkey/valkey:9@{digest}"),
        ] {
            assert_eq!(text.parse::<ImageRef>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_podman_would_read_otherwise_is_refused() {
        for bad in [
            "",
            "valkey",
            "valkey:9",
            "docker.io/valkey",
            "docker.io/Valkey:9",
            "docker.io/valkey:9 --privileged",
            "docker.io/valkey:\n",
            "docker.io//a:1",
            "docker.io/a:1@sha256:00",
            "a/b:1",
            "docker.io/a:1:2",
            "-x.io/a b:1",
        ] {
            assert!(bad.parse::<ImageRef>().is_err(), "{bad:?}");
        }
    }
}
