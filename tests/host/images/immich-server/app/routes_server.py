"""/server: what the server says of itself."""

import os

import assets
import config
from web import route


@route("GET", "/server/ping")
def ping(request):
    return {"res": "pong"}


@route("GET", "/server/version")
def version(request):
    return request.app.version.as_json()


@route("GET", "/server/version-history")
def version_history(request):
    rows = request.app.database.rows('SELECT * FROM version_history ORDER BY "createdAt" DESC')
    return [{"id": row["id"], "createdAt": when(row["createdAt"]), "version": row["version"]} for row in rows]


@route("GET", "/server/features")
def features(request):
    current = config.load(request.app)
    learning = current["machineLearning"]["enabled"]
    answer = {
        "configFile": bool(request.app.settings.config_file),
        "duplicateDetection": learning,
        "email": False,
        "facialRecognition": learning,
        "importFaces": False,
        "map": True,
        "oauth": current["oauth"]["enabled"],
        "oauthAutoLaunch": current["oauth"]["autoLaunch"],
        "ocr": learning,
        "passwordLogin": current["passwordLogin"]["enabled"],
        "reverseGeocoding": True,
        "search": True,
        "sidecar": True,
        "smartSearch": learning,
        "trash": current["trash"]["enabled"],
    }
    if request.app.version.major >= 3:
        answer["realtimeTranscoding"] = False
    return answer


@route("GET", "/server/config")
def server_config(request):
    app = request.app
    current = config.load(app)
    onboarding = app.database.metadata("admin-onboarding") or {}
    return {
        "externalDomain": current["server"]["externalDomain"],
        "isInitialized": app.database.value('SELECT count(*) FROM "user" WHERE "isAdmin"') > 0,
        "isOnboarded": bool(app.settings.config_file) or bool(onboarding.get("isOnboarded")),
        "loginPageMessage": current["server"]["loginPageMessage"],
        "maintenanceMode": app.in_maintenance,
        "mapDarkStyleUrl": "",
        "mapLightStyleUrl": "",
        "oauthButtonText": "Login with OAuth",
        "publicUsers": current["server"]["publicUsers"],
        "trashDays": current["trash"]["days"],
        "userDeleteDelay": current["user"]["deleteDelay"],
    }


@route("GET", "/server/media-types")
def media_types(request):
    return {"image": sorted(assets.IMAGES), "video": sorted(assets.VIDEOS), "sidecar": [".xmp"]}


@route("GET", "/server/about", "server.about")
def about(request):
    name = f"v{request.app.version}"
    return {
        "licensed": False,
        "version": name,
        "versionUrl": f"https://github.com/immich-app/immich/releases/tag/{name}",
        "sourceRef": os.environ["STANDIN_VERSION"],
    }


@route("GET", "/server/storage", "server.storage")
def storage(request):
    size, used, available = request.app.media.statistics()
    return {
        "diskAvailable": readable(available),
        "diskAvailableRaw": available,
        "diskSize": readable(size),
        "diskSizeRaw": size,
        "diskUsagePercentage": round(100 * used / size, 2),
        "diskUse": readable(used),
        "diskUseRaw": used,
    }


@route("GET", "/server/statistics", "server.statistics", admin=True)
def statistics(request):
    users = []
    for user in request.app.database.rows('SELECT id, name, "quotaSizeInBytes" FROM "user" ORDER BY "createdAt"'):
        counted = assets.count(request.app, '"ownerId" = %s AND "libraryId" IS NULL', user["id"])
        users.append({**counted, "userId": user["id"], "userName": user["name"], "quotaSizeInBytes": user["quotaSizeInBytes"]})
    names = ("photos", "videos", "usage", "usagePhotos", "usageVideos")
    return {**{name: sum(user[name] for user in users) for name in names}, "usageByUser": users}


def readable(size):
    """1536 is 1.5 KiB."""
    units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]
    while size >= 1024 and len(units) > 1:
        size /= 1024
        units.pop(0)
    return f"{size:.1f} {units[0]}"


def when(moment):
    return moment and moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
