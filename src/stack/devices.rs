//! How a container gets a graphics card: what there is of it when the unit starts, all or nothing.
//!
//! Written down as `AddDevice=` it would be taken away at every boot whose driver loads late (with `-`, Podman's generator
//! looks before any driver has), or keep the service from starting as soon as the card is gone. So the unit itself waits for
//! the nodes, and starts without them where they do not come: photographs are not down because a card is
//! (docs/adr/0028). systemd's own device units know neither node unless udev is told to tag it, and wait longer.

use super::unit::Unit;
use crate::model::hardware::{Acceleration, Given};
use crate::model::{DEVICES_LABEL, EnvironmentName, HostPath, Invalid, Refusal, Service};
use crate::quadlet::{OnFailure, Value};

/// sh(1), which every distribution has.
const SHELL: &str = "/bin/sh";

/// The variable with Podman's options.
const VARIABLE: &str = "PHOTOS_DEVICES";

/// How long a start waits for a driver, in quarters of a second: 30 s. A driver that loads late at a boot takes a few.
const TRIES: u32 = 120;

/// What a service is given.
pub(super) fn of(service: Service, acceleration: &Acceleration) -> &Given {
    static NOTHING: std::sync::LazyLock<Given> = std::sync::LazyLock::new(Given::default);
    match service {
        Service::Ml => &acceleration.learning.given,
        Service::Server => &acceleration.encoding.given,
        Service::Postgres | Service::Redis => &NOTHING,
    }
}

impl Unit {
    /// Gives the service's container these devices.
    pub(super) fn give(&mut self, service: Service, given: &Given) -> Result<(), Refusal> {
        if !given.is_some() {
            return Ok(());
        }
        let variable = EnvironmentName::constant(VARIABLE);
        self.add("Container", "PodmanArgs", Ok(Value::variable(&variable)))?;
        // By number: a container has groups of its own, and names of its own for them.
        for group in &given.groups {
            self.text("GroupAdd", &group.to_string())?;
        }
        if given.unconfined {
            self.text("SecurityLabelDisable", "true")?;
        }
        // Made anew at each start, so that nothing of an earlier one is read.
        let folder = service.stem();
        self.add("Service", "RuntimeDirectory", Value::literal(folder))?;
        let file = format!("/run/{folder}/devices");
        self.add("Service", "EnvironmentFile", Value::literal(&format!("-{file}")))?;
        self.add("Service", "ExecStartPre", wait(given, &file))
    }
}

fn wait(given: &Given, file: &str) -> Result<Value, Invalid> {
    let mut there: Vec<String> = given.there.iter().map(|path| format!("[ -e {} ]", quoted(path.as_str()))).collect();
    if let (Some(render), Some(address)) = (given.render, &given.address) {
        // After a boot the number may be another card's.
        let uevent = format!("/sys/class/drm/{}/device/uevent", render.name());
        there.push(format!("grep -qsx {} {uevent}", quoted(&format!("PCI_SLOT_NAME={address}"))));
    }
    let missing = given.there.iter().map(HostPath::as_str).collect::<Vec<_>>().join(" or ");
    let devices = given.devices.iter().map(|device| format!("--device={device}"));
    let options: Vec<String> = devices.chain([format!("--label={DEVICES_LABEL}=yes")]).collect();
    let script = format!(
        "n=0; until {}; do [ $n -lt {TRIES} ] || {{ echo {}; exit 0; }}; n=$((n+1)); sleep 0.25; done; echo {} > {file}",
        there.join(" && "),
        quoted(&format!("{missing} is not there: started without a graphics card")),
        quoted(&format!("{VARIABLE}={}", options.join(" "))),
    );
    Value::command(OnFailure::Ignore, &HostPath::constant(SHELL), ["-c", &script])
}

/// One word of sh(1), whatever is in it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
