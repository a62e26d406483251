//! Questions to a registry, through Podman: it knows mirrors, credentials and which registries are insecure.
//!
//! Asked is for the manifest of one tag. Podman's search, which lists tags, goes past the host's registries.conf.

use std::time::Duration;

use super::{BASE, Podman, PodmanError, accept, unreachable};
use crate::model::ImageRef;

/// How long a registry may take to say whether it has a tag. A person waits for it.
const PATIENCE: Duration = Duration::from_secs(15);

/// How much of what it says is repeated, in characters.
const LONGEST: usize = 500;

/// What a registry says of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offer {
    /// It has it.
    There,
    /// It has no such tag, or nothing of that name.
    Missing,
    /// It could not be asked, or did not answer what it was asked.
    Unknown(String),
}

impl Podman {
    /// Whether the registry of `image` has it. Nothing is pulled. A registry that is down, slow or refuses is an answer; a
    /// Podman that is not there is not.
    pub async fn offers(&self, image: &ImageRef) -> Result<Offer, PodmanError> {
        let doing = format!("ask the registry for {image}");
        let request = self.client.get(format!("{BASE}/manifests/{image}/json")).timeout(PATIENCE);
        let response = match request.send().await {
            Err(error) if error.is_timeout() => return Ok(Offer::Unknown(late())),
            other => other.map_err(|source| unreachable(&doing, source))?,
        };
        match accept(response, &doing).await {
            Ok(_) => Ok(Offer::There),
            Err(PodmanError::Refused { message, .. }) => Ok(understand(&message)),
            Err(error) => Err(error),
        }
    }
}

fn late() -> String {
    format!("the registry did not answer within {} s", PATIENCE.as_secs())
}

/// By its words: Podman answers 404 to whatever went wrong (5.4), a registry that is down included.
fn understand(message: &str) -> Offer {
    // One image instead of an index of images by architecture is there, too; Podman only has no form for it.
    let there = ["parsing manifest blob", "Treating single images as manifest lists is not implemented"];
    let missing = ["manifest unknown", "name unknown", "repository name not known"];
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if says(&there) {
        Offer::There
    } else if says(&missing) {
        Offer::Missing
    } else {
        Offer::Unknown(one_line(message))
    }
}

/// The words are the registry's in part, and go to a terminal.
fn one_line(message: &str) -> String {
    message.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_podman_says_is_understood_by_its_words() {
        // As Podman 5.4 said it.
        let single = "parsing manifest blob \"{\\\"schemaVersion\\\":2,\\\"mediaType\\\":\\\"application/vnd.oci.image\
                      .manifest.v1+json\\\"}\": Treating single images as manifest lists is not implemented";
        assert_eq!(understand(single), Offer::There);
        let gone = "reading image \"docker://ghcr.io/immich-app/immich-server:v3.2.3\": reading manifest v3.2.3 in \
                    127.0.0.1:5000/immich-app/immich-server: manifest unknown";
        assert_eq!(understand(gone), Offer::Missing);
        let down = "reading image \"docker://ghcr.io/immich-app/immich-server:v3.2.2\": pinging container registry \
                    127.0.0.1:5000: Get \"http://127.0.0.1:5000/v2/\": dial tcp 127.0.0.1:5000: connect: connection refused";
        assert_eq!(understand(down), Offer::Unknown(down.to_owned()));
        let denied = "reading manifest v3.2.3 in ghcr.io/x/y: denied: requested access to the resource is denied";
        assert!(matches!(understand(denied), Offer::Unknown(_)));
        assert_eq!(understand("\u{1b}[31mdenied\n"), Offer::Unknown(" [31mdenied ".to_owned()));
    }
}
