"""Measures the agent beside its peers: runs inside a converged host, as root, and prints Markdown tables.

    python3 benchmark COMPOSE_FOLDER [PART...]

COMPOSE_FOLDER has a compose.yaml of the same stack, which is up. Both are of the release before; the first part upgrades them. Nothing here says what is fast enough.
"""

import os
import sys
import time

import daemon
import lists
import restore
import snapshots
import stack
import upgrade
from measure import output, run, talk


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        cpus = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    systemd = output("systemctl", "--version").split()[1]
    podman = output("podman", "--version").split()[-1]
    # It says Podman's first.
    compose = output("podman-compose", "--version").split()[-1]
    snapper = output("snapper", "--version").split()[1]
    btrbk = output("btrbk", "--version").splitlines()[0].rstrip(".").split()[-1]
    print(f"{time.strftime('%Y-%m-%d')}, {output('photos-agent', '--version')}: {cpus[0] if cpus else 'unknown processor'}, "
          f"{len(os.sched_getaffinity(0))} cores, Linux {os.uname().release}, systemd {systemd}, Podman {podman}, "
          f"podman-compose {compose}, snapper {snapper}, btrbk {btrbk}. Load of the machine before: {os.getloadavg()[0]:.1f}.")


def quiet():
    """Neither the daemon nor the other stack works beside what follows."""
    run("systemctl", "stop", "photos-agent.service")
    run("podman-compose", "down", "-t", "2")


PARTS = {
    "upgrade": upgrade.upgrade,
    "commands": stack.commands,
    "stack": stack.stack,
    "daemon": daemon.daemon,
    "quiet": quiet,
    "snapshots": snapshots.snapshots,
    "lists": lists.lists,
    "restore": restore.restore,
}

if __name__ == "__main__":
    machine()
    for part in sys.argv[2:] or PARTS:
        begun = time.monotonic()
        PARTS[part]()
        talk(f"{part}: {time.monotonic() - begun:.0f} s")
