"""A service graph: chains joined, so that what comes to the end of one goes on into another."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from pytest_kollalab.features.sfc import api
from pytest_kollalab.features.sfc.oracle import CLASSIFY, CLASSIFY_PRIORITY
from pytest_kollalab.features.sfc.touching import helped, touch
from pytest_kollalab.sdn.ovs import agents
from pytest_kollalab.sdn.ovs.flows import Flow, look
from pytest_kollalab.sdn.tenant.scope import Temporary
from pytest_kollalab.system import wait
from pytest_kollalab.system.errors import WaitError
from pytest_kollalab.system.wait import NotYet

if TYPE_CHECKING:
    from pytest_kollalab.features.sfc.chain import Chain
    from pytest_kollalab.features.sfc.function import Function
    from pytest_kollalab.sdn.tenant.tenant import Tenant


class ServiceGraph(Temporary):
    """Chains joined; made by `Sfc.graph`. As a context it is deleted when the block ends.

    networking-sfc remembers in register 0 by which chain a packet came; that is what the chains
    behind it match instead of the port at their source. It tells no agent by name to make the flows
    for that (driver.py, _service_graph_linking_logic, leaves out the host), so the agents of all
    nodes take turns. Where the nodes are ours, only those that should know listen meanwhile.
    """

    def __init__(self, tenant: Tenant, links: Mapping[Chain, Sequence[Chain]]) -> None:
        self.tenant = tenant
        self.links = links
        self.id = ""

    def create(self) -> None:
        """Make it, and wait for it in the dataplane."""
        with self._told():
            made = api.create(
                self.tenant,
                "service_graph",
                name=f"{self.tenant.name}-{secrets.token_hex(2)}",
                port_chains={src.id: [dst.id for dst in dsts] for src, dsts in self.links.items()},
            )
            self.id = made["id"]
        try:
            helped(self._await_links, self._touch, patience=self.tenant.patience)
        except WaitError:
            # networking-sfc takes the flows of a chain away before it sees that a graph needs it.
            self.delete()
            raise

    def delete(self) -> None:
        """Remove it, and wait until the chains are on their own again; nothing to do is fine."""
        if not self.id:
            return
        with self._told():
            api.delete(self.tenant, "service_graph", self.id)
        self.id = ""
        for chain in self._chains():
            chain.wait_for_change()
        wait.until(
            "no link of the graph in the dataplane",
            lambda: not self._links() or NotYet("\n".join(map(str, self._links()))),
            timeout=60 * self.tenant.patience,
            interval=0.1,
        )

    def _told(self) -> AbstractContextManager[None]:
        """What makes or takes away links: to be known where one chain ends and the next begins."""
        if not self.tenant.has_nodes:
            return nullcontext()
        ends = {f.node for src in self.links for f in src.groups[-1].functions}
        begins = {
            each.src.node for dsts in self.links.values() for dst in dsts for each in dst.traffic
        }
        return agents.only(self.tenant, ends | begins)

    def _chains(self) -> set[Chain]:
        return {chain for src, dsts in self.links.items() for chain in (src, *dsts)}

    def _touch(self) -> None:
        # Not the source: what the agent asks for of that one leads from one chain to nowhere.
        for function in {f for src in self.links for f in src.groups[-1].functions}:
            touch(self.tenant, function.ports)

    def _await_links(self, timeout: float) -> None:
        wait.until(
            "the links of the graph in the dataplane",
            self._is_linked,
            timeout=timeout * self.tenant.patience,
            interval=0.1,
        )

    def _is_linked(self) -> bool | NotYet:
        wanted = sum(len(dsts) for dsts in self.links.values())
        found = self._leading()
        if len(found) < wanted:
            return NotYet(f"{len(found)} of {wanted} links; {'; '.join(map(str, self._links()))}")
        ends = [f for src in self.links for f in src.groups[-1].functions]
        waiting = [f.name for f in ends if not self._goes_on(f)]
        return not waiting or NotYet(f"{', '.join(waiting)} ends its chain as before")

    def _goes_on(self, function: Function) -> bool:
        """Whether what a function passes on is looked at again, for the next chain."""
        flows = look(self.tenant.ssh, function.node).flows
        return bool(flows.where(in_port=function.egress.device, action="resubmit(,0)"))

    def _links(self) -> list[Flow]:
        """The flows that go on from one chain into another."""
        ends = {hex(src.layout.label(len(src.groups))) for src in self.links}
        nodes = {f.node for src in self.links for f in src.groups[-1].functions}
        return [
            flow
            for node in nodes
            for flow in look(self.tenant.ssh, node).flows.where(
                table=CLASSIFY, priority=CLASSIFY_PRIORITY
            )
            if flow.match.get("reg0") in ends
        ]

    def _leading(self) -> list[Flow]:
        """Those of them that lead into a chain: some lead nowhere until the agent asks again."""
        return [
            flow for flow in self._links() if any(act.startswith("group:") for act in flow.actions)
        ]
