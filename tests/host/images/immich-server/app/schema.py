"""The schema: an ordered list of migrations, each belonging to the release that brought it. Forward only."""

import datetime
import time

import psycopg2

from settings import StartupError
from versions import FAILING_MIGRATION, SLOW_MIGRATION

HISTORY = """
CREATE TABLE IF NOT EXISTS kysely_migrations (name varchar(255) PRIMARY KEY, timestamp varchar(255) NOT NULL);
CREATE TABLE IF NOT EXISTS kysely_migrations_lock (id varchar(255) PRIMARY KEY, is_locked integer NOT NULL DEFAULT 0);
"""
LOCK = 500
SLOW_SECONDS = 8

FAILING = (
    "1790000000000-AlbumOwnerTrigger",
    'ALTER TABLE album ADD COLUMN "broken" text; UPDATE album SET "broken" = "ownerId"::text;',
)

# (first release that has it, name, SQL)
MIGRATIONS = (
    (
        (2, 7, 5),
        "1744910873969-InitialMigration",
        """
        CREATE TABLE "user" (
          id uuid PRIMARY KEY DEFAULT gen_random_uuid(), email text NOT NULL UNIQUE, password text NOT NULL,
          name text NOT NULL DEFAULT '', "isAdmin" boolean NOT NULL DEFAULT false,
          "shouldChangePassword" boolean NOT NULL DEFAULT true, "storageLabel" text UNIQUE,
          "profileImagePath" text NOT NULL DEFAULT '', "quotaSizeInBytes" bigint, status text NOT NULL DEFAULT 'active',
          "createdAt" timestamptz NOT NULL DEFAULT now(), "updatedAt" timestamptz NOT NULL DEFAULT now(),
          "deletedAt" timestamptz);
        CREATE TABLE library (
          id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL,
          "ownerId" uuid NOT NULL REFERENCES "user" ON DELETE CASCADE, "importPaths" text[] NOT NULL DEFAULT '{}',
          "exclusionPatterns" text[] NOT NULL DEFAULT '{}', "refreshedAt" timestamptz,
          "createdAt" timestamptz NOT NULL DEFAULT now(), "updatedAt" timestamptz NOT NULL DEFAULT now(),
          "deletedAt" timestamptz);
        CREATE TABLE asset (
          id uuid PRIMARY KEY DEFAULT gen_random_uuid(), "ownerId" uuid NOT NULL REFERENCES "user" ON DELETE CASCADE,
          "libraryId" uuid REFERENCES library ON DELETE CASCADE, "deviceAssetId" text NOT NULL, "deviceId" text NOT NULL,
          type text NOT NULL, "originalPath" text NOT NULL, "originalFileName" text NOT NULL, checksum bytea NOT NULL,
          "fileSizeInByte" bigint NOT NULL DEFAULT 0, duration text, "isFavorite" boolean NOT NULL DEFAULT false,
          "isExternal" boolean NOT NULL DEFAULT false, "isOffline" boolean NOT NULL DEFAULT false,
          visibility text NOT NULL DEFAULT 'timeline', status text NOT NULL DEFAULT 'active',
          "fileCreatedAt" timestamptz NOT NULL, "fileModifiedAt" timestamptz NOT NULL,
          "createdAt" timestamptz NOT NULL DEFAULT now(), "updatedAt" timestamptz NOT NULL DEFAULT now(),
          "deletedAt" timestamptz);
        CREATE UNIQUE INDEX "UQ_assets_owner_checksum" ON asset ("ownerId", checksum) WHERE "libraryId" IS NULL;
        CREATE UNIQUE INDEX "UQ_assets_owner_library_checksum" ON asset ("ownerId", "libraryId", checksum)
          WHERE "libraryId" IS NOT NULL;
        CREATE TABLE album (
          id uuid PRIMARY KEY DEFAULT gen_random_uuid(), "ownerId" uuid NOT NULL REFERENCES "user" ON DELETE CASCADE,
          "albumName" text NOT NULL DEFAULT 'Untitled Album', "createdAt" timestamptz NOT NULL DEFAULT now());
        CREATE TABLE album_asset (
          "albumId" uuid REFERENCES album ON DELETE CASCADE, "assetId" uuid REFERENCES asset ON DELETE CASCADE,
          PRIMARY KEY ("albumId", "assetId"));
        CREATE TABLE album_user (
          "albumId" uuid REFERENCES album ON DELETE CASCADE, "userId" uuid REFERENCES "user" ON DELETE CASCADE,
          role text NOT NULL DEFAULT 'editor', PRIMARY KEY ("albumId", "userId"));
        CREATE TABLE session (
          id uuid PRIMARY KEY DEFAULT gen_random_uuid(), token bytea NOT NULL UNIQUE,
          "userId" uuid NOT NULL REFERENCES "user" ON DELETE CASCADE, "createdAt" timestamptz NOT NULL DEFAULT now());
        CREATE TABLE api_key (
          id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL, key bytea NOT NULL UNIQUE,
          "userId" uuid NOT NULL REFERENCES "user" ON DELETE CASCADE, permissions text[] NOT NULL,
          "createdAt" timestamptz NOT NULL DEFAULT now(), "updatedAt" timestamptz NOT NULL DEFAULT now());
        CREATE TABLE system_metadata (key text PRIMARY KEY, value jsonb NOT NULL);
        CREATE TABLE version_history (
          id uuid PRIMARY KEY DEFAULT gen_random_uuid(), "createdAt" timestamptz NOT NULL DEFAULT clock_timestamp(),
          version text NOT NULL);
        CREATE TABLE smart_search (
          "assetId" uuid PRIMARY KEY REFERENCES asset ON DELETE CASCADE, embedding vector(8) NOT NULL);
        """,
    ),
    (
        (2, 7, 5),
        "1768847456550-AddNotifications",
        """
        CREATE TABLE notification (
          id uuid PRIMARY KEY DEFAULT gen_random_uuid(), "userId" uuid REFERENCES "user" ON DELETE CASCADE,
          level text NOT NULL DEFAULT 'info', type text NOT NULL DEFAULT 'Custom', title text NOT NULL,
          description text, "createdAt" timestamptz NOT NULL DEFAULT now(), "readAt" timestamptz);
        """,
    ),
    # From here on an older server cannot work on the database: what it reads is gone.
    (
        (3, 0, 2),
        "1777909327144-MoveAlbumOwnerToAlbumUser",
        """
        INSERT INTO album_user ("albumId", "userId", role) SELECT id, "ownerId", 'owner' FROM album
          ON CONFLICT ("albumId", "userId") DO UPDATE SET role = 'owner';
        ALTER TABLE album DROP COLUMN "ownerId";
        """,
    ),
    (
        (3, 0, 2),
        "1779133027345-DropAssetDevice",
        """
        ALTER TABLE asset DROP COLUMN "deviceAssetId", DROP COLUMN "deviceId";
        ALTER TABLE asset ALTER COLUMN duration TYPE integer USING (extract(epoch FROM duration::interval) * 1000)::integer;
        """,
    ),
    (
        (3, 0, 2),
        "1780410261551-AddVideoStreamTables",
        """
        CREATE TABLE video_stream (
          "assetId" uuid REFERENCES asset ON DELETE CASCADE, index integer, codec text NOT NULL,
          PRIMARY KEY ("assetId", index));
        """,
    ),
    (
        (3, 1, 0),
        "1783616874020-AddIntegrityReport",
        """
        CREATE TABLE integrity_report (
          id uuid PRIMARY KEY DEFAULT gen_random_uuid(), type text NOT NULL, path text NOT NULL,
          "createdAt" timestamptz NOT NULL DEFAULT now());
        """,
    ),
    (
        (3, 2, 0),
        "1787160001000-RenameAssetFileSize",
        'ALTER TABLE asset RENAME COLUMN "fileSizeInByte" TO "fileSize";',
    ),
    (
        (3, 2, 0),
        "1787246402000-AddClusterGroup",
        "CREATE TABLE cluster_group (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL);",
    ),
    (
        (3, 2, 2),
        "1788542403000-AddApiKeyRotatedAt",
        'ALTER TABLE api_key ADD COLUMN "rotatedAt" timestamptz;',
    ),
)


def migrations_of(version):
    """The migrations that this version knows, in their order."""
    known = [(name, sql) for since, name, sql in MIGRATIONS if since <= version.release]
    return known + [FAILING] if version.behaviour == FAILING_MIGRATION else known


def migrate(database, version, log):
    """Bring the database to this version; one transaction for all pending migrations, as Immich's own runner has it."""
    known = migrations_of(version)
    with database.transaction() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        cursor.execute("CREATE EXTENSION IF NOT EXISTS vector")
        cursor.execute(HISTORY)
    try:
        with database.transaction() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
            if run_pending(cursor, known, log) and version.behaviour == SLOW_MIGRATION:
                # before it is committed
                time.sleep(SLOW_SECONDS)
    except psycopg2.Error as error:
        message = (error.diag.message_primary or str(error)).strip()
        log.error(f"Migrations failed: error: {message}")
        raise StartupError(f"Migrations failed: {message}") from error


def run_pending(cursor, known, log):
    """Returns how many there were."""
    names = [name for name, _ in known]
    cursor.execute("SELECT name FROM kysely_migrations ORDER BY timestamp, name")
    executed = [row[0] for row in cursor.fetchall()]
    for name in executed:
        if name not in names:
            raise corrupted(f"previously executed migration {name} is missing")
    for index, name in enumerate(executed):
        if names[index] != name:
            raise corrupted(f"expected previously executed migration {name} to be at index {index} but {names[index]} was found")
    for name, sql in known[len(executed) :]:
        log.log(f"Running migration {name}")
        try:
            cursor.execute(sql)
        except psycopg2.Error:
            log.error(f'Migration "{name}" failed')
            raise
        now = datetime.datetime.now(datetime.timezone.utc).isoformat()
        cursor.execute("INSERT INTO kysely_migrations (name, timestamp) VALUES (%s, %s)", (name, now))
        log.log(f'Migration "{name}" succeeded')
    return len(known) - len(executed)


def corrupted(reason):
    return StartupError(f"corrupted migrations: {reason}")


def record_version(database, version, log):
    """One row for every change of the version that runs on this database."""
    last = database.value('SELECT version FROM version_history ORDER BY "createdAt" DESC LIMIT 1')
    if last != str(version):
        log.log(f"Updating version from {last or 'nothing'} to {version}")
        database.run("INSERT INTO version_history (version) VALUES (%s)", str(version))
