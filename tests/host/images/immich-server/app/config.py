"""The system's configuration: defaults, and what the administrator changed, from the database or from a file."""

import copy
import json
import os

from settings import StartupError

KEY = "system-config"
ACCELERATIONS = ("nvenc", "qsv", "vaapi", "rkmpp", "disabled")
DEFAULTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "config.json")


def defaults(app):
    with open(DEFAULTS, encoding="utf-8") as file:
        found = json.load(file)
    found["machineLearning"]["urls"] = [app.settings.ml_url]
    if app.version.major < 3:
        found.pop("integrityChecks")
    return found


def load(app):
    """While a file is set, what the database holds is neither used nor lost."""
    changes = from_file(app.settings.config_file) if app.settings.config_file else app.database.metadata(KEY, {})
    return merge(defaults(app), changes)


def tell_library(app):
    """What this start of the server does by itself with external libraries."""
    found = load(app)["library"]
    on = {True: "on", False: "off"}
    app.log.log(f"Library scan schedule {on[found['scan']['enabled']]}, watcher {on[found['watch']['enabled']]}")


def from_file(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError) as error:
        raise StartupError(f"Unable to load configuration file {path}: {error}") from error


def save(app, wanted):
    """Keep only what differs from the defaults."""
    app.database.set_metadata(KEY, difference(wanted, defaults(app)))


def merge(base, changes):
    answer = copy.copy(base)
    for name, value in changes.items():
        both = isinstance(value, dict) and isinstance(base.get(name), dict)
        answer[name] = merge(base[name], value) if both else value
    return answer


def difference(wanted, base):
    answer = {}
    for name, value in wanted.items():
        if isinstance(value, dict) and isinstance(base.get(name), dict):
            inner = difference(value, base[name])
            if inner:
                answer[name] = inner
        elif value != base.get(name):
            answer[name] = value
    return answer


def unknown(wanted, base, path=()):
    """The paths of the keys that the defaults do not have, and of those that are missing."""
    found = []
    for name in sorted(set(wanted) | set(base)):
        here = [*path, name]
        if name not in wanted or name not in base:
            found.append((here, "Invalid input: required" if name in base else f"Unrecognized key: {name}"))
        elif isinstance(base[name], dict):
            if isinstance(wanted[name], dict):
                found += unknown(wanted[name], base[name], here)
            else:
                found.append((here, "Invalid input: expected object"))
    return found


def invalid(wanted):
    """The paths of the values that Immich refuses, of those that the stand-in does something with."""
    found, ffmpeg = [], wanted["ffmpeg"]
    if ffmpeg["accel"] not in ACCELERATIONS:
        options = "|".join(f'"{name}"' for name in ACCELERATIONS)
        found.append((["ffmpeg", "accel"], f"Invalid option: expected one of {options}"))
    for name, kind in (("accelDecode", bool), ("preferredHwDevice", str)):
        if not isinstance(ffmpeg[name], kind):
            found.append((["ffmpeg", name], f"Invalid input: expected {'boolean' if kind is bool else 'string'}"))
    return found
