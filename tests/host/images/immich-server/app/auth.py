"""Passwords, sessions and API keys. Only digests are in the database."""

import base64
import hashlib
import os
import secrets

from web import HttpError

ROUNDS = 10_000


def hash_password(password):
    salt = os.urandom(16)
    return f"{salt.hex()}${digest_password(password, salt).hex()}"


def check_password(password, stored):
    salt, _, digest = stored.partition("$")
    return secrets.compare_digest(digest_password(password, bytes.fromhex(salt)).hex(), digest)


def digest_password(password, salt):
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ROUNDS)


def new_token():
    return base64.b64encode(secrets.token_bytes(32)).decode().replace("+", "").replace("/", "").rstrip("=")


def digest(token):
    return hashlib.sha256(token.encode()).digest()


def authenticate(database, request):
    """Set the request's user from its key, bearer token or cookie, or refuse."""
    key = request.headers.get("x-api-key") or request.query.get("apiKey", [None])[0]
    kind, _, token = (request.headers.get("Authorization") or "").partition(" ")
    token = token if kind.lower() == "bearer" else request.cookie("immich_access_token")
    if key:
        request.key = database.row("SELECT * FROM api_key WHERE key = %s", digest(key))
        owner = request.key and request.key["userId"]
        refusal = "Invalid API key"
    elif token:
        request.session = database.row("SELECT * FROM session WHERE token = %s", digest(token))
        owner = request.session and request.session["userId"]
        refusal = "Invalid user token"
    else:
        raise HttpError(401, "Authentication required")
    request.user = owner and database.row('SELECT * FROM "user" WHERE id = %s AND "deletedAt" IS NULL', owner)
    if not request.user:
        raise HttpError(401, refusal)
