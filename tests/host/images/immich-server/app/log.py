"""Lines on standard output, in the shape of Immich's."""

import datetime
import os


class Log:
    def __init__(self, context="Api:Bootstrap"):
        self.context = context
        self.verbose_too = os.environ.get("IMMICH_LOG_LEVEL") in ("verbose", "debug")

    def write(self, level, message):
        now = datetime.datetime.now().strftime("%m/%d/%Y, %I:%M:%S %p")
        print(f"[Immich] {os.getpid()}  - {now} {level:>7} [{self.context}] {message}", flush=True)

    def log(self, message):
        self.write("LOG", message)

    def warn(self, message):
        self.write("WARN", message)

    def error(self, message):
        self.write("ERROR", message)

    def debug(self, message):
        if self.verbose_too:
            self.write("DEBUG", message)
