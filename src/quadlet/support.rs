//! Which key needs which Podman.
//!
//! An unknown key makes the generator drop the whole file, so a key that is newer than the host's Podman
//! takes its service away.

use std::fmt;

/// Major and minor version of Podman.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodmanVersion(pub u32, pub u32);

impl fmt::Display for PodmanVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// The oldest Podman that the stack runs on: Debian 13 and RHEL 9.6 and 10.0.
pub const FLOOR: PodmanVersion = PodmanVersion(5, 4);

/// The keys of one section that came with one version.
type Row = (&'static str, PodmanVersion, &'static [&'static str]);

/// The generator's own tables of supported keys, from release to release. Only the sections we write.
const TABLE: &[Row] = &[
    (
        "Container",
        PodmanVersion(4, 4),
        &[
            "AddCapability",
            "AddDevice",
            "Annotation",
            "ContainerName",
            "DropCapability",
            "Environment",
            "EnvironmentFile",
            "EnvironmentHost",
            "Exec",
            "ExposeHostPort",
            "Group",
            "Image",
            "Label",
            "Network",
            "NoNewPrivileges",
            "Notify",
            "PodmanArgs",
            "PublishPort",
            "ReadOnly",
            "RunInit",
            "SeccompProfile",
            "Timezone",
            "User",
            "Volume",
        ],
    ),
    (
        "Container",
        PodmanVersion(4, 5),
        &[
            "HealthCmd",
            "HealthInterval",
            "HealthOnFailure",
            "HealthRetries",
            "HealthStartPeriod",
            "HealthStartupCmd",
            "HealthStartupInterval",
            "HealthStartupRetries",
            "HealthStartupSuccess",
            "HealthStartupTimeout",
            "HealthTimeout",
            "IP",
            "IP6",
            "LogDriver",
            "Mount",
            "Rootfs",
            "Secret",
            "SecurityLabelDisable",
            "SecurityLabelFileType",
            "SecurityLabelLevel",
            "SecurityLabelType",
            "Tmpfs",
            "UserNS",
        ],
    ),
    (
        "Container",
        PodmanVersion(4, 6),
        &["AutoUpdate", "HostName", "Mask", "Pull", "SecurityLabelNested", "Sysctl", "Unmask", "WorkingDir"],
    ),
    ("Container", PodmanVersion(4, 7), &["DNS", "DNSOption", "DNSSearch", "PidsLimit", "ShmSize", "Ulimit"]),
    (
        "Container",
        PodmanVersion(4, 8),
        &["ContainersConfModule", "GIDMap", "GlobalArgs", "ReadOnlyTmpfs", "SubGIDMap", "SubUIDMap", "UIDMap"],
    ),
    ("Container", PodmanVersion(5, 0), &["Entrypoint", "Pod", "StopTimeout"]),
    ("Container", PodmanVersion(5, 1), &["GroupAdd"]),
    ("Container", PodmanVersion(5, 2), &["LogOpt", "NetworkAlias", "StopSignal"]),
    (
        "Container",
        PodmanVersion(5, 3),
        &[
            "AddHost",
            "CgroupsMode",
            "HealthLogDestination",
            "HealthMaxLogCount",
            "HealthMaxLogSize",
            "ServiceName",
            "StartWithPod",
        ],
    ),
    ("Container", PodmanVersion(5, 5), &["Memory", "ReloadCmd", "ReloadSignal", "Retry", "RetryDelay"]),
    ("Container", PodmanVersion(5, 7), &["HttpProxy"]),
    ("Container", PodmanVersion(5, 8), &["AppArmor"]),
    (
        "Network",
        PodmanVersion(4, 4),
        &["DisableDNS", "Driver", "Gateway", "IPAMDriver", "IPRange", "IPv6", "Internal", "Label", "Options", "Subnet"],
    ),
    ("Network", PodmanVersion(4, 6), &["PodmanArgs"]),
    ("Network", PodmanVersion(4, 7), &["DNS", "NetworkName"]),
    ("Network", PodmanVersion(4, 8), &["ContainersConfModule", "GlobalArgs"]),
    ("Network", PodmanVersion(5, 3), &["ServiceName"]),
    ("Network", PodmanVersion(5, 5), &["NetworkDeleteOnStop"]),
    ("Network", PodmanVersion(5, 6), &["InterfaceName"]),
];

/// The first Podman that knows `key` in `section`; `None`: none that we know of does.
pub fn since(section: &str, key: &str) -> Option<PodmanVersion> {
    TABLE.iter().find(|(name, _, keys)| *name == section && keys.contains(&key)).map(|(_, version, _)| *version)
}
