//! The rows of a catalogue as they are written, and what is wrong with their form.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde::{Deserialize, Deserializer};
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::Span;
use crate::model::{Bounds, ImageRef, PostgresMajor, Release, Service};

/// Releases of one file. All of Immich's history has fewer.
const MOST: usize = 500;

/// What is wrong with a catalogue, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where.
    pub span: Span,
    /// What, in one line.
    pub message: String,
    /// What to do about it, where that is not said already.
    pub help: Option<String>,
}

/// A `[[release]]` as it is written: what it does not name is that of the release below it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    pub(super) version: Spanned<Release>,
    #[serde(default, deserialize_with = "date")]
    pub(super) published: Option<Date>,
    pub(super) avoid: Option<String>,
    pub(super) from: Option<Release>,
    #[serde(default)]
    pub(super) images: Images,
    #[serde(default)]
    pub(super) postgres: Majors,
    #[serde(default)]
    pub(super) accepts: AcceptsRow,
    #[serde(default)]
    pub(super) health: BTreeMap<Service, String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Images {
    pub(super) postgres: Option<String>,
    pub(super) redis: Option<ImageRef>,
    pub(super) icloudpd: Option<ImageRef>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Majors {
    pub(super) majors: Option<Vec<PostgresMajor>>,
    pub(super) default: Option<PostgresMajor>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AcceptsRow {
    pub(super) postgres: Option<Bounds>,
    pub(super) vectorchord: Option<Bounds>,
    pub(super) pgvector: Option<Bounds>,
}

fn date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Date>, D::Error> {
    let wrong = || serde::de::Error::custom("not a day, expected one without quotes, like 2026-09-16");
    let written = toml::value::Datetime::deserialize(deserializer).map_err(|_| wrong())?;
    let (Some(day), None) = (written.date, written.time) else { return Err(wrong()) };
    let parts = (i16::try_from(day.year), i8::try_from(day.month), i8::try_from(day.day));
    let (Ok(year), Ok(month), Ok(day)) = parts else { return Err(wrong()) };
    Date::new(year, month, day).map(Some).map_err(|_| wrong())
}

/// The rows of a file, and all that is wrong with it: of each row the first mistake.
pub fn read(table: DeTable<'_>) -> (Vec<Row>, Vec<Mistake>) {
    let (mut rows, mut mistakes) = (Vec::new(), Vec::new());
    for (name, value) in table {
        let span = name.span();
        if name.get_ref() != "release" {
            let help = "settings stand in a file whose name does not end in .catalogue.toml".to_owned();
            let message = "unknown key, expected only [[release]]".to_owned();
            mistakes.push(Mistake { span, message, help: Some(help) });
            continue;
        }
        match value.into_inner() {
            DeValue::Array(items) => items.into_iter().for_each(|item| match row(item) {
                Ok(row) => rows.push(row),
                Err(mistake) => mistakes.push(mistake),
            }),
            _ => mistakes.push(plain(span, "not a list of tables, expected each release below a line [[release]]")),
        }
    }
    let mut seen = BTreeSet::new();
    for row in &rows {
        if !seen.insert(row.version.get_ref().clone()) {
            mistakes.push(plain(row.version.span(), "a release that this file has twice"));
        }
    }
    if let Some(row) = rows.get(MOST) {
        mistakes.push(plain(row.version.span(), &format!("too many releases, expected at most {MOST}")));
    }
    (rows, mistakes)
}

pub(super) fn plain(span: Span, message: &str) -> Mistake {
    Mistake { span, message: message.to_owned(), help: None }
}

fn row(item: Spanned<DeValue<'_>>) -> Result<Row, Mistake> {
    let whole = item.span();
    let row = Row::deserialize(ValueDeserializer::from(item))
        .map_err(|error| plain(error.span().unwrap_or_else(|| whole.clone()), error.message()))?;
    let texts = row.health.values().chain(&row.avoid);
    if texts.into_iter().any(|text| text.len() > 500 || text.chars().any(char::is_control)) {
        return Err(plain(whole, "a text of more than one line, or a very long one"));
    }
    let version = row.version.get_ref();
    if row.from.as_ref().is_some_and(|from| from >= version) {
        return Err(plain(row.version.span(), "`from` is not older than the release itself"));
    }
    Ok(row)
}

impl Row {
    /// This, and where `over` says something, that.
    pub(super) fn overlaid(self, over: Self) -> Self {
        let mut health = self.health;
        health.extend(over.health);
        Self {
            version: over.version,
            published: over.published.or(self.published),
            avoid: over.avoid.or(self.avoid),
            from: over.from.or(self.from),
            images: over.images.or(self.images),
            postgres: over.postgres.or(self.postgres),
            accepts: over.accepts.or(self.accepts),
            health,
        }
    }

    /// What the release above it has of this, unless it says otherwise: all but what is of the release alone.
    pub(super) fn above(mut self, above: Self) -> Self {
        (self.published, self.avoid) = (None, None);
        self.overlaid(above)
    }
}

impl Images {
    fn or(self, other: Self) -> Self {
        Self {
            postgres: self.postgres.or(other.postgres),
            redis: self.redis.or(other.redis),
            icloudpd: self.icloudpd.or(other.icloudpd),
        }
    }
}

impl Majors {
    fn or(self, other: Self) -> Self {
        Self { majors: self.majors.or(other.majors), default: self.default.or(other.default) }
    }
}

impl AcceptsRow {
    fn or(self, other: Self) -> Self {
        Self {
            postgres: self.postgres.or(other.postgres),
            vectorchord: self.vectorchord.or(other.vectorchord),
            pgvector: self.pgvector.or(other.pgvector),
        }
    }
}
