//! Whether the name that Immich hands out in the links it shares leads anywhere.

use std::net::IpAddr;

use super::Finding;
use crate::host::Host;
use crate::host::immich::{Client, Credential};
use crate::host::resolve;
use crate::model::Service;
use crate::observe::chain;

/// What is known of it.
pub(super) enum Public {
    /// The server does not run, or does not answer.
    Unasked,
    /// None is set.
    Unset,
    /// What is set is no address of a server.
    Malformed(String),
    /// This one, and where it leads.
    Named(String, Result<Vec<IpAddr>, String>),
}

pub(super) async fn ask(host: &Host) -> Public {
    let Ok(Some(run)) = host.podman.running(Service::Server.stem()).await else { return Public::Unasked };
    let Ok(address) = Client::new(run.pid, Credential::Nobody).public_address().await else { return Public::Unasked };
    match name(&address) {
        None if address.is_empty() => Public::Unset,
        None => Public::Malformed(address),
        Some(name) => {
            let found = resolve::addresses(&name).await.map_err(|error| chain(&error));
            Public::Named(name, found)
        }
    }
}

/// The host in `https://photos.example.org:8443/x`. An administrator of Immich has written it, who need not be this host's: what
/// is in no name gets into no command.
fn name(address: &str) -> Option<String> {
    let (_, rest) = address.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next()?;
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let host = match host.strip_prefix('[') {
        Some(six) => six.split_once(']')?.0,
        None => host.split(':').next()?,
    };
    let is_of_a_name = |c: char| c.is_alphanumeric() || "-_.:".contains(c);
    let sound = host.starts_with(|first: char| first != '-') && host.chars().all(is_of_a_name);
    sound.then(|| host.to_owned())
}

pub(super) fn public(found: &Public) -> Finding {
    const SETTING: &str = "Administration, Settings, Server Settings, External Domain";
    match found {
        Public::Unasked => Finding::holds("Immich does not answer, so none is known"),
        Public::Unset => Finding::holds("none is set in Immich"),
        Public::Named(name, Ok(addresses)) => {
            let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            Finding::holds(format!("{name} is {}", addresses.join(", ")))
        }
        Public::Named(name, Err(why)) => Finding::fails(
            format!("{name}, which Immich puts into the links that it shares, leads nowhere from here: {why}"),
            format!("getent hosts {name}; mend its DNS entry, or the name in Immich ({SETTING})"),
        ),
        // Whatever it holds, a terminal is told letters.
        Public::Malformed(text) => Finding::fails(
            format!("{text:?}, which Immich puts into the links that it shares, is no address of a server"),
            format!("mend it in Immich ({SETTING}): https://, and a name"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_in_an_address() {
        for (address, found) in [
            ("https://photos.example.org", Some("photos.example.org")),
            ("https://photos.example.org:8443/share?x", Some("photos.example.org")),
            ("http://[fd00::5]:2283", Some("fd00::5")),
            ("https://", None),
            ("https://münchen.example", Some("münchen.example")),
            ("https://x; reboot/", None),
            ("https://$(reboot)", None),
            ("https://-x", None),
            ("https://x\u{1b}[2J", None),
            ("photos", None),
            ("", None),
        ] {
            assert_eq!(name(address).as_deref(), found, "{address}");
        }
        let wrong = public(&Public::Malformed("\u{1b}[2J$(reboot)".to_owned()));
        assert!(
            matches!(wrong, Finding::Fails { why, remedy } if !why.contains('\u{1b}') && !remedy.contains("reboot"))
        );
        let nowhere = public(&Public::Named("photos.example.org".to_owned(), Err("no such name".to_owned())));
        assert!(
            matches!(nowhere, Finding::Fails { remedy, .. } if remedy.starts_with("getent hosts photos.example.org"))
        );
    }
}
