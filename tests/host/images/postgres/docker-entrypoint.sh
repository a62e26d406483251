#!/bin/bash
# Makes the cluster at the first start, writes the server's configuration at every start, then becomes the server as
# uid 999. Needs CHOWN, DAC_OVERRIDE, FOWNER, SETUID and SETGID, or to be started as 999. A read-only root filesystem is
# fine where /tmp, /run, /var/run/postgresql and /etc/postgresql can be written.
set -euo pipefail
umask 077

value() { # value DEFAULT NAME...: the first of these variables that is set, or the content of the file that NAME_FILE names
  local default=$1 name file
  shift
  for name; do
    file=${name}_FILE
    if [ -n "${!name:-}" ] && [ -n "${!file:-}" ]; then
      echo "error: both $name and $file are set (but are exclusive)" >&2
      exit 1
    fi
    if [ -n "${!file:-}" ]; then
      printf '%s' "$(<"${!file}")"
      return
    elif [ -n "${!name:-}" ]; then
      printf '%s' "${!name}"
      return
    fi
  done
  printf '%s' "$default"
}

as_postgres() {
  if [ "$(id -u)" = 0 ]; then setpriv --reuid=999 --regid=999 --clear-groups -- "$@"; else "$@"; fi
}

make_cluster() {
  local user password database
  user=$(value postgres POSTGRES_USER DB_USERNAME)
  password=$(value '' POSTGRES_PASSWORD DB_PASSWORD)
  database=$(value "$user" POSTGRES_DB DB_DATABASE_NAME)
  if [ -z "$password" ] && [ "${POSTGRES_HOST_AUTH_METHOD:-}" != trust ]; then
    echo "Error: Database is uninitialized and superuser password is not specified." >&2
    echo "       You must specify POSTGRES_PASSWORD to a non-empty value for the superuser." >&2
    exit 1
  fi
  if [ -n "$(ls -A "$PGDATA")" ]; then
    echo "initdb: error: directory \"$PGDATA\" exists but is not empty" >&2
    exit 1
  fi
  # The password goes through a pipe that belongs to 999, never through a file or an argument.
  # shellcheck disable=SC2016,SC2086 # the inner shell expands; the variable is several arguments, as in the reference image
  PASSWORD=$password as_postgres bash -c 'exec initdb --pwfile=<(printf "%s\n" "$PASSWORD") "$@"' initdb \
    --username="$user" --auth-local=trust --auth-host=scram-sha-256 ${POSTGRES_INITDB_ARGS:-}
  printf '\nhost all all all %s\n' "${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >>"$PGDATA/pg_hba.conf"
  as_postgres pg_ctl --wait --silent -o "-c listen_addresses=''" start
  if [ "$database" != postgres ]; then
    as_postgres psql --no-psqlrc --quiet --username="$user" --dbname=postgres --set=database="$database" \
      <<<'CREATE DATABASE :"database";'
  fi
  as_postgres pg_ctl --wait --silent --mode=fast stop
  echo "PostgreSQL init process complete; ready for start up."
}

refuse_old_data() { # from 18 on: a cluster of another major, or a mount where data was up to 17, would be left beside an empty cluster
  local folder found=()
  [ "$PGDATA" = "/var/lib/postgresql/$PG_MAJOR/docker" ] && [ ! -s "$PGDATA/PG_VERSION" ] || return 0
  for folder in /var/lib/postgresql /var/lib/postgresql/data /var/lib/postgresql/*/docker; do
    [ ! -s "$folder/PG_VERSION" ] || found+=("$folder")
  done
  if [ ${#found[@]} = 0 ] && grep -q ' /var/lib/postgresql/data ' /proc/self/mountinfo; then
    found=('/var/lib/postgresql/data (unused mount/volume)')
  fi
  [ ${#found[@]} = 0 ] || {
    echo 'Error: in 18+, these Docker images are configured to store database data in a' >&2
    echo '       format which is compatible with "pg_ctlcluster".' >&2
    printf '       Counter to that, there appears to be PostgreSQL data in:\n' >&2
    printf '         %s\n' "${found[@]}" >&2
    exit 1
  }
}

if [ "${1:-}" = postgres ]; then
  refuse_old_data
  # the server goes through the folders above its own
  (umask 022 && mkdir -p "$PGDATA" /var/run/postgresql)
  if [ "$(id -u)" = 0 ]; then
    find "$PGDATA" \! -user 999 -exec chown 999:999 '{}' +
    chown 999:999 /var/run/postgresql
    chmod 0700 "$PGDATA"
  fi
  chmod 1777 /var/run/postgresql 2>/dev/null || true
  [ -s "$PGDATA/PG_VERSION" ] || make_cluster
  case ${DB_STORAGE_TYPE:-SSD} in [Hh][Dd][Dd]) kind=hdd ;; *) kind=ssd ;; esac
  sed "s,/var/lib/postgresql/data/,$PGDATA/," "/usr/local/share/postgresql/postgresql.$kind.conf" >/etc/postgresql/postgresql.conf
  chmod 0644 /etc/postgresql/postgresql.conf
  # secrets have done their work, and the server's own environment need not carry them
  unset POSTGRES_PASSWORD DB_PASSWORD
  if [ "$(id -u)" = 0 ]; then exec setpriv --reuid=999 --regid=999 --clear-groups -- "$@"; fi
fi
exec "$@"
