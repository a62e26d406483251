#!/bin/sh
# As the reference image has it: the first argument says which program.
if [ "${1:-}" = icloudpd ]; then
  shift
  exec /app/icloudpd "$@"
fi
echo "Error: must specify the name of the program as the first argument: icloudpd" >&2
exit 1
