"""Which version this image stands for, and how it misbehaves."""

import os

NEVER_HEALTHY = "never-healthy"  # starts, and answers 503 to everything
FAILING_MIGRATION = "failing-migration"  # its transaction rolls back, it exits 1
CRASH_BEFORE_MIGRATION = "crash-before-migration"  # exits 1 before it has spoken to the database
MIGRATES_THEN_DIES = "migrates-then-dies"  # its transaction is committed, it exits 1
CRASH_LOOP = "crash-loop"  # exits 1 some seconds after it has first answered its ping, at every start
WRONG_VERSION = "wrong-version"  # works, and says that it is the next patch
SLOW_MIGRATION = "slow-migration"  # works, after a migration of some seconds
BEHAVIOURS = (
    NEVER_HEALTHY,
    FAILING_MIGRATION,
    CRASH_BEFORE_MIGRATION,
    MIGRATES_THEN_DIES,
    CRASH_LOOP,
    WRONG_VERSION,
    SLOW_MIGRATION,
)


class Version:
    """`v3.2.2` or `v3.2.2-failing-migration`: a release, and optionally a way to fail."""

    def __init__(self, tag):
        release, _, behaviour = tag.partition("-")
        if behaviour and behaviour not in BEHAVIOURS:
            raise ValueError(f"{tag}: unknown behaviour {behaviour!r}, known: {', '.join(BEHAVIOURS)}")
        self.release = tuple(int(part) for part in release.removeprefix("v").split("."))
        self.behaviour = behaviour

    @property
    def major(self):
        return self.release[0]

    def __str__(self):
        return ".".join(str(part) for part in self.release)

    def as_json(self):
        answer = dict(zip(("major", "minor", "patch"), self.release))
        if self.behaviour == WRONG_VERSION:
            answer["patch"] += 1
        if self.major >= 3:
            answer["prerelease"] = None
        return answer


def this_version():
    return Version(os.environ["STANDIN_VERSION"])
