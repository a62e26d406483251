#!/bin/sh
# The reference image's manners: options alone mean the server, root becomes 999, and other containers may connect.
set -e
case ${1:-} in -* | *.conf) set -- valkey-server "$@" ;; esac
if [ "$1" = valkey-server ]; then
  set -- "$@" --protected-mode no
  if [ "$(id -u)" = 0 ]; then
    find . \! -user 999 -exec chown 999:999 '{}' +
    exec setpriv --reuid=999 --regid=999 --clear-groups -- "$@"
  fi
fi
exec "$@"
