"""Lists of snapshots, and what the policy says of each: of as many as nobody has, and of real ones."""

import datetime
import json
import os
import shutil

from measure import compared, output, run, talk, turns
from snapshots import BASE, take

ROUNDS = 15
REAL, MANIFESTS = 200, 10_000
FOLDER = f"{BASE}/.snapshots"


def manifest(name):
    return f"{FOLDER}/{name}/manifest.json"


def copy(number):
    """Makes so many more of the newest one's manifest: two a day, back from its own day. Returns their folders."""
    with open(manifest(max(os.listdir(FOLDER))), encoding="utf-8") as file:
        text = json.load(file)
    newest = datetime.datetime.fromisoformat(text["created"])
    names = []
    for back in range(1, number + 1):
        moment = newest - back * datetime.timedelta(hours=12)
        text["id"], text["created"] = f"{moment:%Y%m%dT%H%M%SZ}", f"{moment:%Y-%m-%dT%H:%M:%SZ}"
        os.mkdir(f"{FOLDER}/{text['id']}")
        with open(manifest(text["id"]), "w", encoding="utf-8") as file:
            json.dump(text, file, indent=2)
        names.append(text["id"])
    return names


def measure(title):
    listed = "`photos-agent snapshot list`"
    times = turns(ROUNDS, lambda: None, {
        listed: ["photos-agent", "snapshot", "list"],
        "`photos-agent snapshot list --json`": ["photos-agent", "snapshot", "list", "--json"],
        # 2: some would be deleted.
        "`photos-agent snapshot prune --dry-run`": lambda: run("photos-agent", "snapshot", "prune", "--dry-run", fine=(0, 2)),
        "`cat` of all manifests": ["sh", "-c", f"cat {FOLDER}/*/manifest.json >/dev/null"],
        "`btrfs subvolume list`": ["btrfs", "subvolume", "list", BASE],
        "`photos-agent --version`": ["photos-agent", "--version"],
    })
    compared(title, times, listed)


def lists():
    talk(f"{REAL} snapshots")
    for _ in range(REAL - len(os.listdir(FOLDER))):
        take("bench")
    measure(f"{len(os.listdir(FOLDER))} snapshots")
    talk(f"{MANIFESTS} manifests")
    copies = copy(MANIFESTS - len(os.listdir(FOLDER)))
    size = sum(os.stat(manifest(name)).st_size for name in copies) / len(copies)
    known = json.loads(output("photos-agent", "snapshot", "list", "--json"))["snapshots"]
    assert len(known) == MANIFESTS and all("summary" in row for row in known), "the agent knows all of them"
    measure(f"{MANIFESTS:,} manifests of {size:,.0f} bytes")
    for name in copies:
        shutil.rmtree(f"{FOLDER}/{name}")
