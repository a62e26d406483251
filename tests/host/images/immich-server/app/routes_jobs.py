"""/jobs and /queues."""

import jobs
from web import HttpError, route

# what `start` puts into a queue; the others get a job that does nothing
STARTS = {
    "thumbnailGeneration": "AssetGenerateThumbnailsQueueAll",
    "smartSearch": "SmartSearchQueueAll",
    "videoConversion": "AssetEncodeVideoQueueAll",
    "faceDetection": "Nothing",
    "ocr": "Nothing",
    "library": "LibraryScanQueueAll",
    "backupDatabase": "DatabaseBackup",
}
TAKES_FORCE = ("thumbnailGeneration", "smartSearch", "videoConversion", "faceDetection", "ocr")
COMMANDS = ("start", "pause", "resume", "empty", "clear-failed")
MANUAL = ("person-cleanup", "tag-cleanup", "user-cleanup", "memory-cleanup", "memory-create", "backup-database")
INTEGRITY = ("integrity-missing-files", "integrity-untracked-files", "integrity-checksum-mismatch")


def named(request):
    name = request.parameters["name"]
    if name not in known(request.app):
        raise HttpError(400, "Validation failed", [(["name"], f"Invalid option: {name}")])
    return name


def known(app):
    """v3 brought the integrity check."""
    return [name for name in jobs.NAMES if name != "integrityCheck" or app.version.major >= 3]


def queue_json(app, name):
    return {"name": name, "isPaused": app.queues.is_paused(name), "statistics": app.queues.statistics(name)}


def legacy_json(app, name):
    counts = app.queues.statistics(name)
    status = {"isActive": counts["active"] > 0, "isPaused": app.queues.is_paused(name)}
    return {"jobCounts": counts, "queueStatus": status}


@route("GET", "/queues", "queue.read", admin=True)
def list_queues(request):
    return [queue_json(request.app, name) for name in known(request.app)]


@route("GET", "/queues/{name}", "queue.read", admin=True)
def get_queue(request):
    return queue_json(request.app, named(request))


@route("PUT", "/queues/{name}", "queue.update", admin=True)
def update_queue(request):
    name, wanted = named(request), request.fields(optional={"isPaused": bool})
    if "isPaused" in wanted:
        request.app.queues.pause(name, wanted["isPaused"])
    return queue_json(request.app, name)


@route("GET", "/jobs", "job.read", admin=True)
def list_jobs(request):
    return {name: legacy_json(request.app, name) for name in known(request.app)}


@route("PUT", "/jobs/{name}", "job.create", admin=True)
def command_queue(request):
    app, name, wanted = request.app, named(request), request.fields({"command": str}, {"force": bool})
    command = wanted["command"]
    if command not in COMMANDS:
        raise HttpError(400, "Validation failed", [(["command"], f"Invalid option: {command}")])
    if command == "start":
        data = {"force": wanted.get("force", False)} if name in TAKES_FORCE else {}
        app.queues.add(name, STARTS.get(name, "Nothing"), **data)
    elif command in ("pause", "resume"):
        app.queues.pause(name, command == "pause")
    elif command == "empty":
        app.queues.empty(name)
    else:
        app.queues.clear_failed(name)
    return legacy_json(app, name)


@route("POST", "/jobs", "job.create", status=204, admin=True)
def create_job(request):
    name = request.fields({"name": str})["name"]
    if name == "backup-database":
        request.app.queues.add("backupDatabase", "DatabaseBackup")
    elif name in MANUAL:
        request.app.queues.add("backgroundTask", "Nothing")
    elif request.app.version.major >= 3 and name.startswith(INTEGRITY):
        request.app.queues.add("integrityCheck", "Nothing")
    else:
        raise HttpError(400, "Validation failed", [(["name"], f"Invalid option: {name}")])
