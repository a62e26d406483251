//! What only looks writes nothing, anywhere, and asks systemd for nothing but answers (law 8).
//!
//! Seen from three sides: the files before and after, the system calls, the bus. Each side is shown to
//! see something where something is written.

use crate::support::Host;

/// Every command that only looks.
const LOOKS: [&str; 12] = [
    "plan",
    "plan --json",
    "status",
    "doctor",
    "history",
    "config check",
    "config init --stdout",
    "config show --origin",
    "config schema",
    "secret list",
    "upgrade --check",
    "icloud status",
];

/// Everything whose change could be the agent's: with sizes, modes, owners, and both times to the nanosecond.
fn listing(host: &Host) -> String {
    host.run(
        "podman network ls -q; podman secret ls -q; podman ps -a --no-trunc -q | sort; \
         find /etc /var/lib/photos-agent /run/photos-agent /usr/lib/systemd /var/lib/containers/storage/secrets \
         -printf '%p %y %s %m %U:%G %T@ %C@\\n' 2>&1 | sort; \
         find /var/lib/photos -maxdepth 2 -printf '%p %y %m %U:%G %T@ %C@\\n' 2>&1 | sort; \
         systemctl list-unit-files --no-legend | sort; cat /proc/sys/net/ipv4/ip_forward",
    )
    .out
}

fn assert_unchanged(host: &Host) {
    let before = listing(host);
    for command in LOOKS {
        let done = host.run(&format!("photos-agent {command}"));
        // Without Podman's socket nobody can list secrets, and where nothing runs there is nothing to upgrade.
        let may_fail = ["secret list", "upgrade --check"].contains(&command);
        assert!(matches!(done.code, 0 | 2) || may_fail, "{command}: {}", done.all());
    }
    let after = listing(host);
    let lines =
        |text: &str, other: &str| text.lines().filter(|line| !other.contains(*line)).collect::<Vec<_>>().join("\n");
    assert_eq!(lines(&before, &after), "", "gone or changed");
    assert_eq!(lines(&after, &before), "", "new or changed");
}

/// System calls of a command that change files.
fn writes(host: &Host, command: &str) -> Vec<String> {
    let calls = "openat,openat2,open,creat,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat,rmdir,link,linkat,symlink,\
                 symlinkat,mknod,mknodat,truncate,ftruncate,fallocate,chmod,fchmod,fchmodat,chown,fchown,fchownat,lchown,\
                 setxattr,fsetxattr,utimensat,mount,flock,ioctl,copy_file_range,syncfs";
    host.run(&format!("strace -f -qq -o /root/calls -e trace={calls} photos-agent {command}"));
    let trace = host.ok("cat /root/calls");
    assert!(trace.contains("openat"), "strace saw nothing: {trace}");
    let only_looks = |line: &&str| {
        let call = line.split_once(' ').map_or(*line, |(_, call)| call.trim_start());
        let reads = call.contains("O_RDONLY") && !call.contains("O_CREAT") && !call.contains("O_TRUNC");
        let opens = call.starts_with("open");
        let asks = [
            "FS_IOC_GETFLAGS",
            "TCGETS",
            "TIOCGWINSZ",
            "FIONBIO",
            "BTRFS_IOC_GET",
            "BTRFS_IOC_TREE_SEARCH",
            "BTRFS_IOC_FS_INFO",
            "BTRFS_IOC_DEV_INFO",
            "BTRFS_IOC_SPACE_INFO",
            "BTRFS_IOC_INO_LOOKUP_USER",
        ];
        // Who holds the lock is asked with a shared one that does not wait.
        let lock = call.starts_with("flock") && call.contains("LOCK_SH|LOCK_NB");
        let continued = call.starts_with("<...") || call.starts_with("+++") || call.starts_with("---");
        (opens && (reads || call.contains("/dev/null") || call.contains("O_PATH")))
            || (call.starts_with("ioctl") && asks.iter().any(|ask| call.contains(ask)))
            || lock
            || continued
    };
    trace.lines().filter(|line| !only_looks(line)).map(str::to_owned).collect()
}

/// Methods of systemd that are called on the bus while a command runs, each once.
fn asked_of_systemd(host: &Host, command: &str) -> Vec<String> {
    let systemd = "org.freedesktop.systemd1";
    host.ok(&format!("rm -f /root/bus; busctl monitor --json=short {systemd} >/root/bus 2>&1 & echo $! >/run/bus.pid"));
    // It sees this property being read as soon as it sees anything.
    host.wait_for(
        &format!(
            "busctl get-property {systemd} /org/freedesktop/systemd1 {systemd}.Manager Version && grep -q Version /root/bus"
        ),
        5,
    );
    let done = host.run(&format!("photos-agent {command}"));
    assert!(matches!(done.code, 0 | 2), "{command}: {}", done.all());
    host.ok("sleep 0.2; kill $(cat /run/bus.pid)");
    let members = host.ok(
        "grep '^{' /root/bus | jq -r 'select(.type == \"method_call\" and .destination == \"org.freedesktop.systemd1\") | .member' | sort -u",
    );
    members.lines().map(str::to_owned).collect()
}

#[test]
fn looking_changes_nothing_on_an_empty_host() {
    let host = Host::fresh("dryempty");
    assert_unchanged(&host);
    for command in LOOKS {
        assert_eq!(writes(&host, command), Vec::<String>::new(), "{command}");
    }
    assert_ne!(writes(&host, "config init --config /root/config.toml"), Vec::<String>::new());
    // Nobody started Podman for it.
    host.fails(3, "systemctl is-active podman.socket");
    host.fails(2, "photos-agent plan");
}

#[test]
fn looking_changes_nothing_on_a_converged_host() {
    let host = Host::converged("dryfull");
    assert_unchanged(&host);
    for command in LOOKS {
        assert_eq!(writes(&host, command), Vec::<String>::new(), "{command}");
    }
    for command in ["plan", "status", "doctor"] {
        assert_eq!(asked_of_systemd(&host, command), ["Get", "GetAll", "ListUnitsByNames"], "{command}");
    }
    host.ok("echo '# mine' >>/etc/containers/systemd/photos-agent/immich-ml.container");
    assert_unchanged(&host);
    assert_eq!(asked_of_systemd(&host, "plan"), ["Get", "GetAll", "ListUnitsByNames"]);
    let asked = asked_of_systemd(&host, "apply");
    assert!(asked.contains(&"Reload".to_owned()), "{asked:?}");
    host.assert_converged();
}
