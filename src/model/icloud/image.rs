//! Which icloudpd still works: Apple changes what it answers, and older ones are left behind.

use crate::model::ImageRef;
use crate::model::bounds::three_numbers;

/// The oldest that can be signed in with two factors: Apple has changed how a code is asked for.
pub const OLDEST_ICLOUDPD: &str = "1.32.3";

/// Whether an image is known to be older than that, by its tag. Of one that says no version nothing is known.
pub fn icloudpd_is_too_old(image: &ImageRef) -> bool {
    let version = |text: &str| three_numbers(text.split('-').next().unwrap_or(text));
    let written = image.tag().and_then(|tag| version(tag.trim_start_matches('v')));
    written.zip(version(OLDEST_ICLOUDPD)).is_some_and(|(written, oldest)| written < oldest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_one_is_known_by_its_tag() {
        for (tag, old) in [
            ("1.32.3", false),
            ("1.33", false),
            ("2", false),
            ("1.32.10", false),
            ("1.32.2", true),
            ("1.31.9-alpine", true),
            ("v1.9.0", true),
            ("1", true),
            ("latest", false),
            ("nightly-2", false),
        ] {
            let image = format!("docker.io/icloudpd/icloudpd:{tag}").parse().unwrap();
            assert_eq!(icloudpd_is_too_old(&image), old, "{tag}");
        }
    }
}
