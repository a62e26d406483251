//! systemd's signals: which of the units that matter went up or down, and that unit files were read anew.
//!
//! The bus itself drops what is of other units: Podman starts a transient one for each health check, and none of
//! them wakes this process. A connection of its own, since it lives as long as the daemon.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::path::Path;

use futures_util::StreamExt as _;
use zbus::fdo::DBusProxy;
use zbus::message::Type;
use zbus::{Connection, MatchRule, Message, MessageStream, Variant};

use crate::host::proxy::ManagerProxy;
use crate::host::systemd::SystemdError;
use crate::model::ActiveState;

const SERVICE: &str = "org.freedesktop.systemd1";
const MANAGER: &str = "/org/freedesktop/systemd1";
const MANAGER_INTERFACE: &str = "org.freedesktop.systemd1.Manager";
const UNIT_INTERFACE: &str = "org.freedesktop.systemd1.Unit";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// Names of units, each with the state that it is known to be in.
pub type Known = BTreeMap<String, Option<ActiveState>>;

/// A subscription.
#[derive(Debug)]
pub struct Signals {
    messages: MessageStream,
    /// By object path: the unit, and its state as last heard of.
    units: BTreeMap<String, (String, Option<ActiveState>)>,
}

impl Signals {
    /// Subscribes to what these units do. systemd need not know them yet.
    pub async fn subscribe(units: &Known) -> Result<Self, SystemdError> {
        Self::connect(units).await.map_err(SystemdError::Unreachable)
    }

    async fn connect(known: &Known) -> zbus::Result<Self> {
        let bus = Connection::system().await?;
        let messages = MessageStream::from(&bus);
        let broker = DBusProxy::new(&bus).await?;
        let signal = || MatchRule::builder().msg_type(Type::Signal).sender(SERVICE);
        for member in ["Reloading", "UnitFilesChanged"] {
            let rule = signal().path(MANAGER).interface(MANAGER_INTERFACE).member(member).build()?;
            broker.add_match_rule(rule).await?;
        }
        let mut units = BTreeMap::new();
        for (unit, state) in known {
            let path = object_path(unit);
            let rule = signal().path(path.as_str()).interface(PROPERTIES).member("PropertiesChanged");
            broker.add_match_rule(rule.add_arg(UNIT_INTERFACE).build()?).await?;
            units.insert(path, (unit.clone(), *state));
        }
        // Last, so that nothing is between: without a subscriber systemd sends no signals of units.
        ManagerProxy::new(&bus).await?.subscribe().await?;
        Ok(Self { messages, units })
    }

    /// Waits for the next thing that matters and says it in words; none when the bus is lost. Loses nothing where
    /// it is dropped while waiting.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            let message = self.messages.next().await?.ok()?;
            if let Some(heard) = self.heard(&message) {
                return Some(heard);
            }
        }
    }

    fn heard(&mut self, message: &Message) -> Option<String> {
        if message.message_type() != Type::Signal {
            return None;
        }
        let header = message.header();
        let path = header.path()?.as_str();
        if path == MANAGER {
            return Some("systemd read its unit files".to_owned());
        }
        let (unit, known) = self.units.get_mut(path)?;
        let body = message.body();
        let (_, changed, _): (&str, HashMap<&str, Variant<'_>>, Vec<&str>) = body.deserialize().ok()?;
        let word = changed.get("ActiveState").and_then(|value| <&str>::try_from(value).ok())?;
        let state = ActiveState::from_word(word);
        // systemd repeats all states with each change of one; a socket that is connected to stays active.
        if *known == Some(state) {
            return None;
        }
        *known = Some(state);
        Some(format!("{unit} is {word}"))
    }
}

/// Where systemd has a unit on the bus, known to it or not (`sd_bus_path_encode`(3)).
fn object_path(unit: &str) -> String {
    let mut path = format!("{MANAGER}/unit/");
    for (at, byte) in unit.bytes().enumerate() {
        if byte.is_ascii_alphabetic() || byte.is_ascii_digit() && at > 0 {
            path.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(path, "_{byte:02x}");
        }
    }
    path
}

/// The names of all mount units that `path` may lie in (`systemd-escape --path`), but for that of the root.
pub fn mounts(path: &Path) -> Vec<String> {
    let has_name = |folder: &&Path| folder.file_name().is_some();
    path.ancestors().filter(has_name).filter_map(|folder| Some(mount(folder.to_str()?))).collect()
}

fn mount(path: &str) -> String {
    let mut name = String::new();
    for (at, byte) in path.trim_matches('/').bytes().enumerate() {
        match byte {
            b'/' => name.push('-'),
            b'.' if at > 0 => name.push('.'),
            b':' | b'_' => name.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => name.push(char::from(byte)),
            _ => {
                let _ = write!(name, "\\x{byte:02x}");
            }
        }
    }
    name + ".mount"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_systemd() {
        let unit = object_path("immich-server.service");
        assert_eq!(unit, "/org/freedesktop/systemd1/unit/immich_2dserver_2eservice");
        assert_eq!(object_path("1a.mount"), "/org/freedesktop/systemd1/unit/_31a_2emount");
        assert_eq!(
            mounts(Path::new("/srv/a-b/.c d")),
            ["srv-a\\x2db-.c\\x20d.mount", "srv-a\\x2db.mount", "srv.mount"]
        );
        assert_eq!(mounts(Path::new("/.a")), ["\\x2ea.mount"]);
    }
}
