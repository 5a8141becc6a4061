"""Chains joined to a graph: what has come to the end of one goes on into the next that fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_kollalab.features.sfc.words import Function, Sfc
    from pytest_kollalab.sdn.probe.probe import Probe

# A workaround may kill the agents of nodes that have no part in a graph.
pytestmark = pytest.mark.kollalab_disruptive

NAMES, TIMES = 53, 123
PACKETS = 5


def test_a_graph_leads_on_what_fits(
    sfc: Sfc,
    source: Probe,
    service: Probe,
    target: Probe,
    balancer: Function,
    labelled: list[Function],
) -> None:
    branch = labelled[0]
    # Chains with the same source leave flows behind (test_classifiers.py), which are then removed.
    with (
        sfc.chain(source, service, [balancer], protocol="udp") as trunk,
        sfc.chain(source, target, [branch], protocol="udp", port=NAMES) as names,
        sfc.graph({trunk: [names]}),
        sfc.watching(target) as seen,
    ):
        source.spray(service, NAMES, 20000, 1, PACKETS)
        # This port is not the branch's: packets go straight on from the end of the trunk.
        source.spray(service, TIMES, 20000, 1, PACKETS)
    assert sfc.followed(seen, NAMES) == [balancer, branch]
    assert sfc.followed(seen, TIMES) == [balancer]
    arrived = [s.packet.dport for s in seen if (s.device, s.way) == (target.device, "in")]
    assert (arrived.count(NAMES), arrived.count(TIMES)) == (PACKETS, PACKETS)


def test_a_graph_needs_functions_that_keep_the_header(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function, labelled: list[Function]
) -> None:
    with (
        sfc.chain(source, target, through=[firewall], protocol="udp") as trunk,
        sfc.chain(target, source, through=labelled[:1], protocol="udp") as branch,
        sfc.refused("correlation|branching|Branching"),
    ):
        sfc.graph({trunk: [branch]})
