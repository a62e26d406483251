"""The environment, as Immich's server reads it."""

import os

FROM_FILES = ("DB_HOSTNAME", "DB_DATABASE_NAME", "DB_USERNAME", "DB_PASSWORD", "REDIS_PASSWORD")


class StartupError(Exception):
    """The server cannot start; the message says why."""


def lookup(name, default=None):
    """A variable's value: NAME_FILE wins over a file in CREDENTIALS_DIRECTORY, which wins over NAME itself."""
    if name in FROM_FILES:
        path = os.environ.get(f"{name}_FILE")
        credentials = os.environ.get("CREDENTIALS_DIRECTORY")
        if not path and credentials and os.path.exists(os.path.join(credentials, name)):
            path = os.path.join(credentials, name)
        if path:
            try:
                with open(path, encoding="utf-8") as file:
                    return file.read().strip()
            except OSError as error:
                raise StartupError(f"cannot read {name} from {path}: {error.strerror}") from error
    return os.environ.get(name) or default


class Settings:
    def __init__(self):
        self.database = {
            "host": lookup("DB_HOSTNAME", "database"),
            "port": int(lookup("DB_PORT", "5432")),
            "user": lookup("DB_USERNAME", "postgres"),
            "password": lookup("DB_PASSWORD", "postgres"),
            "dbname": lookup("DB_DATABASE_NAME", "immich"),
        }
        self.redis_host = lookup("REDIS_HOSTNAME", "redis")
        self.redis_port = int(lookup("REDIS_PORT", "6379"))
        self.redis_password = lookup("REDIS_PASSWORD")
        self.redis_index = int(lookup("REDIS_DBINDEX", "0"))
        self.host = lookup("IMMICH_HOST", "0.0.0.0")
        self.port = int(lookup("IMMICH_PORT", "2283"))
        self.media = lookup("IMMICH_MEDIA_LOCATION", "/data")
        self.config_file = lookup("IMMICH_CONFIG_FILE")
        self.ml_url = lookup("IMMICH_MACHINE_LEARNING_URL", "http://immich-machine-learning:3003")
        self.allow_setup = lookup("IMMICH_ALLOW_SETUP", "true") != "false"
        self.ignore_mount_errors = lookup("IMMICH_IGNORE_MOUNT_CHECK_ERRORS", "false") == "true"
        self.skip_migrations = lookup("DB_SKIP_MIGRATIONS", "false") == "true"
