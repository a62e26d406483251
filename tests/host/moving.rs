//! "Move to a new host" of the operator guide: its commands, as they stand there, from one host to another, and on a host of
//! which nothing but the disk is left.

use std::path::Path;

use crate::support::Host;

/// The commands of the chapter: one text for each block.
fn blocks() -> Vec<String> {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operator.md");
    let guide = std::fs::read_to_string(guide).expect("the guide");
    let rest = guide.split("\n## Move to a new host\n").nth(1).expect("the chapter");
    let text = rest.split("\n## ").next().unwrap_or_default();
    let mut blocks = vec![String::new()];
    for line in text.lines() {
        match (line.strip_prefix("    "), blocks.last_mut()) {
            (Some(command), Some(block)) => *block += &format!("{command}\n"),
            (None, Some(block)) if !block.is_empty() => blocks.push(String::new()),
            _ => (),
        }
    }
    blocks.retain(|block| !block.is_empty());
    blocks
}

/// In the place of ssh: keeps what would be sent, and what would be done with it.
const SSH: &str = "#!/bin/sh\n\
    [ \"$1\" = root@new ] || exit 255\n\
    shift\n\
    mkdir -p /root/sent\n\
    next=/root/sent/$(ls /root/sent | wc -l | xargs printf %03d)\n\
    cat >$next.in\n\
    printf '%s' \"$*\" >$next.cmd\n";

/// Podman takes a secret from a pipe, and from no file.
const RECEIVE: &str = "cd /root/sent\n\
    for each in *.cmd; do cat ${each%.cmd}.in | bash -c \"$(cat $each)\" || exit 1; done\n\
    rm -r /root/sent";

/// What was on the system's disk: records, configuration, secrets, units. It leaves what installing the package makes.
const LOSE: &str = "set -e\n\
    rm -r /var/lib/photos-agent /etc/photos-agent/* /etc/containers/systemd/* /etc/systemd/system/photos* \\\n\
      /etc/systemd/system/*.wants/photos* /etc/sysctl.d/*photos* /etc/systemd/system/nftables.service.d\n\
    mkdir /etc/photos-agent/config.d && touch /etc/photos-agent/config.toml\n\
    podman secret rm --all >/dev/null && podman network prune --force >/dev/null && systemctl daemon-reload\n\
    systemctl disable --now podman.socket";

/// Runs a block there, as somebody would paste it; the last command says how it went.
fn paste(host: &Host, block: &str) -> String {
    host.write("/root/block", block);
    host.ok("bash /root/block")
}

fn send(from: &Host, block: &str, to: &Host) {
    let said = paste(from, block);
    assert!(!said.contains("again:"), "{said}");
    from.hand("/root/sent", to);
    from.ok("rm -r /root/sent");
    to.ok(RECEIVE);
}

#[test]
fn what_is_sent_to_a_new_host_goes_on_there() {
    let blocks = blocks();
    let [stop, send_disk, place, send_records, start, _scan, only_disk] = blocks.as_slice() else {
        panic!("{blocks:#?}")
    };

    let old = Host::converged("moveold");
    old.write("/usr/local/bin/ssh", SSH);
    old.ok("chmod 755 /usr/local/bin/ssh");
    old.ok("systemctl enable --now photos-agent");
    old.configure("[immich]\ntimezone = \"Europe/Oslo\"\n");
    old.ok("photos-agent apply");
    old.ok("podman exec immich-postgres psql -qU postgres immich -c \"CREATE TABLE moved AS SELECT 'row' AS what\"");
    old.ok("echo photograph >/var/lib/photos/live/media/upload/one.jpg");
    old.wait_for("photos-agent status", 60);
    paste(&old, stop);

    let new = Host::with_images("movenew");
    send(&old, send_disk, &new);
    let flags = paste(&new, place);
    assert_eq!(flags.lines().filter(|line| line.starts_with("---------------C------ ")).count(), 3, "{flags}");
    send(&old, send_records, &new);

    // What it says of the first two has a reason: nothing runs yet.
    let commands: Vec<&str> = start.lines().map(|line| line.split("  #").next().unwrap_or_default().trim()).collect();
    let [sockets, "photos-agent doctor", "photos-agent plan", rest @ ..] = commands.as_slice() else {
        panic!("{start}")
    };
    new.ok(sockets);
    new.fails(2, "photos-agent doctor");
    let plan = new.fails(2, "photos-agent plan").out;
    assert!(plan.contains("steps to do") && !plan.contains("make subvolume") && !plan.contains("pull"), "{plan}");
    paste(&new, &format!("set -e\n{}", rest.join("\n")));

    new.assert_converged();
    assert_eq!(new.ok("podman exec immich-postgres psql -AtU postgres immich -c 'SELECT what FROM moved'"), "row");
    assert_eq!(new.ok("cat /var/lib/photos/live/media/upload/one.jpg"), "photograph");
    assert_eq!(new.ok("podman exec immich-server printenv TZ"), "Europe/Oslo");
    let lock = "cat /var/lib/photos-agent/images.lock";
    assert_eq!(new.ok(lock), old.ok(lock), "by the same digests");

    // Two hosts would write into one database, where the disk is moved.
    old.reboot();
    old.wait_for("systemctl is-active multi-user.target", 60);
    assert_eq!(old.ok("podman ps -aq; systemctl list-units --plain --no-legend 'immich*' 'photos-agent*'"), "");

    old.ok(LOSE);
    let (secret, asked) = ("photos-agent secret set", "printf %s since | photos-agent secret set");
    assert_eq!(only_disk.matches(secret).count(), 1, "{only_disk}");
    let said = paste(&old, &format!("{}photos-agent snapshot list\n", only_disk.replace(secret, asked)));
    assert!(said.contains("v3.2.2") && said.contains("before the move"), "{said}");
    old.assert_converged();
    assert_eq!(old.ok("podman exec immich-postgres psql -AtU postgres immich -c 'SELECT what FROM moved'"), "row");
    assert_eq!(old.ok("podman exec immich-server printenv TZ"), "Europe/Oslo");
    old.ok("photos-agent restore latest --yes");
    old.assert_converged();
}
