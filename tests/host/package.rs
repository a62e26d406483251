//! The packages: installed, upgraded from an older one, removed, purged. The stack notices nothing of it.
//!
//! The rpm is tried on the same host: rpm itself, systemd and Podman are real, the distribution is Debian, so that its
//! dependencies are not asked for (`--nodeps`). `packaging/lint` looks at those.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::support::{Host, deb, rpm};

const APT: &str = "DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold";
const CONFIG: &str = "/etc/photos-agent/config.toml";
/// What the operator has made of a line of it.
const MINE: &str = "schedule = \"*-*-* 03:10:00\"";

/// What must not change whatever becomes of the package.
#[derive(Debug, PartialEq)]
struct Stack {
    containers: String,
    target: String,
}

impl Stack {
    fn of(host: &Host) -> Self {
        let containers = host.ok("podman ps --no-trunc --format '{{.Names}} {{.ID}}' | sort");
        assert_eq!(containers.lines().count(), 4, "{containers}");
        let target = "systemctl show -P ActiveState -P ActiveEnterTimestampMonotonic photos.target photos.slice";
        Self { containers, target: host.ok(target) }
    }
}

fn pid(host: &Host) -> String {
    host.ok("systemctl show -P MainPID photos-agent")
}

/// As a person does it after the installation, which has started nothing.
fn first_hour(host: &Host) {
    assert_eq!(host.run("systemctl is-active photos-agent").out, "inactive\n");
    assert_eq!(host.run("systemctl is-enabled photos-agent").out, "disabled\n");
    assert_eq!(host.ok("podman ps -aq"), "");
    host.ok("systemd-analyze verify --man=no /usr/lib/systemd/system/photos-agent.service");
    host.fails(2, "photos-agent plan");
    host.ok("systemctl enable --now -q photos-agent");
    host.wait_for("photos-agent status", 120);
    host.ok(&format!("sed -i 's/^#schedule = .*02:00:00.*/{MINE}/' {CONFIG} && systemctl reload photos-agent"));
    host.wait_for("systemctl show -P StatusText photos-agent | grep -q '^converged, generation 2$'", 60);
    host.assert_converged();
}

/// The package was upgraded between the two: the agent is another process, the stack is the same, the configuration is the
/// operator's, with what the package would have written in `new` beside it.
fn assert_upgraded(host: &Host, before: &Stack, pid_before: &str, new: &str) {
    assert_eq!(&Stack::of(host), before);
    assert_ne!(pid(host), pid_before, "the agent was restarted");
    assert_eq!(host.ok("systemctl is-active photos-agent"), "active");
    host.ok(&format!("grep -qFx '{MINE}' {CONFIG}"));
    host.ok(&format!("test -e {CONFIG}.{new} && ! grep -q 'older package' {CONFIG}.{new}"));
    host.wait_for("systemctl show -P StatusText photos-agent | grep -q '^converged, generation 2$'", 60);
    assert_eq!(&Stack::of(host), before, "nor did the agent do anything when it was up");
    host.assert_converged();
}

/// Nobody else could finish what is open.
fn open_operation_refuses(host: &Host, code: i32, remove: &str) {
    host.ok("systemctl stop photos-agent && echo '{}' >/var/lib/photos-agent/pending");
    let refused = host.fails(code, remove);
    assert!(refused.err.contains("finish it first: photos-agent apply"), "{}", refused.all());
    host.ok("test -x /usr/bin/photos-agent && rm /var/lib/photos-agent/pending && systemctl start photos-agent");
    host.assert_converged();
}

#[test]
fn the_deb_comes_is_upgraded_and_goes_and_the_stack_stays_until_a_person_deletes_it() {
    let host = Host::bare("deb");
    host.copy(&deb(), "/root/photos-agent.deb");
    host.ok(
        "cd /root && dpkg-deb -R photos-agent.deb older && sed -i 's/^Version: .*/Version: 0.0.9-1/' older/DEBIAN/control \
         && echo '# older package' >>older/etc/photos-agent/config.toml && dpkg-deb -b older older.deb",
    );
    host.ok(&format!("{APT} install /root/older.deb"));
    first_hour(&host);

    let (before, pid_before) = (Stack::of(&host), pid(&host));
    host.ok(&format!("{APT} install /root/photos-agent.deb"));
    assert_ne!(host.ok("dpkg-query -W -f '${Version}' photos-agent"), "0.0.9-1");
    assert_upgraded(&host, &before, &pid_before, "dpkg-dist");

    // Everything that a host gathers: snapshots, and what a restore replaced.
    host.ok("photos-agent snapshot && photos-agent restore latest --yes");
    host.wait_for("photos-agent status", 90);
    let before = Stack::of(&host);
    open_operation_refuses(&host, 100, &format!("{APT} remove photos-agent"));
    host.ok(&format!("{APT} remove photos-agent"));
    host.ok("! systemctl is-active -q photos-agent && ! test -e /usr/bin/photos-agent");
    assert_eq!(Stack::of(&host), before);
    host.reboot();
    host.wait_for("curl -sf http://127.0.0.1:2283/api/server/ping", 120);
    host.wait_for("[ $(podman ps -q --filter health=healthy | wc -l) = 4 ]", 60);
    host.ok("systemctl is-active photos.target photos.slice photos-snapshot.timer");
    host.ok("btrfs subvolume show /var/lib/photos/live/media");

    let before = Stack::of(&host);
    let said = host.ok(&format!("{APT} purge photos-agent"));
    assert_eq!(Stack::of(&host), before);
    host.ok(
        "! test -e /etc/photos-agent && ! test -L /etc/systemd/system/multi-user.target.wants/photos-agent.service",
    );
    host.ok("test -e /var/lib/photos-agent/images.lock && btrfs subvolume show /var/lib/photos/live/media");
    deletes_all(&host, &said);
}

fn commands(said: &str) -> Vec<&str> {
    let commands: Vec<_> = said.lines().filter_map(|line| line.strip_prefix("    ")).collect();
    assert!(commands.len() > 10, "{said}");
    commands
}

/// The commands that the package has printed, as root would paste them: afterwards nothing is left, of anybody's else all.
fn deletes_all(host: &Host, said: &str) {
    host.ok("podman network create others && podman secret create photos-of-mine /etc/hostname");
    host.ok("mkdir /var/lib/photos/mine && cp /etc/hostname /etc/systemd/system/photos-mine.timer");
    let commands = commands(said);
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operator.md");
    let guide = std::fs::read_to_string(guide).expect("the guide is there");
    for command in &commands {
        // A comment may be put in another column; `next` is only there in the middle of something.
        let command = command.split("  #").next().expect("the first part");
        assert!(guide.contains(&format!("\n    {command}")), "not in the operator guide: {command}");
    }
    // The last one cannot, since something else lies there.
    let (last, commands) = commands.split_last().expect("the commands");
    host.ok(&format!("set -e\n{}", commands.join("\n")));
    let kept = host.fails(1, last);
    assert!(kept.err.contains("Directory not empty"), "{}", kept.all());
    host.ok("rmdir /var/lib/photos/mine /var/lib/photos");

    let nothing = |command: &str| assert_eq!(host.run(command).out, "", "{command}");
    nothing("btrfs subvolume list / | grep -v containers");
    nothing("podman ps -aq");
    nothing("podman images --format '{{.Names}}' | grep -e 'postgres:17' -e valkey -e ':v3.2.2]'");
    nothing("nft list tables | grep photos");
    nothing("ls -d /var/lib/photos*");
    nothing("systemctl list-units --all --plain --no-legend 'photos*' 'immich*'");
    nothing("systemctl --failed --plain --no-legend");
    nothing("grep -rl photos-agent /etc");
    assert_eq!(host.ok("podman network ls --format '{{.Name}}'"), "others\npodman");
    assert_eq!(host.ok("podman secret ls --format '{{.Name}}'"), "photos-of-mine");
    host.ok("test -e /etc/systemd/system/photos-mine.timer");
}

/// The same rpm as an older one, with another configuration in it, from what the build has left.
fn older_rpm(folder: &Path) -> std::path::PathBuf {
    let built = rpm().with_file_name("rpm");
    let spec = std::fs::read_to_string(built.join("photos-agent.spec")).expect("`make package` leaves the spec file");
    let (head, tail) = spec.split_once("\n%files ").expect("files");
    let head = head.split_inclusive('\n').map(|line| match line.starts_with("Version:") {
        true => "Version: 0.0.9\n",
        false => line,
    });
    let change = "\necho '# older package' >>%{buildroot}/etc/photos-agent/config.toml";
    let text = format!("{}{change}\n%files {tail}", head.collect::<String>());
    std::fs::write(folder.join("older.spec"), text).expect("written");
    let define = |name: &str, below: &str| format!("{name} {}", folder.join(below).display());
    let done = Command::new("rpmbuild")
        .args(["-bb", "--quiet", "--define", &define("_topdir", ""), "--define", &define("_dbpath", "db")])
        .args(["--define", &define("_rpmdir", ""), "--define", "_rpmfilename older.rpm"])
        .arg(folder.join("older.spec"))
        .output()
        .expect("rpmbuild, of `make setup`");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    folder.join("older.rpm")
}

#[test]
fn the_rpm_comes_is_upgraded_and_goes_and_the_stack_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let host = Host::bare("rpm");
    host.copy(&older_rpm(folder.path()), "/root/older.rpm");
    host.copy(&rpm(), "/root/photos-agent.rpm");
    let rpm = "rpm --nodeps --nosignature";

    host.ok(&format!("{rpm} -i /root/older.rpm"));
    assert_eq!(host.ok("rpm -V --nodeps photos-agent"), "");
    host.write(
        "/etc/photos-agent/config.d/10-disks.toml",
        "[storage]\nroot = \"/srv/pool/photos\"\ndatabases = \"/srv/pool/databases\"\nml_cache = \"/srv/pool/models\"\n",
    );
    first_hour(&host);

    let (before, pid_before) = (Stack::of(&host), pid(&host));
    let said = host.run(&format!("{rpm} -U /root/photos-agent.rpm"));
    assert!(said.code == 0 && said.err.contains(&format!("{CONFIG}.rpmnew")), "{}", said.all());
    assert_upgraded(&host, &before, &pid_before, "rpmnew");
    // Its configuration is the operator's, all else as it was packed.
    assert_eq!(host.fails(1, "rpm -V --nodeps photos-agent").out, format!("S.5....T.  c {CONFIG}\n"));

    in_a_root_of_its_own(&host);

    open_operation_refuses(&host, 1, "rpm -e photos-agent");

    // Its units are the agent's as well. Nobody has signed in, so from here on not all is well.
    host.write(
        "/etc/photos-agent/config.d/20-anna.toml",
        "[[icloud.account]]\nname = \"anna\"\napple_id = \"anna@example.org\"\n",
    );
    host.ok("photos-agent apply && systemctl is-active icloudpd@anna.timer");
    let before = Stack::of(&host);
    let said = host.ok("rpm -e photos-agent");
    assert_eq!(Stack::of(&host), before);
    host.ok("! systemctl is-active -q photos-agent && ! test -e /usr/bin/photos-agent");
    host.ok("! test -L /etc/systemd/system/multi-user.target.wants/photos-agent.service");
    host.ok(&format!("grep -qFx '{MINE}' {CONFIG}.rpmsave"));
    host.ok("test -e /var/lib/photos-agent/images.lock && btrfs subvolume show /srv/pool/photos/live/media");

    // What it has said is of this host's own folders.
    host.ok(&format!("set -e\n{}", commands(&said).join("\n")));
    assert_eq!(
        host.ok("btrfs subvolume list /srv/pool; ls /srv/pool; ls -d /var/lib/photos* 2>/dev/null || true"),
        "image"
    );
    assert_eq!(host.run("grep -rl photos-agent /etc").out, "");
    assert_eq!(host.ok("podman secret ls -q; podman ps -aq; nft list tables | grep photos || true"), "");
    assert_eq!(host.ok("systemctl list-units --all --plain --no-legend 'photos*' 'immich*' 'icloudpd*'; systemctl --failed --plain --no-legend"), "");
}

/// As an image is built: owners and modes as packed, and the host that builds it is left alone.
fn in_a_root_of_its_own(host: &Host) {
    let pid_before = pid(host);
    host.ok(
        "root=/srv/pool/image && mkdir -p $root/bin && cp /bin/sh $root/bin/ && ldd /bin/sh | grep -o '/[^ ]*' | xargs cp -L --parents -t $root \
         && rpm --root $root --nodeps --nosignature -i /root/photos-agent.rpm && rpm --root $root -V --nodeps photos-agent",
    );
    let found = host.ok(
        "cd /srv/pool/image && find etc usr/bin usr/share/doc usr/lib/systemd -printf '%M %U:%G /%p\\n' | sort -k3",
    );
    assert_eq!(
        found,
        "drwxr-xr-x 0:0 /etc\n\
         drwxr-xr-x 0:0 /etc/photos-agent\n\
         drwxr-xr-x 0:0 /etc/photos-agent/config.d\n\
         -rw-r--r-- 0:0 /etc/photos-agent/config.toml\n\
         drwxr-xr-x 0:0 /usr/bin\n\
         -rwxr-xr-x 0:0 /usr/bin/photos-agent\n\
         drwxr-xr-x 0:0 /usr/lib/systemd\n\
         drwxr-xr-x 0:0 /usr/lib/systemd/system\n\
         -rw-r--r-- 0:0 /usr/lib/systemd/system/photos-agent.service\n\
         drwxr-xr-x 0:0 /usr/share/doc\n\
         drwxr-xr-x 0:0 /usr/share/doc/photos-agent\n\
         -rw-r--r-- 0:0 /usr/share/doc/photos-agent/NOTICE\n\
         -rw-r--r-- 0:0 /usr/share/doc/photos-agent/hardening.md\n\
         -rw-r--r-- 0:0 /usr/share/doc/photos-agent/json.md\n\
         -rw-r--r-- 0:0 /usr/share/doc/photos-agent/operator.md\n\
         drwxr-xr-x 0:0 /usr/share/doc/photos-agent/schema\n\
         -rw-r--r-- 0:0 /usr/share/doc/photos-agent/schema/doctor.json\n\
         -rw-r--r-- 0:0 /usr/share/doc/photos-agent/schema/envelope.json\n\
         -rw-r--r-- 0:0 /usr/share/doc/photos-agent/schema/error.json\n\
         -rw-r--r-- 0:0 /usr/share/doc/photos-agent/schema/plan.json\n\
         -rw-r--r-- 0:0 /usr/share/doc/photos-agent/schema/snapshots.json\n\
         -rw-r--r-- 0:0 /usr/share/doc/photos-agent/schema/status.json\n\
         -rw-r--r-- 0:0 /usr/share/doc/photos-agent/schema/written.json"
    );
    host.ok("rpm --root /srv/pool/image -e photos-agent && ! test -e /srv/pool/image/etc/photos-agent");
    assert_eq!(pid(host), pid_before, "the host's own agent runs on");
}

#[test]
fn both_packages_hold_the_same() {
    let listed = |program: &str, arguments: &[&str], package: &Path| -> Vec<String> {
        let done = Command::new(program).args(arguments).arg(package).output().expect("it runs");
        assert!(done.status.success(), "{program}");
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        // dpkg-deb shows them as `ls -l` does, from `./` on, and folders with a `/` behind.
        let name = |line: &str| line.rsplit(' ').next().unwrap_or(line).trim_start_matches('.').to_owned();
        text.lines().map(name).collect()
    };
    let (folders, files): (BTreeSet<_>, BTreeSet<_>) =
        listed("dpkg-deb", &["-c"], &deb()).into_iter().partition(|name| name.ends_with('/'));
    let of_rpm: BTreeSet<_> = listed("rpm", &["-qpl", "--nosignature"], &rpm()).into_iter().collect();
    let only_deb: Vec<_> = files.difference(&of_rpm).collect();
    let only_rpm: Vec<_> = of_rpm.difference(&files).filter(|name| !folders.contains(&format!("{name}/"))).collect();
    assert_eq!(
        only_deb,
        [
            "/usr/share/doc/photos-agent/changelog.Debian.gz",
            "/usr/share/doc/photos-agent/copyright",
            "/usr/share/lintian/overrides/photos-agent",
            "/usr/share/zsh/vendor-completions/_photos-agent"
        ]
    );
    assert_eq!(
        only_rpm,
        [
            "/usr/share/licenses/photos-agent",
            "/usr/share/licenses/photos-agent/LICENSE-APACHE",
            "/usr/share/licenses/photos-agent/LICENSE-MIT",
            "/usr/share/zsh/site-functions/_photos-agent"
        ]
    );
}
