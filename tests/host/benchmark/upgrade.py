"""An upgrade, and how long the server is away for it, beside podman-compose with the same images. Both begin with the release
before, and both end with the new one."""

import shutil
import statistics
import time

from measure import COMPOSE, output, run, table, talk
from restore import PING, while_asked

ROUNDS = 5
OLD, NEW = "v3.1.0", "v3.2.2"
CONFIGURATION = "/etc/photos-agent/config.toml"
THEIR_PING = PING.replace("2283", "2284")
UPGRADE = ["photos-agent", "--quiet", "upgrade", "--to", NEW, "--now"]
ROLLBACK = ["photos-agent", "--quiet", "rollback", "--accept-loss", "--yes"]
# How long all has to be well before the doors are opened: the one that it has by itself, and one that is no safety.
SETTLES = ["5s", "1s"]


def settle(seconds):
    with open(CONFIGURATION, "w", encoding="utf-8") as file:
        file.write(f'[upgrade]\nsettle = "{seconds}"\n')
    run("photos-agent", "--quiet", "apply")


def version(ping):
    return output("sh", "-c", f"curl -sf {ping.replace('ping', 'version')} | jq -r '\"v\\(.major).\\(.minor).\\(.patch)\"'")


def asked(command, ping, becomes):
    """Seconds that the command took, and that the server was away."""
    begun = time.monotonic()
    took, down = while_asked(lambda: run(*command), ping, 0.1)
    assert version(ping) == becomes, f"{' '.join(command)}: {version(ping)} after {time.monotonic() - begun:.0f} s"
    return took, down


def write_compose(release):
    """Its file, with this release of both."""
    with open(f"{COMPOSE}/compose.yaml", encoding="utf-8") as file:
        lines = file.read().splitlines()
    for number, line in enumerate(lines):
        for part in ("immich-server", "immich-machine-learning"):
            if line.strip().startswith(f"image: ghcr.io/immich-app/{part}"):
                lines[number] = f"    image: ghcr.io/immich-app/{part}:{release}"
    with open(f"{COMPOSE}/compose.yaml", "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def compose_again():
    """It has no way back: its old release begins anew."""
    run("podman-compose", "down", "-t", "2")
    for folder in ("postgres", "media"):
        shutil.rmtree(f"{COMPOSE}/{folder}")
        run("mkdir", f"{COMPOSE}/{folder}")
    write_compose(OLD)
    run("podman-compose", "up", "-d")
    run("sh", "-c", f"timeout 60 sh -c 'until curl -sf -m 2 {THEIR_PING}; do sleep 0.2; done'")


def upgrade():
    names = [f"`photos-agent upgrade`, `settle = \"{seconds}\"`" for seconds in SETTLES]
    back, compose = "`photos-agent rollback`", "`podman-compose pull && podman-compose up -d`"
    times = {name: [] for name in [*names, back, compose]}
    for number in range(ROUNDS):
        talk(f"upgrades and back: {number + 1} of {ROUNDS}")
        for name, seconds in zip(names, SETTLES):
            if version(PING) == NEW:
                times[back].append(asked(ROLLBACK, PING, OLD))
            settle(seconds)
            times[name].append(asked(UPGRADE, PING, NEW))
        compose_again()
        write_compose(NEW)
        both = ["sh", "-c", "podman-compose pull && podman-compose up -d"]
        times[compose].append(asked(both, THEIR_PING, NEW))
    floor = statistics.median(down for _, down in times[compose])
    rows = []
    for name, measured in times.items():
        took, downs = zip(*measured)
        away = statistics.median(downs)
        rows.append([name, f"{statistics.median(took):.2f} s", f"{away:.2f} s", f"{min(downs):.2f} to {max(downs):.2f}",
                     str(len(downs)), f"{away / floor:.2f}"])
    table([f"{OLD} to {NEW}", "the command, median", "the server away, median", "lowest to highest", "runs", "to podman-compose"], rows)
    clean()


def clean():
    """What is measured next begins without what these left."""
    with open(CONFIGURATION, "w", encoding="utf-8"):
        pass
    run("photos-agent", "--quiet", "apply")
    for made in output("sh", "-c", "photos-agent snapshot list --json | jq -r '.snapshots[].id'; ls /var/lib/photos/replaced").split():
        name = f"replaced-{made}" if made.isdigit() else made
        run("photos-agent", "snapshot", "delete", name, "--yes")
