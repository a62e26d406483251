"""Jobs on assets: thumbnails, and embeddings from the machine learning service."""

import json
import os

import config
from jobs import job

ML_TIMEOUT_SECONDS = 5


def thumbnail_path(app, found):
    return app.media.shard("thumbs", found["ownerId"], found["id"], "_thumbnail.webp")


@job("AssetGenerateThumbnailsQueueAll")
def all_thumbnails(app, force=False):
    for found in app.database.rows('SELECT id, "ownerId" FROM asset WHERE "deletedAt" IS NULL'):
        if force or not os.path.exists(thumbnail_path(app, found)):
            app.queues.add("thumbnailGeneration", "AssetGenerateThumbnails", id=found["id"])


@job("AssetGenerateThumbnails")
def thumbnail(app, id):
    found = app.database.row("SELECT * FROM asset WHERE id = %s", id)
    if not found:
        return
    with open(found["originalPath"], "rb") as file:
        app.media.store(thumbnail_path(app, found), b"thumbnail of " + file.read(64))


@job("SmartSearchQueueAll")
def all_embeddings(app, force=False):
    missing = "" if force else 'AND NOT EXISTS (SELECT 1 FROM smart_search WHERE "assetId" = asset.id)'
    for found in app.database.rows(f'SELECT id FROM asset WHERE "deletedAt" IS NULL {missing}'):
        app.queues.add("smartSearch", "SmartSearch", id=found["id"])


@job("SmartSearch")
def embedding(app, id):
    found = app.database.row("SELECT * FROM asset WHERE id = %s", id)
    if not found:
        return
    with open(found["originalPath"], "rb") as file:
        answer = json.loads(predict(app, file.read()))
    app.database.run(
        'INSERT INTO smart_search ("assetId", embedding) VALUES (%s, %s)'
        ' ON CONFLICT ("assetId") DO UPDATE SET embedding = excluded.embedding',
        id,
        answer["clip"],
    )


def predict(app, content):
    """The first URL that answers; no second try, since Immich makes none."""
    import urllib.request  # here, since it would take a third of the start-up

    reason = "no URL is configured"
    for url in config.load(app)["machineLearning"]["urls"]:
        request = urllib.request.Request(f"{url}/predict", data=content, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=ML_TIMEOUT_SECONDS) as answer:
                return answer.read()
        except OSError as error:
            reason = str(error)
            app.log.warn(f"Machine learning request to {url} failed: {error}")
    raise OSError(f"machine learning request failed for all URLs: {reason}")
