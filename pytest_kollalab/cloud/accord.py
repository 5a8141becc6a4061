"""The accord: what nodes must agree on before anything is deployed onto them: names and time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from pytest_kollalab.errors import StageError

if TYPE_CHECKING:
    from pytest_kollalab.ssh import Ssh

# Tokens and reports of agents carry times: a few seconds are well within what services allow.
MOST_APART = 5.0
TIMEOUT = 30.0
# Prints the clock, then the address of each name, with nothing behind a name that is not known.
ASK = """\
date +%s.%N
for name do echo "$name $(getent ahostsv4 "$name" | cut -d " " -f 1 | sort -u | tr "\\n" " ")"; done
"""


def check(ssh: Ssh, addresses: Mapping[str, str]) -> None:
    """Raise StageError unless all nodes know each other, by one address, and have the same time.

    `addresses` maps each node to the address that its name has to mean.
    """
    argv = ["sh", "-c", ASK, "ask", *addresses]

    def ask(node: str) -> tuple[float, str]:
        before = time.time()
        said = ssh.run(node, argv, timeout=TIMEOUT).stdout
        # Half a slow connection is no skew.
        clock, _, names = said.partition("\n")
        return float(clock) - (before + time.time()) / 2, names

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


def clock_troubles(ahead: Mapping[str, float]) -> Iterator[str]:
    """Which clocks are apart; `ahead` is by how many seconds each is ahead of this host's."""
    if ahead and max(ahead.values()) - min(ahead.values()) > MOST_APART:
        for node, seconds in ahead.items():
            behind = "ahead of" if seconds >= 0 else "behind"
            yield f"{node} is {abs(seconds):.0f} s {behind} this host"
