"""Which lines of logs can be of the tests of this process, and which are of somebody else's."""

from __future__ import annotations

import re
from collections.abc import Collection

from pytest_kollalab.sdn.tenant.project import PROJECTS

# A port of Neutron: its id, or the beginning of that in the name of its device.
PORT = re.compile(
    r"\bports?\W{1,4}([0-9a-f]{8}-[0-9a-f]{2})[0-9a-f]{2}-[0-9a-f-]{22}"
    r"|\b(?:tap|qvo|qvb|qbr)([0-9a-f]{8}-[0-9a-f]{2})\b",
    re.I,
)
SHOWN = 11


def own_ports() -> frozenset[str]:
    """The ids of all ports that projects of this process ever had."""
    return frozenset(port.id for project in PROJECTS for port in project.known_ports)


def can_be_of(line: str, ports: Collection[str]) -> bool:
    """Whether a line of a log can be of a test: it names no port, or one of its own.

    Ports that Neutron makes by itself, for DHCP and routers, count as those of somebody else.

    Args:
        line: The line.
        ports: The ids of the test's ports. If there are none, nothing is known of it.
    """
    named = {first or second for first, second in PORT.findall(line)}
    return not named or not ports or not named.isdisjoint(port[:SHOWN] for port in ports)
