"""The daemon: its start, and what it takes while there is nothing to do."""

import os
import sys
import time

from measure import compared, output, run, table, talk, warm_podman

STARTS, IDLE = 10, 60
PEER = "bench-peer.service"


def daemon():
    talk("the daemon: start, then a minute of doing nothing")
    unit = "[Service]\nType=notify\nNotifyAccess=all\nExecStart=/bin/sh -c 'systemd-notify --ready; exec sleep infinity'\n"
    with open(f"/run/systemd/system/{PEER}", "w", encoding="utf-8") as file:
        file.write(unit)
    run("systemctl", "daemon-reload")
    agent, peer = "`photos-agent.service`", "a shell that says READY"
    times = {agent: [], peer: []}
    for _ in range(STARTS):
        for name, service in ((agent, "photos-agent.service"), (peer, PEER)):
            run("systemctl", "stop", service)
            # More starts in ten seconds than systemd takes from a unit that fails.
            run("systemctl", "reset-failed")
            times[name].append(run("systemctl", "start", service))
    run("systemctl", "stop", PEER)
    compared("`systemctl start` to READY", times, agent)
    wait_until_converged()
    idle("photos-agent.service")


def wait_until_converged():
    for _ in range(600):
        if output("systemctl", "show", "-P", "StatusText", "photos-agent.service").startswith("converged"):
            time.sleep(10)
            return
        time.sleep(0.1)
    sys.exit("bench: the daemon did not converge within a minute")


def fields(path):
    """A file of `Name: value unit` lines, the numbers of it."""
    with open(path, encoding="utf-8") as file:
        pairs = (line.split(":", 1) for line in file if ":" in line)
        return {name: int(value.split()[0]) for name, value in pairs if value.split()[:1] and value.split()[0].isdigit()}


def memory(pid):
    return [f"{kib / 1024:.1f} MiB" for kib in (fields(f"/proc/{pid}/status")["VmRSS"], fields(f"/proc/{pid}/smaps_rollup")["Pss"])]


def threads(pid):
    return len(os.listdir(f"/proc/{pid}/task"))


def wakes(pid):
    """How often any of its threads has gone to sleep by itself."""
    tasks = os.listdir(f"/proc/{pid}/task")
    return sum(fields(f"/proc/{pid}/task/{task}/status")["voluntary_ctxt_switches"] for task in tasks)


def idle(service):
    pid = output("systemctl", "show", "-P", "MainPID", service)
    before = wakes(pid)
    time.sleep(IDLE)
    woken = wakes(pid) - before
    resident, shared = memory(pid)
    warm_podman()
    podman = output("systemctl", "show", "-P", "MainPID", "podman.service")
    podman_resident, podman_shared = memory(podman)
    size = os.stat("/usr/bin/photos-agent").st_size
    rows = [
        ["resident memory", resident, podman_resident],
        ["proportional share of it (PSS)", shared, podman_shared],
        ["threads", str(threads(pid)), str(threads(podman))],
        [f"wake-ups in {IDLE} s", str(woken), "ends by itself"],
        ["the binary, stripped", f"{size / 1e6:.2f} MB", f"{os.stat('/usr/bin/podman').st_size / 1e6:.2f} MB"],
    ]
    table(["the idle daemon", "photos-agent", "Podman's service"], rows)
