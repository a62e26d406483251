//! A change of the configuration, or of what somebody did to our files, changes what it must and nothing else.

use std::time::Instant;

use crate::support::{Done, Host};

/// Writes the configuration of this test; empty: the defaults.
fn configure(host: &Host, text: &str) {
    host.write("/etc/photos-agent/config.d/50-mine.toml", text);
}

fn id(host: &Host, container: &str) -> String {
    host.ok(&format!("podman inspect -f '{{{{.Id}}}}' {container}"))
}

/// The containers' ids: those of a service that was restarted differ.
fn ids(host: &Host) -> [String; 4] {
    ["postgres", "redis", "ml", "server"].map(|service| id(host, &format!("immich-{service}")))
}

fn version(host: &Host, port: u16) -> String {
    host.ok(&format!(
        "curl -sf http://127.0.0.1:{port}/api/server/version | jq -r '\"\\(.major).\\(.minor).\\(.patch)\"'"
    ))
}

fn sql(host: &Host, query: &str) -> String {
    host.ok(&format!("podman exec -u postgres immich-postgres psql -U postgres -d immich -Atc '{query}'"))
}

fn last_operation(host: &Host, filter: &str) -> String {
    host.ok(&format!("photos-agent --json history | jq -r '.operations[0]{filter}'"))
}

#[test]
fn a_changed_configuration_restarts_what_it_is_about_and_nothing_else() {
    let host = Host::with_images("change");
    configure(&host, "[immich]\nversion = \"v3.1.0\"\n");
    host.ok("photos-agent apply");
    assert_eq!(version(&host, 2283), "3.1.0");
    let migrations = sql(&host, "SELECT count(*) FROM kysely_migrations");

    // A tag that is pushed again does not change what runs, not even after a restart.
    let image = host.ok("podman inspect -f '{{.Image}}' immich-server");
    host.ok("podman push -q ghcr.io/immich-app/immich-server:v2.7.5 127.0.0.1:5000/immich-app/immich-server:v3.1.0");
    host.assert_converged();
    host.ok("systemctl restart immich-server");
    assert_eq!(host.ok("podman inspect -f '{{.Image}}' immich-server"), image);

    // Another release, and an image of somebody's own: that is for an upgrade, and no apply puts it in force.
    let before = ids(&host);
    configure(&host, "[immich]\nversion = \"v3.2.2\"\n[images]\nredis = \"docker.io/valkey/valkey:mine\"\n");
    host.ok("photos-agent apply");
    assert_eq!(before, ids(&host));
    host.assert_converged();
    // Nor where the lock is lost.
    host.ok("rm /var/lib/photos-agent/images.lock && photos-agent apply");
    assert_eq!(before, ids(&host));
    configure(&host, "[immich]\nversion = \"v3.2.2\"\n");
    let noted = host.ok("photos-agent apply");
    assert!(noted.contains("Immich v3.1.0 runs; to go to v3.2.2: photos-agent upgrade"), "{noted}");
    host.ok("photos-agent upgrade --to v3.2.2 --now");
    let after = ids(&host);
    assert_eq!(version(&host, 2283), "3.2.2");
    assert_ne!(sql(&host, "SELECT count(*) FROM kysely_migrations"), migrations, "the schema was migrated");

    // Another port: the server alone.
    configure(&host, "[immich]\nlisten = \"127.0.0.1:2299\"\n");
    host.ok("photos-agent apply");
    let moved = ids(&host);
    assert_eq!(after[..3], moved[..3], "only the server is restarted");
    assert_eq!(version(&host, 2299), "3.2.2");
    host.fails(7, "curl -s http://127.0.0.1:2283/");
    let history = host.ok("photos-agent --json history | jq -c '[.generations[].number], [.operations[].outcome]'");
    assert!(history.ends_with("[\"done\",\"done\",\"done\"]"), "{history}");
    host.assert_converged();

    // Another subnet: both networks' users are stopped, ours is made anew, a foreign one is left alone.
    host.ok("podman network create --subnet 10.77.0.0/24 theirs");
    host.ok(
        "podman run -q -d --name theirs --network theirs --network photos-egress docker.io/valkey/valkey:9 sleep inf",
    );
    let theirs = host.ok("podman inspect -f '{{.Id}} {{.State.StartedAt}}' theirs");
    configure(&host, "[immich]\nlisten = \"127.0.0.1:2299\"\n[network]\nsubnet = \"10.123.4.0/24\"\n");
    host.ok("photos-agent apply");
    host.assert_converged();
    for service in ["postgres", "redis", "ml", "server"] {
        let address = host
            .ok(&format!("podman inspect -f '{{{{.NetworkSettings.Networks.photos.IPAddress}}}}' immich-{service}"));
        assert!(address.starts_with("10.123.4."), "{service}: {address}");
    }
    assert!(host.ok("nft list table inet photos_agent").contains("ip daddr 10.123.4.1 udp dport 53"));
    assert_eq!(version(&host, 2299), "3.2.2");
    assert_eq!(host.ok("podman inspect -f '{{.Id}} {{.State.StartedAt}}' theirs"), theirs, "not harmed");
}

/// Applies a server image that cannot work, which must fail and say why; returns what was said.
fn fails_to_apply(host: &Host, tag: &str) -> Done {
    configure(host, &format!("[images]\nserver = \"ghcr.io/immich-app/immich-server:{tag}\"\n"));
    let said = host.fails(1, "timeout 100 photos-agent apply");
    assert!(said.err.contains("immich-server.service") && said.err.contains("result"), "{}", said.all());
    let outcome = last_operation(host, ".outcome.failed");
    assert!(outcome.contains("could not ") && outcome.contains("immich-server.service"), "{outcome}");
    host.fails(2, "photos-agent status");
    for other in ["postgres", "redis", "ml"] {
        host.ok(&format!("systemctl is-active immich-{other}"));
    }
    said
}

/// Back to the good configuration, which must not wait for the bad one to time out.
fn goes_back(host: &Host) {
    configure(host, "");
    let begun = Instant::now();
    let said = host.run("timeout 60 photos-agent apply");
    assert!(said.code == 0, "{:?} {}", begun.elapsed(), said.all());
    assert!(!said.err.contains("edited"), "our own text is nobody's edit: {}", said.all());
    host.assert_converged();
    assert_eq!(version(host, 2283), "3.2.2");
}

#[test]
fn a_first_version_that_does_not_work_is_said_to_and_another_may_be_chosen() {
    let host = Host::with_images("unhealthy");

    let drop_in = "/etc/containers/systemd/photos-agent/immich-server.container.d/50-mine.conf";
    host.write(drop_in, "[Service]\nTimeoutStopSec=3\n");
    host.ok("systemctl daemon-reload");

    // Cut off while it waits for a server that has two hours to become healthy.
    configure(&host, "[images]\nserver = \"ghcr.io/immich-app/immich-server:v3.2.2-never-healthy\"\n");
    let mut apply = host.start("exec photos-agent apply >/root/apply.log 2>&1");
    host.wait_for("systemctl is-active immich-server | grep -qx activating", 120);
    host.ok("pkill -TERM -x photos-agent");
    assert!(!apply.wait().expect("it ended").success());

    // The one that is starting had its two hours from the unit of then.
    host.write(drop_in, "[Service]\nTimeoutStartSec=6\nTimeoutStopSec=3\n");
    host.ok("systemctl daemon-reload && systemctl restart --no-block immich-server");
    let said = fails_to_apply(&host, "v3.2.2-never-healthy");
    assert_eq!(host.ok("photos-agent --json history | jq -r '.operations[1].outcome'"), "interrupted");
    assert!(said.err.contains("of its last run: timeout"), "{}", said.all());
    assert!(said.err.contains("Immich Server is listening"), "its last words: {}", said.all());

    goes_back(&host);
    assert_eq!(host.ok("ls /var/lib/photos-agent/displaced 2>/dev/null | wc -l"), "0");
    assert_eq!(host.ok(&format!("cat {drop_in}")), "[Service]\nTimeoutStartSec=6\nTimeoutStopSec=3");
}

#[test]
fn what_somebody_did_to_our_files_is_put_right_and_what_is_theirs_is_left() {
    let host = Host::converged("edited");
    let folder = "/etc/containers/systemd/photos-agent";

    // A drop-in is honoured and never touched; an edit of a unit is put back, its text kept and named.
    let drop_in = format!("{folder}/immich-ml.container.d/50-mine.conf");
    host.write(&drop_in, "[Container]\nEnvironment=MINE=1\n");
    host.ok("systemctl daemon-reload && systemctl restart immich-ml");
    host.ok(&format!("sed -i 's/^Description=.*/Description=Mine/' {folder}/immich-redis.container"));
    let plan = host.fails(2, "photos-agent plan");
    assert!(plan.out.contains("edited by hand") && plan.out.contains("- Description=Mine"), "{}", plan.all());
    let redis = id(&host, "immich-redis");
    let said = host.run("photos-agent apply");
    let kept = host.ok("ls /var/lib/photos-agent/displaced/*-immich-redis.container");
    assert!(said.code == 0 && said.err.contains(&kept), "{kept} in {}", said.all());
    assert!(host.ok(&format!("cat {kept}")).contains("Description=Mine"));
    host.assert_converged();
    assert_eq!(id(&host, "immich-redis"), redis, "its container is of the right text still");
    assert_eq!(host.ok(&format!("cat {drop_in}")), "[Container]\nEnvironment=MINE=1");
    host.ok("podman exec immich-ml printenv MINE");

    // A unit of ours that nothing wants any more goes; one of somebody else beside it stays, a copy of ours too.
    let container = "Image=docker.io/valkey/valkey:9\nExec=sleep inf\nStopTimeout=0\n[Service]\nRestart=no\n";
    host.write(
        &format!("{folder}/gone.container"),
        &format!("# Written by photos-agent. x\n\n[Container]\n{container}"),
    );
    host.write(&format!("{folder}/theirs.container"), &format!("[Container]\n{container}"));
    host.ok(&format!("cp {folder}/gone.container {folder}/copy.container"));
    // As an agent that wanted it would have written it down.
    let record = "/var/lib/photos-agent/installed.json";
    host.ok(&format!(
        "jq --rawfile text {folder}/gone.container '.files[\"{folder}/gone.container\"] = [$text]' {record} >/tmp/installed \
         && cp /tmp/installed {record}"
    ));
    host.ok("systemctl daemon-reload && systemctl start gone theirs copy");
    let plan = host.fails(2, "photos-agent plan");
    assert!(
        plan.out.contains("stop gone.service") && !plan.out.contains("theirs") && !plan.out.contains("copy"),
        "{}",
        plan.all()
    );
    host.ok("photos-agent apply");
    host.assert_converged();
    host.ok(
        "! systemctl -q is-active gone && systemctl -q is-active theirs copy && ! podman container exists systemd-gone",
    );
    host.ok(&format!("[ ! -e {folder}/gone.container ] && [ -e {folder}/theirs.container ]"));

    // An image that is gone comes back by its digest, for a stopped stack as well.
    host.ok("systemctl stop photos.target 'immich-*'");
    let image = host.ok(&format!("sed -n 's/^Image=//p' {folder}/immich-ml.container"));
    host.ok(&format!("podman rmi -f {image}"));
    let plan = host.fails(2, "photos-agent plan");
    assert!(plan.out.contains(&format!("pull {image}")) && image.contains("@sha256:"), "{}", plan.all());
    host.ok("photos-agent apply");
    host.ok(&format!("podman image exists {image}"));
    host.ok("systemctl start photos.target && photos-agent apply");
    host.assert_converged();
}
