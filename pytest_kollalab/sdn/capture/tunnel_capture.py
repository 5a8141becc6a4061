"""Captures between nodes: what tunnels carry, seen at the interface on the tunnel network."""

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
    """Record what goes through tunnels of a node until the block ends.

    What is in a tunnel is the `inner` packet of one in `packets`. `filter` is in tcpdump's
    language; without one it is GRE.
    """
    outer = NodeItself(ssh, node, f"tunnels-{next(_numbers)}")
    try:
        with tcpdump.capture(outer, DEVICE, filter) as seen:
            yield seen
    finally:
        outer.script('rm -rf "/run/kollalab/$1"', outer.name)
