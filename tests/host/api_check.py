"""Checks a running server, the stand-in or a real one with an empty database, against the API that we rely on.

    python3 api_check.py SERVER_URL FIXTURE [MEDIA_FOLDER [EXTERNAL_FOLDER]]

FIXTURE is tests/fixtures/immich-api.json. With the two folders (as this process sees them, and as the server sees the
second one, at the same path) it looks at files, too. Plain python, no packages. Not for a server with data in it.
"""

import json
import os
import sys
import time
import unittest
import urllib.error
import urllib.request

URL, FIXTURE, MEDIA, EXTERNAL = (sys.argv[1:5] + [None] * 4)[:4]
NAMES = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "array": list, "object": dict}
ADMIN = {"email": "admin@example.org", "name": "Admin", "password": "a long password"}
BOUNDARY = "------------------------boundary"


def load():
    with open(FIXTURE, encoding="utf-8") as file:
        return json.load(file)


def call(method, path, body=None, key=None, token=None, cookie=None, kind="application/json"):
    """Status, answer (parsed where it is JSON) and headers."""
    headers = {"Content-Type": kind}
    if key:
        headers["x-api-key"] = key
    if token:
        headers["Authorization"] = f"Bearer {token}"
    if cookie:
        headers["Cookie"] = cookie
    data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{URL}/api{path}", data=data, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, parsed(answer.read()), answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, parsed(error.read()), error.headers


def parsed(content):
    try:
        return json.loads(content)
    except ValueError:
        return content


def mismatches(value, wanted, path="answer"):
    """What in the value is not as the fixture has it."""
    if isinstance(wanted, dict):
        if not isinstance(value, dict):
            return [f"{path} is {value!r}, not an object"]
        missing = [f"{path}.{name} is missing" for name in wanted if name not in value]
        present = [name for name in wanted if name in value]
        return missing + [text for name in present for text in mismatches(value[name], wanted[name], f"{path}.{name}")]
    if isinstance(wanted, list):
        if not isinstance(value, list):
            return [f"{path} is {value!r}, not a list"]
        return [text for index, item in enumerate(value) for text in mismatches(item, wanted[0], f"{path}[{index}]")]
    for name in wanted.split("|"):
        if name == "null" and value is None:
            return []
        if name != "null" and isinstance(value, NAMES[name]) and (name == "boolean" or not isinstance(value, bool)):
            return []
    return [f"{path} is {value!r}, not {wanted}"]


def form(name, content):
    """A multipart body with one asset."""
    now = "2026-01-02T03:04:05.000Z"
    parts = [("fileCreatedAt", now), ("fileModifiedAt", now)]
    lines = []
    for field, value in parts:
        lines.append(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'.encode())
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="assetData"; filename="{name}"\r\n'
    lines.append(head.encode() + b"Content-Type: image/jpeg\r\n\r\n" + content + b"\r\n")
    return b"".join(lines) + f"--{BOUNDARY}--\r\n".encode()


class Api(unittest.TestCase):
    """One story, told in the order of the names."""

    @classmethod
    def setUpClass(cls):
        cls.fixture = load()
        cls.routes = {(route["method"], route["path"]): route for route in cls.fixture["routes"]}
        version = call("GET", "/server/version")[1]
        cls.version = (version["major"], version["minor"], version["patch"])
        cls.seen = set()

    def ask(self, method, path, body=None, parameters=None, **options):
        """Call a route of the fixture; the status and the answer are as it says."""
        route = self.routes[(method, path)]
        self.seen.add((method, path))
        filled = path.format(**(parameters or {}))
        options.setdefault("key", None if route["permission"] == "public" else getattr(Api, "key", None))
        status, answer, self.headers = call(method, filled, body, **options)
        if self.lacks(route):
            self.assertEqual(status, 404)
            return None
        self.assertEqual(status, route["status"], f"{method} {filled}: {answer}")
        wanted = route.get("response")
        if wanted is not None:
            if isinstance(wanted, dict):
                wanted = {**wanted, **route.get("response_v3" if self.version[0] >= 3 else "response_v2", {})}
            self.assertEqual(mismatches(answer, wanted), [], f"{method} {filled}")
        return answer

    def lacks(self, route):
        return self.version < tuple(int(part) for part in route.get("since", "0").split("."))

    def wait_for(self, question, wanted):
        for _ in range(60):
            answer = question()
            if answer == wanted:
                return
            time.sleep(0.25)
        self.fail(f"{answer!r} did not become {wanted!r}")

    def test_01_public(self):
        self.assertEqual(self.ask("GET", "/server/ping"), {"res": "pong"})
        for path in ("/server/version", "/server/features", "/server/config", "/server/media-types"):
            self.ask("GET", path)
        history = self.ask("GET", "/server/version-history")
        self.assertEqual(history[0]["version"], ".".join(str(part) for part in self.version))
        self.assertFalse(self.ask("GET", "/server/config")["isInitialized"])

    def test_02_sign_up_once(self):
        Api.admin = self.ask("POST", "/auth/admin-sign-up", ADMIN)["id"]
        self.assertEqual(call("POST", "/auth/admin-sign-up", ADMIN)[0], 400)
        self.assertTrue(self.ask("GET", "/server/config")["isInitialized"])
        wrong = call("POST", "/auth/login", {**ADMIN, "password": "wrong"})
        self.assertEqual(wrong[0], 401)
        Api.token = self.ask("POST", "/auth/login", {name: ADMIN[name] for name in ("email", "password")})["accessToken"]

    def test_03_keys(self):
        made = self.ask("POST", "/api-keys", {"name": "all", "permissions": ["all"]}, token=self.token)
        Api.key = made["secret"]
        self.assertEqual(self.ask("GET", "/api-keys/me")["id"], made["apiKey"]["id"])
        self.assertTrue(self.ask("POST", "/auth/validateToken")["authStatus"])
        limited = self.ask("POST", "/api-keys", {"name": "narrow", "permissions": ["server.about", "apiKey.create"]})
        Api.narrow, identity = limited["secret"], limited["apiKey"]["id"]
        too_much = call("POST", "/api-keys", {"permissions": ["all"]}, key=self.narrow)
        self.assertEqual(too_much[0], 400)
        self.assertEqual(len(self.ask("GET", "/api-keys")), 2)
        self.ask("GET", "/api-keys/{id}", parameters={"id": identity})
        rotated = self.ask("POST", "/api-keys/{id}/rotate", parameters={"id": identity})
        if rotated:
            self.assertEqual(call("GET", "/api-keys/me", key=self.narrow)[0], 401)
            Api.narrow = rotated["secret"]
        Api.narrow_id = identity

    def test_04_every_route_asks_for_its_permission(self):
        for route in self.fixture["routes"]:
            path = route["path"].format(id="00000000-0000-0000-0000-000000000000", name="library")
            if route["permission"] == "public" or self.lacks(route):
                continue
            self.assertEqual(call(route["method"], path, {})[0], 401, f"{route['method']} {path} without a key")
            if route["permission"] not in ("any", "server.about", "apiKey.create"):
                status, answer, _ = call(route["method"], path, {}, key=self.narrow)
                self.assertEqual(status, 403, f"{route['method']} {path} with a key for something else")
                if self.version[0] >= 3:
                    self.assertEqual(mismatches(answer, self.fixture["error_v3"]), [])

    def test_05_refusals_have_the_shape_of_v3(self):
        status, answer, _ = call("POST", "/libraries", {"name": 5}, key=self.key)
        self.assertEqual(status, 400)
        if self.version[0] >= 3:
            self.assertEqual(mismatches(answer, self.fixture["error_v3"]), [])
            self.assertIn(["ownerId"], [error["path"] for error in answer["errors"]])

    def test_06_the_servers_own_state(self):
        for path in ("/server/about", "/server/storage", "/server/statistics", "/admin/users"):
            self.ask("GET", path)
        self.ask("POST", "/admin/users", {"email": "two@example.org", "name": "Two", "password": "a long password"})
        self.ask("POST", "/system-metadata/admin-onboarding", {"isOnboarded": True})
        self.assertTrue(self.ask("GET", "/server/config")["isOnboarded"])
        self.ask("POST", "/admin/notifications", {"userId": self.admin, "title": "Hello", "level": "warning"})

    def test_07_configuration(self):
        self.ask("GET", "/system-config/defaults")
        self.ask("GET", "/admin/config")
        config = self.ask("GET", "/system-config")
        config["trash"]["days"] = 7
        self.assertEqual(self.ask("PUT", "/system-config", config)["trash"]["days"], 7)
        self.assertEqual(self.ask("GET", "/server/config")["trashDays"], 7)
        self.assertEqual(call("PUT", "/system-config", {"trash": {"days": 7}}, key=self.key)[0], 400)
        unknown = {**config, "ffmpeg": {**config["ffmpeg"], "accel": "auto"}}
        self.assertEqual(call("PUT", "/system-config", unknown, key=self.key)[0], 400)

    def test_08_assets(self):
        content, kind = b"not really a photograph", f"multipart/form-data; boundary={BOUNDARY}"
        made = self.ask("POST", "/assets", form("one.jpg", content), kind=kind)
        self.assertEqual(made["status"], "created")
        status, again, _ = call("POST", "/assets", form("two.jpg", content), key=self.key, kind=kind)
        self.assertEqual((status, again["status"], again["id"]), (200, "duplicate", made["id"]))
        found = self.ask("GET", "/assets/{id}", parameters=made)
        self.assertEqual(self.ask("GET", "/assets/{id}/original", parameters=made), content)
        self.assertEqual(self.ask("GET", "/assets/statistics")["total"], 1)
        self.assertEqual(self.ask("GET", "/server/statistics")["photos"], 1)
        Api.asset, Api.path = made["id"], found["originalPath"]
        if MEDIA:
            with open(os.path.join(MEDIA, os.path.relpath(found["originalPath"], "/data")), "rb") as file:
                self.assertEqual(file.read(), content)

    def finished(self, name):
        """Until no job of this queue waits or runs."""
        def left():
            counts = self.ask("GET", "/queues/{name}", parameters={"name": name})["statistics"]
            return counts["waiting"] + counts["active"]
        self.wait_for(left, 0)
        return self.ask("GET", "/queues/{name}", parameters={"name": name})["statistics"]

    def test_09_queues(self):
        self.ask("GET", "/queues")
        self.ask("GET", "/jobs")
        self.assertTrue(self.ask("PUT", "/queues/{name}", {"isPaused": True}, parameters={"name": "smartSearch"})["isPaused"])
        start = {"command": "start", "force": False}
        self.ask("PUT", "/jobs/{name}", start, parameters={"name": "smartSearch"})
        time.sleep(1)
        self.assertEqual(self.ask("GET", "/queues/{name}", parameters={"name": "smartSearch"})["statistics"]["paused"], 1)
        self.ask("PUT", "/jobs/{name}", {"command": "resume"}, parameters={"name": "smartSearch"})
        counts = self.finished("smartSearch")
        self.assertEqual((counts["completed"], counts["failed"]), (2, 0), "the asset got its embedding from the ML service")
        self.assertEqual(call("PUT", "/jobs/nonsense", start, key=self.key)[0], 400)
        self.assertEqual(self.finished("thumbnailGeneration")["completed"], 1)

    def test_10_database_dump(self):
        before = self.ask("GET", "/admin/database-backups")["backups"]
        self.ask("POST", "/jobs", {"name": "backup-database"})
        counts = self.finished("backupDatabase")
        self.assertEqual(counts["failed"], 0)
        after = self.ask("GET", "/admin/database-backups")["backups"]
        self.assertEqual(len(after), len(before) + 1)
        version = ".".join(str(part) for part in self.version)
        self.assertRegex(after[-1]["filename"], rf"^immich-db-backup-\d{{8}}T\d{{6}}-v{version}-pg[\d.]+\.sql\.gz$")

    def test_11_library(self):
        made = self.ask("POST", "/libraries", {"ownerId": self.admin, "name": "iCloud"})
        parameters = {"id": made["id"]}
        invalid = {"importPaths": ["/nowhere", "relative"]}
        answer = self.ask("POST", "/libraries/{id}/validate", invalid, parameters=parameters)
        self.assertEqual([path["isValid"] for path in answer["importPaths"]], [False, False])
        self.ask("GET", "/libraries")
        self.ask("GET", "/libraries/{id}", parameters=parameters)
        self.ask("PUT", "/libraries/{id}", {"name": "photos of iCloud"}, parameters=parameters)
        if EXTERNAL:
            self.scan_really(parameters)
        self.ask("POST", "/libraries/{id}/scan", parameters=parameters)
        self.ask("DELETE", "/libraries/{id}", parameters=parameters)
        self.assertEqual(call("GET", f"/libraries/{made['id']}", key=self.key)[0], 400)

    def scan_really(self, parameters):
        """Files that go are assets in the trash: that is what a scan of the wrong tree would do to all of them."""
        names = [os.path.join(EXTERNAL, "2026", name) for name in ("a.heic", "b.mov", ".hidden.jpg", "notes.txt")]
        os.makedirs(os.path.dirname(names[0]), exist_ok=True)
        for name in names:
            with open(name, "w", encoding="utf-8") as file:
                file.write(name)
        self.ask("PUT", "/libraries/{id}", {"importPaths": [EXTERNAL]}, parameters=parameters)
        self.assertEqual(self.scanned(parameters), (1, 1))
        os.unlink(names[1])
        self.assertEqual(self.scanned(parameters), (1, 0))
        with open(names[1], "w", encoding="utf-8") as file:
            file.write("again")
        self.assertEqual(self.scanned(parameters), (1, 1))
        os.rename(EXTERNAL + "/2026", EXTERNAL + "/.2026")
        self.assertEqual(self.scanned(parameters), (0, 0))
        self.assertEqual(self.ask("GET", "/assets/statistics")["total"], 1)

    def scanned(self, parameters):
        self.ask("POST", "/libraries/{id}/scan", parameters=parameters)
        self.finished("library")
        found = self.ask("GET", "/libraries/{id}/statistics", parameters=parameters)
        return found["photos"], found["videos"]

    def test_12_maintenance(self):
        self.ask("GET", "/admin/maintenance/detect-install")
        self.ask("POST", "/admin/maintenance", {"action": "start"})
        cookie = self.headers["Set-Cookie"].split(";")[0]
        self.assertTrue(self.ask("GET", "/server/config")["maintenanceMode"])
        self.assertTrue(self.ask("GET", "/admin/maintenance/status")["active"])
        self.assertEqual(self.ask("GET", "/server/ping"), {"res": "pong"})
        self.assertEqual(call("GET", "/libraries", key=self.key)[0], 404)
        self.assertEqual(call("POST", "/admin/maintenance", {"action": "end"}, key=self.key)[0], 401)
        self.ask("POST", "/admin/maintenance", {"action": "end"}, key=None, cookie=cookie)
        self.assertFalse(self.ask("GET", "/server/config")["maintenanceMode"])

    def test_13_a_deleted_key_is_refused(self):
        self.ask("DELETE", "/api-keys/{id}", parameters={"id": self.narrow_id})
        self.assertEqual(call("GET", "/api-keys/me", key=self.narrow)[0], 401)
        self.ask("POST", "/auth/logout", key=None, token=self.token)
        self.assertEqual(call("POST", "/auth/validateToken", token=self.token)[0], 401)

    def test_14_nothing_of_the_fixture_was_left_out(self):
        left = set(self.routes) - self.seen
        self.assertEqual(left - ({("GET", "/libraries/{id}/statistics")} if not EXTERNAL else set()), set())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
