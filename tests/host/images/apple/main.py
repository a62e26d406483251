"""A stand-in for Apple, as far as icloudpd asks: sign-in with two factors, sessions, CloudKit's pictures and their files.

    main.py CERTIFICATE KEY [PORT [CONTROL_PORT]]

All host names are one server. The control port speaks plain HTTP: POST is `World.control`, GET what it answers.
"""

import base64
import datetime
import json
import ssl
import sys
import threading
import time
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

import photos
from srp import ITERATIONS, Exchange, padded
from world import World

WORLD = World()
EXCHANGES = {}
PIECE = 4096
AUTH = "/appleauth/auth"
SETUP = "/setup/ws/1"


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        """A client that hangs up is no news."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class Base(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def answer(self, status, data=None, headers=(), kind="application/json"):
        content = b"" if data is None else data if isinstance(data, bytes) else json.dumps(data).encode()
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if content or status != 204:
            self.send_header("Content-Type", f"{kind};charset=UTF-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format, *args):
        print(f"{self.headers.get('Host', '?') if hasattr(self, 'headers') else '?'} {format % args}", flush=True)


class Control(Base):
    def do_GET(self):
        self.answer(200, WORLD.control({}))

    def do_POST(self):
        try:
            self.answer(200, WORLD.control(json.loads(self.body())))
        except ValueError as error:
            self.answer(400, {"error": str(error)})


class Apple(Base):
    def do_GET(self):
        self.handle_any()

    def do_POST(self):
        self.handle_any()

    def do_PUT(self):
        self.handle_any()

    def handle_any(self):
        url = urlparse(self.path)
        self.sent = self.body()
        WORLD.count(f"{self.command} {url.path if not url.path.startswith('/B/') else '/B'}")
        self.account = self.known(url)
        if WORLD.failure(self.account, "gone"):
            self.close_connection = True
            return
        if WORLD.failure(self.account, "503"):
            return self.answer(503, b"Service Unavailable", kind="text/html")
        handler = ROUTES.get((self.command, url.path))
        if handler is None and url.path.startswith("/database/1/com.apple.photos.cloud/production/"):
            handler = Apple.database
        if handler is None and url.path.startswith("/B/"):
            handler = Apple.file
        if handler is None:
            return self.answer(404, {"error": f"{self.command} {url.path}"})
        handler(self)

    def known(self, url):
        """Whose request this is: by session, by the address of a file, by a cookie, by what is sent."""
        cookies = SimpleCookie(self.headers.get("Cookie", ""))
        token = cookies["X-APPLE-WEBAUTH-TOKEN"].value if "X-APPLE-WEBAUTH-TOKEN" in cookies else None
        dsid = url.path.split("/")[2] if url.path.startswith("/B/") else parse_qs(url.query).get("dsid", [None])[0]
        self.token = token
        by_session = WORLD.by(lambda account: token in account.sessions)
        return by_session or WORLD.by(lambda account: account.dsid == dsid) or WORLD.by(lambda account: self.sent and account.name.encode() in self.sent)

    # the sign-in

    def init(self):
        wish = json.loads(self.sent)
        account = self.account = WORLD.account(wish["accountName"])
        WORLD.count("sign-ins")
        exchange = Exchange(account.name, WORLD.get(account, "password"), base64.b64decode(wish["a"]))
        name = WORLD.token("c")
        EXCHANGES[name] = exchange
        salt, public = (base64.b64encode(value).decode() for value in (exchange.salt, padded(exchange.b)))
        body = {"iteration": ITERATIONS, "salt": salt, "protocol": "s2k", "b": public, "c": name}
        self.answer(200, body, [("scnt", WORLD.token("scnt")), ("X-Apple-ID-Session-Id", WORLD.token("id"))])

    def complete(self):
        wish = json.loads(self.sent)
        account, exchange = WORLD.account(wish["accountName"]), EXCHANGES.pop(wish["c"], None)
        if exchange is None or not exchange.proves(base64.b64decode(wish["m1"])):
            WORLD.count("wrong passwords")
            error = {"code": "-20101", "message": "Enter the email or phone number and password for your Apple Account.", "suppressDismissal": False}
            return self.answer(401, {"serviceErrors": [error]})
        token = WORLD.token("session")
        trusted = not WORLD.get(account, "two_factor") or any(one in account.trusts for one in wish["trustTokens"])
        account.sessions.add(token)
        if trusted:
            account.trusted.add(token)
        headers = [("X-Apple-Session-Token", token), ("X-Apple-ID-Account-Country", "USA"), ("scnt", WORLD.token("scnt"))]
        headers += [("X-Apple-ID-Session-Id", token)]
        self.answer(200 if trusted else 409, {"authType": "hsa2"}, headers)

    def session_of(self):
        """The account of a sign-in under way."""
        token = self.headers.get("X-Apple-ID-Session-Id")
        return WORLD.by(lambda account: token in account.sessions), token

    def options(self):
        """The page that the sign-in shows next; the telephone numbers are in it."""
        numbers = {"trustedPhoneNumbers": [{"id": 1, "obfuscatedNumber": "(•••) •••-••34", "pushMode": "sms"}]}
        data = {"direct": {"twoSV": {"bridgeInitiateData": {"phoneNumberVerification": numbers}}}}
        page = f'<html><script type="application/json" class="boot_args">{json.dumps(data)}</script></html>'
        self.answer(200, page.encode(), kind="text/html")

    def push(self):
        WORLD.count("codes sent")
        self.answer(202, {})

    def text_message(self):
        WORLD.count("codes sent by SMS")
        self.answer(200, {})

    def code(self):
        account, _ = self.session_of()
        given = json.loads(self.sent)["securityCode"]["code"]
        if account is None or str(given) != WORLD.get(account, "code"):
            WORLD.count("wrong codes")
            error = {"code": "-21669", "message": "Incorrect verification code.", "title": "Incorrect Verification Code"}
            return self.answer(400, {"service_errors": [error], "hasError": True})
        account.trusted.add(self.session_of()[1])
        self.answer(204)

    def trust(self):
        account, token = self.session_of()
        if account is None or token not in account.trusted:
            return self.answer(421, {"error": 1})
        trust = WORLD.token("trust")
        account.trusts.add(trust)
        self.answer(204, headers=[("X-Apple-TwoSV-Trust-Token", trust), ("X-Apple-Session-Token", token)])

    def login(self):
        wish = json.loads(self.sent)
        account = WORLD.by(lambda account: wish["dsWebAuthToken"] in account.sessions)
        if account is None:
            return self.answer(421, {"success": False, "error": 1})
        self.answer(200, self.told(account, wish["dsWebAuthToken"]), self.cookies(account, wish["dsWebAuthToken"]))

    def validate(self):
        account = WORLD.by(lambda account: self.token in account.sessions)
        if account is None:
            return self.answer(421, {"success": False, "error": "Missing X-APPLE-WEBAUTH-TOKEN cookie"})
        self.answer(200, self.told(account, self.token), self.cookies(account, self.token))

    def told(self, account, token):
        domain = WORLD.get(account, "domain")
        if domain:
            return {"domainToUse": domain}
        trusted = token in account.trusted
        return {
            "dsInfo": {"dsid": account.dsid, "appleId": account.name, "hsaVersion": 2, "hasICloudQualifyingDevice": True, "fullName": "A Person", "locale": "en-us_US"},
            "hsaTrustedBrowser": trusted,
            "hsaChallengeRequired": not trusted,
            "webservices": {"ckdatabasews": {"url": "https://p01-ckdatabasews.icloud.com:443", "pcsRequired": True, "status": "active"}},
            "apps": {"photos": {}},
            "version": 2,
        }

    def cookies(self, account, token):
        def cookie(name, value, days):
            until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
            date = until.strftime("%a, %d-%b-%Y %H:%M:%S GMT")
            return ("Set-Cookie", f'{name}="{value}";Expires={date};Path=/;Domain=.icloud.com;Secure;HttpOnly')

        days = WORLD.get(account, "session_days")
        found = [cookie("X-APPLE-WEBAUTH-TOKEN", token, days), cookie("X-APPLE-WEBAUTH-USER", f"v=1:s=0:d={account.dsid}", days)]
        found += [cookie("X-APPLE-DS-WEB-SESSION-TOKEN", WORLD.token("ds"), days), cookie("X_APPLE_WEB_KB-" + "A" * 24, "v=1:t=x", days)]
        if token in account.trusted:
            found.append(cookie("X-APPLE-WEBAUTH-HSA-TRUST", WORLD.token("hsa"), WORLD.get(account, "trust_days")))
        return found

    # the pictures

    def database(self):
        path = urlparse(self.path).path
        account = WORLD.by(lambda account: self.token in account.sessions)
        if WORLD.failure(account, "503-photos"):
            return self.answer(503, b"Service Unavailable", kind="text/html")
        if account is None or WORLD.failure(account, "421-photos"):
            return self.answer(421, {"reason": "Missing X-APPLE-WEBAUTH-TOKEN cookie", "serverErrorCode": "AUTHENTICATION_FAILED"})
        if WORLD.failure(account, "access-denied"):
            return self.answer(403, {"uuid": "0", "serverErrorCode": "ACCESS_DENIED", "reason": "private db access disabled for this account"})
        if WORLD.failure(account, "setup"):
            return self.answer(404, {"uuid": "0", "serverErrorCode": "ZONE_NOT_FOUND", "reason": "Zone does not exist"})
        count, size = (WORLD.get(account, key) for key in ("pictures", "size"))
        if path.endswith("/zones/list") or path.endswith("/changes/database"):
            zone = {"zoneID": {"zoneName": "PrimarySync", "ownerRecordName": "_owner", "zoneType": "REGULAR_CUSTOM_ZONE"}}
            return self.answer(200, {"zones": [zone] if "/private/" in path else [], "moreComing": False, "syncToken": "1"})
        wish = json.loads(self.sent)
        if path.endswith("/internal/records/query/batch"):
            return self.answer(200, photos.counted(count))
        host = f"cvws.icloud-content.com"
        found = photos.query(account, wish, count, size, host)
        if wish["query"]["recordType"] == "CheckIndexingState" and WORLD.failure(account, "indexing"):
            found["records"][0]["fields"]["state"]["value"] = "RUNNING"
        self.answer(200, found)

    def file(self):
        _, _, dsid, picture, part = urlparse(self.path).path.split("/")
        account = WORLD.by(lambda account: account.dsid == dsid)
        failure = WORLD.failure(account, "cut", "short", "file-404", "file-500")
        if failure in ("file-404", "file-500"):
            return self.answer(int(failure[-3:]), b"no", kind="text/plain")
        size = WORLD.get(account, "size")
        content, status = photos.content(account.name, int(picture), part, size), 200
        wanted = self.headers.get("Range", "")
        first = int(wanted.removeprefix("bytes=").split("-")[0]) if wanted.startswith("bytes=") else 0
        if first:
            if first >= size:
                return self.answer(416, b"", [("Content-Range", f"bytes */{size}")], kind="text/plain")
            status, content = 206, content[first:]
        if failure == "short":
            return self.answer(status, content[: len(content) // 2], kind="application/octet-stream")
        WORLD.count("files")
        self.send_response(status)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        until = len(content) // 2 if failure == "cut" else len(content)
        for at in range(0, until, PIECE):
            self.wfile.write(content[at : min(at + PIECE, until)])
            self.wfile.flush()
            time.sleep(WORLD.get(account, "slow"))
        if failure == "cut":
            self.close_connection = True


ROUTES = {
    ("POST", f"{AUTH}/signin/init"): Apple.init,
    ("POST", f"{AUTH}/signin/complete"): Apple.complete,
    ("GET", AUTH): Apple.options,
    ("PUT", f"{AUTH}/verify/trusteddevice/securitycode"): Apple.push,
    ("POST", f"{AUTH}/verify/trusteddevice/securitycode"): Apple.code,
    ("PUT", f"{AUTH}/verify/phone"): Apple.text_message,
    ("POST", f"{AUTH}/verify/phone/securitycode"): Apple.code,
    ("GET", f"{AUTH}/2sv/trust"): Apple.trust,
    ("POST", f"{SETUP}/accountLogin"): Apple.login,
    ("POST", f"{SETUP}/validate"): Apple.validate,
}


def main(certificate, key, port="443", control="8000"):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    apple = Server(("", int(port)), Apple)
    # The handshake happens in the thread of its connection.
    apple.socket = context.wrap_socket(apple.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=Server(("", int(control)), Control).serve_forever, daemon=True).start()
    apple.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
