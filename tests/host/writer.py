"""Writes as Immich does when phones upload: a file, flushed, and then its row. Runs in the server's container.

Each thread keeps one connection and says after each commit that it was told of it. Any error ends it all.
"""

import os
import signal
import sys
import threading
import time

import psycopg2

THREADS = 4
FOLDER = "/data/library/writer"
SIZE = 3000


def connect():
    with open("/run/secrets/photos-db-password", encoding="utf-8") as secret:
        password = secret.read().strip()
    connection = psycopg2.connect(host="database", user="postgres", dbname="immich", password=password)
    connection.autocommit = True
    return connection


def write(thread):
    cursor = connect().cursor()
    with open(f"{FOLDER}/{thread}.told", "a", buffering=1, encoding="utf-8") as told:
        for number in range(thread, sys.maxsize, THREADS):
            with open(f"{FOLDER}/{number}.jpg", "wb") as photo:
                photo.write(b"x" * SIZE)
                photo.flush()
                os.fsync(photo.fileno())
            cursor.execute("INSERT INTO writer (id) VALUES (%s)", (number,))
            told.write(f"{number}\n")


def work(thread):
    try:
        write(thread)
    except BaseException as error:  # noqa: BLE001
        print(f"thread {thread}: {error!r}", file=sys.stderr, flush=True)
        os._exit(1)


os.makedirs(FOLDER, exist_ok=True)
connect().cursor().execute("DROP TABLE IF EXISTS writer; CREATE TABLE writer (id bigint PRIMARY KEY)")
for each in range(THREADS):
    threading.Thread(target=work, args=(each,), daemon=True).start()
print("writing", flush=True)
signal.sigwait({signal.SIGTERM, signal.SIGINT})
time.sleep(0)
os._exit(0)
