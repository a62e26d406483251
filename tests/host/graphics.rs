//! A graphics card that is made of device nodes and a few files of the kernel's: what containers see of it, and that the stack
//! is up whether it is there, late or gone.
//!
//! No driver is behind the nodes. The stand-ins take a node that may be opened for a card that works; a real encode is made where
//! the machine that runs these tests has a render node.

use std::path::Path;
use std::process::Command;

use crate::support::Host;

const PASSWORD: &str = "correct-horse-battery";
const ML: &str = "podman exec immich-ml";
const SERVER: &str = "podman exec immich-server";

/// Makes /sys/class another folder with what the kernel has, and the files of a Radeon RX 6800 (tests/fixtures/hardware) beside it.
const CLASSES: &str = r#"#!/bin/sh -e
mountpoint -q /run/classes || { mkdir -p /run/classes; mount -t tmpfs none /run/classes; cp -a /sys/class/. /run/classes/ 2>/dev/null || true; }
at=/run/classes/drm/renderD128/device; mkdir -p $at
printf 'DRIVER=amdgpu\nPCI_CLASS=30000\nPCI_ID=1002:73BF\nPCI_SLOT_NAME=0000:03:00.0\n' >$at/uevent
echo 17163091968 >$at/mem_info_vram_total
at=/run/classes/kfd/kfd/topology/nodes; mkdir -p $at/0 $at/1
printf 'cpu_cores_count 16\ngfx_target_version 0\ndrm_render_minor 0\n' >$at/0/properties
printf 'simd_count 120\ngfx_target_version 100300\nvendor_id 4098\ndrm_render_minor 128\n' >$at/1/properties
mountpoint -q /sys/class/drm/renderD128 || mount --bind /run/classes /sys/class
"#;

/// The nodes, and one of another card that is nobody's business.
const NODES: &str = "mkdir -p /dev/dri && rm -f /dev/dri/renderD* /dev/kfd && mknod -m 660 /dev/dri/renderD128 c 226 128 && \
     mknod -m 660 /dev/dri/renderD129 c 226 129 && mknod -m 660 /dev/kfd c 235 0 && chgrp video /dev/dri/* /dev/kfd";

const GONE: &str = "rm -rf /dev/dri /dev/kfd";

/// Has the card at each boot, the nodes `late` seconds after it; none: never again.
pub fn at_boot(host: &Host, late: Option<u32>) {
    host.write("/usr/local/bin/classes", CLASSES);
    let nodes = late.map(|late| format!("sleep {late}; {NODES}")).unwrap_or_else(|| "true".to_owned());
    host.write("/usr/local/bin/nodes", &format!("#!/bin/sh\n{nodes}\n"));
    host.ok("chmod +x /usr/local/bin/classes /usr/local/bin/nodes");
    let unit = |command: &str, kind: &str| {
        format!(
            "[Unit]\nDefaultDependencies=no\n[Service]\nType={kind}\nExecStart=/usr/local/bin/{command}\n\
             RemainAfterExit=yes\n[Install]\nWantedBy=sysinit.target\n"
        )
    };
    let classes = unit("classes", "oneshot").replace("[Service]", "Before=sysinit.target\n[Service]");
    host.write("/etc/systemd/system/card-classes.service", &classes);
    host.write("/etc/systemd/system/card-nodes.service", &unit("nodes", "simple"));
    host.ok("systemctl daemon-reload && systemctl enable -q card-classes card-nodes");
}

/// Puts the card in, now and at each boot.
pub fn put_in(host: &Host) {
    at_boot(host, Some(0));
    host.ok(&format!("/usr/local/bin/classes && {NODES}"));
}

/// Gives the agent a key for Immich.
pub fn set_up(host: &Host) {
    host.ok(&format!("echo {PASSWORD} | photos-agent immich setup --email admin@example.org --password-stdin"));
}

/// A host with a card, converged, whose agent may ask Immich.
fn with_card(test: &str, config: &str) -> Host {
    let host = Host::with_images(test);
    host.configure(config);
    put_in(&host);
    host.ok("photos-agent apply");
    set_up(&host);
    host.ok("photos-agent apply");
    host.assert_converged();
    host
}

/// Immich's setting, as Immich has it.
pub fn setting(host: &Host) -> String {
    host.ok(
        "podman exec immich-postgres psql -U postgres -d immich -AtqX -c \"SELECT coalesce(value#>>'{ffmpeg,accel}', 'disabled') \
         || ' ' || coalesce(value#>>'{ffmpeg,preferredHwDevice}', 'auto') FROM system_metadata WHERE key = 'system-config'\"",
    )
}

fn image(host: &Host) -> String {
    host.ok("sed -n 's/^Image=//p' /etc/containers/systemd/photos-agent/immich-ml.container")
}

/// The digest that a tag of machine learning is locked to.
fn locked(host: &Host, suffix: &str) -> String {
    let tag = format!("ghcr.io/immich-app/immich-machine-learning:v3.2.2{suffix}");
    host.ok(&format!("jq -r '.images[\"{tag}\"]' /var/lib/photos-agent/images.lock"))
}

#[test]
fn a_container_has_exactly_its_card_and_immich_uses_it() {
    let host = Host::with_images("card");
    put_in(&host);
    let planned = host.fails(2, "photos-agent plan").out;
    assert!(planned.contains("pull ghcr.io/immich-app/immich-machine-learning:v3.2.2-rocm"), "{planned}");
    host.ok("photos-agent apply");
    // Exactly those, of the group that they have here, by number.
    let group = host.ok("stat -c %g /dev/kfd");
    assert_ne!(group, "0");
    assert_eq!(
        host.ok(&format!("{ML} sh -c 'ls /dev/dri; ls /dev/kfd; stat -c %g /dev/kfd /dev/dri/renderD128'"))
            .lines()
            .collect::<Vec<_>>(),
        ["renderD128", "/dev/kfd", &group, &group]
    );
    assert_eq!(
        host.ok(&format!("{SERVER} sh -c 'ls /dev/dri; ls /dev/kfd 2>/dev/null || echo none'")),
        "renderD128\nnone"
    );
    for inside in [ML, SERVER] {
        assert!(host.ok(&format!("{inside} id -G")).split(' ').any(|gid| gid == group));
    }
    assert_eq!(host.ok("podman exec immich-postgres sh -c 'ls /dev/dri 2>/dev/null || echo none'"), "none");
    let note = host.ok("photos-agent plan");
    assert!(note.contains("photos-agent immich setup gives the agent a key"), "{note}");

    // A device changes nothing before Immich's own setting says so.
    set_up(&host);
    let planned = host.fails(2, "photos-agent plan").out;
    let step = "set Immich's video encoding from \"disabled\" to \"vaapi on /dev/dri/renderD128\"";
    assert!(planned.contains(step), "{planned}");
    host.ok("photos-agent apply");
    assert_eq!(setting(&host), "vaapi /dev/dri/renderD128");
    host.assert_converged();

    // Proven, and told.
    let status = host.ok("photos-agent status");
    assert!(status.contains("machine learning: ROCm on") && !status.contains("proven"), "{status}");
    let said = host.ok("photos-agent hardware test");
    assert!(said.contains("MIGraphXExecutionProvider computed") && said.contains("VAAPI encoded one second"), "{said}");
    assert_eq!(host.ok("photos-agent status").matches(", proven").count(), 2);
    assert_eq!(host.ok("podman ps -a --format '{{.Names}}' | grep -c photos-hardware-test || true"), "0");
    assert_eq!(host.ok("photos-agent hardware --json | jq -r .machine_learning.variant"), "rocm");

    // Somebody's own choice stays.
    host.ok(
        "podman exec immich-postgres psql -U postgres -d immich -AtqX -c \"UPDATE system_metadata SET value = \
         jsonb_set(value, '{ffmpeg,accel}', '\\\"disabled\\\"') WHERE key = 'system-config'\" && systemctl restart immich-server",
    );
    let note = host.ok("photos-agent plan");
    assert!(note.contains("which is your own setting"), "{note}");
    assert_eq!(setting(&host), "disabled /dev/dri/renderD128");

    // A worker that dies behind a healthy ping.
    host.ok("touch /var/lib/photos/keep/ml-cache/crash");
    for _ in 0..3 {
        host.run(&format!("{SERVER} curl -s -m 5 -X POST http://immich-machine-learning:3003/predict -d x"));
    }
    host.ok("podman healthcheck run immich-ml");
    let status = host.fails(2, "photos-agent status").out;
    assert!(status.contains("its worker died 3 times within the last hour, at last by SIGSEGV"), "{status}");
    host.ok("rm /var/lib/photos/keep/ml-cache/crash");
}

#[test]
fn a_card_that_goes_leads_to_the_processor_and_its_return_leads_back() {
    let host = with_card("cardgone", "");
    host.ok("systemctl enable -q --now photos-agent");
    host.wait_for("systemctl show -P StatusText photos-agent | grep -q generation", 60);
    assert!(image(&host).ends_with(&locked(&host, "-rocm")));
    host.ok(GONE);
    host.wait_for("photos-agent status | grep -q 'machine learning: degraded'", 60);
    host.wait_for("podman healthcheck run immich-ml && podman healthcheck run immich-server", 60);
    host.wait_for("! grep -q rocm /etc/containers/systemd/photos-agent/immich-ml.container && ! grep -q PHOTOS_DEVICES /etc/containers/systemd/photos-agent/*.container", 60);
    host.wait_for("test \"$(photos-agent plan >/dev/null; echo $?)\" = 0", 60);
    assert!(image(&host).ends_with(&locked(&host, "")), "{}", image(&host));
    assert_eq!(setting(&host), "disabled auto");
    let status = host.fails(2, "photos-agent status").out;
    assert!(status.contains("Concern: machine learning: runs on the processor, since ROCm on"), "{status}");
    assert_eq!(host.ok(&format!("{SERVER} sh -c 'ls /dev/dri 2>/dev/null || echo none'")), "none");
    let doctor = host.fails(2, "photos-agent doctor").out;
    assert!(
        doctor.contains("FAILS    drift that is yours to mend: machine learning: runs on the processor"),
        "{doctor}"
    );

    host.ok(NODES);
    host.wait_for("photos-agent status | grep -q 'All is well'", 90);
    assert!(image(&host).ends_with(&locked(&host, "-rocm")));
    assert_eq!(setting(&host), "vaapi /dev/dri/renderD128");
    assert_eq!(host.ok(&format!("{ML} sh -c 'ls /dev/dri /dev/kfd'")), "/dev/kfd\n\n/dev/dri:\nrenderD128");
}

#[test]
fn a_driver_that_loads_late_does_not_cost_the_card() {
    let host = with_card("cardlate", "");
    host.ok("systemctl enable -q --now photos-agent");
    let image_of = image(&host);
    let units = "cat /etc/containers/systemd/photos-agent/*.container | sha256sum";
    let before = host.ok(units);
    // Within the time that a start waits.
    at_boot(&host, Some(12));
    host.reboot();
    host.wait_for("photos-agent status | grep -q 'All is well'", 90);
    assert_eq!((image(&host), host.ok(units)), (image_of.clone(), before.clone()));
    assert_eq!(host.ok("systemctl show -P NRestarts immich-server immich-ml | tr -d '\\n'"), "00");
    assert_eq!(host.ok(&format!("{SERVER} ls /dev/dri")), "renderD128");
    // After it: the services start without, and are given it when it comes.
    at_boot(&host, Some(50));
    host.reboot();
    host.wait_for("podman healthcheck run immich-server", 60);
    let waiting = host.run("photos-agent status").out;
    assert!(waiting.contains("degraded") && waiting.contains("may still come"), "{waiting}");
    assert_eq!(host.ok(&format!("{SERVER} sh -c 'ls /dev/dri 2>/dev/null || echo none'")), "none");
    host.wait_for("photos-agent status | grep -q 'All is well'", 90);
    assert_eq!((image(&host), host.ok(units)), (image_of, before));
    assert_eq!(host.ok(&format!("{SERVER} ls /dev/dri")), "renderD128");
}

/// The agent is not there, and neither is the card: photographs are.
#[test]
fn without_agent_and_card_the_stack_comes_up() {
    let host = with_card("cardalone", "");
    host.ok("systemctl disable -q --now photos-agent");
    at_boot(&host, None);
    host.reboot();
    host.wait_for("curl -fs http://127.0.0.1:2283/api/server/ping", 90);
    host.wait_for("podman healthcheck run immich-ml", 60);
    let said = host.ok("journalctl -q -b -o cat -u immich-server | grep -c 'started without a graphics card'");
    assert_ne!(said, "0");
}

/// The variant is of the host: a release comes and goes with it, and a card that dies meanwhile is none of the release's.
#[test]
fn a_release_comes_in_the_variant_of_the_host_and_goes_back_without_its_card() {
    let host = with_card("cardupgrade", "[immich]\nversion = \"v3.1.0\"\n[upgrade]\nsettle = \"1s\"\n");
    let ml = |host: &Host, release: &str, suffix: &str| {
        host.ok(&format!("jq -r '.images[\"ghcr.io/immich-app/immich-machine-learning:{release}{suffix}\"]' /var/lib/photos-agent/images.lock"))
    };
    assert!(image(&host).ends_with(&ml(&host, "v3.1.0", "-rocm")));
    host.ok("photos-agent upgrade --to v3.2.2 --now");
    assert!(image(&host).ends_with(&ml(&host, "v3.2.2", "-rocm")));
    assert_eq!(ml(&host, "v3.2.2", ""), "null", "what is not used is not pulled");
    host.configure("[upgrade]\nsettle = \"1s\"\n");
    host.assert_converged();
    // The card dies, and after that somebody wants the old release back.
    host.ok(GONE);
    host.ok("photos-agent apply");
    assert!(image(&host).ends_with(&ml(&host, "v3.2.2", "")));
    host.ok("systemctl stop docker-registry");
    host.ok("photos-agent rollback --yes --accept-loss");
    host.ok("systemctl start docker-registry");
    let status = host.run("photos-agent status").out;
    assert!(status.contains("Immich v3.1.0,") && status.contains("Concern: machine learning"), "{status}");
    // Going back hangs on no registry: the image of then does without its card until the next look.
    assert!(image(&host).ends_with(&ml(&host, "v3.1.0", "-rocm")), "{}", image(&host));
    assert_eq!(ml(&host, "v3.1.0", ""), "null");
    host.ok("photos-agent apply");
    assert!(image(&host).ends_with(&ml(&host, "v3.1.0", "")), "{}", image(&host));
    host.ok("podman healthcheck run immich-ml && podman healthcheck run immich-server");
    assert_eq!(setting(&host), "disabled auto");
    host.ok(NODES);
    host.ok("photos-agent apply");
    assert!(image(&host).ends_with(&ml(&host, "v3.1.0", "-rocm")));
    assert_eq!(setting(&host), "vaapi /dev/dri/renderD128");
}

/// By CDI, as NVIDIA's are; and what is forced and cannot be.
#[test]
fn a_card_of_nvidias_is_passed_by_its_name() {
    let host = Host::with_images("cdi");
    host.configure("[hardware]\nml = \"cuda\"\n");
    let said = host.fails(3, "photos-agent apply").err;
    assert!(said.contains("hardware.ml: \"cuda\" cannot be: no card of NVIDIA's"), "{said}");
    assert!(!host.ok("ls /etc/containers/systemd").contains("photos-agent"), "nothing was touched");
    let spec =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/host/cdi-nvidia.yaml")).unwrap();
    host.write("/etc/cdi/nvidia.yaml", &spec);
    host.ok(
        "mkdir -p /run/nv/gpus/0000:01:00.0 && echo 'NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.163.01  x' >/run/nv/version && \
         printf 'Model: \\t\\t NVIDIA GeForce RTX 3060\\n' >'/run/nv/gpus/0000:01:00.0/information' && \
         mkdir -p /run/proc && mount --rbind /proc/driver /run/proc && mount -t tmpfs none /proc/driver && \
         mkdir /proc/driver/nvidia && cp -r /run/nv/. /proc/driver/nvidia/",
    );
    let said = host.fails(3, "photos-agent apply").err;
    assert!(said.contains("/etc/cdi/nvidia.yaml names /dev/nvidia0, /dev/nvidiactl, which is not there"), "{said}");
    host.ok("mknod -m 666 /dev/nvidia0 c 195 0 && mknod -m 666 /dev/nvidiactl c 195 255");
    host.ok("photos-agent apply");
    assert!(image(&host).ends_with(&locked(&host, "-cuda")));
    assert_eq!(host.ok(&format!("{ML} sh -c 'ls /dev/nvidia*'")), "/dev/nvidia0\n/dev/nvidiactl");
    let said = host.ok("photos-agent hardware test");
    assert!(said.contains("CUDAExecutionProvider computed") && said.contains("NVENC encoded"), "{said}");
    host.ok("rm /dev/nvidia0");
    host.ok("photos-agent apply");
    assert!(image(&host).ends_with(&locked(&host, "")));
    host.ok("podman healthcheck run immich-ml && podman healthcheck run immich-server");
}

/// The same words to ffmpeg that `hardware test` has for it, on this machine's own node.
#[test]
fn a_real_card_encodes_where_there_is_one() {
    let mut nodes: Vec<_> = std::fs::read_dir("/dev/dri")
        .map(|nodes| nodes.filter_map(|node| Some(node.ok()?.path())).collect())
        .unwrap_or_default();
    nodes.retain(|node| node.to_string_lossy().contains("/renderD"));
    let Some(node) = nodes.first() else {
        eprintln!("SKIPPED: this machine has no render node, so no video was really encoded by a card");
        return;
    };
    if Command::new("ffmpeg").arg("-version").output().is_err() {
        eprintln!("SKIPPED: {} is there, and no ffmpeg on this machine", node.display());
        return;
    }
    let device = format!("vaapi=card:{}", node.display());
    let arguments =
        ["-hide_banner", "-nostdin", "-v", "error", "-init_hw_device", &device, "-filter_hw_device", "card"];
    let source = ["-f", "lavfi", "-i", "testsrc2=duration=1:size=320x240:rate=10"];
    let made = ["-vf", "format=nv12,hwupload", "-c:v", "h264_vaapi", "-f", "null", "-"];
    let done = Command::new("ffmpeg").args(arguments).args(source).args(made).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}
