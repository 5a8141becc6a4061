"""VNFs in port chains: packets go through their servers, also of those that are new."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_kollalab.sdn.tenant.tenant import COMPUTE

if TYPE_CHECKING:
    from pytest_kollalab.features.sfc.words import Function, Sfc
    from pytest_kollalab.features.tacker.words import Member, Tacker, Vnf
    from pytest_kollalab.sdn.probe.probe import Probe
    from pytest_kollalab.sdn.tenant.tenant import Tenant

FLOWS = 200
OUTAGE = "vnf: server killed to first packet through its replacement"


def kill(tenant: Tenant, server: str) -> None:
    """End the process of a server on its node, without Nova's knowledge."""
    tenant.ssh.run(COMPUTE, ["docker", "exec", "nova_libvirt", "virsh", "destroy", server])


def test_packets_of_a_chain_go_through_a_vnf(
    sfc: Sfc, source: Probe, target: Probe, function: Function
) -> None:
    assert sfc.path(source, target) == []
    with (
        sfc.chain(source, target, through=[function]) as chain,
        chain.counting() as counted,
    ):
        assert sfc.path(source, target) == [function]
    assert counted.delivered == {function: counted.classified}
    assert sfc.path(source, target) == []


def test_answers_go_through_it_too(
    sfc: Sfc, source: Probe, target: Probe, function: Function
) -> None:
    with sfc.chain(source, target, through=[function], symmetric=True):
        assert sfc.ways(source, target) == ([function], [function])


def test_the_kernel_of_its_server_forwards(
    sfc: Sfc, source: Probe, target: Probe, function: Function
) -> None:
    with sfc.chain(source, target, through=[function]):
        before = function.forwarded()
        assert source.ping(target, 20, interval=0.02)
        assert function.forwarded() - before >= 20


def test_a_server_more_takes_its_share(
    tacker: Tacker, vnf: Vnf, sfc: Sfc, source: Probe, target: Probe, function: Function
) -> None:
    with (
        sfc.group(function) as group,
        sfc.chain(source, target, through=[group]),
    ):
        assert set(sfc.share(source, target, FLOWS)) == {function}
        tacker.scale(vnf, "fw", 1)
        old, new = vnf.members("fw")
        assert old.ports["fw_in"] == function.ingress
        new.server.await_ready()
        second = sfc.take(new.server, new.ports["fw_in"], new.ports["fw_out"])
        # Still one: Tacker does not know the chain.
        assert set(sfc.share(source, target, FLOWS)) == {function}
        group.update([function, second])
        share = sfc.share(source, target, FLOWS)
        assert set(share) == {function, second}
        # A random choice for 200 flows practically never gives less than a quarter.
        assert min(len(ports) for ports in share.values()) > FLOWS / 4
        group.update([function])
        assert set(sfc.share(source, target, FLOWS)) == {function}
    sfc.drop(second)
    tacker.scale(vnf, "fw", -1)
    (left,) = vnf.members("fw")
    assert left.server.id == old.server.id
    assert tacker.tenant.cloud.compute.find_server(new.server.id) is None


def test_a_chain_carries_again_when_a_killed_server_is_healed(
    tenant: Tenant,
    tacker: Tacker,
    vnf: Vnf,
    sfc: Sfc,
    source: Probe,
    target: Probe,
    firewall: Member,
    function: Function,
) -> None:
    with sfc.chain(source, target, through=[function]):
        assert sfc.path(source, target) == [function]
        with sfc.stream(source, target) as stream:
            kill(tenant, firewall.server.id)
            stream.begin()
            assert not source.ping(target, 3, linger=tenant.patience)
            tacker.heal(vnf, firewall)
            (healed,) = vnf.members("fw")
            healed.server.await_ready()
            stream.first_from([function.egress.mac], OUTAGE)
        assert healed.server.id != firewall.server.id
        assert healed.ports == firewall.ports
        sfc.renewed(function, healed.server)
        assert sfc.path(source, target) == [function]
    assert sfc.path(source, target) == []
