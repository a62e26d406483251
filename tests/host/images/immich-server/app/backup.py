"""The dumps that Immich makes of its own database."""

import datetime
import gzip
import os
import re
import shutil
import subprocess

import config
from jobs import job

PREFIX = "immich-db-backup-"


def folder(app):
    return app.media.folder("backups")


def listing(app):
    """Name and size of every dump, whoever made it."""
    names = sorted(name for name in os.listdir(folder(app)) if name.endswith((".sql.gz", ".sql")))
    return [(name, os.path.getsize(os.path.join(folder(app), name))) for name in names]


@job("DatabaseBackup")
def dump(app):
    """Written under another name first: a `.tmp` that is left behind is a dump that failed."""
    server = re.match(r"[\d.]+", app.database.value("SHOW server_version")).group()
    moment = datetime.datetime.now().strftime("%Y%m%dT%H%M%S")
    path = os.path.join(folder(app), f"{PREFIX}{moment}-v{app.version}-pg{server}.sql.gz")
    options = app.settings.database
    command = ["pg_dump", "--clean", "--if-exists", "-h", options["host"], "-p", str(options["port"]), "-U", options["user"]]
    environment = {**os.environ, "PGPASSWORD": options["password"]}
    running = subprocess.Popen([*command, options["dbname"]], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    with gzip.open(f"{path}.tmp", "wb") as file:
        shutil.copyfileobj(running.stdout, file)
    reason = running.stderr.read().decode().strip()
    if running.wait():
        raise OSError(f"Database Backup Failure: {reason}")
    os.rename(f"{path}.tmp", path)
    app.log.log(f"Database Backup Success: {os.path.basename(path)}")
    clean(app)


def clean(app):
    """Only dumps of this job are counted and thinned out."""
    keep = config.load(app)["backup"]["database"]["keepLastAmount"]
    mine = sorted(name for name in os.listdir(folder(app)) if name.startswith(PREFIX))
    finished = [name for name in mine if name.endswith(".sql.gz")]
    for name in [name for name in mine if name.endswith(".tmp")] + finished[: max(0, len(finished) - keep)]:
        os.unlink(os.path.join(folder(app), name))
