//! Faults over `apply`: the first one, and four on a host that runs.

use crate::faults::fault::Fault;
use crate::faults::hosts;
use crate::faults::scenario::Scenario;
use crate::graphics;
use crate::support::Host;

/// Writes configuration that survives a power cut, as the operator's editor would.
fn configure(host: &Host, name: &str, text: &str) {
    let folder = "/etc/photos-agent/config.d";
    host.write(&format!("{folder}/{name}.toml"), text);
    host.ok(&format!("sync {folder}/{name}.toml {folder}"));
}

/// The first apply on a host that has the images.
pub struct First;

impl Scenario for First {
    fn name(&self) -> &'static str {
        "first"
    }

    fn host(&self, test: &str) -> Host {
        hosts::empty(test)
    }

    fn is_repeatable(&self) -> bool {
        false
    }

    fn prepare(&self, _: &Host, _: u64) {}

    fn assert_achieved(&self, host: &Host, _: u64, _: Option<&Fault>) {
        host.ok("curl -sf -m 5 http://127.0.0.1:2283/api/server/ping");
    }
}

/// Another subnet: the stack is stopped, its network removed, files are written, all is started.
pub struct Subnet;

impl Subnet {
    const fn subnet(round: u64) -> &'static str {
        if round.is_multiple_of(2) { "10.99.8.0/24" } else { "10.99.7.0/24" }
    }
}

impl Scenario for Subnet {
    fn name(&self) -> &'static str {
        "subnet"
    }

    fn host(&self, test: &str) -> Host {
        hosts::converged(test)
    }

    fn prepare(&self, host: &Host, round: u64) {
        configure(host, "subnet", &format!("[network]\nsubnet = \"{}\"\n", Self::subnet(round)));
    }

    fn assert_achieved(&self, host: &Host, round: u64, _: Option<&Fault>) {
        let subnet = host.ok("podman network inspect photos --format '{{range .Subnets}}{{.Subnet}}{{end}}'");
        assert_eq!(subnet, Self::subnet(round));
        host.ok("systemctl is-active photos.target");
    }
}

/// Another port and another limit: files are written, two services restarted.
pub struct Port;

impl Port {
    const fn port(round: u64) -> u64 {
        2300 + round % 2
    }
}

impl Scenario for Port {
    fn name(&self) -> &'static str {
        "port"
    }

    fn host(&self, test: &str) -> Host {
        hosts::converged(test)
    }

    fn prepare(&self, host: &Host, round: u64) {
        let (port, limit) = (Self::port(round), 3 + round % 2);
        let text = format!("[immich]\nlisten = \"127.0.0.1:{port}\"\n[resources.ml]\nmemory_max = \"{limit}G\"\n");
        configure(host, "port", &text);
    }

    fn assert_achieved(&self, host: &Host, round: u64, _: Option<&Fault>) {
        host.ok(&format!("curl -sf -m 5 http://127.0.0.1:{}/api/server/ping", Self::port(round)));
        let unit = "/etc/containers/systemd/photos-agent/immich-ml.container";
        host.ok(&format!("grep -q 'MemoryMax={}G' {unit}", 3 + round % 2));
    }
}

/// What somebody did to the units and the network is put right.
pub struct Drift;

const UNITS: &str = "/etc/containers/systemd/photos-agent";

impl Scenario for Drift {
    fn name(&self) -> &'static str {
        "drift"
    }

    fn host(&self, test: &str) -> Host {
        hosts::converged(test)
    }

    fn prepare(&self, host: &Host, round: u64) {
        host.ok(&format!(
            "cd {UNITS} && rm immich-ml.container && sed -i 's/^Description=.*/Description=Mine {round}/' immich-redis.container && \
             rm /etc/systemd/system/photos.slice && chmod 777 /var/lib/photos/live/thumbs && \
             sync -f {UNITS} && systemctl daemon-reload && \
             podman network inspect photos --format '{{{{range .Subnets}}}}{{{{.Gateway}}}}{{{{end}}}}' >/root/gateway && \
             podman network rm -f photos"
        ));
        // A container that systemd starts again in that moment makes Podman leave the bridge behind, whose subnet is taken then.
        host.ok("sleep 1; ip -4 -o address | awk -v of=\"$(cat /root/gateway)/\" 'index($4, of) == 1 {print $2}' | \
             xargs -rn1 ip link delete");
    }

    fn assert_achieved(&self, host: &Host, round: u64, _: Option<&Fault>) {
        host.ok(&format!("[ -e {UNITS}/immich-ml.container ] && ! grep -q Mine {UNITS}/immich-redis.container"));
        host.ok(&format!(
            "grep -qx 'Description=Mine {round}' /var/lib/photos-agent/displaced/*-immich-redis.container"
        ));
        host.ok("podman network exists photos && test -e /etc/systemd/system/photos.slice");
    }
}

/// A graphics card is used, or not: another image of machine learning, two units, and Immich's own setting.
pub struct Card;

impl Card {
    const fn is_used(round: u64) -> bool {
        round.is_multiple_of(2)
    }
}

impl Scenario for Card {
    fn name(&self) -> &'static str {
        "card"
    }

    fn host(&self, test: &str) -> Host {
        hosts::converged(test)
    }

    fn prepare(&self, host: &Host, round: u64) {
        if host.run("podman secret exists photos-immich-api-key").code != 0 {
            graphics::put_in(host);
            graphics::set_up(host);
        }
        let text = if Self::is_used(round) { "" } else { "[hardware]\nml = \"cpu\"\ntranscoding = \"off\"\n" };
        configure(host, "card", text);
    }

    fn assert_achieved(&self, host: &Host, round: u64, _: Option<&Fault>) {
        let (count, setting) =
            if Self::is_used(round) { ("2", "vaapi /dev/dri/renderD128") } else { ("0", "disabled auto") };
        assert_eq!(host.ok(&format!("grep -l PHOTOS_DEVICES {UNITS}/*.container | wc -l")), count);
        assert_eq!(graphics::setting(host), setting);
        let nodes = host.ok("podman exec immich-ml sh -c 'ls /dev/dri /dev/kfd 2>/dev/null | grep -c 128 || true'");
        assert_eq!(nodes == "1", Self::is_used(round));
    }
}
