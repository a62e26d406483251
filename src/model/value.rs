//! Small values that a person writes into the configuration.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use super::{Invalid, checked_text};

/// A PostgreSQL major version that has an image and that Immich accepts (14 to 18).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct PostgresMajor(u32);

impl PostgresMajor {
    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for PostgresMajor {
    type Error = Invalid;
    fn try_from(major: u32) -> Result<Self, Invalid> {
        if (14..=18).contains(&major) {
            Ok(Self(major))
        } else {
            Err(Invalid::new("expected a PostgreSQL major version from 14 to 18"))
        }
    }
}

impl From<PostgresMajor> for u32 {
    fn from(major: PostgresMajor) -> Self {
        major.0
    }
}

impl FromStr for PostgresMajor {
    type Err = Invalid;
    /// Reads the content of a `PG_VERSION` file too: digits and a newline.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let number = text.trim().parse::<u32>();
        number.map_err(|_| Invalid::new("expected a whole number")).and_then(Self::try_from)
    }
}

impl fmt::Display for PostgresMajor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What the database lies on, which sets its planner's costs (`DB_STORAGE_TYPE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DatabaseStorage {
    /// Flash.
    #[default]
    Ssd,
    /// A spinning disk.
    Hdd,
}

/// An amount of memory as systemd.resource-control(5) takes it for `MemoryMax=`: a whole number with
/// an optional K, M, G or T (powers of 1024), or a percentage of the machine's memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MemorySize(String);

impl MemorySize {
    fn check(text: &str) -> Result<(), Invalid> {
        let digits = text.strip_suffix(['K', 'M', 'G', 'T', '%']).unwrap_or(text);
        let number = digits.parse::<u64>().ok().filter(|n| *n > 0 && digits.bytes().all(|b| b.is_ascii_digit()));
        match number {
            Some(n) if !text.ends_with('%') || n <= 100 => Ok(()),
            _ => Err(Invalid::new("expected an amount of memory, like \"4G\", \"512M\" or \"50%\"")),
        }
    }
}
checked_text!(MemorySize);

/// Processor time as systemd.resource-control(5) takes it for `CPUQuota=`: 100% is one processor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CpuQuota(String);

impl CpuQuota {
    fn check(text: &str) -> Result<(), Invalid> {
        let digits = text.strip_suffix('%').unwrap_or("");
        let positive = digits.parse::<u32>().is_ok_and(|n| n > 0);
        if !positive || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Invalid::new("expected processor time as a percentage of one processor, like \"200%\""));
        }
        Ok(())
    }
}
checked_text!(CpuQuota);

/// The IPv4 subnet of the inner network, written as its network address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subnet(Ipv4Net);

impl Subnet {
    /// The address that Podman gives the bridge: the first of the subnet.
    pub fn gateway(&self) -> Ipv4Addr {
        self.0.hosts().next().unwrap_or_else(|| self.0.network())
    }
}

impl Subnet {
    /// Whether it shares an address with `other`, a subnet as Podman writes it.
    pub fn overlaps(&self, other: &str) -> bool {
        let Ok(other) = other.parse::<Ipv4Net>() else { return false };
        self.0.contains(&other.network()) || other.contains(&self.0.network())
    }
}

impl FromStr for Subnet {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = || Invalid::new("expected a private IPv4 subnet of /16 to /28, like \"10.89.5.0/24\"");
        let net = text.parse::<Ipv4Net>().map_err(|_| wrong())?;
        if net.trunc() != net {
            return Err(Invalid::new(format!("expected the network address of the subnet: \"{}\"", net.trunc())));
        }
        if !net.network().is_private() || !(16..=28).contains(&net.prefix_len()) {
            return Err(wrong());
        }
        Ok(Self(net))
    }
}

impl TryFrom<String> for Subnet {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> Self {
        subnet.to_string()
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A time zone by its name in the IANA database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeZone(String);

impl TimeZone {
    fn check(text: &str) -> Result<(), Invalid> {
        let legal = |c: char| c.is_ascii_alphanumeric() || "_+-/".contains(c);
        if !text.is_empty() && text.chars().all(legal) && jiff::tz::db().get(text).is_ok() {
            return Ok(());
        }
        Err(Invalid::new("expected a time zone of the IANA database, like \"Europe/Oslo\""))
    }
}
checked_text!(TimeZone);

/// A release of Immich, written as its tag: `v3.2.2`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Release(semver::Version);

impl Release {
    /// The first of its numbers. Immich's server goes up by one of these at a time.
    pub const fn major(&self) -> u64 {
        self.0.major
    }

    /// Whether it is a release candidate or the like, which nobody gets without asking for it.
    pub fn is_early(&self) -> bool {
        !self.0.pre.is_empty()
    }

    /// Whether an image with this tag is of it: the tag itself, or one with a variant behind it (`v3.2.2-rocm`).
    pub fn is_of(&self, tag: &str) -> bool {
        tag.strip_prefix(&self.to_string()).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    }

    /// What could be the next: the next patch, the next minor and the next major release.
    pub fn successors(&self) -> [Self; 3] {
        let semver::Version { major, minor, patch, .. } = self.0;
        let patch = if self.is_early() { patch } else { patch + 1 };
        [(major, minor, patch), (major, minor + 1, 0), (major + 1, 0, 0)]
            .map(|(major, minor, patch)| Self(semver::Version::new(major, minor, patch)))
    }
}

impl FromStr for Release {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let version = text.strip_prefix('v').and_then(|rest| rest.parse::<semver::Version>().ok());
        // Build metadata is no part of a tag.
        version
            .filter(|version| version.build.is_empty())
            .map(Self)
            .ok_or_else(|| Invalid::new("expected a release of Immich with its three numbers, like \"v3.2.2\""))
    }
}

impl TryFrom<String> for Release {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<Release> for String {
    fn from(release: Release) -> Self {
        release.to_string()
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_value_knows_its_own() {
        for good in ["4G", "1", "512M", "50%"] {
            assert!(good.parse::<MemorySize>().is_ok(), "{good}");
        }
        for bad in ["", "G", "4 G", "4g", "-1", "+4G", "0", "101%", "4GB", "4.5G"] {
            assert!(bad.parse::<MemorySize>().is_err(), "{bad}");
        }
        for bad in ["", "%", "200", "0%", "+2%", "2.5%", "20%\n"] {
            assert!(bad.parse::<CpuQuota>().is_err(), "{bad}");
        }
        for bad in ["10.89.5.1/24", "8.8.8.0/24", "10.0.0.0/8", "10.0.0.0/30", "fd00::/64", "10.89.5.0"] {
            assert!(bad.parse::<Subnet>().is_err(), "{bad}");
        }
        let subnet = "10.89.5.0/24".parse::<Subnet>().unwrap();
        assert!(["10.89.5.0/24", "10.89.0.0/16", "10.89.5.128/25"].iter().all(|other| subnet.overlaps(other)));
        assert!(!["10.89.6.0/24", "fd00::/64", ""].iter().any(|other| subnet.overlaps(other)));
        assert_eq!("10.89.5.0/24".parse::<Subnet>().unwrap().gateway(), Ipv4Addr::new(10, 89, 5, 1));
        for bad in ["", "Europe/Olso", "../etc", "Europe/Oslo\n"] {
            assert!(bad.parse::<TimeZone>().is_err(), "{bad}");
        }
        assert!("Europe/Oslo".parse::<TimeZone>().is_ok());
        assert_eq!("17\n".parse::<PostgresMajor>().unwrap().get(), 17);
        assert!("13".parse::<PostgresMajor>().is_err());
    }

    #[test]
    fn a_release_knows_its_tags_and_what_may_follow() {
        let release = |text: &str| text.parse::<Release>().unwrap();
        for (tag, of_it) in
            [("v3.2.2", true), ("v3.2.2-rocm", true), ("v3.2.20", false), ("v3.2", false), ("v3", false), ("", false)]
        {
            assert_eq!(release("v3.2.2").is_of(tag), of_it, "{tag}");
        }
        assert_eq!(release("v3.2.2").successors().map(|next| next.to_string()), ["v3.2.3", "v3.3.0", "v4.0.0"]);
        assert_eq!(release("v4.0.0-rc.1").successors().map(|next| next.to_string()), ["v4.0.0", "v4.1.0", "v5.0.0"]);
    }
}
