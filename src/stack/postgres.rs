//! The database.

use super::unit::Unit;
use super::{Context, DATABASE_PASSWORD, Refusal};
use crate::model::{DatabaseStorage, PostgresMajor, Service, Subvolume};
use crate::quadlet::{OnFailure, Value};

const BASE: &str = include_str!("../../quadlets/immich-postgres.container");

/// The first major version whose image keeps its data in a folder per version, below the mount.
const PER_VERSION_FOLDERS: u32 = 18;

pub(super) fn unit(context: &Context<'_>) -> Result<Unit, Refusal> {
    let mut unit = Unit::service(BASE, Service::Postgres, context)?;
    unit.mount(context, Subvolume::Postgres, data_folder(context.images.major), "")?;
    if context.settings.postgres.storage == DatabaseStorage::Hdd {
        unit.environment("DB_STORAGE_TYPE", "HDD")?;
    }
    let set_password = ["exec", "--user=postgres", Service::Postgres.stem(), "sh", "-c", &password_script()];
    // A database that runs is worth more than a password that is set: the server says what is wrong with it.
    let command = Value::command(OnFailure::Ignore, &context.facts.programs.podman, set_password);
    unit.add("Service", "ExecStartPost", command)?;
    unit.commit(context, Subvolume::Postgres)?;
    Ok(unit)
}

/// Where the image declares its volume: it moved in PostgreSQL 18, and a mount at the old place would leave the
/// data in an anonymous volume, which Podman deletes with the container.
pub(super) fn data_folder(major: PostgresMajor) -> &'static str {
    if major.get() >= PER_VERSION_FOLDERS { "/var/lib/postgresql" } else { "/var/lib/postgresql/data" }
}

/// Gives the role the password of the secret, over the local socket, after every start: a restored cluster knows
/// the password of its own time.
///
/// psql reads the file inside the container, so that the password is in no argument list; statements are not
/// logged in this session, whatever the cluster's configuration says.
fn password_script() -> String {
    let options = quiet();
    let read = format!("\\set password `cat /run/secrets/{DATABASE_PASSWORD}`");
    format!(
        "printf '%s\\n' '{}' '{}' | PGOPTIONS='{options}' psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 \
         --username=postgres --dbname=postgres",
        read,
        SET_PASSWORD.replace('\'', "'\\''"),
    )
}

/// psql quotes the variable.
const SET_PASSWORD: &str = "ALTER ROLE postgres PASSWORD :'password';";

/// A session in which no statement is logged.
fn quiet() -> String {
    let options = ["log_statement=none", "log_min_duration_statement=-1", "log_min_error_statement=panic"];
    options.map(|option| format!("-c {option}")).join(" ")
}

/// For [`session`]: tells whether statements get through, and changes nothing.
pub const NO_STATEMENT: &str = "SELECT 1;\n";

/// For [`session`]: gives the role this password.
pub fn password_statement(password: &str) -> String {
    // As psql reads an argument of its own commands in single quotes.
    let quoted = password.replace('\\', r"\\").replace('\'', r"\'");
    format!("\\set password '{quoted}'\n{SET_PASSWORD}\n")
}

/// What a database says of itself, for a manifest and for whoever judges it: a JSON document a line.
macro_rules! vitals {
    ($first:literal) => {
        concat!(
            r"\pset tuples_only on
\pset format unaligned
",
            $first,
            r"SELECT json_build_object('version', current_setting('server_version'), 'checksums', current_setting('data_checksums') = 'on',
 'checksum_failures', (SELECT coalesce(sum(checksum_failures), 0)::bigint FROM pg_stat_database));
\connect immich
SELECT to_regclass('kysely_migrations') IS NOT NULL AS migrated \gset
\if :migrated
SELECT json_build_object('migration', (array_agg(name ORDER BY timestamp DESC, name DESC))[1],
 'migrations', count(*) || ' ' || encode(sha256(convert_to(string_agg(name, ',' ORDER BY name), 'UTF8')), 'hex')) FROM kysely_migrations;
\endif
"
        )
    };
}

/// For [`session`]: has the database say of itself what belongs into a manifest, in a JSON document a line.
pub const VITALS: &str = vitals!("");

/// The same, after it has written out all that it holds in memory.
pub const CHECKPOINT: &str = vitals!("CHECKPOINT;\n");

/// Whom a command of the agent is in the container: the reference image's `postgres`, by number. Podman looks a name up in the
/// container's `/etc/passwd` before it enters, by a path on the host, and a unit with a mount namespace of its own
/// (docs/hardening.md) has nothing there where the container was started after the unit.
pub(super) const AS_POSTGRES: &str = "--user=999:999";

/// Podman's arguments for a session in the database's container that reads statements from standard input.
pub fn session(container: &str) -> Vec<String> {
    let options = format!("--env=PGOPTIONS={}", quiet());
    // Terse: an error does not repeat the statement.
    let psql = ["psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--set=VERBOSITY=terse"];
    let database = ["--username=postgres", "--dbname=postgres"];
    // A server that hangs takes connections and says nothing.
    let patience = "--env=PGCONNECT_TIMEOUT=30";
    let exec = ["exec", "--interactive", AS_POSTGRES, &options, patience, container];
    exec.into_iter().chain(psql).chain(database).map(str::to_owned).collect()
}

/// For [`session`]: how many photographs and videos the database has had since a moment, as a number on the last line. The
/// moment is one of ours, as RFC 3339 has it.
pub fn assets_since(moment: &str) -> String {
    format!(
        "\\pset tuples_only on\n\\pset format unaligned\n\\connect immich\n\
         SELECT to_regclass('asset') IS NOT NULL AS known \\gset\n\\if :known\n\
         SELECT count(*) FROM asset WHERE \"createdAt\" > '{moment}';\n\\endif\n"
    )
}

/// Podman's arguments for the database as text of PostgreSQL's own, compressed, on standard output.
pub fn dump(container: &str) -> Vec<String> {
    let exec = ["exec", AS_POSTGRES, container];
    let dump = ["pg_dump", "--username=postgres", "--dbname=immich", "--format=custom"];
    exec.into_iter().chain(dump).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_in_the_statements_and_in_no_argument() {
        assert_eq!(password_statement("aB3"), "\\set password 'aB3'\nALTER ROLE postgres PASSWORD :'password';\n");
        assert!(password_statement(r"a'\b").starts_with(r"\set password 'a\'\\b'"));
        assert!(!session("c0ffee").iter().any(|argument| argument.contains("aB3")));
    }
}
