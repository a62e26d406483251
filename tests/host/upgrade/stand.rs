//! A host that runs v3.1.0 with something of everything in it, and what must be so after whatever befell an upgrade of it.

use crate::support::{Done, Host};

/// What it runs.
pub const OLD: &str = "v3.1.0";

/// What there is to upgrade to.
pub const NEW: &str = "v3.2.2";

/// Where its data is.
pub const PHOTOS: &str = "/var/lib/photos";

/// Of the image's repository.
pub const SERVER: &str = "ghcr.io/immich-app/immich-server";

/// The registry inside, as `podman push` writes it.
const REGISTRY: &str = "127.0.0.1:5000/immich-app/immich-server";

/// The newest migration of each, in schema.py of the server's stand-in.
const MIGRATIONS: [(&str, &str); 2] =
    [(OLD, "1783616874020-AddIntegrityReport"), (NEW, "1788542403000-AddApiKeyRotatedAt")];

/// The configuration of all: a gate that does not take longer than the tests have patience.
const CONFIGURATION: &str = "[upgrade]\ntimeout = \"90s\"\n";

/// A photograph a call; what was accepted is in /root/accepted, as the asset and the file's hash.
const UPLOAD: &str = include_str!("upload.sh");

/// Somebody with a key to the API.
const SIGN_UP: &str = r#"set -e
api() { curl -sf -m 10 -H 'Content-Type: application/json' "$@"; }
at=http://127.0.0.1:2283/api
who='"email":"admin@example.org","password":"a long password"'
api $at/auth/admin-sign-up -d "{\"name\":\"Admin\",$who}" >/dev/null
token=$(api $at/auth/login -d "{$who}" | jq -r .accessToken)
api $at/api-keys -H "Authorization: Bearer $token" -d '{"name":"all","permissions":["all"]}' | jq -r .secret >/root/key
[ -s /root/key ]
"#;

/// A host with v3.1.0, a few photographs, and a moment that database, queue and files can tell; its configuration names no
/// version.
pub fn old(test: &str) -> Host {
    let recipe = format!("{CONFIGURATION}{UPLOAD}{SIGN_UP}{}", include_str!("stand.rs"));
    let host = Host::from_saved(test, "upgrade", &recipe, || {
        let host = Host::with_images("upgrading");
        host.configure(&format!("[immich]\nversion = \"{OLD}\"\n"));
        host.ok("photos-agent apply");
        host.write("/root/upload", UPLOAD);
        host.ok(SIGN_UP);
        host.ok("for number in 1 2 3 4 5; do sh /root/upload; done && [ $(wc -l </root/accepted) = 5 ]");
        write(&host, "before");
        host.configure(CONFIGURATION);
        // What runs stays; the files' wish is for `upgrade`.
        host.ok("photos-agent apply");
        host.assert_converged();
        host
    });
    host.wait_for("photos-agent status", 90);
    serves(&host, OLD, &["before"]);
    host
}

/// Sets a key of `[upgrade]`, and makes that known: an upgrade changes one thing at a time.
pub fn configure(host: &Host, settings: &str) {
    host.configure(&format!("[upgrade]\n{settings}\n"));
    host.ok("photos-agent apply");
}

pub fn sql(host: &Host, statement: &str) -> String {
    host.ok(&format!("podman exec -u postgres immich-postgres psql -qU postgres -d immich -Atc \"{statement}\""))
}

/// A row, an original, a thumbnail and a job in a queue that stands still, with this name.
pub fn write(host: &Host, name: &str) {
    sql(host, &format!("CREATE TABLE IF NOT EXISTS moments (name text); INSERT INTO moments VALUES ('{name}')"));
    host.ok(&format!(
        "cd {PHOTOS}/live && mkdir -p media/upload/moments thumbs/moments && \
         echo {name} >media/upload/moments/{name}.jpg && echo {name} >thumbs/moments/{name}.webp && \
         podman exec immich-redis sh -c 'valkey-cli hset immich_bull:smartSearch:meta paused 1 && \
           valkey-cli lpush immich_bull:smartSearch:wait {name}'"
    ));
}

/// Names in the database, in originals and thumbnails as the server sees them, and in the queue.
fn moments(host: &Host) -> [String; 4] {
    let files = |folder: &str| {
        host.ok(&format!(
            "podman exec immich-server ls {folder} | sed 's/[.].*//' | sort | tr '\\n' ' ' | sed 's/ $//'"
        ))
    };
    [
        sql(host, "SELECT string_agg(name, ' ' ORDER BY name) FROM moments"),
        files("/data/upload/moments"),
        files("/data/thumbs/moments"),
        host.ok("podman exec immich-redis valkey-cli lrange immich_bull:smartSearch:wait 0 -1 | sort | tr '\\n' ' ' | sed 's/ $//'"),
    ]
}

/// This release is served, whole and alone, with what was written at these moments and every photograph that was accepted;
/// and it takes another one.
pub fn serves(host: &Host, release: &str, written: &[&str]) {
    for service in ["postgres", "redis", "ml", "server"] {
        host.wait_for(&format!("podman healthcheck run immich-{service} && systemctl is-active immich-{service}"), 90);
    }
    let answer =
        "curl -sf -m 5 http://127.0.0.1:2283/api/server/version | jq -r '\"v\\(.major).\\(.minor).\\(.patch)\"'";
    host.wait_for(&format!("[ \"$({answer})\" = {release} ]"), 30);
    for service in ["server", "ml"] {
        assert_eq!(host.ok(&format!("podman exec immich-{service} printenv STANDIN_VERSION")), release, "{service}");
    }
    let newest = sql(host, "SELECT name FROM kysely_migrations ORDER BY timestamp DESC, name DESC LIMIT 1");
    let (_, wanted) = MIGRATIONS.into_iter().find(|(known, _)| *known == release).expect("it is one of the two");
    assert_eq!(newest, wanted, "the schema of {release}");
    assert_eq!(moments(host), [written.join(" "), written.join(" "), written.join(" "), written.join(" ")]);
    // From the database and from the disk, through the server.
    host.ok("while read id sum; do \
               is=$(curl -sf -m 10 -H \"x-api-key: $(cat /root/key)\" http://127.0.0.1:2283/api/assets/$id/original | sha256sum); \
               [ \"$is\" = \"$sum  -\" ] || { echo \"lost: $id $sum\"; exit 1; }; \
             done </root/accepted");
    host.ok("sh /root/upload || { cat /run/refused; false; }");
    assert_nothing_is_open(host);
}

/// Doors open, nothing in the making, nothing frozen, nothing to do.
pub fn assert_nothing_is_open(host: &Host) {
    assert_eq!(host.ok("nft list tables | grep photos_agent_gate || :"), "", "the doors are open");
    host.ok(&format!(
        "for each in {PHOTOS}/next /var/lib/photos-agent/pending /run/photos-agent/resolving; do [ ! -e $each ] || {{ echo $each; exit 1; }}; done"
    ));
    assert_eq!(host.ok("systemctl show -P FreezerState photos.slice"), "running");
    let plan = host.run("photos-agent plan");
    assert!(plan.code == 0, "nothing to do: {}", plan.all());
}

/// What moves when data goes back: the subvolumes that a snapshot covers, by name and UUID.
pub fn subvolumes(host: &Host) -> String {
    host.ok(&format!(
        "cd {PHOTOS}/live && for part in *; do echo $part $(btrfs subvolume show $part | grep -m 1 UUID:); done"
    ))
}

/// What would be started anew by whoever touches the server.
pub fn container(host: &Host) -> String {
    host.ok("podman inspect -f '{{.Id}} {{.State.StartedAt}}' immich-server")
}

/// Puts the server's image of one tag in the registry in the place of another; the host's own store is as it was.
pub fn push(host: &Host, from: &str, to: &str) {
    host.ok(&format!("podman push -q {SERVER}:{from} {REGISTRY}:{to}"));
}

/// Keeps the good image under a tag that nothing touches, for `push` to put back.
pub fn keep_good(host: &Host) {
    host.ok(&format!("podman tag {SERVER}:{NEW} {SERVER}:good"));
}

/// Makes the image of `component` in the registry so large that a pull takes its time, and forgets it here.
pub fn enlarge(host: &Host, component: &str, megabytes: u32) {
    let name = format!("immich-app/immich-{component}:{NEW}");
    host.ok(&format!(
        "mkdir -p /root/large && cd /root/large && head -c {megabytes}M /dev/urandom >filler && \
         printf 'FROM ghcr.io/{name}\\nCOPY filler /filler\\n' | podman build -q --pull=never --format=oci -t localhost/large -f - . && \
         podman push -q localhost/large 127.0.0.1:5000/{name} && podman rmi -f localhost/large ghcr.io/{name} && rm filler"
    ));
}

/// The upgrade.
pub fn upgrade(host: &Host) -> Done {
    host.run(&format!("timeout 300 photos-agent upgrade --to {NEW} --now"))
}

/// It comes to this exit code.
pub fn upgrade_ends(host: &Host, code: i32) -> Done {
    let done = upgrade(host);
    assert!(done.code == code, "wanted exit {code}: {}", done.all());
    done
}
