//! Tests on a real host: systemd, Podman and BTRFS. See README.md beside this file.
