//! What one file says: known keys with values of the right type and form, each with its place.
//!
//! Read from the parsed document and not through serde's derive, which stops at the first thing
//! that is wrong; an operator wants to hear of everything at once. Values are checked in every file,
//! also where a later file overrides them: a mistake that shows only when that file is removed is worse.

mod accounts;

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub(super) use accounts::{check_each_once, of_name};

use super::document;
use super::keys::{self, Key, Kind};
use super::meaning::{self, Refusal};
use super::nearest::nearest;
use super::problems::{Problem, Problems};
use super::source::{Place, Source};
use super::value::{Entry, Value, quoted};
use super::variables;
use crate::model::icloud::{AlbumName, CreatedBound, LibraryName};
use crate::model::{
    AccountName, AppleId, CpuQuota, EmailAddress, EnvironmentName, FolderStructure, ImageRef, MemorySize, Share,
    Subnet, TimeSpan,
};

/// Where a release belongs that somebody wrote among the settings.
const RELEASES: &str = "releases stand in a file of their own: config.d/NAME.catalogue.toml";

/// The entries of one file, by dotted key.
pub(super) type Fragment = BTreeMap<String, Entry>;

/// Reads one file, the `number`th; `None` if it is not TOML. All that is wrong goes to `problems`.
pub(super) fn read(number: usize, source: &Source, problems: &mut Problems) -> Option<Fragment> {
    let document = document::read(number, source, problems)?;
    let mut reader = Reader { source: number, length: source.content().len(), problems, entries: BTreeMap::new() };
    reader.section("", &document);
    Some(reader.entries)
}

struct Reader<'a> {
    source: usize,
    length: usize,
    problems: &'a mut Problems,
    entries: Fragment,
}

impl Reader<'_> {
    fn place(&self, span: Range<usize>) -> Place {
        Place::within(self.source, span, self.length)
    }

    fn section(&mut self, section: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let path = dotted(section, name.get_ref());
            if path == keys::ACCOUNT {
                self.accounts(name.span(), value);
            } else if let Some(key) = keys::find(&path) {
                self.value(key, &key.path, name.span(), value);
            } else if keys::below(&path).is_empty() {
                self.unknown(section, name);
            } else if let DeValue::Table(inner) = value.get_ref() {
                self.section(&path, inner);
            } else {
                self.wrong_type(&path, "a table", name.span(), value, None);
            }
        }
    }

    fn unknown(&mut self, section: &str, name: &Spanned<std::borrow::Cow<'_, str>>) {
        let known = keys::below(section);
        let written = name.get_ref().as_ref();
        let path = dotted(section, written);
        let in_quotes = keys::find(written).map(|key| format!("write {} without quotes", key.path));
        let close = || nearest(written, known.iter().copied()).map(|close| format!("did you mean `{close}`?"));
        let release = || (path == "release").then(|| RELEASES.to_owned());
        let help = in_quotes.or_else(release).or_else(close).or_else(|| elsewhere(written));
        let expected = format!("one of: {}", known.into_iter().collect::<Vec<_>>().join(", "));
        let problem = Problem::of_key("unknown key", &path).expected(expected).help(help);
        let place = self.place(name.span());
        self.problems.at(&place, problem);
    }

    /// Reads the value of `key`, which is kept as that of `path`: an account has keys of its own.
    fn value(&mut self, key: &Key, path: &str, name: Range<usize>, value: &Spanned<DeValue<'_>>) {
        let place = self.place(if value.span().is_empty() { name.clone() } else { value.span() });
        let read = match (key.kind, value.get_ref()) {
            (Kind::Environment, DeValue::Table(table)) => return self.environment(path, table),
            (Kind::Networks | Kind::Libraries | Kind::Albums | Kind::Words(_), DeValue::Array(items)) => {
                self.list(key.kind, path, &place, items)
            }
            (Kind::Major | Kind::Count | Kind::Number(_), DeValue::Integer(digits)) => {
                // Too large a number is caught with the other wrong ones.
                let number = i64::from_str_radix(digits.as_str(), digits.radix()).unwrap_or(i64::MAX);
                let checked = check_number(key.kind, number).map(|()| Value::Integer(number));
                self.checked(path, &place, &digits.to_string(), checked)
            }
            (Kind::Program, DeValue::Array(items)) => self.command(path, &place, items),
            (Kind::Switch, DeValue::Boolean(truth)) => Some(Value::Boolean(*truth)),
            (kind, DeValue::String(text)) if kind.shape() == "a string" || kind == Kind::Program => {
                let checked = check(kind, text).map(|()| Value::Text(text.to_string()));
                // Somebody may have written the secret itself.
                let found = if kind == Kind::Secret { "something else".to_owned() } else { quoted(text) };
                self.checked(path, &place, &found, checked)
            }
            _ => {
                let help = format!("write it like this: {} = {}", key.name(), key.kind.example());
                self.wrong_type(path, key.kind.shape(), name, value, Some(help));
                None
            }
        };
        self.entries.insert(path.to_owned(), Entry { value: read, place });
    }

    fn checked(&mut self, path: &str, place: &Place, found: &str, read: Result<Value, Refusal>) -> Option<Value> {
        read.map_err(|refusal| self.problems.at(place, Problem::bad_value(path, found, refusal))).ok()
    }

    fn list(&mut self, kind: Kind, path: &str, whole: &Place, items: &[Spanned<DeValue<'_>>]) -> Option<Value> {
        let mut names: Vec<String> = Vec::new();
        let mut sound = true;
        for item in items {
            let DeValue::String(text) = item.get_ref() else {
                self.wrong_type(path, "a string", item.span(), item, None);
                sound = false;
                continue;
            };
            let read = match check_item(kind, text) {
                Ok(()) if names.iter().any(|name| name == text) => {
                    let each = if kind == Kind::Networks { "each network once" } else { "each of them once" };
                    Err(Refusal::new(each, Some("leave this one out".to_owned())))
                }
                other => other.map(|()| Value::Text(text.to_string())),
            };
            let place = self.place(item.span());
            sound &= self.checked(path, &place, &quoted(text), read).is_some();
            names.push(text.to_string());
        }
        if names.is_empty() && matches!(kind, Kind::Libraries | Kind::Words(_)) {
            let refusal = Refusal::new("at least one", Some("leave the line out for the default".to_owned()));
            self.problems.at(whole, Problem::bad_value(path, "an empty list", refusal));
            return None;
        }
        sound.then_some(Value::List(names))
    }

    /// A program and its arguments.
    fn command(&mut self, path: &str, whole: &Place, items: &[Spanned<DeValue<'_>>]) -> Option<Value> {
        let mut words = Vec::new();
        for (at, item) in items.iter().enumerate() {
            let DeValue::String(text) = item.get_ref() else {
                self.wrong_type(path, "a string", item.span(), item, None);
                continue;
            };
            let read = if at == 0 { meaning::program(text).map(drop) } else { meaning::argument(text) };
            let place = self.place(item.span());
            words.extend(self.checked(path, &place, &quoted(text), read.map(|()| Value::Text(text.to_string()))));
        }
        if items.is_empty() {
            let refusal = Refusal::new("at least a program", Some("leave the line out for none".to_owned()));
            self.problems.at(whole, Problem::bad_value(path, "an empty list", refusal));
        }
        let texts: Vec<String> = words.iter().filter_map(Value::text).collect();
        (!items.is_empty() && texts.len() == items.len()).then_some(Value::List(texts))
    }

    fn environment(&mut self, section: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let path = dotted(section, name.get_ref());
            let at_name = self.place(name.span());
            let refusal = match name.get_ref().parse::<EnvironmentName>() {
                Ok(_) => variables::refusal(name.get_ref()),
                Err(invalid) => Some(invalid.into()),
            };
            if let Some(Refusal { expected, help }) = refusal {
                self.problems.at(&at_name, Problem::of_key("cannot set", &path).expected(expected).help(help));
                continue;
            }
            let place = self.place(value.span());
            let read = match value.get_ref() {
                DeValue::String(text) if variables::is_one_line(text) => Some(Value::Text(text.to_string())),
                DeValue::String(_) => {
                    let expected = "one line without control characters, which is all that a unit can hold";
                    self.problems.at(&place, Problem::of_key("bad value for", &path).expected(expected));
                    None
                }
                other => {
                    let help =
                        literal(other).map(|text| format!("write it in quotes: {} = \"{text}\"", name.get_ref()));
                    self.wrong_type(&path, "a string", name.span(), value, help);
                    None
                }
            };
            self.entries.insert(path, Entry { value: read, place });
        }
    }

    fn wrong_type(
        &mut self,
        path: &str,
        expected: &str,
        name: Range<usize>,
        value: &Spanned<DeValue<'_>>,
        help: Option<String>,
    ) {
        let place = self.place(if value.span().is_empty() { name } else { value.span() });
        let problem = Problem::of_key("wrong type for", path).expected(expected).found(type_of(value.get_ref()));
        self.problems.at(&place, problem.help(help));
    }
}

/// Whether `text` is a value of this kind, for the kinds that are strings.
fn check(kind: Kind, text: &str) -> Result<(), Refusal> {
    match kind {
        Kind::Path => meaning::folder(text).map(drop),
        Kind::Subnet => meaning::plain::<Subnet>(text).map(drop),
        Kind::Release => meaning::release(text).map(drop),
        Kind::Listen => meaning::listen(text).map(drop),
        Kind::TimeZone => meaning::time_zone(text).map(drop),
        Kind::Disk => meaning::disk(text).map(drop),
        Kind::Image => meaning::plain::<ImageRef>(text).map(drop),
        Kind::Memory => meaning::plain::<MemorySize>(text).map(drop),
        Kind::Processor => meaning::plain::<CpuQuota>(text).map(drop),
        Kind::Schedule => meaning::schedule(text).map(drop),
        Kind::Calendar => meaning::calendar(text).map(drop),
        Kind::Span => meaning::plain::<TimeSpan>(text).map(drop),
        Kind::Program => meaning::program(text).map(drop),
        Kind::Secret => meaning::secret(text).map(drop),
        Kind::Render => meaning::render(text).map(drop),
        Kind::Gfx => meaning::gfx(text).map(drop),
        Kind::Icloudpd => meaning::icloudpd(text).map(drop),
        Kind::Share => meaning::plain::<Share>(text).map(drop),
        Kind::Account => meaning::plain::<AccountName>(text).map(drop),
        Kind::AppleId => meaning::plain::<AppleId>(text).map(drop),
        Kind::Email => meaning::plain::<EmailAddress>(text).map(drop),
        Kind::Created => meaning::plain::<CreatedBound>(text).map(drop),
        Kind::Folders => meaning::plain::<FolderStructure>(text).map(drop),
        Kind::Word(words) => meaning::word(words, text),
        _ => Err(Refusal::new(kind.shape(), None)),
    }
}

/// Whether `text` may stand in a list of this kind.
fn check_item(kind: Kind, text: &str) -> Result<(), Refusal> {
    match kind {
        Kind::Networks => meaning::network(text).map(drop),
        Kind::Libraries => meaning::plain::<LibraryName>(text).map(drop),
        Kind::Albums => meaning::plain::<AlbumName>(text).map(drop),
        Kind::Words(words) => meaning::word(words, text),
        _ => Err(Refusal::new(kind.shape(), None)),
    }
}

/// Whether `number` is a value of this kind.
fn check_number(kind: Kind, number: i64) -> Result<(), Refusal> {
    match kind {
        Kind::Major => meaning::major(number).map(drop),
        Kind::Count => meaning::count(number).map(drop),
        Kind::Number(least) => meaning::number(least, number),
        _ => Err(Refusal::new(kind.shape(), None)),
    }
}

/// `name` below `section`. A name that TOML would want in quotes gets them, so that a quoted
/// `"storage.root"` is not the key `storage.root`.
fn dotted(section: &str, name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    let name = if bare { name.to_owned() } else { quoted(name) };
    if section.is_empty() { name } else { format!("{section}.{name}") }
}

/// The sections in which a key or a section of this name does exist.
fn elsewhere(name: &str) -> Option<String> {
    let keys = keys::all().iter().filter(|key| key.name() == name).map(|key| key.path.as_str());
    let sections = keys::all().iter().map(Key::section).filter(|section| section.ends_with(&format!(".{name}")));
    let mut places: Vec<_> = keys.chain(sections).collect();
    places.dedup();
    let places: Vec<_> = places.iter().take(3).map(|path| format!("`{path}`")).collect();
    (!places.is_empty()).then(|| format!("did you mean {}?", places.join(" or ")))
}

fn type_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// A number or boolean as it was written.
fn literal(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(truth) => Some(truth.to_string()),
        _ => None,
    }
}
