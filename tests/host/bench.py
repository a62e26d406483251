"""Measures the agent beside its peers: runs inside a converged host, as root, and prints Markdown tables.

    python3 bench.py COMPOSE_FOLDER

COMPOSE_FOLDER has a compose.yaml of the same stack, which is up. What is compared takes turns, so that whatever else
the machine does meets all of them alike. Nothing here says what is fast enough.
"""

import os
import socket
import statistics
import subprocess
import sys
import time

COMPOSE = sys.argv[1]
ROUNDS, COLD_ROUNDS, STARTS, DAEMON_STARTS, IDLE = 15, 8, 7, 10, 60
SOCKET = "/run/podman/podman.sock"
NETWORKS = ["photos-network.service", "photos-egress-network.service"]
POSTGRES, REDIS, SERVER, ML = "immich-postgres.service", "immich-redis.service", "immich-server.service", "immich-ml.service"
SERVICES = [POSTGRES, REDIS, SERVER, ML]
PEER = "bench-peer.service"


def talk(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def run(*command):
    """Seconds that a command took. One that fails ends everything: it did something else than what is measured."""
    begun = time.monotonic()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=COMPOSE)
    took = time.monotonic() - begun
    if done.returncode != 0:
        sys.exit(f"bench: {' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return took


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def warm_podman():
    """Has the socket's service running, which ends by itself after a few seconds without questions."""
    with socket.socket(socket.AF_UNIX) as podman:
        podman.connect(SOCKET)
        podman.sendall(b"GET /v5.0.0/libpod/_ping HTTP/1.0\r\nHost: podman\r\n\r\n")
        while podman.recv(4096):
            pass


def cool_podman():
    run("systemctl", "stop", "podman.service")


def turns(rounds, before, commands):
    """Each command once a round, and the next round from the first again; by name, the times of each."""
    times = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            before()
            times[name].append(run(*command))
    return times


def table(head, rows):
    print(f"\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def compared(title, times, floor, unit="ms"):
    """A table of times, each beside the median of `floor`."""
    scale, digits = {"ms": (1000, 1), "s": (1, 2)}[unit]
    one = statistics.median(times[floor])
    rows = []
    for name, took in times.items():
        shown = [f"{value * scale:.{digits}f}" for value in (statistics.median(took), min(took), max(took))]
        rows.append([name, f"{shown[0]} {unit}", f"{shown[1]} to {shown[2]}", str(len(took)), f"{statistics.median(took) / one:.2f}"])
    table([title, "median", "lowest to highest", "runs", f"to {floor}"], rows)


def commands():
    talk("commands that find nothing to do, Podman's socket warm")
    apply, status = "`photos-agent apply`", "`systemctl status` of a unit"
    warm = {
        "`photos-agent plan`": ["photos-agent", "plan"],
        apply: ["photos-agent", "apply"],
        "`podman-compose up -d`": ["podman-compose", "up", "-d"],
        "one `podman ps`": ["podman", "ps"],
        status: ["systemctl", "status", SERVER],
    }
    compared("nothing to do, Podman's service running", turns(ROUNDS, warm_podman, warm), apply)
    talk("the same, Podman's socket cold")
    cold = {name: warm[name] for name in ("`photos-agent plan`", apply)}
    compared("nothing to do, Podman's service stopped", turns(COLD_ROUNDS, cool_podman, cold), apply)


def stop_stack():
    run("systemctl", "stop", "photos.target", *SERVICES)
    run("systemctl", "stop", *NETWORKS)


def stack():
    """The stack from nothing running to all healthy, and the longest way through its units, each started alone."""
    talk("cold start of the stack")
    whole, chain = "all units at once", "the chain, one after the other"
    parts = {"its networks": [], "its database": [], "its server": []}
    times = {whole: [], chain: []}
    for _ in range(STARTS):
        stop_stack()
        times[whole].append(run("systemctl", "start", "photos.target", *SERVICES))
        stop_stack()
        parts["its networks"].append(run("systemctl", "start", *NETWORKS))
        # The server needs it, and it is there long before the database.
        run("systemctl", "start", REDIS)
        parts["its database"].append(run("systemctl", "start", POSTGRES))
        parts["its server"].append(run("systemctl", "start", SERVER))
        times[chain].append(sum(took[-1] for took in parts.values()))
        run("systemctl", "start", "photos.target", *SERVICES)
    compared("from stopped to healthy", times | parts, chain, "s")


def daemon():
    talk("the daemon: start, then a minute of doing nothing")
    unit = "[Service]\nType=notify\nNotifyAccess=all\nExecStart=/bin/sh -c 'systemd-notify --ready; exec sleep infinity'\n"
    with open(f"/run/systemd/system/{PEER}", "w", encoding="utf-8") as file:
        file.write(unit)
    run("systemctl", "daemon-reload")
    agent, peer = "`photos-agent.service`", "a shell that says READY"
    times = {agent: [], peer: []}
    for _ in range(DAEMON_STARTS):
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


def machine():
    cpus = [line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8") if line.startswith("model name")]
    systemd = output("systemctl", "--version").split()[1]
    podman = output("podman", "--version").split()[-1]
    # It says Podman's first.
    compose = output("podman-compose", "--version").split()[-1]
    print(f"{time.strftime('%Y-%m-%d')}, {output('photos-agent', '--version')}: {cpus[0] if cpus else 'unknown processor'}, "
          f"{len(os.sched_getaffinity(0))} cores, Linux {os.uname().release}, systemd {systemd}, Podman {podman}, "
          f"podman-compose {compose}. Load of the machine before: {os.getloadavg()[0]:.1f}.")


if __name__ == "__main__":
    machine()
    commands()
    stack()
    daemon()
