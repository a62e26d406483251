"""/auth, /api-keys, /admin/users: who there is, and how they get in."""

import auth
from assets import count
from routes_server import when
from web import ANY_KEY, PUBLIC, HttpError, route

INSERT_USER = """INSERT INTO "user" (email, password, name, "isAdmin", "shouldChangePassword", "storageLabel", "quotaSizeInBytes")
  VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING id"""


@route("POST", "/auth/admin-sign-up", PUBLIC, status=201)
def admin_sign_up(request):
    app, wanted = request.app, request.fields({"email": str, "name": str, "password": str})
    if not app.settings.allow_setup:
        raise HttpError(400, "Admin setup is disabled")
    if app.database.value('SELECT count(*) FROM "user" WHERE "isAdmin"'):
        raise HttpError(400, "The server already has an admin")
    return create_user(app, wanted, admin=True)


def create_user(app, wanted, admin):
    email = wanted["email"].lower()
    if "@" not in email:
        raise HttpError(400, "Validation failed", [(["email"], "Invalid email address")])
    if app.database.row('SELECT id FROM "user" WHERE email = %s', email):
        raise HttpError(400, "User exists")
    identity = app.database.value(
        INSERT_USER,
        email,
        auth.hash_password(wanted["password"]),
        wanted["name"],
        admin,
        wanted.get("shouldChangePassword", not admin),
        wanted.get("storageLabel") or ("admin" if admin else None),
        wanted.get("quotaSizeInBytes"),
    )
    return user_json(app, app.database.row('SELECT * FROM "user" WHERE id = %s', identity))


def user_json(app, user):
    return {
        "id": user["id"],
        "email": user["email"],
        "name": user["name"],
        "isAdmin": user["isAdmin"],
        "avatarColor": "primary",
        "createdAt": when(user["createdAt"]),
        "updatedAt": when(user["updatedAt"]),
        "deletedAt": when(user["deletedAt"]),
        "license": None,
        "oauthId": "",
        "profileChangedAt": when(user["createdAt"]),
        "profileImagePath": user["profileImagePath"],
        "quotaSizeInBytes": user["quotaSizeInBytes"],
        "quotaUsageInBytes": int(count(app, '"ownerId" = %s AND "libraryId" IS NULL', user["id"])["usage"]),
        "shouldChangePassword": user["shouldChangePassword"],
        "status": user["status"],
        "storageLabel": user["storageLabel"],
    }


@route("POST", "/auth/login", PUBLIC, status=201)
def login(request):
    database, wanted = request.app.database, request.fields({"email": str, "password": str})
    user = database.row('SELECT * FROM "user" WHERE email = %s AND "deletedAt" IS NULL', wanted["email"].lower())
    if not user or not auth.check_password(wanted["password"], user["password"]):
        raise HttpError(401, "Incorrect email or password")
    token = auth.new_token()
    database.run('INSERT INTO session (token, "userId") VALUES (%s, %s)', auth.digest(token), user["id"])
    onboarding = database.metadata("admin-onboarding") or {}
    return {
        "accessToken": token,
        "userId": user["id"],
        "userEmail": user["email"],
        "name": user["name"],
        "isAdmin": user["isAdmin"],
        "profileImagePath": user["profileImagePath"],
        "shouldChangePassword": user["shouldChangePassword"],
        "isOnboarded": bool(onboarding.get("isOnboarded")),
    }


@route("POST", "/auth/logout", ANY_KEY)
def logout(request):
    if request.session:
        request.app.database.run("DELETE FROM session WHERE id = %s", request.session["id"])
    return {"successful": True, "redirectUri": "/auth/login?autoLaunch=0"}


@route("POST", "/auth/validateToken", ANY_KEY)
def validate_token(request):
    return {"authStatus": True}


def key_json(key):
    return {
        "id": key["id"],
        "name": key["name"],
        "createdAt": when(key["createdAt"]),
        "updatedAt": when(key["updatedAt"]),
        "permissions": key["permissions"],
    }


@route("GET", "/api-keys", "apiKey.read")
def list_keys(request):
    rows = request.app.database.rows('SELECT * FROM api_key WHERE "userId" = %s ORDER BY "createdAt"', request.user["id"])
    return [key_json(row) for row in rows]


@route("POST", "/api-keys", "apiKey.create", status=201)
def create_key(request):
    database, wanted = request.app.database, request.fields({"permissions": list}, {"name": str})
    permissions = wanted["permissions"]
    if not permissions or not all(isinstance(name, str) for name in permissions):
        raise HttpError(400, "Validation failed", [(["permissions"], "Invalid input: expected at least one permission")])
    granted = request.key["permissions"] if request.key else ["all"]
    if "all" not in granted and not set(permissions) <= set(granted):
        raise HttpError(400, "Cannot grant permissions you do not have")
    secret = auth.new_token()
    key = database.row(
        'INSERT INTO api_key (name, key, "userId", permissions) VALUES (%s, %s, %s, %s) RETURNING *',
        wanted.get("name") or "API Key",
        auth.digest(secret),
        request.user["id"],
        permissions,
    )
    return {"secret": secret, "apiKey": key_json(key)}


@route("GET", "/api-keys/me", ANY_KEY)
def my_key(request):
    if not request.key:
        raise HttpError(403, "Not authenticated with an API Key")
    return key_json(request.key)


def own_key(request):
    found = request.app.database.row(
        'SELECT * FROM api_key WHERE id::text = %s AND "userId" = %s', request.parameters["id"], request.user["id"]
    )
    if not found:
        raise HttpError(400, "API Key not found")
    return found


@route("GET", "/api-keys/{id}", "apiKey.read")
def get_key(request):
    return key_json(own_key(request))


@route("DELETE", "/api-keys/{id}", "apiKey.delete", status=204)
def delete_key(request):
    request.app.database.run("DELETE FROM api_key WHERE id = %s", own_key(request)["id"])


@route("POST", "/api-keys/{id}/rotate", "apiKey.rotate", status=201)
def rotate_key(request):
    if request.app.version.release < (3, 2, 2):
        raise HttpError(404, f"Cannot POST /api{request.path}")
    secret = auth.new_token()
    key = request.app.database.row(
        'UPDATE api_key SET key = %s, "rotatedAt" = now(), "updatedAt" = now() WHERE id = %s RETURNING *',
        auth.digest(secret),
        own_key(request)["id"],
    )
    return {"secret": secret, "apiKey": key_json(key)}


@route("GET", "/admin/users", "adminUser.read", admin=True)
def list_users(request):
    rows = request.app.database.rows('SELECT * FROM "user" ORDER BY "createdAt"')
    return [user_json(request.app, row) for row in rows]


@route("POST", "/admin/users", "adminUser.create", status=201, admin=True)
def add_user(request):
    wanted = request.fields(
        {"email": str, "name": str, "password": str},
        {"isAdmin": bool, "quotaSizeInBytes": int, "storageLabel": str, "shouldChangePassword": bool, "notify": bool},
    )
    return create_user(request.app, wanted, wanted.get("isAdmin", False))


@route("POST", "/system-metadata/admin-onboarding", "systemMetadata.update", status=204, admin=True)
def admin_onboarding(request):
    request.app.database.set_metadata("admin-onboarding", request.fields({"isOnboarded": bool}))
