"""Assets in the database."""

IMAGES = {".jpg", ".jpeg", ".png", ".heic", ".heif", ".gif", ".webp", ".tif", ".tiff", ".dng", ".avif"}
VIDEOS = {".mov", ".mp4", ".m4v", ".avi", ".mkv", ".webm"}


def kind(name):
    """IMAGE, VIDEO, or None for what is neither."""
    ending = "." + name.rsplit(".", 1)[-1].lower()
    return "IMAGE" if ending in IMAGES else "VIDEO" if ending in VIDEOS else None


def size_column(app):
    """v3.2.0 renamed it."""
    return '"fileSize"' if app.version.release >= (3, 2, 0) else '"fileSizeInByte"'


def count(app, condition, *values):
    """Photos, videos and bytes of the assets that meet a condition and are not in the trash."""
    found = app.database.row(
        f"""SELECT count(*) FILTER (WHERE type = 'IMAGE') AS photos, count(*) FILTER (WHERE type = 'VIDEO') AS videos,
          coalesce(sum({size_column(app)}), 0)::bigint AS usage,
          coalesce(sum({size_column(app)}) FILTER (WHERE type = 'IMAGE'), 0)::bigint AS "usagePhotos",
          coalesce(sum({size_column(app)}) FILTER (WHERE type = 'VIDEO'), 0)::bigint AS "usageVideos"
        FROM asset WHERE "deletedAt" IS NULL AND {condition}""",
        *values,
    )
    return dict(found)


def insert(app, **values):
    """A row for a new asset; returns its id."""
    values = dict(values)
    columns = {f'"{name}"': value for name, value in values.items() if name != "size"}
    columns[size_column(app)] = values["size"]
    if app.version.major < 3:
        columns['"deviceAssetId"'] = values["originalFileName"]
        columns['"deviceId"'] = "CLI"
    names, marks = ", ".join(columns), ", ".join(["%s"] * len(columns))
    return app.database.value(f"INSERT INTO asset ({names}) VALUES ({marks}) RETURNING id::text", *columns.values())
