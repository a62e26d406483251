"""/libraries: external libraries."""

import assets
import library
from routes_server import when
from web import ALL, HttpError, route

BODY = {"name": str, "importPaths": list, "exclusionPatterns": list}
DEFAULT_EXCLUSIONS = ["**/@eaDir/**", "**/._*", "**/#recycle/**", "**/#snapshot/**"]


def found(request):
    row = library.live(request.app, request.parameters["id"])
    if not row:
        raise HttpError(400, "Library not found")
    return row


def library_json(app, row):
    return {
        "id": row["id"],
        "ownerId": row["ownerId"],
        "name": row["name"],
        "assetCount": app.database.value('SELECT count(*) FROM asset WHERE "libraryId" = %s AND "deletedAt" IS NULL', row["id"]),
        "importPaths": row["importPaths"],
        "exclusionPatterns": row["exclusionPatterns"],
        "createdAt": when(row["createdAt"]),
        "updatedAt": when(row["updatedAt"]),
        "refreshedAt": when(row["refreshedAt"]),
    }


def check_paths(app, paths):
    for path in paths:
        reason = library.validate(app, path)
        if reason:
            raise HttpError(400, f"Invalid import path: {reason}")


@route("GET", "/libraries", "library.read", admin=True)
def list_libraries(request):
    rows = request.app.database.rows('SELECT * FROM library WHERE "deletedAt" IS NULL ORDER BY "createdAt"')
    return [library_json(request.app, row) for row in rows]


@route("POST", "/libraries", "library.create", status=201, admin=True)
def create_library(request):
    app, wanted = request.app, request.fields({"ownerId": str}, BODY)
    if not app.database.row('SELECT id FROM "user" WHERE id::text = %s', wanted["ownerId"]):
        raise HttpError(400, "Validation failed", [(["ownerId"], "No such user")])
    row = app.database.row(
        'INSERT INTO library ("ownerId", name, "importPaths", "exclusionPatterns") VALUES (%s, %s, %s, %s) RETURNING *',
        wanted["ownerId"],
        wanted.get("name") or "New External Library",
        wanted.get("importPaths", []),
        wanted.get("exclusionPatterns", DEFAULT_EXCLUSIONS),
    )
    return library_json(app, row)


@route("GET", "/libraries/{id}", "library.read", admin=True)
def get_library(request):
    return library_json(request.app, found(request))


@route("PUT", "/libraries/{id}", "library.update", admin=True)
def update_library(request):
    app, row, wanted = request.app, found(request), request.fields(optional=BODY)
    check_paths(app, wanted.get("importPaths", []))
    row = app.database.row(
        'UPDATE library SET name = %s, "importPaths" = %s, "exclusionPatterns" = %s, "updatedAt" = now() WHERE id = %s RETURNING *',
        *(wanted.get(name, row[name]) for name in BODY),
        row["id"],
    )
    return library_json(app, row)


@route("DELETE", "/libraries/{id}", "library.delete", status=204, admin=True)
def delete_library(request):
    row = found(request)
    request.app.database.run('UPDATE library SET "deletedAt" = now() WHERE id = %s', row["id"])
    request.app.queues.add("library", "LibraryDelete", id=row["id"])


@route("POST", "/libraries/{id}/scan", "library.update", status=204, admin=True)
def scan_library(request):
    library.queue_scan(request.app, found(request)["id"])


@route("GET", "/libraries/{id}/statistics", "library.statistics", admin=True)
def library_statistics(request):
    counted = assets.count(request.app, '"libraryId" = %s', found(request)["id"])
    total = counted["photos"] + counted["videos"]
    return {"photos": counted["photos"], "videos": counted["videos"], "total": total, "usage": counted["usage"]}


@route("POST", "/libraries/{id}/validate", ALL, admin=True)
def validate_library(request):
    found(request)
    wanted = request.fields(optional={"importPaths": list, "exclusionPatterns": list})
    answer = []
    for path in wanted.get("importPaths", []):
        reason = library.validate(request.app, path)
        entry = {"importPath": path, "isValid": reason is None}
        answer.append({**entry, "message": reason} if reason else entry)
    return {"importPaths": answer}
