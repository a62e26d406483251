//! The hosts that faults happen on, with things of other people on them, which nothing may touch.
//!
//! They are made once per deb and kept.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::faults::scenario::{APPLY, SNAPSHOTS, UPGRADES};
use crate::faults::strike::measure;
use crate::faults::{snapshots, upgrades};
use crate::support::Host;

/// The operator's own: a network, a secret, a volume, quadlets (one runs), units, drop-ins of ours, folders and subvolumes.
const FOREIGN: &str = r#"set -e
podman network create --subnet 10.77.0.0/24 theirs
printf foreign | podman secret create theirs -
podman volume create theirs
mkdir -p /etc/containers/systemd/photos-agent/immich-redis.container.d /etc/systemd/system/immich-server.service.d /var/lib/theirs
cat >/etc/containers/systemd/theirs.container <<EOF
[Container]
ContainerName=theirs
Image=docker.io/valkey/valkey:9
Exec=sleep inf
Network=theirs
Volume=theirs:/data
StopTimeout=0
[Service]
Restart=always
[Install]
WantedBy=multi-user.target
EOF
sed 's/^ContainerName=.*//; /Install/,$d' /etc/containers/systemd/theirs.container >/etc/containers/systemd/photos-agent/theirs-too.container
printf '[Container]\nEnvironment=THEIRS=1\n' >/etc/containers/systemd/photos-agent/immich-redis.container.d/50-theirs.conf
printf '[Service]\nEnvironment=THEIRS=1\n' >/etc/systemd/system/immich-server.service.d/50-theirs.conf
printf '[Service]\nType=oneshot\nExecStart=true\n[Install]\nWantedBy=multi-user.target\n' >/etc/systemd/system/photos-theirs.service
echo 'net.ipv4.tcp_mtu_probing = 1' >/etc/sysctl.d/60-theirs.conf
echo theirs >/var/lib/theirs/file
btrfs -q subvolume create /var/lib/theirs/subvolume
echo theirs >/var/lib/theirs/subvolume/file
systemctl daemon-reload
systemctl enable photos-theirs
systemctl start theirs
podman exec theirs sh -c 'echo theirs >/data/file'
"#;

/// The same within the storage, and what people entrusted to the stack: a photograph and a row.
const ENTRUSTED: &str = r#"set -e
cd /var/lib/photos
mkdir -p live/theirs theirs live/media/upload/somebody
btrfs -q subvolume create live/theirs-subvolume
btrfs -q subvolume create keep/theirs-subvolume
for folder in live/theirs theirs live/theirs-subvolume keep/theirs-subvolume; do echo theirs >$folder/file; done
btrfs -q subvolume snapshot -r live/media live/theirs-snapshot
head -c 300000 /dev/urandom >live/media/upload/somebody/photo.jpg
podman exec -u postgres immich-postgres psql -qU postgres -d immich -c "CREATE TABLE survivor (name text)" -c "INSERT INTO survivor VALUES ('somebody')"
"#;

/// A line for each of them, the same as long as nobody touched it.
pub const FINGERPRINT: &str = r"
cd /
podman network inspect theirs -f '{{.ID}} {{.Created}} {{.Subnets}}'
podman secret inspect --showsecret theirs -f '{{.ID}} {{.CreatedAt}} {{.SecretData}}'
podman volume inspect theirs -f '{{.CreatedAt}} {{.Mountpoint}}'
podman network ls -q | grep -vx -e photos -e photos-egress
podman secret ls --noheading -f name=theirs --format '{{.Name}}'
podman volume ls -q
systemctl is-enabled photos-theirs; systemctl is-active theirs
find etc/containers/systemd etc/systemd/system etc/sysctl.d var/lib/theirs var/lib/photos/theirs var/lib/photos/*/theirs* \
     var/lib/photos/live/media/upload/somebody var/lib/containers/storage/volumes/theirs \
     \( -path '*theirs*' -o -path '*somebody*' \) -printf '%p %y %m %U:%G %l %TY-%Tm-%Td %TT\n' 2>/dev/null | sort
find etc/containers/systemd etc/systemd/system etc/sysctl.d var/lib/theirs var/lib/photos/theirs var/lib/photos/*/theirs* \
     var/lib/photos/live/media/upload/somebody var/lib/containers/storage/volumes/theirs \
     \( -path '*theirs*' -o -path '*somebody*' \) -type f -exec sha256sum {} + 2>/dev/null | sort
for subvolume in var/lib/theirs/subvolume var/lib/photos/*/theirs-s*; do
  [ ! -e $subvolume ] || btrfs subvolume show $subvolume | grep -E '^\s+(UUID|Creation time|Flags)'
done
true
";

/// Where the subvolumes of any of them are.
pub const BASES: [&str; 3] = ["/var/lib/photos", "/srv/pool/photos", "/var/lib/databases"];

/// Hosts that were booted to look at them, by their home, for the first that needs one.
static SPARE: Mutex<BTreeMap<&str, Host>> = Mutex::new(BTreeMap::new());

/// The agent is installed and was never run; the images are there.
pub fn empty(test: &str) -> Host {
    Host::from_saved(test, "faults-empty", FOREIGN, || {
        let host = Host::with_images("faultsempty");
        host.ok(FOREIGN);
        host
    })
}

/// The same, converged, every scenario of [`APPLY`] measured.
pub fn converged(test: &str) -> Host {
    let host = take_spare("converged").unwrap_or_else(|| {
        Host::from_saved(test, "faults-converged", &recipe(ENTRUSTED), || {
            let host = empty("faultsconverged");
            for (number, scenario) in APPLY.into_iter().enumerate() {
                measure(&host, scenario);
                if number == 0 {
                    host.ok(ENTRUSTED);
                }
            }
            host
        })
    });
    host.wait_for("photos-agent status", 90);
    host
}

/// The same on two disks, with a snapshot, every scenario of [`SNAPSHOTS`] measured.
pub fn snapshots(test: &str) -> Host {
    let host = take_spare("snapshots").unwrap_or_else(|| {
        Host::from_saved(test, "faults-snapshots", &recipe(include_str!("snapshots.rs")), || {
            let host = empty("faultssnapshots");
            snapshots::entrust(&host);
            for scenario in SNAPSHOTS {
                measure(&host, scenario);
            }
            host
        })
    });
    host.wait_for("photos-agent status", 90);
    host
}

/// One release before the newest, every scenario of [`UPGRADES`] measured.
pub fn upgrades(test: &str) -> Host {
    let host = take_spare("upgrades").unwrap_or_else(|| {
        Host::from_saved(test, "faults-upgrades", &recipe(include_str!("upgrades.rs")), || {
            let host = empty("faultsupgrades");
            upgrades::entrust(&host);
            for scenario in UPGRADES {
                measure(&host, scenario);
            }
            host
        })
    });
    host.wait_for("photos-agent status", 90);
    host
}

/// What a saved host is made from, and measured with.
fn recipe(entrusted: &str) -> String {
    let measures = concat!(include_str!("strike.rs"), include_str!("apply.rs"), include_str!("scenario.rs"));
    format!("{FOREIGN}{entrusted}{measures}")
}

/// Keeps it for the next scenario with this home.
pub fn keep_spare(home: &'static str, host: Host) {
    SPARE.lock().unwrap_or_else(PoisonError::into_inner).insert(home, host);
}

/// The one that nobody needed yet.
pub fn take_spare(home: &str) -> Option<Host> {
    SPARE.lock().unwrap_or_else(PoisonError::into_inner).remove(home)
}
