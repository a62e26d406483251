//! `[[icloud.account]]` of one file: each account's values below its name.
//!
//! A value has the path `icloud.account.NAME.KEY`. What stands in an account without a name that can be used is read as
//! well, so that all that is wrong is said at once, and is then of no account.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Entry, Fragment, Problem, Problems, Reader, Refusal};
use crate::config::keys::{self, ACCOUNT, NAME};
use crate::model::AccountName;

impl Reader<'_> {
    pub(super) fn accounts(&mut self, name: Range<usize>, value: &Spanned<DeValue<'_>>) {
        let help = || Some("write it like this, once for each account: [[icloud.account]]".to_owned());
        let DeValue::Array(items) = value.get_ref() else {
            return self.wrong_type(ACCOUNT, "a list of tables", name, value, help());
        };
        for item in items {
            match item.get_ref() {
                DeValue::Table(table) => self.account(item.span(), table),
                _ => self.wrong_type(ACCOUNT, "a table", item.span(), item, help()),
            }
        }
    }

    fn account(&mut self, header: Range<usize>, table: &DeTable<'_>) {
        let section = self.account_section(header, table);
        for (name, value) in table {
            let written = name.get_ref().as_ref();
            if let Some(key) = keys::find(&super::dotted(ACCOUNT, written)) {
                self.value(key, &format!("{section}.{}", key.name()), name.span(), value);
            } else if let Some(why) = keys::refused(written) {
                let problem = Problem::of_key("not an option", &super::dotted(&section, written));
                let place = self.place(name.span());
                self.problems.at(&place, problem.help(Some(why.to_owned())));
            } else {
                self.unknown(ACCOUNT, name);
            }
        }
    }

    /// Below what an account's values are kept: its name where it has one that no other has.
    fn account_section(&mut self, header: Range<usize>, table: &DeTable<'_>) -> String {
        let nobody = || ACCOUNT.to_owned();
        let Some((_, value)) = table.iter().find(|(key, _)| key.get_ref() == NAME) else {
            let place = self.place(header);
            let problem =
                Problem::new("an account without a name").expected("name = \"...\" in each [[icloud.account]]");
            self.problems.at(&place, problem);
            return nobody();
        };
        let DeValue::String(text) = value.get_ref() else { return nobody() };
        if text.parse::<AccountName>().is_err() {
            return nobody();
        }
        let section = format!("{ACCOUNT}.{text}");
        if self.entries.contains_key(&format!("{section}.{NAME}")) {
            let place = self.place(value.span());
            self.problems.at(&place, twice(text));
            return nobody();
        }
        section
    }
}

fn twice(name: &str) -> Problem {
    let refusal =
        Refusal::new("each account once", Some("give one of them another name, or put both together".to_owned()));
    Problem::bad_value(&format!("{ACCOUNT}.{NAME}"), &format!("\"{name}\""), refusal)
}

/// The name of the account whose name an entry of this path is.
pub(in crate::config) fn of_name(path: &str) -> Option<&str> {
    path.strip_prefix(ACCOUNT)?.strip_prefix('.')?.strip_suffix(NAME)?.strip_suffix('.')
}

/// Reports accounts that several files have: which of their options hold would be hard to see.
pub(in crate::config) fn check_each_once(fragments: &[Fragment], problems: &mut Problems) {
    for (number, fragment) in fragments.iter().enumerate() {
        let names = fragment.iter().filter_map(|(path, entry)| of_name(path).map(|name| (path, name, entry)));
        for (path, name, Entry { place, .. }) in names {
            if fragments.iter().take(number).any(|earlier| earlier.contains_key(path)) {
                problems.at(place, twice(name));
            }
        }
    }
}
