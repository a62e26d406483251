"""HTTP: routes, requests, answers, errors in Immich's shape."""

import json
import re
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PUBLIC = "public"  # no credentials needed
ANY_KEY = "any"  # any valid credentials
ALL = "all"  # a key needs the permission `all`

ROUTES = []


class HttpError(Exception):
    def __init__(self, status, message, errors=()):
        super().__init__(message)
        self.status, self.message = status, message
        self.errors = [{"path": path, "message": text} for path, text in errors]


class Raw:
    """An answer that is not JSON, or that sets headers."""

    def __init__(self, body, headers):
        self.body, self.headers = body, headers


class Route:
    def __init__(self, method, path, permission, status, admin, answer):
        self.method, self.path, self.permission = method, path, permission
        self.status, self.admin, self.answer = status, admin, answer
        self.pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path) + "$")


def route(method, path, permission=PUBLIC, status=200, admin=False):
    """Declare a function to be the answer to a request; `{name}` in the path becomes a parameter."""

    def declare(answer):
        ROUTES.append(Route(method, path, permission, status, admin, answer))
        return answer

    return declare


class Request:
    def __init__(self, app, handler, path, query, parameters):
        self.app, self.headers, self.path = app, handler.headers, path
        self.query, self.parameters = query, parameters
        self.body = handler.read_body()
        self.user = self.key = self.session = None

    def json(self):
        try:
            found = json.loads(self.body or b"{}")
        except ValueError as error:
            raise HttpError(400, f"Unexpected token in JSON: {error}") from error
        if not isinstance(found, dict):
            raise HttpError(400, "Validation failed", [([], "expected object")])
        return found

    def fields(self, required=None, optional=None):
        """The body's fields, each of its type; what is missing or of another type is refused, as is what is not known."""
        body, wrong = self.json(), []
        kinds = {**(required or {}), **(optional or {})}
        for name, kind in kinds.items():
            if name not in body:
                if name in (required or {}):
                    wrong.append(([name], "Invalid input: expected " + kind.__name__ + ", received undefined"))
            elif not isinstance(body[name], kind) or (kind is int and isinstance(body[name], bool)):
                wrong.append(([name], "Invalid input: expected " + kind.__name__))
        if wrong:
            raise HttpError(400, "Validation failed", wrong)
        return {name: body[name] for name in kinds if name in body}

    def flag(self, name):
        return self.query.get(name, ["false"])[0] == "true"

    def cookie(self, name):
        found = re.search(rf"(?:^|;\s*){name}=([^;]+)", self.headers.get("Cookie") or "")
        return found and found.group(1)


def find(method, path):
    """The route and its parameters; a path that exists under other methods is still a 404, as in Immich."""
    for candidate in ROUTES:
        match = candidate.method == method and candidate.pattern.match(path)
        if match:
            return candidate, match.groupdict()
    raise HttpError(404, f"Cannot {method} /api{path}")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet
    timeout = 60

    def serve(self):
        app, status, body, headers = self.server.app, 200, b"", {}
        try:
            status, body, headers = self.answer(app)
        except HttpError as error:
            status, body = error.status, encode(self.error(error))
        except Exception as error:  # a bug or a lost database: say so and live on
            app.log.error(f"{self.command} {self.path}: {type(error).__name__}: {str(error).strip()}")
            status, body = 500, encode(self.error(HttpError(500, "Internal server error")))
        if self.command != "GET":
            # What changes something, so that a test can count it. Neither keys nor bodies.
            app.log.log(f"{self.command} {urllib.parse.urlsplit(self.path).path} {status}")
        self.send_response_only(status)
        headers.setdefault("Content-Type", "application/json; charset=utf-8")
        if status != 204:
            headers["Content-Length"] = str(len(body))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if status != 204 and self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = serve

    def answer(self, app):
        url = urllib.parse.urlsplit(self.path)
        path = url.path.rstrip("/")
        if not path.startswith("/api/"):
            self.read_body()
            raise HttpError(404, f"Cannot {self.command} {url.path}")
        path = path.removeprefix("/api")
        try:
            found, parameters = find(self.command, path)
        except HttpError:
            self.read_body()
            raise
        request = Request(app, self, path, urllib.parse.parse_qs(url.query), parameters)
        app.admit(request, found)
        answer = found.answer(request)
        status = found.status
        if isinstance(answer, tuple):
            status, answer = answer
        if isinstance(answer, Raw):
            return status, answer.body, dict(answer.headers)
        return status, b"" if status == 204 else encode(answer), {}

    def error(self, error):
        """Since v3 {message, errors}; before it the status was in the body, too."""
        if self.server.app.version.major >= 3:
            return {"message": error.message, "errors": error.errors}
        return {"message": error.message, "statusCode": error.status, "error": error.message}

    def read_body(self):
        if "chunked" in (self.headers.get("Transfer-Encoding") or ""):
            return b"".join(iter(self.read_chunk, b""))
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def read_chunk(self):
        size = int(self.rfile.readline().split(b";")[0], 16)
        data = self.rfile.read(size)
        self.rfile.readline()
        return data

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address, app):
        self.app = app
        super().__init__(address, Handler)


def encode(value):
    return json.dumps(value, separators=(",", ":")).encode()
