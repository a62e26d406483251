//! From rows to releases: rows laid over one another, each filled up with what the release below it has.

use std::collections::BTreeMap;

use super::rows::{Mistake, Row, plain};
use super::{Accepts, Entry, MistakeOf};
use crate::model::{Bounds, PostgresMajor, Release, Service};

/// The releases of these rows, newest first. Of two rows for one release the later is over the earlier. Each row comes with
/// the number of its file.
pub(super) fn entries(rows: impl Iterator<Item = (usize, Row)>) -> Result<Vec<Entry>, Vec<MistakeOf>> {
    let mut merged: BTreeMap<Release, (usize, Row)> = BTreeMap::new();
    for (file, row) in rows {
        let release = row.version.get_ref().clone();
        let row = match merged.remove(&release) {
            Some((_, earlier)) => earlier.overlaid(row),
            None => row,
        };
        merged.insert(release, (file, row));
    }
    let (mut entries, mut mistakes) = (Vec::new(), Vec::new());
    let mut below: Option<Row> = None;
    for (file, row) in merged.into_values() {
        let whole = match below {
            Some(below) => below.above(row),
            None => row,
        };
        match entry(&whole) {
            Ok(entry) => entries.push(entry),
            Err(mistake) => mistakes.push((file, mistake)),
        }
        below = Some(whole);
    }
    entries.reverse();
    if mistakes.is_empty() { Ok(entries) } else { Err(mistakes) }
}

fn entry(row: &Row) -> Result<Entry, Mistake> {
    let release = row.version.get_ref().clone();
    let lacks = |what: &str| Mistake {
        span: row.version.span(),
        message: format!("a release without `{what}`"),
        help: Some(format!("name `{what}`: neither this nor a release below it in the catalogue does")),
    };
    let wrong = |what: String| plain(row.version.span(), &what);
    let majors = row.postgres.majors.as_ref().ok_or_else(|| lacks("postgres.majors"))?;
    let default_major = row.postgres.default.ok_or_else(|| lacks("postgres.default"))?;
    if !majors.contains(&default_major) {
        return Err(wrong(format!("`postgres.default` is {default_major}, which is not among `postgres.majors`")));
    }
    let template = row.images.postgres.as_ref().ok_or_else(|| lacks("images.postgres"))?;
    let of_major = |major: &PostgresMajor| {
        let image = template.replace("{major}", &major.to_string());
        let read = image.parse().map_err(|invalid| wrong(format!("`images.postgres` is no image: {invalid}")));
        read.map(|image| (*major, image))
    };
    let immich = |name: &str| {
        let image = format!("ghcr.io/immich-app/{name}:{release}").parse();
        image.map_err(|invalid| wrong(format!("a version that is no tag: {invalid}")))
    };
    let bounds = |of: &Option<Bounds>, what: &str| of.clone().ok_or_else(|| lacks(what));
    if let Some(service) = Service::ALL.iter().find(|service| !row.health.contains_key(service)) {
        return Err(lacks(&format!("health.{}", service.component().key())));
    }
    Ok(Entry {
        published: row.published.ok_or_else(|| Mistake {
            help: Some("name the day on which it came out, without quotes: published = 2026-09-16".to_owned()),
            ..lacks("published")
        })?,
        // An empty text takes back what the embedded catalogue says.
        avoid: row.avoid.clone().filter(|why| !why.is_empty()),
        from: row.from.clone(),
        server: immich("immich-server")?,
        ml: immich("immich-machine-learning")?,
        redis: row.images.redis.clone().ok_or_else(|| lacks("images.redis"))?,
        icloudpd: row.images.icloudpd.clone().ok_or_else(|| lacks("images.icloudpd"))?,
        postgres: majors.iter().map(of_major).collect::<Result<_, _>>()?,
        default_major,
        accepts: Accepts {
            postgres: bounds(&row.accepts.postgres, "accepts.postgres")?,
            vectorchord: bounds(&row.accepts.vectorchord, "accepts.vectorchord")?,
            pgvector: bounds(&row.accepts.pgvector, "accepts.pgvector")?,
        },
        health: row.health.clone(),
        release,
    })
}

#[cfg(test)]
mod tests {
    use toml::de::DeTable;

    use super::*;
    use crate::catalogue::{Catalogue, read};

    fn rows(text: &str) -> Vec<Row> {
        let (rows, mistakes) = read(DeTable::parse(text).unwrap().into_inner());
        assert!(mistakes.is_empty(), "{text}: {mistakes:?}");
        rows
    }

    fn mistakes(text: &str) -> Vec<String> {
        let (rows, mistakes) = read(DeTable::parse(text).unwrap().into_inner());
        let late = Catalogue::with(vec![(0, rows)]).err().unwrap_or_default();
        let all = mistakes.into_iter().chain(late.into_iter().map(|(_, mistake)| mistake));
        all.map(|mistake| format!("{}: {}", text.get(mistake.span).unwrap(), mistake.message)).collect()
    }

    #[test]
    fn a_file_adds_releases_and_says_more_of_those_that_are_known() {
        let text = "[[release]]\nversion = \"v3.2.3\"\npublished = 2026-11-01\n\
            [[release]]\nversion = \"v3.2.0\"\navoid = \"x\"\n[release.images]\nredis = \"docker.io/valkey/valkey:10\"\n";
        let catalogue = Catalogue::with(vec![(1, rows(text))]).unwrap();
        assert_eq!(catalogue.names(), ["v3.2.3", "v3.2.2", "v3.2.0", "v3.1.0", "v3.0.2"]);
        let of = |release: &str| catalogue.find(&release.parse().unwrap()).unwrap();
        assert_eq!(of("v3.2.3").server.to_string(), "ghcr.io/immich-app/immich-server:v3.2.3");
        // What is not said stays, and what is said holds for the ones above it.
        assert_eq!(
            (of("v3.2.0").published.to_string(), of("v3.2.0").avoid.as_deref()),
            ("2026-09-16".into(), Some("x"))
        );
        assert_eq!(
            (of("v3.2.2").avoid.as_deref(), of("v3.2.2").redis.to_string()),
            (None, "docker.io/valkey/valkey:10".into())
        );
        assert_eq!(of("v3.1.0").redis.to_string(), "docker.io/valkey/valkey:9");
        assert_eq!(catalogue.newest().unwrap().release.to_string(), "v3.2.3");
        // A later file takes it back.
        let lifted = rows("[[release]]\nversion = \"v3.2.0\"\navoid = \"\"\n");
        let catalogue = Catalogue::with(vec![(1, rows(text)), (2, lifted)]).unwrap();
        assert_eq!(catalogue.find(&"v3.2.0".parse().unwrap()).unwrap().avoid, None);
    }

    #[test]
    fn what_is_wrong_is_said_of_each_row() {
        for (text, wanted) in [
            ("[[release]]\nversion = \"v9.0.0\"\n", "\"v9.0.0\": a release without `published`"),
            (
                "[[release]]\nversion = \"v2.7.5\"\npublished = 2026-04-01\n",
                "\"v2.7.5\": a release without `postgres.majors`",
            ),
            ("[[release]]\nversion = \"9\"\n", "\"9\": expected a release of Immich"),
            ("[[release]]\nversion = \"v9.0.0\"\npublished = \"2026-01-01\"\n", "\"2026-01-01\": not a day"),
            (
                "[[release]]\nversion = \"v9.0.0\"\npublished = 2026-01-01T00:00:00Z\n",
                "2026-01-01T00:00:00Z: not a day",
            ),
            ("[[release]]\nversion = \"v9.0.0\"\npublishd = 2026-01-01\n", "publishd: unknown field"),
            ("[[release]]\nversion = \"v9.0.0\"\nfrom = \"v9.0.0\"\n", "\"v9.0.0\": `from` is not older"),
            (
                "[[release]]\nversion = \"v3.2.2\"\nimages.redis = \"valkey\"\n",
                "\"valkey\": expected a fully qualified image",
            ),
            (
                "[[release]]\nversion = \"v3.2.2\"\nimages.postgres = \"x {major}\"\n",
                "\"v3.2.2\": `images.postgres` is no image",
            ),
            ("[[release]]\nversion = \"v3.2.2\"\nhealth.server = \"a\\nb\"\n", "a text of more than one line"),
            ("[[release]]\nversion = \"v3.2.2\"\nhealth.sever = \"a\"\n", "sever: unknown variant"),
            ("[[release]]\nversion = \"v3.2.2\"\npostgres.default = 13\n", "13: expected a PostgreSQL major"),
            (
                "[[release]]\nversion = \"v3.2.2\"\npostgres.majors = [14]\n",
                "`postgres.default` is 17, which is not among",
            ),
            ("[[release]]\nversion = \"v3.2.2\"\naccepts.postgres = \"*\"\n", "\"*\": expected a range"),
            (
                "[[release]]\nversion = \"v3.2.2\"\n[[release]]\nversion = \"v3.2.2\"\n",
                "\"v3.2.2\": a release that this file has twice",
            ),
            ("release = 5\n", "release: not a list of tables"),
            ("[storage]\nroot = \"/\"\n", "storage: unknown key"),
        ] {
            let said = mistakes(text);
            assert!(said.len() == 1 && said[0].contains(wanted), "{text}\n{said:?}\nwanted {wanted}");
        }
        let many: String = (0..600)
            .map(|n| ["[[release]]\nversion = \"v9.0.", &n.to_string(), "\"\npublished = 2026-01-01\n"].concat())
            .collect();
        assert!(mistakes(&many)[0].contains("too many releases"));
    }
}
