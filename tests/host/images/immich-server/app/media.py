"""The files below the media location: markers, originals, thumbnails."""

import os
import time

from settings import StartupError

FOLDERS = ("encoded-video", "library", "upload", "profile", "thumbs", "backups")
MARKER = ".immich"
FLAGS = "system-flags"
LOCATION = "media-location"


class Media:
    def __init__(self, root):
        self.root = root

    def folder(self, name):
        return os.path.join(self.root, name)

    def check_location(self, database, log):
        """Paths in the database begin with the location that they were written under."""
        known = (database.metadata(LOCATION) or {}).get("location")
        if known and known != self.root:
            raise StartupError(
                f"Detected an inconsistent media location: the database says {known}, the server has {self.root}"
            )
        if not known:
            log.log(f"Setting media location to {self.root}")
            database.set_metadata(LOCATION, {"location": self.root})

    def check_mounts(self, database, log, ignore_errors):
        """Each folder's marker is written once, and must be there, readable and writable, ever after."""
        flags = database.metadata(FLAGS) or {}
        checks = flags.setdefault("mountChecks", {})
        log.log(f"Verifying system mount folder checks, current state: {checks}")
        try:
            for name in FOLDERS:
                if not checks.get(name):
                    self.create_marker(name, log)
                self.verify_marker(name)
                checks[name] = True
        except StartupError as error:
            if not ignore_errors:
                raise
            log.warn(f"{error} (ignored)")
        database.set_metadata(FLAGS, flags)
        log.log("Successfully verified system mount folder checks")

    def create_marker(self, name, log):
        path = os.path.join(self.folder(name), MARKER)
        try:
            os.makedirs(self.folder(name), exist_ok=True)
            with open(path, "x", encoding="utf-8") as file:
                file.write(stamp())
        except FileExistsError:
            log.warn(f"Found existing mount file, skipping creation: {path}")
        except OSError as error:
            raise StartupError(failure("create", name, path, error)) from error

    def verify_marker(self, name):
        path = os.path.join(self.folder(name), MARKER)
        try:
            with open(path, encoding="utf-8") as file:
                file.read()
        except OSError as error:
            raise StartupError(failure("read", name, path, error)) from error
        try:
            # never makes the file: a marker that has gone means that the wrong thing is mounted
            descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(stamp())
        except OSError as error:
            raise StartupError(failure("write", name, path, error)) from error

    def shard(self, folder, owner, identity, ending):
        """upload/OWNER/ab/cd/abcd….jpg, as Immich spreads its files."""
        return os.path.join(self.folder(folder), str(owner), identity[:2], identity[2:4], identity + ending)

    def store(self, path, content):
        """Write a file so that it survives a power cut: itself, and its name."""
        folder = os.path.dirname(path)
        os.makedirs(folder, exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        while len(folder) >= len(self.root):
            sync_folder(folder)
            folder = os.path.dirname(folder)

    def statistics(self):
        """The filesystem that holds the media, by statvfs."""
        found = os.statvfs(self.root)
        size, available = found.f_frsize * found.f_blocks, found.f_frsize * found.f_bavail
        return size, size - found.f_frsize * found.f_bfree, available


def sync_folder(folder):
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def stamp():
    return str(int(time.time() * 1000))


def failure(verb, name, path, error):
    return (
        f'Failed to {verb}: "<UPLOAD_LOCATION>/{name}/{MARKER} ({path}) - {error.strerror}". '
        "Please see https://docs.immich.app/administration/system-integrity#folder-checks for more information."
    )
