"""Starts the server: settings, database, migrations, markers, queues, then the API."""

import os
import signal
import sys
import threading
import time

import psycopg2.extensions

import config
import jobs

# each of these declares its routes or its jobs
import library  # noqa: F401
import media_jobs  # noqa: F401
import routes_admin  # noqa: F401
import routes_assets  # noqa: F401
import routes_jobs  # noqa: F401
import routes_libraries  # noqa: F401
import routes_server  # noqa: F401
import routes_users  # noqa: F401
import video_jobs  # noqa: F401
from app import App
from database import Database
from log import Log
from media import Media
from schema import migrate, record_version
from settings import Settings, StartupError
from valkey import Redis, RedisError
from versions import CRASH_BEFORE_MIGRATION, MIGRATES_THEN_DIES, this_version
from web import Server

SIGTERM_EXIT = 143
PATIENCE_SECONDS = 6


STOPPING = {signal.SIGTERM, signal.SIGINT}


def exit_when_told():
    """Immich does not handle SIGTERM: its process ends by it, which its supervisor reports as 143. A thread waits for
    the signal, so that no call that blocks the main one delays it."""
    signal.sigwait(STOPPING)
    os._exit(SIGTERM_EXIT)


def wait_for_redis(redis, log):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            redis("PING")
            return
        except (OSError, RedisError) as error:
            reason = error
        if time.monotonic() > deadline:
            raise StartupError(f"cannot connect to Redis: {reason}")
        log.warn(f"Redis connection failed, trying again: {reason}")
        time.sleep(0.5)


def texts_instead_of_ids():
    """UUIDs as text, as JSON has them."""
    uuid = psycopg2.extensions.new_type((2950,), "UUID", lambda value, _: value)
    psycopg2.extensions.register_type(uuid)


def start(log):
    version, settings = this_version(), Settings()
    log.log(f"Starting Immich {version} (stand-in)")
    if not os.path.isabs(settings.media):
        raise StartupError(f"IMMICH_MEDIA_LOCATION must be an absolute path, not {settings.media}")
    if version.behaviour == CRASH_BEFORE_MIGRATION:
        raise StartupError("this image crashes before its migrations")
    texts_instead_of_ids()
    database = Database(settings.database)
    database.wait(log)
    redis = Redis(settings.redis_host, settings.redis_port, settings.redis_password, settings.redis_index)
    wait_for_redis(redis, log)
    if not settings.skip_migrations:
        migrate(database, version, log)
    if version.behaviour == MIGRATES_THEN_DIES:
        raise StartupError("this image dies after its migrations")
    app = App(settings, version, database, redis, Media(settings.media), log)
    app.media.check_location(database, log)
    app.media.check_mounts(database, log, settings.ignore_mount_errors)
    config.tell_library(app)
    record_version(database, version, log)
    app.load_maintenance()
    app.queues = jobs.Queues(redis)
    jobs.Worker(app, Redis(*redis.address, settings.redis_password, settings.redis_index)).start()
    return app


def main():
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    threading.Thread(target=exit_when_told, daemon=True).start()
    log = Log()
    try:
        app = start(log)
        server = Server((app.settings.host, app.settings.port), app)
    except (StartupError, OSError) as error:
        log.error(f"Error: {error}")
        log.error("Worker api exited with code 1")
        sys.exit(1)
    log.log(f"Immich Server is listening on http://[::1]:{app.settings.port} [v{app.version}] [production]")
    server.serve_forever()


if __name__ == "__main__":
    main()
