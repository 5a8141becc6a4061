"""Parts of OVN that fail: what is there goes on, and what is new waits until they are back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_kollalab.sdn import figures
from pytest_kollalab.sdn.ovs.agents import kill

if TYPE_CHECKING:
    from pytest_kollalab.sdn.ovn.words import Ovn
    from pytest_kollalab.sdn.probe.probe import Probe
    from pytest_kollalab.sdn.tenant.network import Network
    from pytest_kollalab.sdn.tenant.tenant import Tenant
    from pytest_kollalab.sdn.traffic.watch import TrafficWatch

pytestmark = pytest.mark.kollalab_disruptive

# The processes of the control plane, each with its container.
PROCESSES = {
    "ovn_northd": "ovn-northd",
    "ovn_nb_db": "ovnnb_db",
    "ovn_sb_db": "ovnsb_db",
}


@pytest.mark.parametrize("node", ["controller-1", "compute-1"])
def test_a_controller_that_dies_costs_little(
    ovn: Ovn, tenant: Tenant, watch: TrafficWatch, here: Probe, there: Probe, node: str
) -> None:
    pings = watch.ping(here, there)
    with watch(pings) as seen:
        seen.note(f"ovn-controller of {node} is killed")
        kill(tenant.ssh, node, tenant.dataplane)
        ovn.sync()
        seen.go_on(2)
    assert seen[pings].longest < 5


@pytest.mark.parametrize("container", PROCESSES)
def test_the_control_plane_comes_back_while_traffic_flows(
    ovn: Ovn,
    tenant: Tenant,
    watch: TrafficWatch,
    network: Network,
    here: Probe,
    there: Probe,
    container: str,
) -> None:
    pings = watch.ping(here, there)
    with watch(pings) as seen:
        seen.note(f"{container} is killed")
        argv = ["docker", "exec", container, "pkill", "-KILL", "-f", PROCESSES[container]]
        tenant.ssh.run("controller-1", argv)
        # What is asked for meanwhile is done when it is back.
        new = tenant.probe(network, "compute-1", name="new")
        figures.record(f"a port while {container} restarts", here.reaches(new, within=60))
        ovn.sync()
    assert seen[pings].lost == 0
