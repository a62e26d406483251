"""Which version this image stands for, and how it misbehaves."""

import os

NEVER_HEALTHY = "never-healthy"
FAILING_MIGRATION = "failing-migration"
BEHAVIOURS = (NEVER_HEALTHY, FAILING_MIGRATION)


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
        if self.major >= 3:
            answer["prerelease"] = None
        return answer


def this_version():
    return Version(os.environ["STANDIN_VERSION"])
