//! The database's password: in Podman's store and nowhere else, and always the one that the role has.

use crate::support::Host;

pub const SECRET: &str = "photos-db-password";

/// Whether the role has this password, asked over the network by another container, as the server does.
pub fn opens(host: &Host, password: &str) -> bool {
    let connect = "import psycopg2, sys; psycopg2.connect(host=\"database\", user=\"postgres\", dbname=\"immich\", \
                   password=sys.stdin.readline().strip())";
    let done = host.run(&format!("echo '{password}' | podman exec -i immich-server python3 -c '{connect}'"));
    assert!(done.code == 0 || done.err.contains("password authentication failed"), "{}", done.all());
    done.code == 0
}

pub fn password(host: &Host) -> String {
    host.ok(&format!("podman secret inspect --showsecret -f '{{{{.SecretData}}}}' {SECRET}"))
}

/// How often the database refused somebody.
fn refusals(host: &Host) -> String {
    host.ok("journalctl -q -o cat -u immich-postgres | grep -c 'password authentication failed'")
}

#[test]
fn the_password_is_in_no_file_unit_argument_or_log_and_the_role_always_has_it() {
    let host = Host::converged("secrets");
    let list = || host.ok("photos-agent secret list");
    assert!(list().starts_with("photos-db-password  set 2"), "{}", list());
    let first = password(&host);
    assert!(first.len() == 32 && first.chars().all(|c| c.is_ascii_alphanumeric()), "{first}");
    assert!(opens(&host, &first));

    // Changed: both sides get it, nobody else is disturbed.
    for (input, name) in [("printf x", "nonsense"), ("printf ''", SECRET), ("echo 'two words'", SECRET)] {
        host.fails(64, &format!("{input} | photos-agent secret set {name}"));
    }
    assert_eq!(password(&host), first);
    host.assert_converged();
    let invocation = "systemctl show -P InvocationID immich-redis immich-ml";
    let (second, undisturbed) = ("aSecondPasswordOf32Characters123", host.ok(invocation));
    host.ok(&format!("printf {second} | photos-agent secret set {SECRET}"));
    let plan = host.fails(2, "photos-agent plan").out;
    assert!(plan.contains("restart immich-postgres.service, immich-server.service"), "{plan}");
    host.ok("photos-agent apply");
    host.assert_converged();
    assert_eq!(host.ok(invocation), undisturbed);
    assert!(opens(&host, second) && !opens(&host, &first));

    // A cluster from elsewhere has a password of its own, until its first start here.
    assert_eq!(refusals(&host), "1");
    host.ok("podman exec immich-postgres psql -U postgres -c \"ALTER ROLE postgres PASSWORD 'other'\"");
    assert!(!opens(&host, second) && opens(&host, "other"));
    host.ok("systemctl restart immich-postgres");
    host.wait_for("photos-agent status", 60);
    assert!(opens(&host, second));
    assert_eq!(refusals(&host), "2", "the server came after the password");

    // Lost while there is a database: said, not made up.
    host.ok(&format!("systemctl stop photos.target 'immich-*'; podman secret rm {SECRET}"));
    assert!(list().starts_with("photos-db-password  not set"), "{}", list());
    for command in ["plan", "apply"] {
        let refused = host.fails(3, &format!("photos-agent {command}")).all();
        assert!(refused.contains("photos-agent secret set photos-db-password"), "{refused}");
    }
    host.fails(1, &format!("podman secret exists {SECRET}"));
    let third = r#"it's-"the"\thirdPassword$1%s`"#;
    host.write("/dev/shm/third", third);
    host.ok(&format!("photos-agent secret set {SECRET} < /dev/shm/third"));
    host.ok("systemctl start photos.target; photos-agent apply");
    host.assert_converged();
    assert_eq!(password(&host), third);

    // The daemon has something to say, too.
    host.ok("systemctl start photos-agent");
    host.wait_for("systemctl show -P StatusText photos-agent | grep -q converged", 60);
    // Of the last one, the part that nobody would have to escape.
    assert_nowhere(&host, &[&first, second, "thirdPassword"]);
}

/// Nobody but Podman's store knows any of the passwords. A file that does is there to be found.
pub fn assert_nowhere(host: &Host, passwords: &[&str]) {
    host.write("/dev/shm/passwords", &passwords.join("\n"));
    host.ok("rm -f /dev/shm/third; cp /dev/shm/passwords /run/found && sync && journalctl --flush --rotate");
    let files = host.ok("find /etc /usr/lib/systemd /var /root /home /opt /srv /tmp /run /dev/shm \
         \\( -path /var/lib/containers/storage -o -path /var/lib/docker-registry -o -path /run/netns \\) -prune \
         -o -type f -exec grep -alFf /dev/shm/passwords {} +; true");
    assert_eq!(files, "/run/found\n/dev/shm/passwords");

    let seen = [
        "journalctl -q -o export",
        "systemctl cat 'immich-*' 'photos*'",
        "systemctl show 'immich-*' 'photos*'",
        "cat /proc/[0-9]*/cmdline",
        "podman inspect immich-postgres immich-redis immich-server immich-ml",
        "podman logs immich-postgres; podman logs immich-server",
        "photos-agent plan --json",
        "photos-agent status --json",
        "photos-agent history --json",
        "photos-agent secret list --json",
        "photos-agent doctor --json",
        "photos-agent config show",
    ];
    for look in seen {
        host.ok(&format!("{{ {look}; }} > /tmp/seen 2>&1; test -s /tmp/seen"));
        let found = host.run("grep -aFf /dev/shm/passwords /tmp/seen");
        assert!(found.code == 1, "{look}: {}", found.all());
    }
}
