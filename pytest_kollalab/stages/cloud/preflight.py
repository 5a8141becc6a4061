"""The accord: what nodes must agree on before anything is deployed onto them: names and time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_kollalab.system.errors import StageError

if TYPE_CHECKING:
    from pytest_kollalab.system.ssh import Ssh

# Tokens and reports of agents carry times: a few seconds are well within what services allow.
MOST_APART = 5.0
TIMEOUT = 60.0
# Prints the clock, then the address of each name, with nothing behind a name that is not known.
ASK = """\
date +%s.%N
for name do echo "$name $(getent ahostsv4 "$name" | cut -d " " -f 1 | sort -u | tr "\\n" " ")"; done
"""


@dataclass(frozen=True)
class Ahead:
    """By how many seconds a clock is ahead of this host's: a slow answer leaves a span for that."""

    least: float
    most: float

    @property
    def surely(self) -> float:
        """What of it the time that the answer took cannot explain."""
        return min(max(self.least, 0.0), self.most) if self.most >= 0 else self.most


def check(ssh: Ssh, addresses: Mapping[str, str]) -> None:
    """Raise StageError unless all nodes know each other, by one address, and have the same time.

    `addresses` maps each node to the address that its name has to mean.
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
            hint="look at /etc/hosts and /etc/resolv.conf of the nodes, or have them made anew: "
            "--kollalab-fresh nodes",
        )
    if troubles := list(clock_troubles({node: ahead for node, (ahead, _) in found.items()})):
        raise StageError(
            "the clocks of the nodes differ",
            details="\n".join(troubles),
            hint="set them right, by NTP on the hosts that the nodes are on, then run again",
        )


def name_troubles(said: Mapping[str, str], addresses: Mapping[str, str]) -> Iterator[str]:
    """What nodes take for the address of a name, where it is none or another one."""
    for node, text in said.items():
        rows = dict(line.partition(" ")[::2] for line in text.splitlines())
        for name, address in addresses.items():
            found = rows.get(name, "").split()
            if not found:
                yield f"{node}: {name} is unknown"
            elif found != [address]:
                yield f"{node}: {name} is {', '.join(found)} instead of {address}"


def clock_troubles(ahead: Mapping[str, Ahead]) -> Iterator[str]:
    """Which clocks are apart, by how far each is ahead of this host's."""
    least, most = max(a.least for a in ahead.values()), min(a.most for a in ahead.values())
    if least - most > MOST_APART:
        for node, found in ahead.items():
            behind = "ahead of" if found.surely >= 0 else "behind"
            yield f"{node} is {abs(found.surely):.0f} s {behind} this host"
