"""What networking-sfc does without any workaround: graphs, and changes of a chain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_kollalab.sdn import workarounds
from pytest_kollalab.sdn.workarounds import WorkaroundForbiddenError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_kollalab.features.sfc.words import Chain, Function, Sfc
    from pytest_kollalab.sdn.probe.probe import Probe

DNS = 53
PACKETS = 5
ROUNDS = 3


@pytest.mark.defect("sfc-graph-messages-name-no-host", raises=WorkaroundForbiddenError)
def test_a_graph_on_one_node(
    sfc: Sfc,
    source: Probe,
    service: Probe,
    target: Probe,
    balancer: Function,
    labelled: list[Function],
) -> None:
    branch = labelled[0]
    with (
        sfc.chain(source, service, [balancer], protocol="udp") as trunk,
        sfc.chain(source, target, [branch], protocol="udp", port=DNS) as names,
        workarounds.forbidden(),
        sfc.graph({trunk: [names]}),
    ):
        with sfc.watching(target) as seen:
            source.spray(service, DNS, 20000, 1, PACKETS)
        assert sfc.followed(seen, DNS) == [balancer, branch]


def functions(sfc: Sfc, chain: Chain, function: Function) -> None:
    (group,) = chain.groups
    group.update([function])


def groups(sfc: Sfc, chain: Chain, function: Function) -> None:
    chain.update(through=sfc.steps([function]))


def groups_and_classifiers(sfc: Sfc, chain: Chain, function: Function) -> None:
    (there,) = chain.traffic
    chain.update(through=sfc.steps([function]), traffic=[sfc.traffic(there.dst, there.src)])


@pytest.mark.parametrize(
    "change", [functions, groups, groups_and_classifiers], ids=lambda change: change.__name__
)
def test_a_lost_change_comes_with_an_update_of_the_ports(
    sfc: Sfc,
    source: Probe,
    target: Probe,
    firewall: Function,
    nat: Function,
    change: Callable[[Sfc, Chain, Function], None],
    record_property: Callable[[str, object], None],
) -> None:
    """Count lost changes: whether one is lost depends on which of two threads is first.

    A change that is not lost leads packets. A lost one does so after an update of the chain's
    ports, which an operator could make as well.
    """
    lost = 0
    for _ in range(ROUNDS):
        with sfc.group(firewall) as group, sfc.chain(source, target, through=[group]) as chain:
            try:
                with workarounds.forbidden():
                    change(sfc, chain, nat)
            except WorkaroundForbiddenError:
                lost += 1
                chain.touch()
                chain.wait_in_dataplane()
            (led,) = chain.traffic
            assert sfc.path(led.src, led.dst) == [nat]
    record_property("changes lost", f"{lost} of {ROUNDS}")
