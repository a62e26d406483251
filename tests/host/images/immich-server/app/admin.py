"""immich-admin: the commands that ask nothing."""

import sys

from app import MAINTENANCE
from auth import new_token
from database import Database
from settings import Settings
from versions import this_version


def maintenance(database, active):
    """The running server learns of it when it starts the next time."""
    token = new_token() if active else None
    database.set_metadata(MAINTENANCE, {"isMaintenanceMode": active, **({"secret": token} if active else {})})
    print(f"Maintenance mode has been {'enabled' if active else 'disabled'}.")
    if token:
        print(f"http://localhost:2283/maintenance?token={token}")


def main(command):
    if command == "version":
        print(f"v{this_version()}")
        return
    database = Database(Settings().database)
    if command == "list-users":
        for user in database.rows('SELECT id::text, email, name, "isAdmin" FROM "user" ORDER BY "createdAt"'):
            print(user)
    elif command == "enable-maintenance-mode":
        maintenance(database, True)
    elif command == "disable-maintenance-mode":
        maintenance(database, False)
    else:
        print("commands: version, list-users, enable-maintenance-mode, disable-maintenance-mode", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
