//! Kinds of drift: each is mended, or told with the command that mends it while all else is kept.

use crate::support::Host;

const QUADLETS: &str = "/etc/containers/systemd/photos-agent";

/// When each service was last started.
const STARTED: &str = "systemctl show -P InvocationID immich-postgres immich-redis immich-server immich-ml";

/// The remedy in this list of the plan (`refusals`, `concerns`), as it stands, without the advice in brackets.
fn remedy(host: &Host, list: &str, what: &str) -> String {
    let find = format!(".{list}[] | select(.what == \"{what}\") | .remedy");
    let remedy = host.run(&format!("photos-agent plan --json | jq -re '{find}'"));
    assert!(remedy.code == 0, "{what} is not among the {list}: {}", host.run("photos-agent plan").all());
    remedy.out.split("   (").next().unwrap_or_default().trim().to_owned()
}

/// Everybody tells of the concern, and nothing is held up by it.
fn concerned(host: &Host, what: &str, why: &str) -> String {
    let plan = host.fails(0, "photos-agent plan");
    for part in ["Nothing to do.", &format!("concern: {what}: "), why, "\n  next: "] {
        assert!(plan.out.contains(part), "{part}: {}", plan.all());
    }
    let status = host.fails(2, "photos-agent status");
    assert!(status.out.contains(&format!("Concern: {what}: ")), "{}", status.all());
    host.run("photos-agent status --json > /tmp/status");
    host.ok(&format!("jq -e '.well == false and .concerns[0].what == \"{what}\"' /tmp/status"));
    let doctor = host.fails(2, "photos-agent doctor");
    assert!(doctor.out.contains("FAILS    drift that is yours to mend"), "{}", doctor.all());
    let apply = host.ok("photos-agent apply");
    assert!(apply.contains("Nothing to do.") && apply.contains(&format!("concern: {what}: ")), "{apply}");
    remedy(host, "concerns", what)
}

#[test]
fn files_and_folders_of_ours_become_roots_own_again() {
    let host = Host::converged("owners");
    let started = host.ok(STARTED);
    let (state, slice) = ("/var/lib/photos-agent", "/etc/systemd/system/photos.slice");
    assert_eq!(host.ok(&format!("stat -c '%U:%G %a' {QUADLETS} {state}")), "root:root 755\nroot:root 700");
    host.ok(&format!(
        "cd {QUADLETS} && chmod 666 immich-ml.container && chown 1000 {slice} && chmod 777 . && chmod 755 {state} && chown :1000 {state} && \
         mv immich-redis.container /root/mine && echo '# mine' >> /root/mine && ln -s /root/mine immich-redis.container"
    ));
    let plan = host.fails(2, "photos-agent plan");
    for part in [
        "3 steps to do",
        "write 3 files and reload systemd\n       because: 2 with another owner or mode, 1 replaced by a link",
        "set owner 0 and mode 0755 on /etc/containers/systemd/photos-agent",
        "set owner 0 and mode 0700 on /var/lib/photos-agent",
        "immich-redis.container (a symbolic link; what it says is kept in",
    ] {
        assert!(plan.out.contains(part), "{part}: {}", plan.all());
    }
    let said = host.run("photos-agent apply");
    assert!(said.err.contains("its text is in /var/lib/photos-agent/displaced/"), "{}", said.all());
    host.assert_converged();
    assert_eq!(
        host.ok(&format!("stat -c '%F %U:%G %a' {QUADLETS} {state} {slice} {QUADLETS}/immich-ml.container {QUADLETS}/immich-redis.container")),
        "directory root:root 755\ndirectory root:root 700\nregular file root:root 644\nregular file root:root 644\nregular file root:root 644"
    );
    let kept = host.ok("cat /var/lib/photos-agent/displaced/*-immich-redis.container");
    assert!(kept.contains("was a symbolic link to /root/mine") && kept.ends_with("\n# mine"), "{kept}");
    host.ok("tail -n 1 /root/mine | grep -qx '# mine'");
    assert_eq!(host.ok(STARTED), started, "nobody was disturbed");

    // What is no file is not guessed at.
    host.ok(&format!("rm {slice} && mkdir -p {slice}/theirs"));
    host.fails(3, "photos-agent apply");
    let remedy = remedy(&host, "refusals", slice);
    host.ok(&format!("{remedy} && photos-agent apply"));
    host.assert_converged();
    host.ok(&format!("test -d {slice}.aside/theirs"));
    assert_eq!(host.ok(STARTED), started, "nobody was disturbed");
}

#[test]
fn a_unit_that_is_taken_from_elsewhere_is_refused_until_it_is_moved_away() {
    let host = Host::converged("elsewhere");
    let started = host.ok(STARTED);
    let theirs = "/etc/systemd/system/immich-ml.service";
    host.write(theirs, "[Service]\nExecStart=/usr/bin/sleep inf\n");
    host.ok("systemctl daemon-reload");
    let refused = host.fails(3, "photos-agent apply");
    let why = format!("systemd takes it from {theirs}, which wins over {QUADLETS}/immich-ml.container");
    assert!(refused.err.contains(&why), "{}", refused.all());
    let remedy = remedy(&host, "refusals", "immich-ml.service");
    host.ok(&remedy);
    host.ok("photos-agent apply");
    host.assert_converged();
    assert_eq!(host.ok(STARTED), started, "what ran is what runs");
    host.ok(&format!("grep -q sleep {theirs}.aside"));
}

#[test]
fn what_only_a_person_can_mend_is_told_and_forbids_nothing() {
    let host = Host::converged("concerns");
    let postgres = "/var/lib/photos/live/postgres";

    // Lost with a copy back, as by somebody who did not know.
    host.ok(&format!(
        "systemctl stop photos.target 'immich-*' && cd /var/lib/photos/live && mv postgres p && btrfs -q subvolume create postgres && \
         cp -a --reflink=never p/. postgres/ && chown 999:999 postgres && chmod 700 postgres && btrfs -q subvolume delete p && \
         systemctl start photos.target && rm {QUADLETS}/immich-ml.container"
    ));
    host.wait_for("curl -sf http://127.0.0.1:2283/api/server/config", 60);
    let plan = host.fails(2, "photos-agent plan");
    assert!(plan.out.contains("write 1 file") && plan.out.contains("concern: "), "{}", plan.all());
    host.ok("photos-agent apply");
    let remedy = concerned(&host, postgres, "is not NOCOW");
    host.ok(&format!("{remedy}; systemctl start photos.target; photos-agent apply"));
    let attributes = host.ok(&format!("lsattr -d {postgres} {postgres}/PG_VERSION"));
    assert!(attributes.lines().all(|line| line.split(' ').next().unwrap().contains('C')), "{attributes}");
    host.wait_for("photos-agent status", 60);

    // Masked, and needed.
    host.ok("systemctl -q mask --now immich-redis");
    let remedy = concerned(&host, "immich-redis.service", "immich-server.service cannot be without it");
    host.ok(&remedy);
    host.wait_for("photos-agent status", 60);
    host.assert_converged();

    // Lost from the store under a running stack: a new one, without a stop of the database.
    let database = host.ok("podman inspect -f '{{.Id}}' immich-postgres");
    host.ok("podman secret rm photos-db-password");
    let remedy = concerned(&host, "secret photos-db-password", "what runs has a copy");
    host.ok(&remedy);
    host.assert_converged();
    host.ok("curl -sf http://127.0.0.1:2283/api/server/config");
    assert_eq!(host.ok("podman inspect -f '{{.Id}}' immich-postgres"), database);

    // A drop-in that systemd cannot use: what runs goes on, and all else is kept.
    let broken = "/etc/systemd/system/immich-ml.service.d/50-mine.conf";
    host.write(broken, "[Service]\nExecStart=/usr/bin/sleep inf\n");
    host.ok("systemctl daemon-reload");
    let remedy = concerned(&host, "immich-ml.service", "cannot be used by systemd");
    let said = host.run(&remedy).all();
    assert!(said.contains("more than one ExecStart=") && said.contains("50-mine.conf"), "{remedy}: {said}");
    host.ok(&format!(
        "rm {QUADLETS}/immich-redis.container && photos-agent apply && test -s {QUADLETS}/immich-redis.container"
    ));
    host.ok(&format!("rm {broken} && systemctl daemon-reload && photos-agent apply"));
    host.assert_converged();

    // Fails at each start, and systemd tries it for ever.
    let drop_in = format!("{QUADLETS}/immich-ml.container.d/50-mine.conf");
    host.write(&drop_in, "[Container]\nEntrypoint=/bin/false\n");
    host.ok("systemctl daemon-reload; systemctl restart immich-ml; true");
    host.wait_for("[ $(systemctl show -P NRestarts immich-ml) -ge 3 ]", 300);
    host.wait_for("photos-agent plan | grep -q 'concern: immich-ml.service: keeps failing'", 60);
    // Between two runs of it there is a moment in which it is on its way up, and nothing else.
    host.wait_for("photos-agent status | grep -q 'Concern: immich-ml.service: keeps failing'", 60);
    host.fails(2, "photos-agent status");
    host.ok(&format!("rm {drop_in} && systemctl daemon-reload"));
    // A start joins the run that is failing, and what is left of that takes a minute to go on these hosts.
    host.wait_for("photos-agent apply", 240);
    host.assert_converged();
}

#[test]
fn rules_that_somebody_flushed_are_loaded_again() {
    let host = Host::converged("flushed");
    let started = host.ok(STARTED);
    let table = "nft list table inet photos_agent";
    let whole = host.ok(table);
    for flush in [
        "nft flush ruleset",
        "nft delete table inet photos_agent",
        "nft flush table inet photos_agent",
        "nft flush chain inet photos_agent forward",
    ] {
        host.ok(flush);
        let plan = host.fails(2, "photos-agent plan");
        assert!(plan.out.contains("1 step to do") && plan.out.contains("load the rules"), "{flush}: {}", plan.all());
        host.ok("photos-agent apply");
        assert_eq!(host.ok(table), whole, "{flush}");
        host.assert_converged();
    }
    // Podman's own too, without which the published port is dead.
    host.ok("curl -sf http://127.0.0.1:2283/api/server/config");
    assert_eq!(host.ok(STARTED), started, "nobody was disturbed");
    // Asked of the kernel, by no process.
    let asked = host.ok("strace -f -qq -e trace=sendto,recvfrom photos-agent plan 2>&1 | grep -c 'AF_NETLINK'");
    assert_eq!(asked, "2", "a question for each chain");
}

#[test]
fn what_is_removed_under_a_running_stack_comes_back() {
    let host = Host::converged("removed");
    let database =
        "podman exec immich-postgres psql -U postgres -Atc 'SELECT system_identifier FROM pg_control_system()'";
    let cluster = host.ok(database);
    for remove in [
        "podman network rm -f photos-egress",
        "podman network rm -f photos photos-egress",
        "podman rm -f immich-server immich-redis",
        "systemctl stop photos-network",
    ] {
        host.ok(&format!("{remove} >/dev/null"));
        host.ok("photos-agent apply");
        host.wait_for("photos-agent status", 60);
        host.assert_converged();
        host.ok("curl -sf http://127.0.0.1:2283/api/server/config");
        assert_eq!(host.ok(database), cluster, "{remove}");
    }
}
