"""/system-config, /admin: configuration, maintenance, dumps, notifications."""

import os
import secrets

import backup
import config
from app import MAINTENANCE_COOKIE
from media import FOLDERS
from routes_server import when
from web import ALL, PUBLIC, HttpError, Raw, route

ACTIONS = ("start", "end", "select_database_restore", "restore_database")


def since_3_2(request):
    if request.app.version.release < (3, 2, 0):
        raise HttpError(404, f"Cannot {request.path}")


@route("GET", "/system-config", "systemConfig.read", admin=True)
def get_config(request):
    return config.load(request.app)


@route("GET", "/system-config/defaults", "systemConfig.read", admin=True)
def get_config_defaults(request):
    return config.defaults(request.app)


@route("PUT", "/system-config", "systemConfig.update", admin=True)
def put_config(request):
    """The whole document, or nothing."""
    app, wanted = request.app, request.json()
    if app.settings.config_file:
        raise HttpError(400, "Cannot update configuration while IMMICH_CONFIG_FILE is in use")
    wrong = config.unknown(wanted, config.defaults(app)) or config.invalid(wanted)
    if wrong:
        raise HttpError(400, "Validation failed", wrong)
    config.save(app, wanted)
    return config.load(app)


@route("GET", "/admin/config", "adminConfig.read", admin=True)
def get_admin_config(request):
    since_3_2(request)
    return config.load(request.app)


@route("PUT", "/admin/config", "adminConfig.update", admin=True)
def put_admin_config(request):
    since_3_2(request)
    return put_config(request)


@route("POST", "/admin/maintenance", "maintenance", status=201, admin=True)
def maintenance(request):
    app, wanted = request.app, request.fields({"action": str}, {"restoreBackupFilename": str})
    if wanted["action"] not in ACTIONS:
        raise HttpError(400, "Validation failed", [(["action"], f"Invalid option: {wanted['action']}")])
    if wanted["action"] == "restore_database":
        raise HttpError(400, "The stand-in does not restore dumps")
    if wanted["action"] == "end":
        app.set_maintenance({"isMaintenanceMode": False})
        return 201, Raw(b"", {})
    secret = secrets.token_hex(32)
    app.set_maintenance({"isMaintenanceMode": True, "secret": secret, "action": wanted["action"]})
    app.log.log(f"A maintenance token: {secret}")
    return 201, Raw(b"", {"Set-Cookie": f"{MAINTENANCE_COOKIE}={secret}; Path=/; HttpOnly; SameSite=Lax"})


@route("GET", "/admin/maintenance/status", PUBLIC)
def maintenance_status(request):
    return {"active": request.app.in_maintenance, "action": request.app.maintenance.get("action", "end")}


@route("GET", "/admin/maintenance/detect-install", "maintenance", admin=True)
def detect_install(request):
    answer = []
    for name in FOLDERS:
        path = request.app.media.folder(name)
        readable = os.access(path, os.R_OK)
        files = len([entry for entry in os.listdir(path) if entry != ".immich"]) if readable else 0
        answer.append({"folder": name, "readable": readable, "writable": os.access(path, os.W_OK), "files": files})
    return {"storage": answer}


@route("GET", "/admin/database-backups", "maintenance", admin=True)
def list_backups(request):
    zone = os.environ.get("TZ") or "UTC"
    return {"backups": [{"filename": name, "filesize": size, "timezone": zone} for name, size in backup.listing(request.app)]}


@route("POST", "/admin/notifications", ALL, status=201, admin=True)
def notify(request):
    app = request.app
    wanted = request.fields({"userId": str, "title": str}, {"description": str, "level": str, "type": str})
    if not app.database.row('SELECT id FROM "user" WHERE id::text = %s', wanted["userId"]):
        raise HttpError(400, "Validation failed", [(["userId"], "No such user")])
    row = app.database.row(
        'INSERT INTO notification ("userId", level, type, title, description) VALUES (%s, %s, %s, %s, %s) RETURNING *',
        wanted["userId"],
        wanted.get("level", "info"),
        wanted.get("type", "Custom"),
        wanted["title"],
        wanted.get("description"),
    )
    shown = ("id", "level", "type", "title", "description")
    return {**{name: row[name] for name in shown}, "createdAt": when(row["createdAt"])}
