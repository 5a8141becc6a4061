"""Traces: what a tenant has in the cloud and on the nodes, compared before and after a test.

Only the tenant's own resources count: those of its project, those that carry its name, and flows
and groups that mention one of its ports. Other tenants may work at the same time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from pytest_kollalab.sdn.ovs.flows import ENTER, Flow, parse_flows, parse_groups
from pytest_kollalab.sdn.tenant.leftovers import bgpvpns
from pytest_kollalab.sdn.tenant.network import Port
from pytest_kollalab.sdn.tenant.project import Project
from pytest_kollalab.system import wait
from pytest_kollalab.system.wait import NotYet

# Neutron creates the default security group and its rules when they are first asked for.
NOT_COUNTED = ("security_group", "security_group_rule", "rbac_policy")
# The flows of the tunnel bridge that copy packets for taps. It learns the others, and they expire.
COPIES = ("table=0,priority=30", "table=25")

# A node of a feature may lack the bridges of Neutron.
LOOK = f"""
ip netns list
echo ----
{ENTER} sh -euc '
    has() {{ ovs-vsctl --timeout=30 br-exists "$1"; }}
    for bridge in br-int br-ex; do ! has $bridge || ovs-vsctl --timeout=30 list-ports $bridge; done
    echo ----
    ! has br-int || ovs-ofctl -O "$0" --names dump-flows br-int
    echo ----
    ! has br-int || ovs-ofctl -O "$0" --names dump-groups br-int
    echo ----
    [ -z "$1" ] || ! has "$1" || ovs-ofctl -O "$0" --names dump-flows "$1"' "$1" "$2"
"""


@dataclass(frozen=True)
class Mine:
    """What distinguishes a tenant's resources from those of others.

    Attributes:
        prefix: The beginning of the names of its namespaces.
        devices: The devices of its ports.
        macs: The MAC addresses of its ports.
        steady: Whether a flow stays the same as long as its port does.
        there: The devices and MAC addresses of those ports that still exist.
    """

    prefix: str
    devices: frozenset[str]
    macs: frozenset[str]
    steady: bool = True
    there: frozenset[str] = frozenset()

    def mentions(self, flow: Flow) -> bool:
        """Whether a flow matches or outputs to one of the tenant's ports."""
        return bool(self.mentioned(flow))

    def outlived(self, flow: Flow) -> set[str]:
        """The devices and MAC addresses in a flow whose ports do not exist any more."""
        return self.mentioned(flow) - self.there

    def mentioned(self, flow: Flow) -> set[str]:
        """The devices and MAC addresses of the tenant that a flow matches or outputs to."""
        match = flow.match
        outputs = {action.removeprefix("output:") for action in flow.actions}
        devices = self.devices & {match.get("in_port"), *outputs}
        macs = self.macs & {match.get("dl_dst"), match.get("dl_src")}
        return {str(each) for each in devices | macs}


@dataclass(frozen=True)
class Traces:
    """What a tenant has: the number of API resources by kind, and each thing on the nodes."""

    counts: Mapping[str, int]
    things: frozenset[str]

    def beyond(self, before: Traces) -> list[str]:
        """The differences from an earlier state: changed counts, new things and missing things."""
        changed = [
            f"{kind}: {self.counts.get(kind, 0)} instead of {before.counts.get(kind, 0)}"
            for kind in sorted({*self.counts, *before.counts})
            if self.counts.get(kind, 0) != before.counts.get(kind, 0)
        ]
        new = [f"left: {thing}" for thing in sorted(self.things - before.things)]
        gone = [f"gone: {thing}" for thing in sorted(before.things - self.things)]
        return [*changed, *new, *gone]


NODES = ("controller-1", "compute-1")
NOTHING = Traces({}, frozenset())

# A tenant's generation and traces when its last test ended. They are reused while the generation
# is the same.
_last: WeakKeyDictionary[Project, tuple[int, Traces]] = WeakKeyDictionary()


def take(tenant: Project, nodes: Iterable[str]) -> Traces:
    """The traces of a tenant now. The API and the nodes are asked in parallel."""
    steady = tenant.dataplane.steady_flows
    mine = Mine(
        f"kl-{tenant.name}-",
        frozenset(port.device for port in tenant.known_ports),
        frozenset(port.mac for port in tenant.known_ports),
        steady,
        frozenset() if steady else _there(tenant),
    )
    with ThreadPoolExecutor() as pool:
        counts = pool.submit(counted, tenant)
        said = {node: pool.submit(_ask, tenant, node) for node in nodes}
        things = [thing for node, text in said.items() for thing in on(node, text.result(), mine)]
        return Traces(counts.result(), frozenset(things))


def counted(tenant: Project) -> dict[str, int]:
    """The number of resources of the project, by kind; kinds without any are left out."""
    from openstack import exceptions

    api, project = tenant.admin.network, tenant.project.id
    # openstacksdk has no fields for the kinds of extensions, such as port chains.
    answer: Any = api.get(f"/quotas/{project}/details.json")
    exceptions.raise_from_response(answer)
    found = {
        kind: int(quota["used"])
        for kind, quota in answer.json()["quota"].items()
        if kind not in NOT_COUNTED and int(quota["used"])
    }
    if "port" in found:
        # The backend may make its own ports at any time, also after a test has begun.
        own = list(tenant.dataplane.own_ports)
        found["port"] -= len(list(api.ports(project_id=project, device_owner=own, fields=["id"])))
    # VPNs have no quota. A cloud without them answers 404.
    with suppress(exceptions.NotFoundException):
        found["bgpvpn"] = len(bgpvpns(api, project))
    return {kind: count for kind, count in found.items() if count}


def on(node: str, text: str, mine: Mine) -> Iterator[str]:
    """The tenant's things on a node, from the output of `LOOK`."""
    namespaces, devices, flows, groups, tunnel = text.split("----\n")
    for line in namespaces.splitlines():
        if line.startswith(mine.prefix):
            yield f"{node}: namespace {line.split(maxsplit=1)[0]}"
    for device in devices.split():
        if device in mine.devices:
            yield f"{node}: port {device} of Open vSwitch"
    for flow in parse_flows(flows):
        if mine.steady and mine.mentions(flow):
            yield f"{node}: flow {flow.rule}"
        elif not mine.steady:
            yield from (f"{node}: flows of {each}" for each in sorted(mine.outlived(flow)))
    for group in parse_groups(groups).values():
        if not mine.macs.isdisjoint(group.leads_to()):
            yield f"{node}: group {group.id}"
    for flow in parse_flows(tunnel):
        if mine.mentions(flow) and flow.rule.startswith(COPIES):
            yield f"{node}: flow of the tunnel bridge {flow.rule}"


@contextmanager
def none_left(tenant: Project, nodes: Iterable[str]) -> Iterator[None]:
    """Remove what is made in the block, and wait until the tenant has what it had before.

    Raises:
        WaitError: Something is left or missing after the time that agents have to clean up.
    """
    names = tuple(nodes)
    generation, before = _last.get(tenant, (-1, NOTHING))
    if generation != tenant.generation:
        before = take(tenant, names)
    with tenant.part():
        yield
    await_same(before, tenant, names)
    _last[tenant] = (tenant.generation, before)


def await_same(before: Traces, tenant: Project, nodes: Iterable[str]) -> None:
    """Wait until the tenant's traces are those of before. Raises WaitError with the difference."""
    names = tuple(nodes)

    def look() -> bool | NotYet:
        different = take(tenant, names).beyond(before)
        return not different or NotYet("\n".join(different))

    wait.until(
        f"{tenant.name} to have what it had before the test",
        look,
        timeout=30 * tenant.patience,
        interval=0.3,
    )


def _there(tenant: Project) -> frozenset[str]:
    """The devices and MAC addresses of the project's ports."""
    ports = tenant.admin.network.ports(project_id=tenant.project.id, fields=["id", "mac_address"])
    found = [Port(port.id, port.mac_address, "") for port in ports]
    return frozenset(each for port in found for each in (port.device, port.mac))


def _ask(tenant: Project, node: str) -> str:
    argv = ["sh", "-eu", "-s", "--", tenant.dataplane.openflow, tenant.dataplane.tunnel_bridge]
    return tenant.ssh.run(node, argv, input=LOOK, timeout=60).stdout
