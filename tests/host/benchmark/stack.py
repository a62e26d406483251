"""Commands that find nothing to do, and a start of the stack from nothing."""

from measure import COMPOSE, cool_podman, compared, run, talk, turns, warm_podman

ROUNDS, COLD_ROUNDS, STARTS = 15, 8, 7
NETWORKS = ["photos-network.service", "photos-egress-network.service"]
POSTGRES, REDIS, SERVER, ML = "immich-postgres.service", "immich-redis.service", "immich-server.service", "immich-ml.service"
SERVICES = [POSTGRES, REDIS, SERVER, ML]


def commands():
    talk("commands that find nothing to do, Podman's socket warm")
    apply, status = "`photos-agent apply`", "`systemctl status` of a unit"
    warm = {
        "`photos-agent plan`": ["photos-agent", "plan"],
        apply: ["photos-agent", "apply"],
        "`podman-compose up -d`": ["podman-compose", "up", "-d"],
        "one `podman ps`": ["podman", "ps"],
        status: ["systemctl", "status", SERVER],
    }
    compared("nothing to do, Podman's service running", turns(ROUNDS, warm_podman, warm), apply)
    talk("the same, Podman's socket cold")
    cold = {name: warm[name] for name in ("`photos-agent plan`", apply)}
    compared("nothing to do, Podman's service stopped", turns(COLD_ROUNDS, cool_podman, cold), apply)


def stop_stack():
    run("systemctl", "stop", "photos.target", *SERVICES)
    run("systemctl", "stop", *NETWORKS)


def stack():
    """The stack from nothing running to all healthy, and the longest way through its units, each started alone."""
    talk("cold start of the stack")
    whole, chain = "all units at once", "the chain, one after the other"
    parts = {"its networks": [], "its database": [], "its server": []}
    times = {whole: [], chain: []}
    for _ in range(STARTS):
        stop_stack()
        times[whole].append(run("systemctl", "start", "photos.target", *SERVICES))
        stop_stack()
        parts["its networks"].append(run("systemctl", "start", *NETWORKS))
        # The server needs it, and it is there long before the database.
        run("systemctl", "start", REDIS)
        parts["its database"].append(run("systemctl", "start", POSTGRES))
        parts["its server"].append(run("systemctl", "start", SERVER))
        times[chain].append(sum(took[-1] for took in parts.values()))
        run("systemctl", "start", "photos.target", *SERVICES)
    compared("from stopped to healthy", times | parts, chain, "s")
