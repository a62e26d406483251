"""How everything is measured: in turns, so that whatever else the machine does meets all that is compared alike."""

import socket
import statistics
import subprocess
import sys
import tempfile
import time

SOCKET = "/run/podman/podman.sock"
# Of podman-compose: a folder with the compose.yaml of the same stack.
COMPOSE = sys.argv[1]


def talk(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def run(*command, fine=(0,)):
    """Seconds that a command took. One that fails ends everything: it did something else than what is measured."""
    # A file, so that nobody has to read beside it.
    with tempfile.TemporaryFile("w+", dir="/run") as said:
        begun = time.monotonic()
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, cwd=COMPOSE)
        took = time.monotonic() - begun
        if done.returncode not in fine:
            said.seek(0)
            sys.exit(f"bench: {' '.join(command)}: exit {done.returncode}\n{said.read()}")
    return took


def output(*command, given=None):
    """What a command says, `given` being what it hears."""
    done = subprocess.run(command, input=given, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"bench: {' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


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
    """Each command once a round, and the next round from the first again; by name, the times of each. What measures
    itself is a function that returns the seconds."""
    times = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            before()
            times[name].append(command() if callable(command) else run(*command))
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
