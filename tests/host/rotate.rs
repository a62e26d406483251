//! A new password under a running database: who has to know it does, nobody else, and a death in between costs nothing.

use crate::secrets::{SECRET, assert_nowhere, opens, password};
use crate::support::Host;

const ROTATE: &str = "photos-agent secret rotate photos-db-password";

/// An answer out of the database.
const ANSWERS: &str = "curl -sf http://127.0.0.1:2283/api/server/config";

fn container(host: &Host, name: &str) -> String {
    host.ok(&format!("podman inspect -f '{{{{.Id}}}}' {name}"))
}

#[test]
fn a_rotated_password_reaches_the_running_database_and_the_server_and_nobody_else() {
    let host = Host::converged("rotate");
    host.fails(64, "photos-agent secret rotate nonsense");
    let first = password(&host);
    let (database, server) = (container(&host, "immich-postgres"), container(&host, "immich-server"));
    let others = "systemctl show -P InvocationID immich-postgres immich-redis immich-ml";
    let undisturbed = host.ok(others);

    // Every program that it starts, with all arguments and the environment.
    host.ok(&format!("strace -f -qq -v -s 4096 -e trace=execve -o /root/calls {ROTATE} --json > /root/rotated"));
    host.ok("jq -e '.kind == \"rotated\" and .role == \"set\" and .operation == 2 and (.steps | length) == 3' /root/rotated");
    let second = password(&host);
    assert!(second != first && second.len() == 32 && second.chars().all(|c| c.is_ascii_alphanumeric()), "{second}");
    assert_eq!(container(&host, "immich-postgres"), database);
    assert_eq!(host.ok(others), undisturbed);
    assert_ne!(container(&host, "immich-server"), server);
    assert!(opens(&host, &second) && !opens(&host, &first));
    host.ok(ANSWERS);
    host.assert_converged();
    let calls = host.ok("cat /root/calls");
    assert!(calls.contains("podman") && !calls.contains(&second), "{calls}");
    host.ok("photos-agent history | grep -q 'secret rotate  done, generation 1'");

    // The role has it from now on: from the secret, when the database starts again.
    host.ok("systemctl restart immich-postgres");
    host.wait_for("photos-agent status", 60);
    assert!(opens(&host, &second));
    host.assert_converged();

    // Nothing else is done by the way.
    host.ok("rm /etc/containers/systemd/photos-agent/immich-ml.container");
    let refused = host.fails(3, ROTATE);
    assert!(
        refused.err.contains("write 1 file") && refused.err.contains("next: photos-agent apply"),
        "{}",
        refused.all()
    );
    assert_eq!(password(&host), second);
    host.ok("photos-agent apply");

    // A database that takes no statement: said before anything is changed.
    host.ok("podman exec -i -u postgres immich-postgres psql -qc 'ALTER ROLE postgres NOLOGIN'");
    let failed = host.fails(1, ROTATE);
    assert!(failed.err.contains("not permitted to log in"), "{}", failed.all());
    assert_eq!(password(&host), second);
    host.ok(
        "systemctl stop photos.target 'immich-*'; image=$(sed -n 's/^Image=//p' /etc/containers/systemd/photos-agent/immich-postgres.container); \
         echo 'ALTER ROLE postgres LOGIN' | podman run -i --rm -u postgres --network none --entrypoint sh \
             -v /var/lib/photos/live/postgres:/var/lib/postgresql/data \"$image\" \
             -c 'exec $(ls /usr/lib/postgresql/*/bin/postgres | tail -1) --single -D /var/lib/postgresql/data postgres'",
    );

    // A stack that is down stays down, and takes it when it starts.
    let said = host.ok(ROTATE);
    assert!(said.contains("takes the new one when it starts"), "{said}");
    let third = password(&host);
    assert_ne!(third, second);
    host.fails(3, "systemctl is-active immich-postgres");
    host.ok("systemctl start photos.target");
    host.wait_for("photos-agent status", 60);
    host.assert_converged();
    assert!(opens(&host, &third) && !opens(&host, &second));

    host.ok("rm /root/calls /root/rotated");
    assert_nowhere(&host, &[&first, &second, &third]);
}

#[test]
fn a_rotation_that_dies_at_any_step_is_finished_by_the_next_apply_or_by_a_boot() {
    let host = Host::converged("rotating");
    // Every record is renamed into place: between any two of them it dies, and before the first.
    let renames = "rename,renameat,renameat2";
    let (mut at, mut changed) = (0, 0);
    loop {
        at += 1;
        let before = password(&host);
        let trace = format!("-o /root/calls -e trace={renames} -e inject={renames}:signal=KILL:when={at}");
        let ended = host.run(&format!("strace -qq {trace} {ROTATE}")).code == 0;
        changed += u32::from(password(&host) != before);
        let pending = host.run("test -e /var/lib/photos-agent/pending").code == 0;
        assert!(ended || pending || at == 1 || host.run("photos-agent plan").code == 0, "death {at} is forgotten");
        // By a boot, too: nobody runs the agent.
        if at % 2 == 0 {
            if at % 4 == 0 {
                host.cut_power()
            } else {
                host.crash()
            }
            host.wait_for(ANSWERS, 90);
            assert!(opens(&host, &password(&host)), "after a boot, death {at}");
        }
        host.ok("photos-agent apply");
        host.assert_converged();
        host.ok(ANSWERS);
        assert!(opens(&host, &password(&host)), "death {at}");
        if !ended {
            continue;
        }
        assert!(at >= 5 && changed >= 4, "{changed} of {at} times the secret was replaced");
        let rotated = password(&host);
        host.cut_power();
        host.wait_for(ANSWERS, 90);
        assert_eq!(password(&host), rotated, "what was reported as done is done");
        assert!(opens(&host, &rotated));
        host.assert_converged();
        break;
    }
    host.ok(&format!("podman secret exists {SECRET} && rm /root/calls"));
}
