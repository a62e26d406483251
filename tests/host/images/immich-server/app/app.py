"""What the routes and the jobs share, and who is let in."""

import os
import threading

import auth
from versions import CRASH_LOOP, NEVER_HEALTHY
from web import ALL, ANY_KEY, PUBLIC, HttpError

MAINTENANCE = "maintenance-mode"
CRASH_SECONDS = 2
MAINTENANCE_COOKIE = "immich_maintenance_token"
MAINTENANCE_ROUTES = ("/server/ping", "/server/version", "/server/config", "/admin/maintenance", "/admin/database-backups")


class App:
    def __init__(self, settings, version, database, redis, media, log):
        self.settings, self.version, self.log = settings, version, log
        self.database, self.redis, self.media = database, redis, media
        self.queues = None
        self.maintenance = {}

    def load_maintenance(self):
        self.maintenance = self.database.metadata(MAINTENANCE) or {}

    def set_maintenance(self, state):
        self.database.set_metadata(MAINTENANCE, state)
        self.maintenance = state

    @property
    def in_maintenance(self):
        return bool(self.maintenance.get("isMaintenanceMode"))

    def admit(self, request, route):
        """Let the request pass, with its user set, or raise the refusal."""
        if self.version.behaviour == NEVER_HEALTHY:
            raise HttpError(503, "Service Unavailable")
        if self.version.behaviour == CRASH_LOOP and request.path == "/server/ping":
            threading.Timer(CRASH_SECONDS, self.crash).start()
        if self.in_maintenance:
            self.admit_in_maintenance(request, route)
        elif route.permission != PUBLIC:
            auth.authenticate(self.database, request)
            self.admit_user(request, route)

    def crash(self):
        self.log.error("this image crashes after its first ping")
        os._exit(1)

    def admit_in_maintenance(self, request, route):
        """Only a few routes, and neither keys nor sessions: the token from entering the mode."""
        if not request.path.startswith(MAINTENANCE_ROUTES):
            raise HttpError(404, f"Cannot {route.method} /api{request.path}")
        if route.permission != PUBLIC and request.cookie(MAINTENANCE_COOKIE) != self.maintenance.get("secret"):
            raise HttpError(401, "Missing or invalid maintenance token")

    def admit_user(self, request, route):
        if route.admin and not request.user["isAdmin"]:
            raise HttpError(403, "Forbidden")
        if request.key is None or route.permission == ANY_KEY:
            return
        granted = request.key["permissions"]
        if "all" not in granted and (route.permission == ALL or route.permission not in granted):
            raise HttpError(403, f"Missing required permission: {route.permission}")
