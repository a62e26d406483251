"""A snapshot of one moment beside tools that take one of each subvolume: the whole command, and how long all stands still."""

import itertools
import json
import os
import shutil
import subprocess
import sys
import time

from kernel import Shots, frozen, timed
from measure import compared, output, run, talk, turns

BASE = "/var/lib/photos"
LIVE = f"{BASE}/live"
# Those of a snapshot of the agent's. thumbs and encoded-video, which Immich can make again, are in nobody's.
PARTS = ["postgres", "redis", "media", "icloud"]
# What the others make.
PEERS = f"{BASE}/bench"
ROUNDS = 12
WRITER = "/root/writer.py"
CHECKPOINT = ["podman", "exec", "-u", "postgres", "immich-postgres", "psql", "-qU", "postgres", "-c", "CHECKPOINT"]
NUMBERS = itertools.count()


def sql(statement):
    return output("podman", "exec", "-i", "-u", "postgres", "immich-postgres", "psql", "-qU", "postgres", "-d", "immich",
                  "-Atv", "ON_ERROR_STOP=1", given=statement)


def take(reason):
    """One by the agent: its manifest, as it is told."""
    return json.loads(output("photos-agent", "snapshot", "--json", "--reason", reason))["snapshot"]


def prepare():
    """What the peers want to have before: a configuration of each subvolume, a list of all."""
    os.makedirs(f"{PEERS}/btrbk")
    for part in PARTS:
        run("snapper", "-c", part, "create-config", f"{LIVE}/{part}")
    lines = [f"volume {BASE}", "snapshot_dir bench/btrbk", "timestamp_format long-iso"]
    with open("/etc/btrbk/btrbk.conf", "w", encoding="utf-8") as file:
        file.write("\n".join(lines + [f"subvolume live/{part}" for part in PARTS]) + "\n")


def clean():
    """Takes all of it away, and waits until the filesystem is done with it."""
    for part in PARTS:
        run("snapper", "-c", part, "delete-config")
    for folder, names, _ in os.walk(PEERS, topdown=False):
        for name in names:
            if os.stat(f"{folder}/{name}").st_ino == 256:
                run("btrfs", "-q", "subvolume", "delete", f"{folder}/{name}")
    shutil.rmtree(PEERS)
    run("btrfs", "subvolume", "sync", BASE)


def looped(command):
    """A shell's loop over the subvolumes."""
    return lambda: run("sh", "-ec", f"mkdir $0; for part; do {command}; done", f"{PEERS}/{next(NUMBERS)}", *PARTS)


def whole(title):
    """The commands as a person runs them."""
    agent, loop, checkpoint = "`photos-agent snapshot`", "`btrfs subvolume snapshot -r` in a loop", "CHECKPOINT by `podman exec`"
    moments = []

    def snapshot():
        begun = time.monotonic()
        moments.append(take("bench")["frozen_us"] / 1e6)
        return time.monotonic() - begun

    times = turns(ROUNDS, lambda: None, {
        agent: snapshot,
        loop: looped(f"btrfs -q subvolume snapshot -r {LIVE}/$part $0/$part"),
        "`snapper create` in a loop": looped("snapper -c $part create"),
        checkpoint: CHECKPOINT,
        "`btrbk run`": ["btrbk", "-q", "run"],
        "`podman exec` of `true`": ["podman", "exec", "immich-postgres", "true"],
    })
    both = "loop and CHECKPOINT"
    sums = [sum(pair) for pair in zip(times[loop], times[checkpoint])]
    compared(f"whole command, {title}", times | {both: sums}, both)
    return moments


def still(title, moments):
    """What stands still: the agent's services, beside the kernel's work alone, which nothing else stands still for."""
    def shots(way, hold=lambda work: work()):
        def measure():
            taken = Shots(LIVE, PARTS, f"{PEERS}/{next(NUMBERS)}")
            # As the agent does: what is dirty is written before.
            run("sync", "-f", BASE)
            took = timed(lambda: hold(lambda: way(taken)))
            taken.close()
            return took
        return measure

    agent, raw = "`photos-agent snapshot`, frozen", "the raw ioctls, one after the other"
    times = turns(ROUNDS, lambda: None, {
        agent: lambda: take("bench")["frozen_us"] / 1e6,
        raw: shots(Shots.one_by_one),
        "the raw ioctls, a thread each": shots(Shots.side_by_side),
        "the same, `cgroup.freeze` before and after": shots(Shots.side_by_side, frozen),
    })
    times["`photos-agent snapshot`, frozen, in the turns above"] = moments
    compared(f"time that all stands still, {title}", times, raw)


def writer():
    with open(WRITER, encoding="utf-8") as script:
        started = subprocess.Popen(["podman", "exec", "-i", "immich-server", "python3", "-"], stdin=script,
                                   stdout=subprocess.PIPE, text=True)
    if started.stdout.readline() != "writing\n":
        sys.exit("bench: the writer does not write")
    return started


def written():
    return int(sql("SELECT count(*) FROM writer"))


def snapshots():
    talk("snapshots, while nothing is written")
    prepare()
    print(f"\nSnapshots are of {len(PARTS)} subvolumes: {', '.join(PARTS)}.")
    still("idle", whole("idle"))
    talk("snapshots under a writer")
    writes = writer()
    time.sleep(2)
    begun, before = time.monotonic(), written()
    still("under the writer", whole("under the writer"))
    rate = (written() - before) / (time.monotonic() - begun)
    if writes.poll() is not None:
        sys.exit("bench: the writer has lost its connection")
    # Its processes are the host's, too.
    run("pkill", "-x", "-f", "python3 -")
    writes.wait()
    print(f"\nThe writer: {rate:.0f} rows and files a second, each flushed; it has lost no connection.")
    clean()
