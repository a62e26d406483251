//! Names of things on the host: units, networks, secrets, environment variables.

use serde::{Deserialize, Serialize};

use super::{Invalid, checked_text};

/// Longest unit name that systemd accepts, in bytes (`UNIT_NAME_MAX`, systemd.unit(5)).
const UNIT_NAME_MAX: usize = 255;

/// The unit types that the agent deals with.
const UNIT_TYPES: [&str; 6] = [".service", ".target", ".slice", ".socket", ".timer", ".mount"];

/// The name of a systemd unit, with its type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UnitName(String);

impl UnitName {
    fn check(text: &str) -> Result<(), Invalid> {
        let stem = UNIT_TYPES.iter().find_map(|kind| text.strip_suffix(kind)).unwrap_or("");
        let legal = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
        if stem.is_empty() || text.len() > UNIT_NAME_MAX || !text.chars().all(legal) {
            return Err(Invalid::new("expected a systemd unit name with its type, like `photos.target`"));
        }
        Ok(())
    }
}
checked_text!(UnitName);

/// The name of a Podman network (libpod's own rule: `[a-zA-Z0-9][a-zA-Z0-9_.-]*`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NetworkName(String);

impl NetworkName {
    fn check(text: &str) -> Result<(), Invalid> {
        // A name that ends in a quadlet suffix would be read as a reference to that unit
        // (podman-container.unit(5), Network=), and these words are network modes.
        let modes = ["host", "none", "bridge", "private", "default", "pasta", "slirp4netns", "container", "ns"];
        let quadlet = [".network", ".container"].iter().any(|end| text.ends_with(end));
        if !is_podman_name(text) || modes.contains(&text) || quadlet {
            return Err(Invalid::new(
                "expected the name of an existing Podman network: letters, digits, `_`, `.` and `-`, first a letter or digit",
            ));
        }
        Ok(())
    }
}
checked_text!(NetworkName);

/// The name of a Podman secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SecretName(String);

impl SecretName {
    fn check(text: &str) -> Result<(), Invalid> {
        if !is_podman_name(text) {
            return Err(Invalid::new(
                "expected a secret's name: letters, digits, `_`, `.` and `-`, first a letter or digit",
            ));
        }
        Ok(())
    }
}
checked_text!(SecretName);

fn is_podman_name(text: &str) -> bool {
    text.len() <= 253
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

/// The name of an environment variable (POSIX: letters, digits and `_`, first not a digit).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EnvironmentName(String);

impl EnvironmentName {
    fn check(text: &str) -> Result<(), Invalid> {
        let first = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !first || !text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(Invalid::new(
                "expected the name of an environment variable: letters, digits and `_`, first not a digit",
            ));
        }
        Ok(())
    }
}
checked_text!(EnvironmentName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_mean_something_else_are_refused() {
        for bad in ["host", "none", "", "-a", "a b", "a\nb", "x.network", "a:b", "container"] {
            assert!(bad.parse::<NetworkName>().is_err(), "{bad:?}");
        }
        for bad in ["", ".service", "a b.service", "a", "a.service\n", "a/b.service"] {
            assert!(bad.parse::<UnitName>().is_err(), "{bad:?}");
        }
        for bad in ["", "1A", "A=B", "A B", "A\n", "Ä"] {
            assert!(bad.parse::<EnvironmentName>().is_err(), "{bad:?}");
        }
        assert!("reverse_proxy".parse::<NetworkName>().is_ok());
        assert!("icloudpd@anna.service".parse::<UnitName>().is_ok());
    }
}
