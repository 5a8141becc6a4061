"""Checks the names and clocks of nodes before a deploy."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_kollalab.system.errors import StageError

if TYPE_CHECKING:
    from pytest_kollalab.system.ssh import Ssh

# In seconds. Services compare the times of tokens and agent reports, and tolerate more than this.
MOST_APART = 5.0
TIMEOUT = 60.0
# Prints the clock, then a line with each name and its addresses. Unknown names have no address.
ASK = """\
date +%s.%N
for name do echo "$name $(getent ahostsv4 "$name" | cut -d " " -f 1 | sort -u | tr "\\n" " ")"; done
"""


@dataclass(frozen=True)
class Ahead:
    """How many seconds a node's clock is ahead of this host's: a range, because answers take time.

    Attributes:
        least: The lower bound.
        most: The upper bound.
    """

    least: float
    most: float

    @property
    def surely(self) -> float:
        """The value of the range that is closest to zero."""
        return min(max(self.least, 0.0), self.most) if self.most >= 0 else self.most


def check(ssh: Ssh, addresses: Mapping[str, str]) -> None:
    """Check that all nodes resolve each other's names and have the same time.

    Args:
        ssh: SSH access to the nodes.
        addresses: The address that each node's name must resolve to.

    Raises:
        StageError: A name resolves to another address or to none, or the clocks differ.
    """
    argv = ["sh", "-c", ASK, "ask", *addresses]

    def ask(node: str) -> tuple[Ahead, str]:
        before = time.time()
        said = ssh.run(node, argv, timeout=TIMEOUT).stdout
        clock, _, names = said.partition("\n")
        return Ahead(float(clock) - time.time(), float(clock) - before), names

    with ThreadPoolExecutor() as pool:
        found = dict(zip(addresses, pool.map(ask, addresses), strict=True))
    if troubles := list(name_troubles({n: names for n, (_, names) in found.items()}, addresses)):
        raise StageError(
            "the nodes do not find each other by name",
            details="\n".join(troubles),
            hint="check /etc/hosts and /etc/resolv.conf on the nodes, or build the nodes anew: "
            "--kollalab-fresh nodes",
        )
    if troubles := list(clock_troubles({node: ahead for node, (ahead, _) in found.items()})):
        raise StageError(
            "the clocks of the nodes differ",
            details="\n".join(troubles),
            hint="set the clocks of the nodes' hosts by NTP, then run again",
        )


def name_troubles(said: Mapping[str, str], addresses: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each name that a node resolves to another address or to none.

    Args:
        said: For each node, a line per name with the addresses that it resolves to.
        addresses: The address that each name must resolve to.
    """
    for node, text in said.items():
        rows = dict(line.partition(" ")[::2] for line in text.splitlines())
        for name, address in addresses.items():
            found = rows.get(name, "").split()
            if not found:
                yield f"{node}: {name} is unknown"
            elif found != [address]:
                yield f"{node}: {name} is {', '.join(found)} instead of {address}"


def clock_troubles(ahead: Mapping[str, Ahead]) -> Iterator[str]:
    """Yield a line for each node's clock if the clocks of the nodes differ too much."""
    least, most = max(a.least for a in ahead.values()), min(a.most for a in ahead.values())
    if least - most > MOST_APART:
        for node, found in ahead.items():
            behind = "ahead of" if found.surely >= 0 else "behind"
            yield f"{node} is {abs(found.surely):.0f} s {behind} this host"
