"""Connections to PostgreSQL: a small pool that forgets broken ones."""

import contextlib
import json
import queue
import time

import psycopg2
import psycopg2.extensions

from settings import StartupError

PATIENCE_SECONDS = 6
PAUSE_SECONDS = 0.5


class Database:
    def __init__(self, options):
        self.options = options
        self.idle = queue.LifoQueue()

    def wait(self, log):
        """Connect for the first time; a database that does not answer for some seconds is the end."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                self.idle.put(self.connect())
                return
            except psycopg2.OperationalError as error:
                reason = str(error).strip().replace("\n", " ")
            if time.monotonic() > deadline:
                raise StartupError(f"cannot connect to the database: {reason}")
            log.warn(f"Database connection failed, trying again: {reason}")
            time.sleep(PAUSE_SECONDS)

    def connect(self):
        return psycopg2.connect(connect_timeout=5, application_name="immich", **self.options)

    @contextlib.contextmanager
    def transaction(self):
        """A cursor; what it did is committed at the end, and undone by an exception."""
        connection = self.take()
        try:
            with connection, connection.cursor() as cursor:
                yield cursor
        except psycopg2.OperationalError:
            connection.close()
            raise
        finally:
            if not connection.closed:
                self.idle.put(connection)

    def take(self):
        while True:
            try:
                connection = self.idle.get_nowait()
            except queue.Empty:
                return self.connect()
            if alive(connection):
                return connection
            connection.close()

    def rows(self, sql, *values):
        with self.transaction() as cursor:
            cursor.execute(sql, values)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row)) for row in cursor.fetchall()]

    def row(self, sql, *values):
        found = self.rows(sql, *values)
        return found[0] if found else None

    def value(self, sql, *values):
        with self.transaction() as cursor:
            cursor.execute(sql, values)
            found = cursor.fetchone()
            return found[0] if found else None

    def run(self, sql, *values):
        with self.transaction() as cursor:
            cursor.execute(sql, values)
            return cursor.rowcount

    def metadata(self, key, default=None):
        found = self.value("SELECT value FROM system_metadata WHERE key = %s", key)
        return default if found is None else found

    def set_metadata(self, key, value):
        self.run(
            "INSERT INTO system_metadata (key, value) VALUES (%s, %s)"
            " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            key,
            json.dumps(value),
        )


def alive(connection):
    """A server that was restarted has closed its end; one round trip tells."""
    if connection.closed or connection.status != psycopg2.extensions.STATUS_READY:
        return False
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return True
    except psycopg2.Error:
        return False
