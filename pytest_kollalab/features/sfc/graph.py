"""Service graphs: packets at the end of a chain continue in another chain."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from pytest_kollalab.features.sfc import api
from pytest_kollalab.features.sfc.oracle import CLASSIFY, CLASSIFY_PRIORITY
from pytest_kollalab.features.sfc.touching import PATIENCE, repeat
from pytest_kollalab.sdn import workarounds
from pytest_kollalab.sdn.ovs import agents
from pytest_kollalab.sdn.ovs.flows import Flow, look, remove
from pytest_kollalab.sdn.tenant.scope import Temporary
from pytest_kollalab.sdn.workarounds import GRAPH_LINKS
from pytest_kollalab.system import wait
from pytest_kollalab.system.errors import KollalabError, WaitError
from pytest_kollalab.system.signals import uninterrupted
from pytest_kollalab.system.wait import NotYet

if TYPE_CHECKING:
    from pytest_kollalab.features.sfc.chain import Chain
    from pytest_kollalab.features.sfc.function import Function
    from pytest_kollalab.sdn.tenant.tenant import Tenant


class ServiceGraph(Temporary):
    """A service graph, made by `Sfc.graph`. As a context manager it is deleted when the block ends.

    networking-sfc stores in register 0 which chain a packet came from. The following chains match
    the register instead of the port of their source.
    """

    def __init__(self, tenant: Tenant, links: Mapping[Chain, Sequence[Chain]]) -> None:
        self.tenant = tenant
        self.links = links
        self.id = ""

    def __repr__(self) -> str:
        return "; ".join(f"{src} to {', '.join(map(repr, to))}" for src, to in self.links.items())

    def create(self) -> None:
        """Create it and wait until Open vSwitch has its links.

        A graph whose links went to the wrong nodes is created again; this is a workaround. After an
        error the graph is deleted.

        Raises:
            WorkaroundForbiddenError: The workaround is needed and forbidden.
            WaitError: Open vSwitch does not have all links in time.
        """
        self._make()
        try:
            try:
                self._await_links(workarounds.delay(PATIENCE))
            except WaitError as error:
                self._make_again(error.details)
        except KollalabError:
            # networking-sfc removes the flows of a chain before it checks whether a graph needs it.
            with workarounds.clearing_up():
                self.delete()
            raise

    def delete(self) -> None:
        """Delete it and wait until the chains are no longer linked; calling it again does nothing.

        Links that stay are removed; this is a workaround.

        Raises:
            WorkaroundForbiddenError: The workaround was needed and is forbidden.
            WaitError: Links are left.
        """
        if not self.id:
            return
        api.delete(self.tenant, "service_graph", self.id)
        self.id = ""
        patience = self.tenant.patience
        try:
            self._await_parted(workarounds.delay(PATIENCE))
        except WaitError as error:
            with workarounds.removing(GRAPH_LINKS, f"{self}\n{error.details}"):
                repeat(self._await_parted, self._part, patience=patience)

    def _make(self) -> None:
        with uninterrupted():
            made = api.create(
                self.tenant,
                "service_graph",
                name=self.tenant.full_name(secrets.token_hex(2)),
                port_chains={src.id: [dst.id for dst in dsts] for src, dsts in self.links.items()},
            )
            self.id = made["id"]
        # A message that reaches the wrong node creates flows of the chains there.
        for chain in self._chains():
            chain.look_on(self._nodes)

    def _make_again(self, seen: str) -> None:
        workarounds.use(GRAPH_LINKS, f"{self}\n{seen}")
        ends = {f.node for src in self.links for f in src.groups[-1].functions}
        begins = {
            each.src.node for dsts in self.links.values() for dst in dsts for each in dst.traffic
        }
        with agents.only(self.tenant, ends | begins):
            api.delete(self.tenant, "service_graph", self.id)
            self._make()
        self._await_links(60)

    @cached_property
    def _nodes(self) -> tuple[str, ...]:
        return agents.hosts(self.tenant)

    def _chains(self) -> set[Chain]:
        return {chain for src, dsts in self.links.items() for chain in (src, *dsts)}

    def _await_links(self, timeout: float) -> None:
        wait.until(
            "the links of the graph in the dataplane",
            self._is_linked,
            timeout=timeout * self.tenant.patience,
            interval=0.1,
        )

    def _await_parted(self, timeout: float) -> None:
        def look() -> bool | NotYet:
            left = [f"left over: {node}: {f}" for node, all_ in self._left().items() for f in all_]
            left += [trouble for chain in self._chains() for trouble in chain.troubles()]
            return not left or NotYet("\n".join(left))

        wait.until(
            "no link of the graph in the dataplane",
            look,
            timeout=timeout * self.tenant.patience,
            interval=0.1,
        )

    def _part(self) -> None:
        for node, flows in self._left().items():
            remove(self.tenant.ssh, node, flows, [])
        for chain in self._chains():
            chain.take_out()
            chain.touch()

    def _left(self) -> dict[str, list[Flow]]:
        """The links on all nodes, and the flows that a message to unlink creates on a wrong node.

        Such a flow matches the chain's traffic without the port of its source.
        """
        links = self._link_marks()
        pairs = {
            (t.src.ip, t.dst.ip)
            for dsts in self.links.values()
            for dst in dsts
            for t in dst.traffic
        }
        return {
            node: [
                flow
                for flow in look(self.tenant.ssh, node).flows.where(table=CLASSIFY)
                if flow.match.get("reg0") in links
                or (
                    "in_port" not in flow.match
                    and (flow.match.get("nw_src"), flow.match.get("nw_dst")) in pairs
                )
            ]
            for node in self._nodes
        }

    def _link_marks(self) -> set[str]:
        """The values of register 0 at the ends of the chains that have following ones."""
        return {hex(src.layout.label(len(src.groups))) for src in self.links}

    def _is_linked(self) -> bool | NotYet:
        wanted = sum(len(dsts) for dsts in self.links.values())
        found = self._leading()
        if len(found) < wanted:
            return NotYet(f"{len(found)} of {wanted} links; {'; '.join(map(str, self._links()))}")
        ends = [f for src in self.links for f in src.groups[-1].functions]
        waiting = [f.name for f in ends if not self._goes_on(f)]
        return not waiting or NotYet(f"{', '.join(waiting)} ends its chain as before")

    def _goes_on(self, function: Function) -> bool:
        """Whether packets from a function are classified again, for the next chain."""
        flows = look(self.tenant.ssh, function.node).flows
        return bool(flows.where(in_port=function.egress.device, action="resubmit(,0)"))

    def _links(self) -> list[Flow]:
        """The flows that match packets from the end of a chain."""
        ends = self._link_marks()
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
        """Those of the links that lead into a following chain."""
        return [
            flow for flow in self._links() if any(act.startswith("group:") for act in flow.actions)
        ]
