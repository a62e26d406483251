//! Which environment variables the operator may give the server.
//!
//! Refused are those that the agent sets itself (two that disagree would be settled by whichever
//! Podman reads last) and those that carry secrets, which belong into Podman's secret store only.

use super::meaning::Refusal;

/// Names with a setting or a command of their own, and which.
const INSTEAD: &[(&str, &str)] = &[
    ("TZ", "use `immich.timezone`"),
    ("IMMICH_MEDIA_LOCATION", "use `storage.root`; inside the container the path is fixed"),
    ("IMMICH_HOST", "use `immich.listen`"),
    ("IMMICH_PORT", "use `immich.listen`"),
    (
        "IMMICH_IGNORE_MOUNT_CHECK_ERRORS",
        "Immich's check is what stops it on an empty folder: mount the disk, or restore the `.immich` files",
    ),
    ("CREDENTIALS_DIRECTORY", "photos-agent gives the server its secrets as files: see `photos-agent secret list`"),
];

/// Beginnings of names that the agent sets, and what to do instead.
const OURS: &[(&str, &str)] = &[
    (
        "DB_",
        "photos-agent connects the server to its own database; its password is changed by `photos-agent secret set`",
    ),
    ("POSTGRES_", "photos-agent sets the database up; its password is changed by `photos-agent secret set`"),
    ("REDIS_", "photos-agent connects the server to its own Redis"),
];

/// Ends of names that carry a secret.
const SECRETS: &[&str] = &["PASSWORD", "SECRET", "TOKEN", "KEY"];

/// Why the variable `name` may not be set here, if it may not.
pub(super) fn refusal(name: &str) -> Option<Refusal> {
    if let Some((_, help)) = INSTEAD.iter().find(|(known, _)| *known == name) {
        return Some(Refusal::new("a variable that photos-agent does not set itself", Some((*help).to_owned())));
    }
    let upper = name.to_ascii_uppercase();
    if let Some((_, help)) = OURS.iter().find(|(start, _)| upper.starts_with(start)) {
        return Some(Refusal::new("a variable that photos-agent does not set itself", Some((*help).to_owned())));
    }
    let ends_in = |word: &str| upper == word || upper.strip_suffix(word).is_some_and(|rest| rest.ends_with('_'));
    if ends_in("FILE") {
        let help = "a path inside the container; secrets are given to it by `photos-agent secret set`".to_owned();
        return Some(Refusal::new("a variable that does not name a file", Some(help)));
    }
    if upper == "PGPASSWORD" || SECRETS.iter().any(|word| ends_in(word)) {
        let help =
            "secrets never stand in this file: use `photos-agent secret set`, or Immich's own settings".to_owned();
        return Some(Refusal::new("a variable that is not a secret", Some(help)));
    }
    None
}

/// Whether the value of a key of this name is better not shown to anybody.
///
/// Wider than what is refused: this also covers what people put where it does not belong.
pub(super) fn looks_secret(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    let words = ["PASSW", "SECRET", "TOKEN", "CREDENTIAL", "COOKIE"];
    words.iter().any(|word| upper.contains(word))
        || upper.ends_with("KEY")
        || OURS.iter().any(|(start, _)| upper.starts_with(start))
}

/// Whether a unit line can hold `text` safely.
pub(super) fn is_one_line(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() && c != '\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_agent_sets_and_what_is_secret_is_refused() {
        for name in [
            "TZ",
            "IMMICH_IGNORE_MOUNT_CHECK_ERRORS",
            "DB_URL",
            "DB_HOSTNAME",
            "db_password",
            "REDIS_URL",
            "REDIS_SOCKET",
            "POSTGRES_USER",
            "IMMICH_HOST",
            "IMMICH_PORT",
            "IMMICH_MEDIA_LOCATION",
            "CREDENTIALS_DIRECTORY",
            "OAUTH_CLIENT_SECRET",
            "SMTP_PASSWORD",
            "A_FILE",
            "API_TOKEN",
            "MAP_KEY",
            "PGPASSWORD",
            "PASSWORD",
        ] {
            assert!(refusal(name).is_some_and(|refusal| refusal.help.is_some()), "{name}");
        }
        for name in ["IMMICH_MACHINE_LEARNING_URL", "IMMICH_LOG_LEVEL", "NO_COLOR", "MONKEY", "PROFILE", "http_proxy"] {
            assert_eq!(refusal(name), None, "{name}");
        }
    }
}
