"""/assets: upload, read, download."""

import base64
import hashlib
import mimetypes
import os
import re
import uuid

import assets
from routes_server import when
from web import HttpError, Raw, route


@route("POST", "/assets", "asset.upload", status=201)
def upload(request):
    app, parts = request.app, multipart(request)
    wrong = [([name], "Invalid input: required") for name in ("assetData", "fileCreatedAt", "fileModifiedAt") if name not in parts]
    if wrong:
        raise HttpError(400, "Validation failed", wrong)
    name, content = parts["assetData"]
    name = parts.get("filename", (None, b""))[1].decode() or name or "file"
    kind = assets.kind(name)
    if not kind:
        raise HttpError(400, f"Unsupported file type {os.path.splitext(name)[1]}")
    checksum = hashlib.sha1(content).digest()
    known = app.database.value(
        'SELECT id FROM asset WHERE "ownerId" = %s AND checksum = %s AND "libraryId" IS NULL', request.user["id"], checksum
    )
    if known:
        return 200, {"id": known, "status": "duplicate"}
    ending = os.path.splitext(name)[1].lower()
    path = app.media.shard("upload", request.user["id"], str(uuid.uuid4()), ending)
    app.media.store(path, content)
    identity = assets.insert(
        app,
        ownerId=request.user["id"],
        type=kind,
        originalPath=path,
        originalFileName=os.path.basename(name),
        checksum=checksum,
        size=len(content),
        isFavorite=parts.get("isFavorite", (None, b""))[1] == b"true",
        fileCreatedAt=parts["fileCreatedAt"][1].decode(),
        fileModifiedAt=parts["fileModifiedAt"][1].decode(),
    )
    app.queues.add("thumbnailGeneration", "AssetGenerateThumbnails", id=identity)
    return {"id": identity, "status": "created"}


def multipart(request):
    """The parts of a form: name -> (file name, content)."""
    found = re.match(r'multipart/form-data;.*boundary="?([^";]+)"?', request.headers.get("Content-Type") or "")
    if not found:
        raise HttpError(400, "Validation failed", [([], "expected multipart/form-data")])
    parts = {}
    for part in (b"\r\n" + request.body).split(b"\r\n--" + found.group(1).encode())[1:]:
        head, separator, content = part.partition(b"\r\n\r\n")
        if not separator:
            continue
        head = head.decode()
        name = re.search(r'[; ]name="([^"]*)"', head)
        file = re.search(r'filename="([^"]*)"', head)
        if name:
            parts[name.group(1)] = (file and file.group(1), content)
    return parts


def own_asset(request):
    found = request.app.database.row(
        'SELECT * FROM asset WHERE id::text = %s AND "ownerId" = %s', request.parameters["id"], request.user["id"]
    )
    if not found:
        raise HttpError(400, "Not found or no asset.read access")
    return found


@route("GET", "/assets/statistics", "asset.statistics")
def statistics(request):
    trashed = 'IS NOT NULL' if request.flag("isTrashed") else "IS NULL"
    row = request.app.database.row(
        f"""SELECT count(*) FILTER (WHERE type = 'IMAGE') AS images, count(*) FILTER (WHERE type = 'VIDEO') AS videos,
          count(*) AS total FROM asset WHERE "ownerId" = %s AND "deletedAt" {trashed}""",
        request.user["id"],
    )
    return row


@route("GET", "/assets/{id}", "asset.read")
def get_asset(request):
    return asset_json(request.app, own_asset(request))


@route("GET", "/assets/{id}/original", "asset.download")
def original(request):
    found = own_asset(request)
    try:
        with open(found["originalPath"], "rb") as file:
            content = file.read()
    except OSError as error:
        raise HttpError(404, f"File not found: {found['originalPath']}") from error
    return Raw(content, {"Content-Type": mime(found["originalFileName"])})


@route("DELETE", "/assets", "asset.delete", status=204)
def delete_assets(request):
    wanted = request.fields({"ids": list}, {"force": bool})
    request.app.database.run(
        """UPDATE asset SET "deletedAt" = now(), status = %s, "updatedAt" = now() WHERE id::text = ANY(%s) AND "ownerId" = %s""",
        "deleted" if wanted.get("force") else "trashed",
        wanted["ids"],
        request.user["id"],
    )


def mime(name):
    return mimetypes.guess_type(name)[0] or "application/octet-stream"


def asset_json(app, found):
    created = when(found["fileCreatedAt"])
    duration = found["duration"]
    return {
        "id": found["id"],
        "ownerId": found["ownerId"],
        "libraryId": found["libraryId"],
        "type": found["type"],
        "originalPath": found["originalPath"],
        "originalFileName": found["originalFileName"],
        "originalMimeType": mime(found["originalFileName"]),
        "checksum": base64.b64encode(found["checksum"]).decode(),
        "createdAt": when(found["createdAt"]),
        "updatedAt": when(found["updatedAt"]),
        "fileCreatedAt": created,
        "fileModifiedAt": when(found["fileModifiedAt"]),
        "localDateTime": created,
        "duration": duration if app.version.major >= 3 else duration or "0:00:00.00000",
        "hasMetadata": True,
        "height": None,
        "width": None,
        "isArchived": found["visibility"] == "archive",
        "isEdited": False,
        "isFavorite": found["isFavorite"],
        "isOffline": found["isOffline"],
        "isTrashed": found["deletedAt"] is not None,
        "thumbhash": None,
        "visibility": found["visibility"],
        "people": [],
        "tags": [],
    }
