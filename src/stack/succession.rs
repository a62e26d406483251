//! What is run in the two databases when one takes the place of the other: everything is copied, and then counted in both.
//!
//! Every database of the cluster, its roles and their settings among it: an operator may have more in it than Immich does.
//! What lies beside the data in files (`pg_hba.conf`, `ALTER SYSTEM`) is the image's again.

/// Run in the successor, whose `pg_dump` knows both versions. A dump says by itself that nothing is looked up in a schema that
/// is not named, where functions in constraints may rely on it; Immich's own restore changes the same line. It is among the first
/// ones, before any data. The role is there already.
///
/// PostgreSQL 17.12 keeps a column's version among the options that can be set for it. A `pg_dump` that is newer by its major
/// version and older by its date (18.6) writes them down, and its server knows no such option. They say nothing outside of
/// their own cluster, and go, in the clone.
pub const COPY: &str = r#"set -euo pipefail
take() {
  psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --set=VERBOSITY=terse --username=postgres --dbname=template1 --output=/dev/null
}
from() {
  local program=$1
  shift
  "$program" --host=/mnt --username=postgres "$@" </dev/null
}
from pg_dumpall --globals-only | sed '/^CREATE ROLE postgres;$/d' | take
names=$(from psql --no-psqlrc --tuples-only --no-align --dbname=template1 \
  --command='SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY datname')
while IFS= read -r name; do
  PGDATABASE=$name PGOPTIONS='-c allow_system_table_mods=on' from psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 \
    --command="UPDATE pg_catalog.pg_attribute
 SET attoptions = nullif(ARRAY(SELECT option FROM unnest(attoptions) option WHERE option NOT LIKE 'pg_attver=%'), '{}')
 WHERE attoptions::text LIKE '%pg_attver=%'"
  PGDATABASE=$name from pg_dump --create --clean --if-exists |
    sed "1,400s/^SELECT pg_catalog.set_config('search_path', '', false);\$/SELECT pg_catalog.set_config('search_path', 'public, pg_catalog', false);/" |
    take
done <<<"$names""#;

/// Run in both: a line for everything that has to be the same, in JSON. Each table of each schema that is not the
/// system's with the number of its rows, each sequence with where it is, each extension, the last of Immich's migrations.
/// Sorted, and nothing in it depends on the version.
pub const CENSUS: &str = r#"set -euo pipefail
names=$(psql --no-psqlrc --tuples-only --no-align --username=postgres --dbname=template1 \
  --command='SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY datname' </dev/null)
while IFS= read -r name; do
  PGDATABASE=$name psql --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 --username=postgres <<'SQL'
SELECT json_build_array(current_database(), 'database', pg_encoding_to_char(encoding), datcollate, datctype)
 FROM pg_database WHERE datname = current_database();
SELECT format('SELECT json_build_array(current_database(), ''rows'', %L, %L, count(*)) FROM %I.%I',
 nspname, relname, nspname, relname) FROM pg_class JOIN pg_namespace ON relnamespace = pg_namespace.oid
 WHERE relkind IN ('r', 'p', 'm') AND relpersistence <> 't' AND relispopulated
 AND nspname <> 'information_schema' AND nspname !~ '^pg_' ORDER BY nspname, relname \gexec
SELECT json_build_array(current_database(), 'sequence', schemaname, sequencename, last_value)
 FROM pg_sequences ORDER BY schemaname, sequencename;
SELECT json_build_array(current_database(), 'extension', extname) FROM pg_extension ORDER BY extname;
SELECT 'SELECT json_build_array(current_database(), ''migration'', name) FROM public.kysely_migrations
 ORDER BY timestamp DESC, name DESC LIMIT 1' WHERE to_regclass('public.kysely_migrations') IS NOT NULL \gexec
SQL
done <<<"$names""#;

/// Run in the successor when all is in it: what the planner has to know of it, and that its pages have checksums.
pub const ANALYZE: &str = r#"set -euo pipefail
vacuumdb --username=postgres --all --analyze-only --quiet
[ "$(psql --no-psqlrc --tuples-only --no-align --username=postgres --dbname=postgres --command='SHOW data_checksums')" = on ] || {
  echo 'the image has made a cluster without data checksums' >&2
  exit 1
}"#;
