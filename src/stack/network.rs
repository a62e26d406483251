//! The two networks, and the rules that close the inner one.

use super::unit::{Unit, plain_file};
use super::{
    Context, DesiredFile, DesiredNetwork, FIREWALL_CHAINS, FIREWALL_RULES, FIREWALL_TABLE, QUADLETS, Refusal, UNITS,
};
use crate::model::layout::DOORS;
use crate::model::{HostPath, Invalid, NetworkName, Service, Subnet, UnitName};
use crate::quadlet::{OnFailure, Value};

const INNER: &str = include_str!("../../quadlets/photos.network");
const EGRESS: &str = include_str!("../../quadlets/photos-egress.network");
const NFTABLES: &str = include_str!("../../systemd/nftables.conf");
const FIREWALL: &str = include_str!("../../systemd/photos-firewall.service");

/// Name and bridge of the inner network; the base names them too.
const INNER_NETWORK: (&str, &str) = ("photos", "photos0");
/// Name and bridge of the network with a way out.
const EGRESS_NETWORK: (&str, &str) = ("photos-egress", "photos1");

/// Whether a network of this name is the agent's own.
pub(super) fn is_own(name: &str) -> bool {
    [INNER_NETWORK.0, EGRESS_NETWORK.0].contains(&name)
}

/// The files of both networks, the firewall and the kernel's settings, and what is known of the networks by
/// them. The inner one comes first: the other may take any subnet that is left.
pub(super) fn networks(context: &Context<'_>) -> Result<(Vec<DesiredFile>, Vec<DesiredNetwork>), Refusal> {
    let subnet = context.settings.network.subnet;
    let mut inner = Unit::base(INNER)?;
    inner.add("Network", "Subnet", Value::text(&subnet.to_string()))?;
    let (inner_file, inner) = network(inner, INNER_NETWORK, Some(subnet))?;
    let (egress_file, egress) = network(Unit::base(EGRESS)?, EGRESS_NETWORK, None)?;

    let mut firewall = Unit::base(FIREWALL)?;
    firewall.add("Service", "ExecStart", load_rules(context))?;
    firewall.add("Service", "ExecReload", load_rules(context))?;
    for service in Service::ALL {
        let reload = ["network", "reload", service.stem()];
        let podman = &context.facts.programs.podman;
        firewall.add("Service", "ExecReload", Value::command(OnFailure::Ignore, podman, reload))?;
    }
    let mut beside = Unit::base(NFTABLES)?;
    for moment in ["ExecStartPost", "ExecReload", "ExecStopPost"] {
        beside.add("Service", moment, rules_command(OnFailure::Ignore, context))?;
        let reload = ["--no-block", "reload", super::FIREWALL];
        let systemctl = HostPath::constant("/usr/bin/systemctl");
        beside.add("Service", moment, Value::command(OnFailure::Ignore, &systemctl, reload))?;
    }
    let beside_path = HostPath::constant(format!("{UNITS}/nftables.service.d/50-photos-agent.conf"));
    let firewall_path = HostPath::constant(format!("{UNITS}/{}", super::FIREWALL));

    let files = vec![
        inner_file,
        egress_file,
        firewall.into_file(firewall_path, UnitName::constant(super::FIREWALL)),
        beside.into_plain_file(beside_path),
        plain_file(HostPath::constant(FIREWALL_RULES), &firewall_rules(subnet)),
        plain_file(HostPath::constant("/etc/sysctl.d/60-photos-agent.conf"), SYSCTL),
    ];
    Ok((files, vec![inner, egress]))
}

fn network(
    mut unit: Unit,
    (name, interface): (&str, &str),
    subnet: Option<Subnet>,
) -> Result<(DesiredFile, DesiredNetwork), Refusal> {
    let hash = unit.label("Network")?;
    let service = UnitName::constant(format!("{name}-network.service"));
    let desired = DesiredNetwork {
        name: NetworkName::constant(name),
        subnet,
        internal: subnet.is_some(),
        interface: interface.to_owned(),
        unit: service.clone(),
        hash,
    };
    Ok((unit.into_file(HostPath::constant(format!("{QUADLETS}/{name}.network")), service), desired))
}

/// The command that loads the rules, however often.
pub(super) fn load_rules(context: &Context<'_>) -> Result<Value, Invalid> {
    rules_command(OnFailure::Fail, context)
}

fn rules_command(on_failure: OnFailure, context: &Context<'_>) -> Result<Value, Invalid> {
    Value::command(on_failure, &context.facts.programs.nft, ["-f", FIREWALL_RULES])
}

/// Forwarding has to be on before the first network is made.
///
/// Netavark turns it on with the first ordinary network, and the kernel then turns it on for every interface that
/// exists, an internal bridge too: seen after reboots, where a container of the other network reached the database.
const SYSCTL: &str = "\
# Containers with a way out need it. On before the first network is made, it is not turned on later for all
# interfaces at once, the inner bridge included.
net.ipv4.ip_forward = 1

# The inner bridge forwards nothing. (`-`: at boot it does not exist yet; udev sets this when it appears.)
-net.ipv4.conf.photos0.forwarding = 0
";

/// The rules: from the inner network, the host answers names and nothing else, and nothing passes between it and
/// any other interface.
///
/// A table of our own: an `accept` here ends our table only, so it opens nothing that the host's own firewall closes.
fn firewall_rules(subnet: Subnet) -> String {
    let bridge = INNER_NETWORK.1;
    let [input, forward] = FIREWALL_CHAINS;
    let gateway = subnet.gateway();
    let doors = DOORS.replacen("doors", "[d]oors", 1);
    format!(
        "\
# Loaded by photos-firewall.service and before each container. Made, deleted and made again in one transaction: there is no moment without it.
table inet {FIREWALL_TABLE}
delete table inet {FIREWALL_TABLE}
table inet {FIREWALL_TABLE} {{
\tchain {input} {{
\t\ttype filter hook input priority filter - 10; policy accept;
\t\tiifname != \"{bridge}\" accept
\t\t# Answers to the host's own connections.
\t\tct state established,related accept
\t\t# Names, from Podman's aardvark-dns on the bridge.
\t\tip daddr {gateway} udp dport 53 accept
\t\tip daddr {gateway} tcp dport 53 accept
\t\t# The host's other services listen on the bridge too.
\t\tdrop
\t}}

\tchain {forward} {{
\t\ttype filter hook forward priority filter - 10; policy accept;
\t\t# Within the bridge, where br_netfilter shows these packets here.
\t\tiifname \"{bridge}\" oifname \"{bridge}\" accept
\t\tiifname \"{bridge}\" drop
\t\toifname \"{bridge}\" drop
\t}}
}}

# Closed doors, where there is such a file: it is there until an upgrade is committed. A pattern may match nothing.
include \"{doors}\"
"
    )
}
