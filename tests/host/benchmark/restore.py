"""A restore of much and of a tenth of it; one from before a rotation; and what becomes of the queue."""

import hashlib
import json
import os
import statistics
import threading
import time
import urllib.error
import urllib.request

from measure import output, run, table, talk
from snapshots import BASE, LIVE, sql, take
from stack import SERVICES, stop_stack

ROUNDS = 3
# Megabytes of the database, and files of the library.
TENTH, WHOLE = (200, 10_000), (2000, 100_000)
PAGE = 8192
LIBRARY = f"{LIVE}/media/library/bench"
# Written after each snapshot, and gone after the restore.
LATER = 1000
PING = "http://127.0.0.1:2283/api/server/ping"


def write_files(first, end):
    for number in range(first, end):
        if number == first or number % 1000 == 0:
            os.makedirs(f"{LIBRARY}/{number // 1000}", exist_ok=True)
        with open(f"{LIBRARY}/{number // 1000}/{number}.jpg", "wb") as file:
            file.write(b"%d" % number * 50)


def write_rows(first, end):
    sql(f"INSERT INTO bench SELECT number, repeat(md5(number::text), 60) FROM generate_series({first}, {end - 1}) number")


def fill(megabytes, files):
    """Grows both to this size: one row of 1.9 kB on each page."""
    sql("CREATE TABLE IF NOT EXISTS bench (id bigint, filling text) WITH (fillfactor = 25)")
    rows, written = count()
    write_rows(rows, megabytes * 1_000_000 // PAGE)
    write_files(written, files)
    run("sync", "-f", BASE)


def count():
    """Rows and files."""
    return int(sql("SELECT count(*) FROM bench")), sum(len(files) for _, _, files in os.walk(LIBRARY))


class Asked:
    """Asks the server a hundred times a second, until it has answered again."""

    def __init__(self, ping, patience):
        self.ping, self.patience = ping, patience
        self.answers = []
        self.ends = threading.Event()
        self.thread = threading.Thread(target=self.ask)
        self.thread.start()

    def ask(self):
        while not (self.ends.is_set() and self.answers[-1][1]):
            begun = time.monotonic()
            try:
                with urllib.request.urlopen(self.ping, timeout=self.patience):
                    answered = True
            except (OSError, urllib.error.URLError):
                answered = False
            self.answers.append((time.monotonic(), answered))
            time.sleep(max(0, begun + 0.01 - time.monotonic()))

    def down(self):
        """Seconds from its last answer before to its first after."""
        self.ends.set()
        self.thread.join()
        failed = [at for at, answered in self.answers if not answered]
        if not failed:
            return 0.0
        last = max(at for at, answered in self.answers if answered and at < failed[0])
        return min(at for at, answered in self.answers if answered and at > failed[-1]) - last


def while_asked(work, ping=PING, patience=0.5):
    """What it took, and how long the server was away."""
    asked = Asked(ping, patience)
    time.sleep(0.5)
    took = work()
    return took, asked.down()


def back_and_forth(snapshot):
    """Restores, and deletes what was live before. Returns what it took, what the clones and the exchange took of it, and
    how long the server was away."""
    took, down = while_asked(lambda: run("photos-agent", "--quiet", "restore", snapshot, "--yes"))
    last = json.loads(output("photos-agent", "history", "--json"))["operations"][0]
    exchanged = sum(step["took_ms"] for step in last["steps"] if step["step"].startswith(("clone", "exchange"))) / 1000
    run("photos-agent", "snapshot", "delete", f"replaced-{last['id']:06}", "--yes")
    run("btrfs", "subvolume", "sync", BASE)
    return took, exchanged, down


def restart():
    def work():
        begun = time.monotonic()
        stop_stack()
        run("systemctl", "start", "photos.target", *SERVICES)
        return time.monotonic() - begun
    return while_asked(work)


def sizes():
    columns = []
    for megabytes, files in (TENTH, WHOLE):
        talk(f"a database of {megabytes} MB, a library of {files} files")
        fill(megabytes, files)
        before = count()
        snapshot = take("bench")["id"]
        restores, restarts = [], []
        for _ in range(ROUNDS):
            restarts.append(restart())
            write_rows(before[0], before[0] + LATER)
            write_files(files, files + LATER)
            restores.append(back_and_forth(snapshot))
            after = count()
            assert after == before, f"rows and files: {after} after the restore, {before} before"
        size = int(sql("SELECT pg_database_size('immich')")) / 1e6
        columns.append((f"{size:,.0f} MB, {before[1]:,} files", [*zip(*restores), *zip(*restarts)]))
    rows = []
    names = ["`photos-agent restore`", "of it, clones and exchange", "the server away", "stop and start alone", "the server away then"]
    for name, small, large in zip(names, columns[0][1], columns[1][1]):
        shown = [f"{statistics.median(times):.2f} s ({min(times):.2f} to {max(times):.2f})" for times in (small, large)]
        rows.append([name, *shown, f"{statistics.median(large) / statistics.median(small):.2f}"])
    table([f"restore, medians of {ROUNDS}", columns[0][0], columns[1][0], "to the tenth"], rows)


def secret():
    """The hash of the password that the server has; an error where the database does not take it."""
    script = ("import hashlib, psycopg2; password = open('/run/secrets/photos-db-password').read().strip(); "
              "psycopg2.connect(host='database', user='postgres', dbname='immich', password=password); "
              "print(hashlib.sha256(password.encode()).hexdigest())")
    return output("podman", "exec", "immich-server", "python3", "-c", script)


# All of each key that begins so, whatever its type.
CONTENT = """
local said = {}
local names = redis.call('KEYS', ARGV[1])
table.sort(names)
for _, name in ipairs(names) do
  local kind = redis.call('TYPE', name).ok
  local content
  if kind == 'list' then content = redis.call('LRANGE', name, 0, -1)
  elseif kind == 'hash' then
    local keys = redis.call('HKEYS', name)
    table.sort(keys)
    content = {}
    for _, key in ipairs(keys) do table.insert(content, key .. '=' .. redis.call('HGET', name, key)) end
  elseif kind == 'zset' then content = redis.call('ZRANGE', name, 0, -1, 'WITHSCORES')
  elseif kind == 'stream' then content = {cjson.encode(redis.call('XRANGE', name, '-', '+'))}
  else content = {redis.call('GET', name)} end
  table.insert(said, kind .. ' ' .. name .. ': ' .. table.concat(content, ' '))
end
return said
"""
QUEUE = "immich_bull:bench"
JOBS = 1000


def valkey(commands):
    return output("podman", "exec", "-i", "immich-redis", "valkey-cli", given="\n".join(commands) + "\n")


def content():
    """Every key of the queue with all that it holds."""
    return output("podman", "exec", "immich-redis", "valkey-cli", "EVAL", CONTENT, "0", f"{QUEUE}:*")


def fill_queue():
    """The keys that BullMQ has for a queue of jobs: waiting, delayed and done ones, and its log of events."""
    commands = [f"HSET {QUEUE}:meta opts.maxLenEvents 10000 version bullmq", f"SET {QUEUE}:id {JOBS}"]
    for job in range(1, JOBS + 1):
        data = f"'{{\"id\":\"{hashlib.md5(b'%d' % job).hexdigest()}\"}}'"
        commands.append(f"HSET {QUEUE}:{job} name bench data {data} timestamp {job} attempts 0")
        commands.append(f"RPUSH {QUEUE}:wait {job}" if job % 3 else f"ZADD {QUEUE}:delayed {job} {job}")
        commands.append(f"XADD {QUEUE}:events {job}-1 event added jobId {job}")
    commands.append(f"ZADD {QUEUE}:completed 1 0")
    valkey(commands)


def before_a_rotation():
    """One restore from before a rotation, of a queue that has changed since. What does not hold ends the bench."""
    talk("a rotation and a changed queue, then back to before them")
    fill_queue()
    first, queue = secret(), content()
    assert len(queue.splitlines()) > JOBS, "the queue is not empty"
    snapshot = take("before the rotation")["id"]
    run("photos-agent", "secret", "rotate", "photos-db-password")
    second = secret()
    assert second != first, "a rotation makes another password"
    valkey([f"LPOP {QUEUE}:wait 100", f"DEL {QUEUE}:delayed", f"XADD {QUEUE}:events * event drained", f"DEL {QUEUE}:7"])
    assert content() != queue, "the queue has changed"
    run("photos-agent", "--quiet", "restore", snapshot, "--yes")
    assert secret() == second, "the database takes the password of after the rotation"
    run("photos-agent", "plan")
    run("photos-agent", "status")
    assert content() == queue, "the queue is what it was"
    digest = hashlib.sha256(queue.encode()).hexdigest()[:12]
    print("\nRotate, then a restore from before it: the server and the database have the new password, "
          "`photos-agent plan` finds nothing to do, `photos-agent status` says that all is well.")
    print(f"\nThe queue, {len(queue.splitlines()):,} keys of Redis (lists, hashes, sorted sets, a stream): the same after the "
          f"restore as at the snapshot, and another one in between. SHA-256 of all of it: {digest}…")


def restore():
    sizes()
    before_a_rotation()
