//! The doors to the server: every way on which somebody outside its container reaches it, and the rules that close them.
//!
//! Closed doors let nothing through to the server's port, whatever it was published as and whoever asks. What the server
//! asks of others goes on, and inside its container it answers: the health check is there, and the agent's own probe.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use ipnet::IpNet;

use crate::model::layout::DOORS_TABLE;
use crate::model::{NetworkState, PodmanState, Refusal, Service};
use crate::stack::{Desired, DesiredNetwork, SERVER_PORT};

/// What has to be closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doors {
    /// The networks that the server is on.
    pub ways: Vec<Way>,
    /// Whether other people's containers are on one of them, or may be: they reach it without the host routing anything.
    pub shared: bool,
}

/// A network of the server's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// Its name.
    pub network: String,
    /// The bridge.
    pub interface: String,
    /// What addresses it has.
    pub subnets: Vec<IpNet>,
}

/// How a rule turns somebody away.
#[derive(Clone, Copy)]
enum Verdict {
    /// So that they hear of it. Not every kernel has that everywhere.
    Reset,
    /// In silence.
    Drop,
}

impl Verdict {
    const fn words(self) -> &'static str {
        match self {
            Self::Reset => "reject with tcp reset",
            Self::Drop => "drop",
        }
    }
}

/// The doors of the server that is wanted, and of the one that runs: a drop-in may have put it on further networks.
pub fn doors(podman: &PodmanState, desired: &Desired) -> Result<Doors, Vec<Refusal>> {
    let further = further(podman, desired).map_err(|refusal| vec![refusal])?;
    let own = desired.networks.iter().map(|network| own(network, podman.networks.get(network.name.as_str())));
    let others = further.iter().map(|name| way(name, podman.networks.get(*name)));
    let (mut ways, mut refusals) = (Vec::new(), Vec::new());
    for way in own.chain(others) {
        match way {
            Ok(way) => ways.push(way),
            Err(refusal) => refusals.push(refusal),
        }
    }
    let shared = !further.is_empty() || has_guests(podman, desired);
    if refusals.is_empty() { Ok(Doors { ways, shared }) } else { Err(refusals) }
}

/// A network of the agent's. One that is not there yet has its bridge's name and, if Podman is not to choose it, its subnet.
fn own(network: &DesiredNetwork, found: Option<&NetworkState>) -> Result<Way, Refusal> {
    let wanted = || Ok(network.subnet.and_then(|subnet| subnet.to_string().parse().ok()).into_iter().collect());
    let subnets = found.map_or_else(wanted, |found| subnets(network.name.as_str(), found))?;
    Ok(Way { network: network.name.to_string(), interface: network.interface.clone(), subnets })
}

/// The server's networks that are not the agent's own.
fn further<'a>(podman: &'a PodmanState, desired: &'a Desired) -> Result<BTreeSet<&'a str>, Refusal> {
    let joined = desired.joined.iter().map(crate::model::NetworkName::as_str);
    let running = match podman.containers.get(Service::Server.stem()) {
        Some(server) if server.networks.is_empty() => {
            let why = "is on no network of Podman's, so nothing keeps people from it while it is upgraded";
            return Err(refusal(&format!("container {}", Service::Server.stem()), why));
        }
        Some(server) => server.networks.as_slice(),
        None => &[],
    };
    let all = joined.chain(running.iter().map(String::as_str));
    Ok(all.filter(|name| desired.networks.iter().all(|own| own.name.as_str() != *name)).collect())
}

fn way(name: &str, found: Option<&NetworkState>) -> Result<Way, Refusal> {
    let what = format!("network {name}");
    let found = found.ok_or_else(|| refusal(&what, "is named for the server, and Podman has no such network"))?;
    if found.driver != "bridge" {
        // Such an interface gets its packets before the host's packet filter does.
        let why = format!("is a {}, which the host's packet filter cannot close", found.driver);
        return Err(refusal(&what, &why));
    }
    if !is_interface(&found.interface) {
        return Err(refusal(&what, &format!("has an interface that is not understood: {:?}", found.interface)));
    }
    Ok(Way { network: name.to_owned(), interface: found.interface.clone(), subnets: subnets(name, found)? })
}

fn subnets(name: &str, found: &NetworkState) -> Result<Vec<IpNet>, Refusal> {
    let parse = |text: &String| {
        let why = format!("has a subnet that is not understood: {text:?}");
        text.parse().map_err(|_| refusal(&format!("network {name}"), &why))
    };
    found.subnets.iter().map(parse).collect()
}

fn refusal(what: &str, why: &str) -> Refusal {
    let remedy = "take it from the server for the upgrade: [network] server_networks, or your drop-in \
                  (systemctl cat immich-server), then: photos-agent apply";
    Refusal::new(what, why, remedy)
}

/// Whether containers of other people are on the agent's own networks.
fn has_guests(podman: &PodmanState, desired: &Desired) -> bool {
    let is_ours = |name: &str| desired.has_container(name);
    let is_own = |name: &String| desired.networks.iter().any(|own| own.name.as_str() == name);
    podman.containers.iter().any(|(name, state)| !is_ours(name) && state.networks.iter().any(is_own))
}

/// As the kernel takes them (IFNAMSIZ), and what can stand in a rule.
fn is_interface(name: &str) -> bool {
    (1..16).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

impl Doors {
    /// Whether they are all the ways to a server that is on these networks.
    pub fn cover(&self, networks: &BTreeSet<String>) -> bool {
        !networks.is_empty() && networks.iter().all(|name| self.ways.iter().any(|way| way.network == *name))
    }

    /// The rules, for nft to load in one go and however often: the best text first, the later ones for kernels that cannot do
    /// as much.
    pub fn rules(&self) -> Vec<String> {
        use Verdict::{Drop, Reset};
        let bridged = [(Reset, Reset), (Reset, Drop), (Drop, Drop)].map(|(routed, bridged)| (routed, Some(bridged)));
        // Where nobody else is on the server's bridges, it is enough to close what is routed.
        let routed = [(Reset, None), (Drop, None)].into_iter().filter(|_| !self.shared);
        bridged.into_iter().chain(routed).map(|(routed, bridged)| self.text(routed, bridged)).collect()
    }

    fn text(&self, routed: Verdict, bridged: Option<Verdict>) -> String {
        let mut text = String::from("# No upgrade is committed yet: nobody but the agent reaches the server.\n");
        self.write_routed(&mut text, routed.words());
        if let Some(verdict) = bridged {
            self.write_bridged(&mut text, verdict.words());
        }
        text
    }

    /// Existing connections are not let through either: none of these packets is looked up.
    fn write_routed(&self, text: &mut String, verdict: &str) {
        let interfaces: BTreeSet<String> = self.ways.iter().map(|way| format!("\"{}\"", way.interface)).collect();
        let interfaces = interfaces.into_iter().collect::<Vec<_>>().join(", ");
        // Writing to a String does not fail.
        let _ = write!(
            text,
            "table inet {DOORS_TABLE}
delete table inet {DOORS_TABLE}
table inet {DOORS_TABLE} {{
\tchain forward {{
\t\ttype filter hook forward priority filter - 20; policy accept;
\t\toifname {{ {interfaces} }} tcp dport {SERVER_PORT} {verdict}
\t}}

\tchain output {{
\t\ttype filter hook output priority filter - 20; policy accept;
\t\toifname {{ {interfaces} }} tcp dport {SERVER_PORT} {verdict}
\t\t# What is published has the container's address by now, and still the loopback's interface.
"
        );
        for subnet in self.subnets() {
            let _ = writeln!(text, "\t\t{} daddr {subnet} tcp dport {SERVER_PORT} {verdict}", family(&subnet));
        }
        let _ = write!(
            text,
            "\t}}

\tchain postrouting {{
\t\ttype filter hook postrouting priority filter - 20; policy accept;
\t\t# Whatever got here: by the bridge, should its subnet have become another one.
\t\toifname {{ {interfaces} }} tcp dport {SERVER_PORT} drop
\t}}
}}
"
        );
    }

    /// From one container to another on the same bridge. Not every kernel can tell one bridge from another here.
    fn write_bridged(&self, text: &mut String, verdict: &str) {
        let _ = write!(
            text,
            "table bridge {DOORS_TABLE}
delete table bridge {DOORS_TABLE}
table bridge {DOORS_TABLE} {{
\tchain forward {{
\t\ttype filter hook forward priority filter - 20; policy accept;
"
        );
        for subnet in self.subnets() {
            let _ = writeln!(text, "\t\t{} daddr {subnet} tcp dport {SERVER_PORT} {verdict}", family(&subnet));
        }
        let _ = write!(
            text,
            "\t\t# The address that every interface gives itself.
\t\tip6 daddr fe80::/10 tcp dport {SERVER_PORT} {verdict}
\t}}
}}
"
        );
    }

    fn subnets(&self) -> BTreeSet<IpNet> {
        self.ways.iter().flat_map(|way| way.subnets.iter().map(IpNet::trunc)).collect()
    }
}

const fn family(subnet: &IpNet) -> &'static str {
    match subnet {
        IpNet::V4(_) => "ip",
        IpNet::V6(_) => "ip6",
    }
}
