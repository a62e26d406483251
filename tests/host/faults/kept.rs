//! What holds of snapshots and of frozen services after a fault, whatever the operation was.

use std::time::{Duration, Instant};

use crate::faults::fault::Kind;
use crate::faults::hosts::BASES;
use crate::support::Host;

/// Tenths of a second after which something counts as frozen for good. The guard's two seconds are a promise to a machine that
/// is not busy with three hosts: how long it really took is in the table.
const FROZEN: u32 = 100;

/// Tenths of a second until everything that the freeze left waiting was started, and the guard is gone.
const STUCK: u32 = 300;

/// Every part of every snapshot that has a manifest, as `ID PART UUID`, `half` where it is not what the manifest says.
const SNAPSHOTS: &str = r#"
for manifest in /srv/pool/photos/.snapshots/*/manifest.json /var/lib/photos/.snapshots/*/manifest.json; do
  [ -e $manifest ] || continue
  id=$(basename $(dirname $manifest))
  jq -r '.parts | to_entries[] | "\(.key) \(.value.uuid)"' $manifest >/run/parts && [ -s /run/parts ] || echo half $id: no manifest
  while read part uuid; do
    shown=$(btrfs subvolume show $(ls -d {/srv/pool/photos,/var/lib/photos,/var/lib/databases}/.snapshots/$id/$part/snapshot 2>/dev/null) 2>&1)
    case $shown in *"UUID: "*"$uuid"*readonly*) echo $id $part $uuid;; *) echo half $id $part $uuid: $shown;; esac
  done </run/parts
done
"#;

/// Subvolumes that nothing accounts for, and folders of snapshots that are none.
const DEBRIS: &str = r"
for base in $BASES; do
  [ -d $base ] || continue
  find $base -mindepth 1 -inum 256 -prune -printf '%P\n' | grep -vxE '(live|keep|replaced/[0-9]{6,})/[a-z-]+(\.cut-off[-.0-9]*)?|\.snapshots/[^/]+/[a-z-]+/snapshot' | grep -v theirs
  for folder in $base/.snapshots/*/; do
    whole=.snapshots/$(basename $folder)/manifest.json
    [ ! -d $folder ] || [ -e /srv/pool/photos/$whole ] || [ -e /var/lib/photos/$whole ] || find $folder -maxdepth 2
  done
  find $base/.snapshots $base/replaced -maxdepth 2 -name '.photos-agent-*' 2>/dev/null
  [ ! -e $base/next ] || echo $base/next
done
true
";

/// The parts of all snapshots: each one that has a manifest is whole.
pub fn assert_whole(host: &Host) -> Vec<String> {
    let parts = host.ok(&format!("bash -c '{}'", SNAPSHOTS.replace('\'', "'\\''")));
    assert!(!parts.contains("half"), "a snapshot that is half of one: {parts}");
    parts.lines().map(str::to_owned).collect()
}

/// Nothing is left of what was interrupted.
pub fn assert_no_debris(host: &Host) {
    let script = DEBRIS.replace("$BASES", &BASES.join(" ")).replace('\'', "'\\''");
    assert_eq!(host.ok(&format!("bash -c '{script}'")), "", "debris");
}

/// Everything moves, and nothing waits for a move that has come and gone. Returns how long that took.
pub fn assert_thawed(host: &Host, kind: Kind) -> Duration {
    let begun = Instant::now();
    let guards = "systemctl list-units --all --no-legend 'photos-thaw*'";
    if matches!(kind, Kind::NoSpace | Kind::Io) {
        // The command has seen to it itself: a guard that is left would thaw the next one.
        assert_eq!(host.ok(guards), "");
    }
    let within = |tenths: u32, condition: &str| {
        format!("i=0; until {condition}; do i=$((i + 1)); [ $i -lt {tenths} ] || exit 1; sleep 0.1; done; ")
    };
    let moves = within(FROZEN, "[ $(systemctl show -P FreezerState photos.slice) = running ]");
    let goes_on = within(
        STUCK,
        &format!(
            "{{ ! systemctl show -P SubState 'immich-*' | grep -qx auto-restart-queued && [ -z \"$({guards})\" ]; }}"
        ),
    );
    let frozen = host.run(&moves);
    let thawed = begun.elapsed();
    assert!(frozen.code == 0, "photos.slice is still frozen");
    let state = "systemctl list-units --all --no-legend 'photos*' 'immich-*'";
    assert!(host.run(&goes_on).code == 0, "something is stuck: {}", host.ok(state));
    thawed
}
