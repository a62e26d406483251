#!/bin/bash
# Healthy: the server answers, and no page of any database has failed its checksum.
set -euo pipefail
user=${POSTGRES_USER:-${DB_USERNAME:-postgres}}
database=${POSTGRES_DB:-${DB_DATABASE_NAME:-$user}}
pg_isready --quiet --dbname="$database" --username="$user" || exit 1
failures=$(psql --dbname="$database" --username="$user" --no-psqlrc --tuples-only --no-align \
  --command='SELECT COALESCE(SUM(checksum_failures), 0) FROM pg_stat_database')
[ "$failures" = 0 ] || {
  echo "checksum failures: $failures"
  exit 1
}
