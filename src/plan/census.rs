//! Whether a copy of a database holds what the original does: two lists of what was counted in both.

use std::collections::BTreeSet;

/// How many differences are told.
const TOLD: usize = 10;

/// What differs, a line each; nothing where all is the same. A list without anything in it is of no database.
pub fn differences(original: &str, copy: &str) -> Vec<String> {
    let lines = |text| str::lines(text).map(str::trim).filter(|line| !line.is_empty()).collect::<BTreeSet<_>>();
    let (original, copy) = (lines(original), lines(copy));
    if original.is_empty() {
        return vec!["nothing was counted in the old one".to_owned()];
    }
    let missing = original.difference(&copy).map(|line| format!("only the old one has {line}"));
    let added = copy.difference(&original).map(|line| format!("only the new one has {line}"));
    let mut all: Vec<String> = missing.chain(added).collect();
    if let Some(more) = all.len().checked_sub(TOLD).filter(|more| *more > 0) {
        all.truncate(TOLD);
        all.push(format!("and {more} more"));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASSETS: &str = r#"["immich", "rows", "public", "asset", 3]"#;
    const FEWER: &str = r#"["immich", "rows", "public", "asset", 2]"#;
    const VECTOR: &str = r#"["immich", "extension", "vector"]"#;

    #[test]
    fn whatever_is_not_in_both_is_told() {
        for (original, copy, wanted) in [
            (vec![ASSETS, VECTOR], vec![VECTOR, "", ASSETS], vec![]),
            (vec![ASSETS], vec![FEWER], vec!["only the old one has", "only the new one has"]),
            (vec![ASSETS, VECTOR], vec![ASSETS], vec!["only the old one has"]),
            (vec![ASSETS], vec![ASSETS, VECTOR], vec!["only the new one has"]),
            (vec![ASSETS], vec![], vec!["only the old one has"]),
            (vec![], vec![], vec!["nothing was counted"]),
            (vec![""], vec![ASSETS], vec!["nothing was counted"]),
        ] {
            let told = differences(&original.join("\n"), &copy.join("\n"));
            assert_eq!(told.len(), wanted.len(), "{told:?}");
            assert!(told.iter().zip(&wanted).all(|(told, wanted)| told.starts_with(wanted)), "{told:?}");
        }
        let many: Vec<String> = (0..30).map(|number| format!("line {number}")).collect();
        let told = differences(&many.join("\n"), "");
        assert_eq!((told.len(), told.last().map(String::as_str)), (11, Some("and 20 more")));
    }
}
