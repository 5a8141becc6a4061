"""Whether a container is there for the next task of a deploy; module_utils of Ansible on nodes."""

from __future__ import annotations

import subprocess
import time
from typing import Any

# What has to pass its health check before a deploy goes on from the start of the other: agents ask
# Neutron's RPC server once, and then not for another half a minute.
FIRST = {"neutron_periodic_worker": "neutron_rpc_server"}
# Databases of OVN, each with its control socket. The next tasks ask once which of a cluster leads,
# and set its listeners only where one does.
LEADS = {"ovn_nb_db": ("ovnnb_db", "OVN_Northbound"), "ovn_sb_db": ("ovnsb_db", "OVN_Southbound")}


def as_wanted(container: dict[str, Any], state: str) -> bool:
    """Whether the container is in the state that its unit has.

    Returns late where another one has to be ready first, and in any case after its time-out.
    """
    if state != "running":
        return True
    engine, name = container["engine"], container["name"]
    if told(engine, "inspect", "--format", "{{.State.Running}}", name) != "true":
        return False
    if name in FIRST:
        first = FIRST[name]
        test = told(engine, "inspect", "--format", "{{index .Config.Healthcheck.Test 1}}", first)
        for _ in range(int(container["restart_timeout"])):
            if not test or told(engine, "exec", first, "sh", "-c", test) is not None:
                break
            time.sleep(1)
    if name in LEADS:
        control, database = LEADS[name]
        status = ("ovs-appctl", "-t", f"/run/ovn/{control}.ctl", "cluster/status", database)
        for _ in range(int(container["restart_timeout"])):
            if "Role: leader" in (told(engine, "exec", name, *status) or ""):
                break
            time.sleep(1)
    return True


def told(*argv: str) -> str | None:
    """What a command that succeeds prints; None when it fails."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    return done.stdout.decode().strip() if done.returncode == 0 else None
