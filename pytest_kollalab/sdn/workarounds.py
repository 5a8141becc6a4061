"""Workarounds for known upstream bugs; each use is counted or forbidden.

A workaround hides a bug from the test that uses it. So each one has an entry here, and code calls
`use` before it applies one. The mode decides what `use` does: `allow` only logs it, `report` also
counts it for the reports, and `forbid` fails the test with the text of the entry.

`python -m pytest_kollalab.sdn.workarounds > docs/workarounds.md` writes the page of the docs.
"""

from __future__ import annotations

import logging
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from pytest_kollalab.system.errors import KollalabError

log = logging.getLogger(__name__)

Mode = Literal["allow", "report", "forbid"]

# Properties of a test's reports, one for each use. JUnit has them under these names.
USED = "kollalab.workaround"
REFUSED = "kollalab.workaround.refused"


@dataclass(frozen=True)
class Workaround:
    """An upstream bug and its workaround.

    Attributes:
        id: The name of the workaround in reports.
        title: The bug in a few words.
        project: The upstream project.
        version: The version in which the bug was seen.
        function: The file and the function that have the bug.
        bug: What upstream does wrong.
        trigger: When the workaround is used.
        remedy: What the workaround does.
    """

    id: str
    title: str
    project: str
    version: str
    function: str
    bug: str
    trigger: str
    remedy: str

    @property
    def text(self) -> str:
        """The entry as text."""
        return "\n".join(
            [
                f"{self.id}: {self.title}",
                f"upstream: {self.project} {self.version}, {self.function}",
                f"bug: {self.bug}",
                f"trigger: {self.trigger}",
                f"remedy: {self.remedy}",
            ]
        )


class WorkaroundForbiddenError(KollalabError):
    """A test needs a workaround, and workarounds are forbidden."""


LOST_UPDATE = Workaround(
    "sfc-lost-update",
    "a port chain lost flows in an update",
    "networking-sfc",
    "22.0.0",
    "agent/extensions/sfc.py, _sfc_setup_rpc",
    "The driver sends an update as deletions and additions. The agent reads them from two queues "
    "that are not ordered against each other, and a late deletion removes what an addition has "
    "just made. Each message is sent once.",
    "10 s after an update, Open vSwitch lacks flows or groups of the chain, or has too many.",
    "The description of the chain's ports is changed, so that the agents ask for the flows of "
    "these ports again.",
)
STRAY_FLOWS = Workaround(
    "sfc-stray-flows",
    "a deleted port chain left flows or groups",
    "networking-sfc",
    "22.0.0",
    "drivers/ovs/driver.py, _update_portchain_group_reference_count and "
    "_remove_flowclassifier_port_assoc; agent/extensions/sfc.py, handle_port",
    "Flows stay after a deletion when the chain had two sources on one node, when another chain "
    "had the same source port, or when the agent was dealing with a port of the chain.",
    "10 s after the deletion of a chain, Open vSwitch still has flows or groups of it.",
    "The remaining flows and groups are removed with ovs-ofctl.",
)
GRAPH_LINKS = Workaround(
    "sfc-graph-links",
    "a service graph was linked on the wrong nodes",
    "networking-sfc",
    "22.0.0",
    "drivers/ovs/driver.py, _service_graph_linking_logic",
    "The messages that link chains, or unlink them, name no host. They go to a queue that the "
    "agents of all nodes read in turn, so with two agents every other message is lost.",
    "10 s after a graph was made, Open vSwitch lacks links; 10 s after it was deleted, links are "
    "left.",
    "A new graph is deleted and made again while the agents of the nodes without a part in it are "
    "killed and starting. Links of a deleted graph are removed with ovs-ofctl.",
)
MISSED_PORT = Workaround(
    "neutron-missed-port",
    "the Open vSwitch agent missed a new port",
    "neutron",
    "28.0.2",
    "neutron/plugins/ml2/drivers/openvswitch/agent/ovs_neutron_agent.py, process_network_ports",
    "The agent hears of new ports from `ovsdb-client monitor` and looks them up in a copy of the "
    "tables that another connection fills. If that copy is behind, the agent takes the port for "
    "deleted and does not look again.",
    "A plugged port is not ACTIVE after 20 s.",
    "The port's row in Open vSwitch is deleted and made again in one transaction; its device stays "
    "as it is.",
)
AGENT_STUCK = Workaround(
    "neutron-agent-stuck",
    "the Open vSwitch agent hung when Open vSwitch restarted",
    "neutron",
    "28.0.2",
    "neutron/plugins/ml2/drivers/openvswitch/agent/openflow/native/ofswitch.py, _send_msg",
    "The agent waits without end for the answer to a request that was under way when the switch "
    "went.",
    "30 s after a restart of Open vSwitch, br-int has no flow of the agent.",
    "The agent is killed, and systemd starts it again.",
)
DELETION_GIVEN_UP = Workaround(
    "nova-deletion-given-up",
    "Nova gave up the deletion of a server",
    "nova",
    "33.0.2",
    "nova/compute/manager.py, terminate_instance",
    "When libvirt cannot stop the machine in time, the server is put into ERROR with no task left, "
    "and nobody tries again.",
    "A server that is being deleted is in ERROR and has no task.",
    "The deletion is requested again, three times at most in all.",
)
DEVICE_DOWN = Workaround(
    "ovs-device-down",
    "the device of a server stayed down",
    "Open vSwitch",
    "3.5.0",
    "lib/netdev-linux.c, update_flags",
    "To set a device promiscuous, the userspace datapath writes back the flags that it read "
    "before. If libvirt raises the device in between, it is lowered again and the guest gets no "
    "packets.",
    "The device of a server that boots has been down for 5 s.",
    "The device is set up on the node.",
)
DEVICES_LOST = Workaround(
    "ovs-devices-lost",
    "Open vSwitch restarted and forgot devices in namespaces",
    "Open vSwitch",
    "3.5.0",
    "lib/netdev-linux.c, netdev_linux_construct_tap",
    "The userspace datapath makes internal ports as tap devices. A new process makes new ones, in "
    "its own namespace and without addresses; the former ones stay in theirs, connected to "
    "nothing.",
    "Open vSwitch was restarted and a probe's device is in the node's namespace.",
    "The new device is moved into the probe's namespace and configured, the former one removed.",
)
REFUSED_AS = Workaround(
    "bagpipe-refused-as",
    "a BGP speaker does not reconnect after a refused AS number",
    "networking-bagpipe",
    "23.0.0",
    "networking_bagpipe/bagpipe_bgp/engine/bgp_peer_worker.py, _connect",
    "exabgp decodes the AS number in a refusal as UTF-8 (exabgp/bgp/message/notification.py, "
    "Notification.__str__). That fails while the refusal is logged, and ends the thread that "
    "connects.",
    "A peer refused the AS number of a speaker.",
    "The speaker is restarted.",
)
ALL = (
    LOST_UPDATE,
    STRAY_FLOWS,
    GRAPH_LINKS,
    MISSED_PORT,
    AGENT_STUCK,
    DELETION_GIVEN_UP,
    DEVICE_DOWN,
    DEVICES_LOST,
    REFUSED_AS,
)
BY_ID = {each.id: each for each in ALL}


@dataclass
class _State:
    """The state of this process: the mode, and the workarounds of the running test."""

    mode: Mode = "report"
    clearing_up: bool = False
    noted: list[tuple[str, str]] = field(default_factory=list)


_state = _State()


def set_mode(mode: Mode) -> None:
    """Set what `use` does in this process."""
    _state.mode = mode


def delay(seconds: float) -> float:
    """The seconds to wait before a workaround is used.

    If workarounds are forbidden, this is three times as long: on a busy host, something that is
    late must not be mistaken for something that is lost.

    Args:
        seconds: The usual time.
    """
    return seconds * (3 if _state.mode == "forbid" and not _state.clearing_up else 1)


def use(workaround: Workaround, seen: str) -> None:
    """Note the use of a workaround. The caller applies it after this call.

    Args:
        workaround: The entry.
        seen: What was seen that makes the workaround necessary.

    Raises:
        WorkaroundForbiddenError: The mode is `forbid`. The workaround must not be applied.
    """
    if _state.clearing_up:
        log.info("clearing up with the workaround %s: %s", workaround.id, seen)
        return
    if _state.mode == "forbid":
        _state.noted.append((REFUSED, workaround.id))
        raise WorkaroundForbiddenError(
            f"workaround {workaround.id} is needed and forbidden",
            details=f"{workaround.text}\nseen: {seen}",
            hint="this is a bug of upstream; --kollalab-workarounds report applies the workaround",
        )
    log.warning("workaround %s (%s): %s", workaround.id, workaround.title, seen)
    if _state.mode == "report":
        _state.noted.append((USED, workaround.id))


@contextmanager
def forbidden() -> Iterator[None]:
    """Forbid workarounds in the block, whatever the mode of the run."""
    before, _state.mode = _state.mode, "forbid"
    try:
        yield
    finally:
        _state.mode = before


@contextmanager
def clearing_up() -> Iterator[None]:
    """Allow workarounds in the block, which cleans up after a failed test.

    They cannot change the result of the test any more. So they are applied in every mode and are
    not counted, and the next test finds a clean lab.
    """
    before, _state.clearing_up = _state.clearing_up, True
    try:
        yield
    finally:
        _state.clearing_up = before


@contextmanager
def removing(workaround: Workaround, seen: str) -> Iterator[None]:
    """Note the use of a workaround that removes what upstream left behind, in the block.

    The block runs even if workarounds are forbidden, so that the next test finds a clean lab.

    Args:
        workaround: The entry.
        seen: What was left behind.

    Raises:
        WorkaroundForbiddenError: The mode is `forbid`. It is raised after the block.
    """
    refusal: WorkaroundForbiddenError | None = None
    try:
        use(workaround, seen)
    except WorkaroundForbiddenError as error:
        refusal = error
    yield
    if refusal is not None:
        raise refusal


def taken() -> list[tuple[str, str]]:
    """The uses and refusals since the last call, as properties of a test's report."""
    found, _state.noted = _state.noted, []
    return found


def told(properties: Iterable[tuple[str, object]]) -> str:
    """The texts of the workarounds in a report's properties; empty if there are none."""
    counts = Counter((name, str(value)) for name, value in properties if name in (USED, REFUSED))
    said = {USED: "used", REFUSED: "refused"}
    return "\n".join(
        f"{said[name]} {_times(count)}: {BY_ID[used].text if used in BY_ID else used}\n"
        for (name, used), count in counts.items()
    )


@dataclass(frozen=True)
class WorkaroundRow:
    """How often a workaround was used and refused in a session, and in which tests."""

    id: str
    used: int
    refused: int
    tests: tuple[str, ...]


class UsedWorkarounds:
    """Collects the workarounds of all processes and shows them at the end.

    It is called by pytest's hooks, and takes the workarounds from the last report of each test,
    which has the properties of all phases.
    """

    def __init__(self) -> None:
        self._seen: list[tuple[str, str, str]] = []

    @property
    def rows(self) -> tuple[WorkaroundRow, ...]:
        """The workarounds so far, in the order in which they were first used."""
        found = []
        for each in dict.fromkeys(each for _, each, _ in self._seen):
            mine = [(name, test) for name, other, test in self._seen if other == each]
            kinds = Counter(name for name, _ in mine)
            tests = tuple(dict.fromkeys(test for _, test in mine))
            found.append(WorkaroundRow(each, kinds[USED], kinds[REFUSED], tests))
        return tuple(found)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Collect the workarounds from a test's last report."""
        if report.when == "teardown":
            self._seen += [
                (str(name), str(value), report.nodeid)
                for name, value in report.user_properties
                if name in (USED, REFUSED)
            ]

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Show the table."""
        table = lines(self.rows)
        if table:
            terminalreporter.section("workarounds for upstream bugs")
            for line in table:
                terminalreporter.write_line(line)


def lines(rows: Iterable[WorkaroundRow]) -> list[str]:
    """The lines of the printed table; empty if there are no rows."""
    table = []
    for row in rows:
        title = f": {BY_ID[row.id].title}" if row.id in BY_ID else ""
        counts = (("used", row.used), ("refused", row.refused))
        said = [f"{what} {_times(count)}" for what, count in counts if count]
        table.append(f"{row.id}{title}; {', '.join(said)}")
        table += [f"    {test}" for test in row.tests]
    return table


def page() -> str:
    """The page of the documentation, as Markdown."""
    parts = [PAGE]
    for each in ALL:
        fields = {
            "Upstream": f"{each.project} {each.version}, {each.function}",
            "Bug": each.bug,
            "Trigger": each.trigger,
            "Remedy": each.remedy,
        }
        parts.append(f"## {each.id}\n\n{each.title[0].upper()}{each.title[1:]}.\n\n")
        parts += [_item(name, text) for name, text in fields.items()]
        parts.append("\n")
    return "".join(parts).rstrip() + "\n"


PAGE = """\
# Workarounds

A test that helps the cloud over a bug cannot find that bug. So each kind of help is an entry
below, and each use of it is counted. The setting `workarounds` (option `--kollalab-workarounds`)
says what a use means:

- `allow`: the workaround is applied. A line in the log says so.
- `report` (default): it is also counted. The terminal summary and `summary.json` have it, JUnit
  has it as the property `kollalab.workaround` of the test, and a failed test's artifacts have it
  in the file `workarounds.txt`.
- `forbid`: the test fails at the first use, with the text of the entry. The same places have it,
  in JUnit as the property `kollalab.workaround.refused`. The times in the entries are three times
  as long then, so that something late is not taken for something lost.

`with workarounds.forbidden():` forbids them in one block, whatever the setting. When a test has
failed, its remains are removed in every mode, so that the next test finds a clean lab. That is
not counted.

This page is written by `python -m pytest_kollalab.sdn.workarounds > docs/workarounds.md`.

"""


def _item(name: str, text: str) -> str:
    return textwrap.fill(f"- **{name}**: {text}", 100, subsequent_indent="  ") + "\n"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


if __name__ == "__main__":
    sys.stdout.write(page())
