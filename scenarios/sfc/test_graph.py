"""Chains joined to a graph: what has come to the end of one goes on into the next that fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_kollalab.features.sfc.words import Function, Sfc
    from pytest_kollalab.sdn.probe.probe import Probe

# Agents of nodes that have no part in a graph may be killed for it: a workaround.
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
    # Chains of one source leave something (test_classifiers.py), which is taken out by hand.
    with (
        sfc.chain(source, service, [balancer], protocol="udp") as trunk,
        sfc.chain(source, target, [branch], protocol="udp", port=NAMES) as names,
        sfc.graph({trunk: [names]}),
        sfc.watching(target) as seen,
    ):
        source.spray(service, NAMES, 20000, 1, PACKETS)
        # Not the branch's: from the end of the trunk it goes straight on.
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
