//! All files as one: for each key the entry of the last file that has it.
//!
//! Sections merge key by key, `immich.environment` variable by variable; a list is one value and is
//! replaced whole. Nothing is checked here.

use std::collections::BTreeMap;

use super::fragment::{self, Fragment};
use super::value::Entry;

/// The entries that hold, by dotted key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Merged(BTreeMap<String, Entry>);

impl Merged {
    /// The fragments, the earliest first.
    pub fn of(fragments: impl IntoIterator<Item = Fragment>) -> Self {
        fragments.into_iter().fold(Self::default(), |merged, fragment| merged.overlaid(Self(fragment)))
    }

    /// This, where `later` says nothing else.
    pub fn overlaid(mut self, later: Self) -> Self {
        self.0.extend(later.0);
        self
    }

    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.0.get(path)
    }

    /// The names of the accounts, in the order in which they are written.
    pub fn accounts(&self) -> Vec<&str> {
        let named = self.0.iter().filter_map(|(path, entry)| Some((fragment::of_name(path)?, &entry.place)));
        let mut named: Vec<_> = named.collect();
        named.sort_by_key(|(_, place)| (place.source, place.span.start));
        named.into_iter().map(|(name, _)| name).collect()
    }

    /// The entries directly below `section`, by their last name.
    pub fn below<'a>(&'a self, section: &'a str) -> impl Iterator<Item = (&'a str, &'a Entry)> {
        let inside = move |path: &'a String| path.strip_prefix(section)?.strip_prefix('.');
        self.0.iter().filter_map(move |(path, entry)| Some((inside(path)?, entry)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::source::Place;
    use super::super::value::Value;
    use super::*;

    fn fragment(number: usize) -> impl Strategy<Value = Merged> {
        proptest::collection::btree_map("[abc]\\.[xyz]", any::<Option<i64>>(), 0..6).prop_map(move |entries| {
            let entry = |value: Option<i64>| Entry {
                value: value.map(Value::Integer),
                place: Place { source: number, span: 0..1 },
            };
            Merged(entries.into_iter().map(|(path, value)| (path, entry(value))).collect())
        })
    }

    proptest! {
        #[test]
        fn it_does_not_matter_which_files_are_merged_first(a in fragment(0), b in fragment(1), c in fragment(2)) {
            let left = a.clone().overlaid(b.clone()).overlaid(c.clone());
            let right = a.clone().overlaid(b.clone().overlaid(c.clone()));
            prop_assert_eq!(&left, &right);
            prop_assert_eq!(a.clone().overlaid(Merged::default()), a.clone());
            for (path, entry) in &left.0 {
                let last = [&c, &b, &a].into_iter().find_map(|merged| merged.get(path));
                prop_assert_eq!(Some(entry), last);
            }
        }
    }
}
