"""Queues in Redis, and the worker that empties them."""

import json
import threading
import time

NAMES = (
    "thumbnailGeneration metadataExtraction videoConversion faceDetection facialRecognition smartSearch"
    " duplicateDetection backgroundTask storageTemplateMigration migration search sidecar library notifications"
    " backupDatabase ocr workflow integrityCheck editor"
).split()
PREFIX = "immich_bull"
IDLE_SECONDS = 0.5

HANDLERS = {}


def job(name):
    """Declare a function to be what is done for a job of this name."""

    def declare(function):
        HANDLERS[name] = function
        return function

    return declare


def key(queue, part):
    return f"{PREFIX}:{queue}:{part}"


class Queues:
    def __init__(self, redis):
        self.redis = redis

    def add(self, queue, name, **data):
        self.redis("LPUSH", key(queue, "wait"), json.dumps({"name": name, "data": data}))

    def is_paused(self, queue):
        return bool(self.redis("HEXISTS", key(queue, "meta"), "paused"))

    def pause(self, queue, paused):
        if paused:
            self.redis("HSET", key(queue, "meta"), "paused", "1")
        else:
            self.redis("HDEL", key(queue, "meta"), "paused")

    def empty(self, queue):
        self.redis("DEL", key(queue, "wait"))

    def clear_failed(self, queue):
        self.redis("DEL", key(queue, "failed"))

    def statistics(self, queue):
        waiting = self.redis("LLEN", key(queue, "wait"))
        paused = self.is_paused(queue)
        return {
            "active": self.redis("LLEN", key(queue, "active")),
            "completed": int(self.redis("GET", key(queue, "completed")) or 0),
            "delayed": 0,
            "failed": int(self.redis("GET", key(queue, "failed")) or 0),
            "paused": waiting if paused else 0,
            "waiting": 0 if paused else waiting,
        }


class Worker(threading.Thread):
    """Takes one job after the other; one that was interrupted is taken again at the next start."""

    def __init__(self, app, redis):
        super().__init__(daemon=True, name="microservices")
        self.app, self.redis = app, redis

    def run(self):
        recovered = False
        while True:
            try:
                if not recovered:
                    self.recover()
                    recovered = True
                while self.work():
                    pass
            except Exception as error:  # Redis is away: it will be back
                self.app.log.warn(f"Worker: {type(error).__name__}: {error}")
            time.sleep(IDLE_SECONDS)

    def recover(self):
        for queue in NAMES:
            while self.redis("LMOVE", key(queue, "active"), key(queue, "wait"), "RIGHT", "RIGHT"):
                pass

    def work(self):
        """Do a job of each queue that has one; false if there was none."""
        if not self.redis("EXISTS", *(key(queue, "wait") for queue in NAMES)):
            return False
        worked = False
        for queue in NAMES:
            if self.redis("HEXISTS", key(queue, "meta"), "paused"):
                continue
            found = self.redis("LMOVE", key(queue, "wait"), key(queue, "active"), "RIGHT", "LEFT")
            if found:
                self.do(queue, found)
                worked = True
        return worked

    def do(self, queue, found):
        described, outcome = json.loads(found), "completed"
        try:
            handler = HANDLERS.get(described["name"])
            if handler:
                handler(self.app, **described["data"])
        except Exception as error:  # a failed job is counted and dropped, as Immich does it
            outcome = "failed"
            self.app.log.error(f"Unable to run job handler ({described['name']}): {error}")
        self.redis("LREM", key(queue, "active"), "1", found)
        self.redis("INCR", key(queue, outcome))
