"""What cannot be is refused with a clear message, and nothing comes of it in Open vSwitch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_kollalab.sdn.tenant.tenant import COMPUTE, CONTROLLER

if TYPE_CHECKING:
    from pytest_kollalab.features.sfc.words import Function, Sfc
    from pytest_kollalab.sdn.probe.probe import Probe
    from pytest_kollalab.sdn.tenant.network import Network
    from pytest_kollalab.sdn.tenant.tenant import Tenant


def test_classifiers_that_overlap(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function, nat: Function
) -> None:
    with (
        sfc.chain(source, target, through=[firewall]),
        sfc.refused("conflicts with another Flow Classifier"),
    ):
        sfc.chain(source, target, through=[nat], protocol="tcp", port=80)


def test_a_classifier_without_a_logical_source_port(sfc: Sfc, source: Probe) -> None:
    with sfc.refused("does not set logical source port"):
        sfc.ask("flow_classifier", source_ip_prefix=f"{source.ip}/32")


def test_a_classifier_with_a_port_and_no_protocol(sfc: Sfc, source: Probe) -> None:
    with sfc.refused("protocol"):
        sfc.ask(
            "flow_classifier",
            logical_source_port=source.ports[0].id,
            destination_port_range_min=80,
            destination_port_range_max=80,
        )


def test_a_symmetric_chain_without_a_logical_destination_port(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function
) -> None:
    led = sfc.ask("flow_classifier", **sfc.traffic(source, target).classifier())
    with sfc.group(firewall) as group, sfc.refused("logical_destination_port needed"):
        sfc.ask(
            "port_chain",
            port_pair_groups=[group.id],
            flow_classifiers=[led],
            chain_parameters={"symmetric": True},
        )


def test_a_pair_of_ports_of_two_machines(sfc: Sfc, source: Probe, far: Probe) -> None:
    with sfc.refused("not in the same host"):
        sfc.ask("port_pair", ingress=source.ports[0].id, egress=far.ports[0].id)


@pytest.mark.defect("sfc-port-pair-across-nodes", raises=AssertionError)
def test_a_pair_of_ports_on_two_nodes(sfc: Sfc, tenant: Tenant, network: Network) -> None:
    (here,) = tenant.ports(network, COMPUTE, ["torn-in"], device="torn")
    (there,) = tenant.ports(network, CONTROLLER, ["torn-out"], device="torn")
    with sfc.refused("not in the same host"):
        sfc.ask("port_pair", ingress=here.id, egress=there.id)


@pytest.mark.defect("sfc-ipv6-classifier-makes-no-flow", raises=AssertionError)
def test_a_classifier_of_ipv6(sfc: Sfc, source: Probe) -> None:
    with sfc.refused("IPv6"):
        sfc.ask(
            "flow_classifier",
            ethertype="IPv6",
            logical_source_port=source.ports[0].id,
            source_ip_prefix="2001:db8::1/128",
        )


@pytest.mark.defect("sfc-chain-across-subnets-is-a-server-error", raises=AssertionError)
def test_a_chain_across_subnets(sfc: Sfc, tenant: Tenant, source: Probe, target: Probe) -> None:
    other = tenant.network("other", dhcp=sfc.guests == "server")
    stranger = sfc.function(other, COMPUTE, name="stranger")
    led = sfc.ask("flow_classifier", **sfc.traffic(source, target).classifier())
    with sfc.group(stranger) as group, sfc.refused("ubnet"):
        sfc.ask("port_chain", port_pair_groups=[group.id], flow_classifiers=[led])


def test_a_group_that_a_chain_needs_is_not_deleted(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function
) -> None:
    with sfc.chain(source, target, through=[firewall]) as chain:
        with sfc.refused("in use"):
            chain.groups[0].delete()
        assert sfc.path(source, target) == [firewall]


def test_a_function_in_two_groups(sfc: Sfc, firewall: Function, nat: Function) -> None:
    with sfc.group(firewall), sfc.refused("in use"):
        sfc.group(firewall, nat)


def test_two_chains_through_the_same_groups(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function
) -> None:
    with (
        sfc.group(firewall) as group,
        sfc.chain(source, target, through=[group]),
        sfc.refused("in use by"),
    ):
        sfc.chain(target, source, through=[group])
