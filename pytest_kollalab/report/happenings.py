"""What a lab's logs and Ansible's tasks tell of a span of time: names for gaps in traffic."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_kollalab.report.artifacts import skew
from pytest_kollalab.report.window import TROUBLE, Window
from pytest_kollalab.sdn.traffic.happenings import LOG, TASK, Happening, shortened
from pytest_kollalab.system.errors import CommandError

if TYPE_CHECKING:
    from pytest_kollalab.system.ssh import Ssh

# Of the logs that were written to since: name and end of each. Arguments: since when (seconds since
# 1970), and whose logs.
LOGS = r"""
since=$1
shift
cd /var/log/kolla 2> /dev/null || exit 0
find "$@" -type f -name '*.log' -size +0 -newermt "@$since" 2> /dev/null | while read -r log; do
    echo "@@ $log"
    tail -c 1000000 "$log"
    echo
done
"""
# Services that forward packets, or decide how.
SERVICES = ("neutron", "openvswitch", "bagpipe-bgp", "frr", "opendaylight")
# What is no trouble, and tells what an agent does.
TELLING = ("OVS is restarted", "Agent initialized", "Agent out of sync", "Logging enabled!")


class LabHappenings:
    """Asks a lab what happened: its logs on the nodes, and the tasks of Ansible on this host.

    Args:
        ssh: Runs commands on the nodes.
        nodes: The nodes.
        folder: The folder with the tasks of the lab's deploys.
        mask: Masks secrets.
    """

    def __init__(
        self, ssh: Ssh, nodes: Iterable[str], folder: Path, mask: Callable[[str], str] = str
    ) -> None:
        self._ssh = ssh
        self._nodes = tuple(nodes)
        self._folder = folder
        self._mask = mask

    def __call__(self, began: float, ended: float) -> list[Happening]:
        """What happened in a span, in seconds since 1970 of this host's clock."""
        with ThreadPoolExecutor() as pool:
            found = list(pool.map(lambda node: self._of(node, began, ended), self._nodes))
        ran = [each for path in sorted(self._folder.glob("*-tasks.json")) for each in tasks(path)]
        told = [each for each in ran if each.time <= ended and each.until >= began]
        return [*told, *(each for of_node in found for each in of_node)]

    def _of(self, node: str, began: float, ended: float) -> list[Happening]:
        try:
            asked = time.time()
            clock = self._ssh.run(node, ["date", "+%s.%N %z"], timeout=10).stdout.split()
            ahead = skew(clock[0], asked, time.time())
            argv = ["sh", "-s", "--", f"{began + ahead:.3f}", *SERVICES]
            text = self._ssh.run(node, argv, input=LOGS, timeout=60).stdout
        except CommandError:
            return []  # a node that is down has nothing to tell
        window = Window(began + ahead, ended + ahead)
        return [
            Happening(LOG, node, each.time - ahead, self._mask(each.text))
            for each in lines(node, text, window)
        ]


def lines(node: str, text: str, window: Window) -> Iterator[Happening]:
    """The telling lines of logs in a span, from the output of `LOGS`."""
    log = ""
    for line in text.splitlines():
        if line.startswith("@@ "):
            log = Path(line[3:]).stem
        elif TROUBLE.search(line) or any(word in line for word in TELLING):
            moment = window.moment(line)
            if moment is not None and window.since <= moment <= window.until:
                yield Happening(LOG, node, moment, shortened(f"{log}: {said(line)}"))


def said(line: str) -> str:
    """What a line of a log says, without time, process and request."""
    if "|" in line:  # of Open vSwitch: time|number|module|level|text
        return " ".join(part.strip() for part in line.split("|")[2:])
    words = line.split(" ", 5)
    # Of OpenStack: date, time, process, level, module, request in brackets, text.
    if len(words) == 6 and words[2].isdigit():
        _, _, _, level, module, rest = words
        while rest.startswith("[") and "]" in rest:
            rest = rest.partition("]")[2].strip()
        return f"{level} {module.rpartition('.')[2]}: {rest}"
    return line


def tasks(path: Path) -> Iterator[Happening]:
    """The tasks in a file with the tasks of a deploy; none if it cannot be read."""
    try:
        rows: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    for row in rows:
        if isinstance(row, Mapping) and row.get("at"):
            role = f"{row['role']} : " if row["role"] else ""
            text = shortened(f"{role}{row['task']}")
            yield Happening(TASK, "", float(row["at"]), text, float(row["seconds"]))
