"""Captures of tunnel traffic between nodes, at the interface on the tunnel network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

from pytest_kollalab.sdn.capture import tcpdump
from pytest_kollalab.sdn.probe.namespace import NodeItself
from pytest_kollalab.system.ssh import Ssh

# The interface on the tunnel network, as providers name it.
DEVICE = "tun0"
MPLS = 0x8847
_numbers = count(1)


@contextmanager
def watched(ssh: Ssh, node: str, filter: str = "ip proto 47") -> Iterator[tcpdump.Capture]:
    """Capture the tunnel traffic of a node until the block ends.

    The packet in a tunnel is `inner` of a packet in `packets`.

    Args:
        ssh: Runs commands on the node.
        node: The node.
        filter: A filter expression of tcpdump; by default it selects GRE.

    Yields:
        The capture, with its `packets`.
    """
    outer = NodeItself(ssh, node, f"tunnels-{next(_numbers)}")
    try:
        with tcpdump.capture(outer, DEVICE, filter) as seen:
            yield seen
    finally:
        outer.script('rm -rf "/run/kollalab/$1"', outer.name)
