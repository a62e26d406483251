//! The known word that someone who wrote another one probably meant.

/// How alike two words must be (Jaro-Winkler, 1 is equal).
const ALIKE: f64 = 0.85;

/// Longer words are no slips of the pen, and comparing them would take long.
const LONGEST: usize = 64;

/// The first of those in `known` that are most like `word`, if any is like it at all.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > LONGEST {
        return None;
    }
    let word = word.to_lowercase();
    let mut best = None;
    for candidate in known {
        let alike = strsim::jaro_winkler(&word, &candidate.to_lowercase());
        if alike >= ALIKE && best.is_none_or(|(most, _)| alike > most) {
            best = Some((alike, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn only_what_is_close() {
        let known = ["databases", "ml_cache", "root"];
        for (word, expected) in [
            ("rot", Some("root")),
            ("ml-cache", Some("ml_cache")),
            ("Root", Some("root")),
            ("database", Some("databases")),
            ("quota", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), expected, "{word}");
        }
    }
}
