//! Whether the database may go to another major version, and with which image.

use crate::catalogue::Catalogue;
use crate::model::{ImageRef, PostgresMajor, Refusal, Release};
use crate::plan::upgrade::images::refuse_database;
use crate::plan::upgrade::refusals;
use crate::stack::major_of;

/// All that has to be known.
#[derive(Debug, Clone)]
pub struct MajorQuestion<'a> {
    /// Where to.
    pub wanted: PostgresMajor,
    /// The major version of the cluster on disk.
    pub cluster: Option<PostgresMajor>,
    /// The release of Immich that runs.
    pub runs: &'a Release,
    /// The image of the database that runs, as it was written.
    pub database: Option<&'a ImageRef>,
    /// The releases that are known.
    pub catalogue: &'a Catalogue,
    /// `postgres.major`
    pub written: Option<PostgresMajor>,
    /// `images.postgres`
    pub named: Option<&'a ImageRef>,
}

/// The image; none where that major version runs already.
pub fn to_major(question: &MajorQuestion<'_>) -> Result<Option<ImageRef>, Vec<Refusal>> {
    let MajorQuestion { wanted, runs, catalogue, .. } = *question;
    let refuse = |why: String, remedy: &str| vec![Refusal::new(format!("PostgreSQL {wanted}"), why, remedy)];
    let Some(cluster) = question.cluster else {
        let why = "cannot take the place of a cluster that is not there, or whose version is not known".to_owned();
        return Err(refuse(why, "photos-agent status; photos-agent doctor"));
    };
    if wanted == cluster {
        return Ok(None);
    }
    if wanted < cluster {
        let why = format!("is older than {cluster}, which runs, and a database goes to a newer major version only");
        return Err(refuse(why, "the older one comes back with its data of then: photos-agent rollback"));
    }
    let Some(entry) = catalogue.nearest(runs) else { return Err(vec![refusals::unknown(runs, catalogue)]) };
    let accepted = &entry.accepts.postgres;
    if accepted.take(&wanted.to_string()) == Some(false) {
        let why = format!("is not taken by Immich {runs}, which takes {accepted}");
        return Err(refuse(why, "name another one, or upgrade Immich first: photos-agent upgrade --check"));
    }
    if let Some(written) = question.written.filter(|written| *written != wanted) {
        let why = format!("says {written}, and would say so still when {wanted} runs");
        let remedy = format!("let it say {wanted}, or remove the line; photos-agent apply, and then this again");
        return Err(vec![Refusal::new("postgres.major", why, remedy)]);
    }
    let image = match question.named {
        Some(named) if major_of(named) == Some(wanted) => named,
        Some(named) => {
            let why = format!("names {named}, whose tag does not begin with {wanted}");
            let remedy = "name one that has it, or remove the line; photos-agent apply, and then this again";
            return Err(vec![Refusal::new("images.postgres", why, remedy)]);
        }
        None => entry.postgres.get(&wanted).ok_or_else(|| {
            let majors: Vec<String> = entry.postgres.keys().map(ToString::to_string).collect();
            let why = format!("has no image in the catalogue for Immich {runs}: there are {}", majors.join(", "));
            refuse(why, "name one: `postgres = \"...\"` in [images]; photos-agent apply, and then this again")
        })?,
    };
    let refused = refuse_database(entry, runs, question.database, image);
    if refused.is_empty() { Ok(Some(image.clone())) } else { Err(refused) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn major(number: u32) -> PostgresMajor {
        number.try_into().unwrap()
    }

    #[test]
    fn a_database_goes_up_to_what_the_server_takes_and_there_is_an_image_of() {
        let image = |tag: &str| format!("ghcr.io/immich-app/postgres:{tag}").parse::<ImageRef>().unwrap();
        let (release, catalogue) = ("v3.2.2".parse().unwrap(), Catalogue::embedded());
        let runs = image("17-vectorchord1.1.1");
        for (wanted, cluster, written, named, said) in [
            (18, Some(17), None, None, Ok("18-vectorchord1.1.1")),
            (18, Some(17), Some(18), None, Ok("18-vectorchord1.1.1")),
            (18, Some(14), None, None, Ok("18-vectorchord1.1.1")),
            (18, Some(17), None, Some("18-mine"), Ok("18-mine")),
            (17, Some(17), None, None, Ok("")),
            (16, Some(17), None, None, Err("photos-agent rollback")),
            (18, None, None, None, Err("not known")),
            (18, Some(17), Some(17), None, Err("let it say 18")),
            (18, Some(17), None, Some("17-mine"), Err("does not begin with 18")),
            (18, Some(17), None, Some("mine"), Err("does not begin with 18")),
            (18, Some(17), None, Some("18-vectorchord1.0.0"), Err("does not go back")),
            (18, Some(17), None, Some("18-vectorchord2.1.0"), Err("takes")),
        ] {
            let named = named.map(image);
            let question = MajorQuestion {
                wanted: major(wanted),
                cluster: cluster.map(major),
                runs: &release,
                database: Some(&runs),
                catalogue: &catalogue,
                written: written.map(major),
                named: named.as_ref(),
            };
            match (to_major(&question), said) {
                (Ok(image), Ok(tag)) => {
                    assert_eq!(image.as_ref().and_then(ImageRef::tag).unwrap_or_default(), tag);
                }
                (Err(refusals), Err(words)) => {
                    let text: Vec<String> = refusals.iter().map(|one| format!("{one}; {}", one.remedy)).collect();
                    assert!(text.join("\n").contains(words), "{words}: {text:?}");
                }
                (found, _) => panic!("{question:?}: {found:?}"),
            }
        }
    }
}
