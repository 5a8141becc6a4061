"""The network agents that program the switches: which nodes have one, and how to stop one."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pytest_kollalab.system import wait
from pytest_kollalab.system.wait import NotYet

if TYPE_CHECKING:
    from pytest_kollalab.sdn.dataplane import Dataplane
    from pytest_kollalab.sdn.tenant.tenant import Tenant
    from pytest_kollalab.system.ssh import Ssh


def kill(ssh: Ssh, node: str, dataplane: Dataplane) -> None:
    """Kill the agent of a node; systemd starts it again. An orderly stop would take a minute."""
    argv = ["docker", "exec", dataplane.container, "pkill", "-KILL", "-f", f"bin/{dataplane.agent}"]
    ssh.run(node, argv)


def hosts(tenant: Tenant) -> tuple[str, ...]:
    """The nodes that have an agent."""
    api: Any = tenant.admin.network
    return tuple(sorted(each.host for each in api.agents(binary=tenant.dataplane.agent)))


@contextmanager
def only(tenant: Tenant, nodes: Collection[str]) -> Iterator[None]:
    """Run only the agents of these nodes in the block; after it, wait until the others are back.

    The others are killed, and systemd starts them again about 10 s later. The block must be
    shorter than that.

    Raises:
        WaitError: An agent does not come back.
    """
    api: Any = tenant.admin.network
    found = {each.host: each for each in api.agents(binary=tenant.dataplane.agent)}
    others = sorted(found.keys() - set(nodes))
    for node in others:
        kill(tenant.ssh, node, tenant.dataplane)
    try:
        yield
    finally:
        began = time.monotonic()
        for node in others:
            _await_anew(
                api, found[node], timeout=120 * tenant.patience - (time.monotonic() - began)
            )


def _await_anew(api: Any, before: Any, timeout: float) -> None:
    def look() -> bool | NotYet:
        now = api.get_agent(before.id)
        return now.started_at != before.started_at or NotYet(f"that of {now.started_at}")

    wait.until(f"the agent of {before.host} to be started anew", look, timeout=timeout)
