"""What this Apple knows: accounts, their sessions and pictures, the ways to fail, and what was asked of it."""

import collections
import hashlib
import secrets
import threading

PASSWORD = "correct horse"
CODE = "123456"

# What a test may set, for all accounts or for one.
DEFAULTS = {
    "password": PASSWORD,
    "code": CODE,
    "two_factor": True,
    "trust_days": 60,  # of the trust cookie
    "session_days": 30,  # of the other cookies
    "pictures": 4,
    "size": 60_000,
    "fail": None,  # one of FAILURES
    "fail_times": None,  # so many answers, then all is well; None for ever
    "slow": 0,  # seconds between two pieces of a file
    "domain": None,  # insists on this domain
}

FAILURES = {
    "503": "every answer",
    "503-photos": "every answer about pictures",
    "421-photos": "every answer about pictures: sign in again",
    "access-denied": "web access or Advanced Data Protection",
    "setup": "the account is not set up",
    "indexing": "the library is being indexed",
    "cut": "files break off in the middle",
    "short": "files are shorter than was said, and end well",
    "file-404": "files are not there",
    "file-500": "files cannot be had",
    "gone": "every connection is closed without an answer",
}


class Account:
    def __init__(self, name):
        self.name = name
        self.settings = {}
        self.sessions, self.trusts, self.trusted = set(), set(), set()
        self.dsid = str(number_of(name) % 10**10)


def number_of(text):
    return int(hashlib.sha256(text.encode()).hexdigest()[:12], 16)


class World:
    def __init__(self):
        self.lock = threading.RLock()
        self.settings = dict(DEFAULTS)
        self.accounts = {}
        self.counts = collections.Counter()

    def account(self, name):
        with self.lock:
            return self.accounts.setdefault(name, Account(name))

    def by(self, wanted):
        with self.lock:
            return next((account for account in self.accounts.values() if wanted(account)), None)

    def get(self, account, key):
        with self.lock:
            own = account.settings if account else {}
            return own.get(key, self.settings[key])

    def failure(self, account, *kinds):
        """The first of `kinds` that is due now; each one taken counts."""
        with self.lock:
            kind = self.get(account, "fail")
            if kind not in kinds:
                return None
            place = account.settings if account and "fail" in account.settings else self.settings
            left = place.get("fail_times")
            if left is not None:
                place["fail_times"] = left - 1
                if left <= 1:
                    place["fail"] = None
            self.count("failed:" + kind)
            return kind

    def count(self, what):
        with self.lock:
            self.counts[what] += 1

    def control(self, wish):
        """`{"set": {...}, "account": NAME, "revoke": "sessions"|"all", "reset": true}`, each of them optional."""
        with self.lock:
            if wish.get("reset"):
                self.counts.clear()
                self.settings = dict(DEFAULTS)
                for account in self.accounts.values():
                    account.settings.clear()
            name = wish.get("account")
            place = self.account(name).settings if name else self.settings
            for key, value in wish.get("set", {}).items():
                if key not in DEFAULTS or key == "fail" and value is not None and value not in FAILURES:
                    raise ValueError(f"{key}={value}")
                place[key] = value
            for account in self.accounts.values():
                if wish.get("revoke") and name in (None, account.name):
                    account.sessions.clear()
                    account.trusted.clear()
                    if wish["revoke"] == "all":
                        account.trusts.clear()
            return {"settings": self.settings, "counts": dict(self.counts)}

    @staticmethod
    def token(kind):
        return f"{kind}-{secrets.token_hex(24)}"
