//! Random passwords, made once and handed to Podman only.

use crate::apply::steps::StepError;
use crate::host::Host;
use crate::host::files::{self, FileError};
use crate::model::{Root, SecretName};

/// Where Podman keeps secrets (containers-storage.conf(5), `graphroot`).
const STORE: &str = "/var/lib/containers/storage/secrets";

/// Length of a password that is made, in characters.
const LENGTH: usize = 32;

/// Letters and digits: Immich asks for no others in a database password. 62 of them, 190 bits in all.
const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

pub(super) async fn make(host: &Host, secret: &SecretName) -> Result<(), StepError> {
    let password = random_password().map_err(StepError::Random)?;
    host.podman.create_secret(secret, password).await?;
    Ok(commit_secrets(&host.root).await?)
}

/// Waits until Podman's store of secrets is on its disk: Podman writes it in place and syncs nothing, and a power cut would
/// leave an empty one.
pub async fn commit_secrets(root: &Root) -> Result<(), FileError> {
    let store = root.join(STORE);
    // Where somebody moved it, it is Podman's alone.
    if store.is_dir() { files::commit(&store).await } else { Ok(()) }
}

/// 32 characters from the system's random source, each as likely as any other.
pub fn random_password() -> Result<Vec<u8>, getrandom::Error> {
    // Bytes from the largest multiple of 62 on would favour the first letters.
    let fair = 256 - 256 % ALPHABET.len();
    let mut password = Vec::with_capacity(LENGTH);
    while password.len() < LENGTH {
        let mut bytes = [0; LENGTH];
        getrandom::fill(&mut bytes)?;
        let letters = bytes.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < fair);
        password.extend(letters.filter_map(|byte| ALPHABET.get(byte % ALPHABET.len())));
    }
    password.truncate(LENGTH);
    Ok(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_32_letters_and_digits_and_never_the_same() {
        let one = random_password().unwrap();
        assert_eq!(one.len(), 32);
        assert!(one.iter().all(u8::is_ascii_alphanumeric));
        assert_ne!(one, random_password().unwrap());
    }
}
