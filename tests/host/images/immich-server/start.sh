#!/bin/sh
# python replaces the shell, so that SIGTERM reaches the server
[ $# = 0 ] || exec "$@"
exec python3 -E -s /usr/src/app/server/main.py
