"""Ports that are plugged: when Neutron's agent is done with one, and what helps if it missed it."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from pytest_kollalab.sdn import figures
from pytest_kollalab.system import wait
from pytest_kollalab.system.wait import NotYet

if TYPE_CHECKING:
    from openstack.connection import Connection

    from pytest_kollalab.sdn.probe.namespace import Namespace
    from pytest_kollalab.sdn.tenant.network import Port

log = logging.getLogger(__name__)

BRIDGE = "br-int"
# Seconds; a port takes 2 to 6, one that the agent missed takes for ever.
MISSED = 20.0
TIMEOUT = 180.0
ANNOUNCED = "port: ACTIVE once announced again"


def await_active(
    admin: Connection, namespace: Namespace, port: Port, *, patience: float = 1.0
) -> None:
    """Wait until Neutron says that a plugged port works. Raises WaitError after 180 s.

    The agent hears of new ports from `ovsdb-client monitor` and looks them up in a copy of the
    tables that another connection fills. Where that one is behind, it puts the port down as not
    there and does not look again (neutron 28.0.2, ovs_neutron_agent.py, process_network_ports).
    So a port that is not up in time is announced once more; a figure and a line in the log say so.
    """
    began = told = time.monotonic()
    again = 0

    def look() -> bool | NotYet:
        nonlocal told, again
        status = admin.network.get_port(port.id).status
        if status == "ACTIVE":
            return True
        now = time.monotonic()
        if now - told >= MISSED * patience:
            log.warning(
                "the agent of %s has not seen %s in %.0f s: announced again",
                namespace.node,
                port.device,
                now - told,
            )
            namespace.announce(port.device, bridge=BRIDGE, mac=port.mac, port=port.id)
            told, again = now, again + 1
        return NotYet(f"status {status}" + (f", announced again {again} times" if again else ""))

    wait.until(f"port {port.device} to be ACTIVE", look, timeout=TIMEOUT * patience)
    if again:
        figures.record(ANNOUNCED, time.monotonic() - began)
