"""Waiting until Neutron's agent has processed a plugged port."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pytest_kollalab.sdn import workarounds
from pytest_kollalab.system import wait
from pytest_kollalab.system.wait import NotYet

if TYPE_CHECKING:
    from openstack.connection import Connection

    from pytest_kollalab.sdn.probe.namespace import Namespace
    from pytest_kollalab.sdn.tenant.network import Port

BRIDGE = "br-int"
# Seconds. A port takes 2 to 6 s; one that the agent missed never becomes active.
MISSED = 20.0
TIMEOUT = 180.0


def await_active(
    admin: Connection,
    namespace: Namespace,
    port: Port,
    *,
    patience: float = 1.0,
    missed: bool = True,
) -> None:
    """Wait until a plugged port is ACTIVE.

    A port that is not active is announced again every 20 s; this is the workaround for an agent
    that missed it.

    Args:
        admin: The administrator's connection.
        namespace: The namespace that the port is plugged into.
        port: The port.
        patience: Scales the times.
        missed: Whether the agent may miss a port.

    Raises:
        WorkaroundForbiddenError: The workaround is needed and forbidden.
        WaitError: The port is not active after 180 s.
    """
    told = time.monotonic()
    again = 0

    def look() -> bool | NotYet:
        nonlocal told, again
        status = admin.network.get_port(port.id).status
        if status == "ACTIVE":
            return True
        now = time.monotonic()
        if missed and now - told >= workarounds.delay(MISSED) * patience:
            seen = f"{port.device} on {namespace.node} is {status} after {now - told:.0f} s"
            workarounds.use(workarounds.MISSED_PORT, seen)
            namespace.announce(port.device, bridge=BRIDGE, mac=port.mac, port=port.id)
            told, again = now, again + 1
        return NotYet(f"status {status}" + (f", announced again {again} times" if again else ""))

    wait.until(f"port {port.device} to be ACTIVE", look, timeout=TIMEOUT * patience)
