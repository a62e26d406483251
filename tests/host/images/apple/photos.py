"""Pictures, as CloudKit tells of them. All of a picture follows from its account and number."""

import base64
import hashlib
import struct

# What every fourth picture is; a live one has a film beside it, a RAW one its JPEG.
KINDS = ("jpeg", "live", "raw", "film")
FIRST_DAY = 1_714_557_600_000  # 2024-05-01T10:00:00Z, in milliseconds
DAY = 86_400_000


def content(account, picture, part, size):
    """The bytes of a file that a program would take for what it is: a head and an end that fit its size, and noise between
    them that depends on nothing but the name."""
    noise = hashlib.shake_256(f"{account}/{picture}/{part}".encode()).digest(size).replace(b"\xff", b"\xfe")
    if part == "jpeg":
        head = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00\xff\xda\x00\x08\x01\x01\x00\x00?\x00"
        return head + noise[: size - len(head) - 2] + b"\xff\xd9"
    if part == "dng":
        data = 8 + 2 + 2 * 12 + 4
        entries = struct.pack("<HHIIHHII", 273, 4, 1, data, 279, 4, 1, size - data)
        return b"II*\0" + struct.pack("<IH", 8, 2) + entries + bytes(4) + noise[: size - data]
    brand = b"heic" if part == "heic" else b"qt  "
    head = struct.pack(">I4s4sI", 16, b"ftyp", brand, 0)
    return head + struct.pack(">I4s", size - len(head), b"mdat") + noise[: size - len(head) - 8]


def checksum(account, picture, part, size):
    return base64.b64encode(b"\x01" + hashlib.sha1(content(account, picture, part, size)).digest()).decode()


def text(value):
    return base64.b64encode(value.encode()).decode()


def names(picture):
    """Kind, file name, item type, the part that is the original and, if there are more, fields and parts of those."""
    kind = KINDS[picture % len(KINDS)]
    name = f"IMG_{picture + 1:04}"
    return {
        "jpeg": (f"{name}.JPG", "public.jpeg", "jpeg", None),
        "live": (f"{name}.HEIC", "public.heic", "heic", ("resOriginalVidCompl", "com.apple.quicktime-movie", "mov")),
        "raw": (f"{name}.DNG", "com.adobe.raw-image", "dng", ("resOriginalAlt", "public.jpeg", "jpeg")),
        "film": (f"{name}.MOV", "com.apple.quicktime-movie", "mov", None),
    }[kind]


def resource(account, picture, part, size, host):
    value = {
        "fileChecksum": checksum(account.name, picture, part, size),
        "size": size,
        "wrappingKey": text("key"),
        "referenceChecksum": text("reference"),
        "downloadURL": f"https://{host}/B/{account.dsid}/{picture}/{part}",
    }
    return {"value": value, "type": "ASSETID"}


def records(account, picture, size, host):
    """The two records of a picture: what was taken, and what became of it."""
    name, kind, part, beside = names(picture)
    master = f"M{picture:04}-{account.dsid}"
    fields = {
        "filenameEnc": {"value": text(name), "type": "ENCRYPTED_BYTES"},
        "itemType": {"value": kind, "type": "STRING"},
        "resOriginalRes": resource(account, picture, part, size, host),
        "resOriginalFileType": {"value": kind, "type": "STRING"},
        "resOriginalWidth": {"value": 4032, "type": "INT64"},
        "resOriginalHeight": {"value": 3024, "type": "INT64"},
        "resOriginalFingerprint": {"value": checksum(account.name, picture, part, size), "type": "STRING"},
    }
    if beside:
        prefix, its_kind, its_part = beside
        fields[prefix + "Res"] = resource(account, picture, its_part, size, host)
        fields[prefix + "FileType"] = {"value": its_kind, "type": "STRING"}
        fields[prefix + "Width"] = {"value": 1440, "type": "INT64"}
        fields[prefix + "Height"] = {"value": 1080, "type": "INT64"}
        fields[prefix + "Fingerprint"] = {"value": checksum(account.name, picture, its_part, size), "type": "STRING"}
    taken = FIRST_DAY + picture * DAY
    asset = {
        "assetDate": {"value": taken, "type": "TIMESTAMP"},
        "addedDate": {"value": taken, "type": "TIMESTAMP"},
        "masterRef": {"value": {"recordName": master, "action": "DELETE_SELF", "zoneID": {"zoneName": "PrimarySync"}}, "type": "REFERENCE"},
        "isFavorite": {"value": 0, "type": "INT64"},
        "isHidden": {"value": 0, "type": "INT64"},
        "isDeleted": {"value": 0, "type": "INT64"},
        "orientation": {"value": 1, "type": "INT64"},
        "adjustmentType": {"value": "", "type": "STRING"},
    }
    del asset["adjustmentType"]
    zone = {"zoneName": "PrimarySync", "ownerRecordName": "_owner", "zoneType": "REGULAR_CUSTOM_ZONE"}
    stamp = {"timestamp": taken, "userRecordName": "_owner", "deviceID": "1"}
    return [
        {"recordName": name_, "recordType": type_, "fields": fields_, "zoneID": zone, "recordChangeTag": "1", "deleted": False, "created": stamp, "modified": stamp}
        for name_, type_, fields_ in ((master, "CPLMaster", fields), (f"A{picture:04}-{account.dsid}", "CPLAsset", asset))
    ]


def query(account, wish, count, size, host):
    """The answer to one query: how the indexing goes, the albums, or a page of pictures, the newest first."""
    kind = wish["query"]["recordType"]
    if kind == "CheckIndexingState":
        return {"records": [{"recordName": "_", "recordType": kind, "fields": {"state": {"value": "FINISHED", "type": "STRING"}}}]}
    if kind.startswith("CPLAlbumBy"):
        return {"records": []}
    filters = {one["fieldName"]: one["fieldValue"]["value"] for one in wish["query"]["filterBy"]}
    rank, forward = filters["startRank"], filters["direction"] == "ASCENDING"
    limit = wish["resultsLimit"] // 2
    ranks = range(rank, min(rank + limit, count)) if forward else range(rank, max(rank - limit, -1), -1)
    found = []
    for at in ranks:
        found += records(account, count - 1 - at, size, host)
    return {"records": found, "syncToken": "1"}


def counted(count):
    return {"batch": [{"records": [{"fields": {"itemCount": {"value": count, "type": "INT64"}}}]}]}
