"""External libraries: what a scan does. It trashes every asset whose file it cannot see, as Immich does."""

import datetime
import fnmatch
import hashlib
import os

import assets
from jobs import job


def live(app, identity):
    return app.database.row('SELECT * FROM library WHERE id::text = %s AND "deletedAt" IS NULL', identity)


def validate(app, path):
    """None where a scan may read the path, else why not."""
    if not os.path.isabs(path):
        return f"Import path must be absolute, try {os.path.abspath(path)}"
    if os.path.normpath(path) == app.media.root or os.path.normpath(path).startswith(app.media.root + "/"):
        return "Cannot use media upload folder for external libraries"
    if not os.path.exists(path):
        return "Path does not exist (ENOENT)"
    if not os.path.isdir(path):
        return "Not a directory"
    if not os.access(path, os.R_OK | os.X_OK):
        return "Lacking read permission for folder"
    return None


def excluded(path, patterns):
    """Globs against the whole path; `**` is nothing special to fnmatch, whose `*` crosses slashes already."""
    return any(fnmatch.fnmatchcase(path, pattern.replace("**", "*")) for pattern in patterns)


def walk(folder, patterns):
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            path = os.path.join(parent, name)
            if not name.startswith(".") and assets.kind(name) and not excluded(path, patterns):
                yield path


@job("LibraryScanQueueAll")
def scan_all(app):
    for found in app.database.rows('SELECT id FROM library WHERE "deletedAt" IS NULL'):
        queue_scan(app, found["id"])


def queue_scan(app, identity):
    app.queues.add("library", "LibrarySyncFilesQueueAll", id=identity)
    app.queues.add("library", "LibrarySyncAssetsQueueAll", id=identity)


@job("LibrarySyncFilesQueueAll")
def sync_files(app, id):
    """New files, by path. Skipped where no import path is valid."""
    found = live(app, id)
    if not found:
        return
    valid = [path for path in found["importPaths"] if validate(app, path) is None]
    for path in set(found["importPaths"]) - set(valid):
        app.log.error(f"Skipping invalid import path: {path}. Reason: {validate(app, path)}")
    if not valid:
        app.log.error(f"No valid import paths found for library {id}")
        return
    known = {row["originalPath"] for row in app.database.rows('SELECT "originalPath" FROM asset WHERE "libraryId" = %s', id)}
    for folder in valid:
        for path in walk(folder, found["exclusionPatterns"]):
            if path not in known:
                known.add(path)
                record(app, found, path)
    app.database.run('UPDATE library SET "refreshedAt" = now() WHERE id = %s', id)


def record(app, library, path):
    try:
        state = os.stat(path)
    except OSError:
        return
    changed = datetime.datetime.fromtimestamp(state.st_mtime, datetime.timezone.utc)
    assets.insert(
        app,
        ownerId=library["ownerId"],
        libraryId=library["id"],
        type=assets.kind(path),
        originalPath=path,
        originalFileName=os.path.basename(path),
        checksum=hashlib.sha1(f"path:{path}".encode()).digest(),
        size=state.st_size,
        isExternal=True,
        fileCreatedAt=changed,
        fileModifiedAt=changed,
    )


@job("LibrarySyncAssetsQueueAll")
def sync_assets(app, id):
    """Every known asset whose file is gone, or is not to be imported any more, goes to the trash; one that is back returns."""
    found = live(app, id)
    if not found:
        return
    offline, online = [], []
    for row in app.database.rows('SELECT id, "originalPath", "isOffline" FROM asset WHERE "libraryId" = %s', id):
        path = row["originalPath"]
        wanted = any(path.startswith(folder.rstrip("/") + "/") for folder in found["importPaths"])
        seen = wanted and not excluded(path, found["exclusionPatterns"]) and os.path.exists(path)
        if seen and row["isOffline"]:
            online.append(row["id"])
        elif not seen and not row["isOffline"]:
            offline.append(row["id"])
    if offline:
        app.database.run(
            """UPDATE asset SET "isOffline" = true, status = 'trashed', "deletedAt" = now(), "updatedAt" = now()
            WHERE id::text = ANY(%s)""",
            offline,
        )
    if online:
        app.database.run(
            """UPDATE asset SET "isOffline" = false, status = 'active', "deletedAt" = NULL, "updatedAt" = now()
            WHERE id::text = ANY(%s)""",
            online,
        )
    app.log.log(f"Checked existing asset(s): {len(offline)} offlined, {len(online)} back online in library {id}")


@job("LibraryDelete")
def delete(app, id):
    app.database.run("DELETE FROM library WHERE id = %s", id)
