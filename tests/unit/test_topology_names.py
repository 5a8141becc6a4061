"""The names in a cloud: what openstacksdk's resources say, read as names."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from openstack.compute.v2.server import Server
from openstack.network.v2.bgpvpn import BgpVpn
from openstack.network.v2.network import Network
from openstack.network.v2.port import Port
from openstack.network.v2.router import Router
from openstack.network.v2.sfc_flow_classifier import SfcFlowClassifier
from openstack.network.v2.sfc_port_chain import SfcPortChain
from openstack.network.v2.sfc_port_pair import SfcPortPair
from openstack.network.v2.sfc_port_pair_group import SfcPortPairGroup

from pytest_kollalab.sdn.topology.chains import Chained, Classified
from pytest_kollalab.sdn.topology.names import NamedPort, NamedVpn, Names, names_of


def port(id: str, address: str = "", **fields: Any) -> Port:
    fixed = [{"ip_address": address, "subnet_id": "s"}] if address else []
    return Port.existing(id=id, network_id="net", fixed_ips=fixed, **fields)


CHAIN = SfcPortChain.existing(
    id="chain",
    name="web",
    flow_classifiers=["classifier", "new"],
    port_pair_groups=["group", "new"],
    chain_parameters={"symmetric": True},
)
VPN: dict[str, Any] = {
    "id": "vpn",
    "name": "wan",
    "type": "l3",
    "route_targets": ["1:1"],
    "import_targets": [],
}
PORTS = [
    port("src", "10.0.0.2", name="a", device_owner="compute:probe", device_id="a"),
    port("dst", "10.0.0.9", name="", device_owner="compute:nova", device_id="server"),
    port("in"),
    port("out"),
]


def cloud(*, extensions: tuple[str, ...], services: tuple[str, ...]) -> Any:
    """A cloud that answers with the SDK's own resources."""
    network = SimpleNamespace(
        find_extension=lambda name: name if name in extensions else None,
        ports=lambda: iter(PORTS),
        networks=lambda: iter([Network.existing(id="net", name="red")]),
        routers=lambda: iter([Router.existing(id="router", name="edge")]),
        sfc_port_pairs=lambda: iter([SfcPortPair.existing(id="pair", ingress="in", egress="out")]),
        sfc_port_pair_groups=lambda: iter(
            [SfcPortPairGroup.existing(id="group", port_pairs=["pair", "new"])]
        ),
        sfc_flow_classifiers=lambda: iter(
            [
                SfcFlowClassifier.existing(
                    id="classifier",
                    logical_source_port="src",
                    destination_ip_prefix="10.0.0.9/32",
                    protocol="tcp",
                    destination_port_range_min=80,
                    destination_port_range_max=80,
                )
            ]
        ),
        sfc_port_chains=lambda: iter([CHAIN]),
        bgpvpns=lambda: iter([BgpVpn.existing(**VPN, networks=["net"], routers=["router"])]),
    )

    def servers(*, details: bool, all_projects: bool) -> list[Server]:
        assert all_projects
        return [Server.existing(id="server", name="vm")]

    return SimpleNamespace(
        network=network,
        compute=SimpleNamespace(servers=servers),
        # Not `has_service`, which warns of what is not there.
        service_catalog=[{"type": "network"}, *({"type": name} for name in services)],
    )


def test_everything_has_its_name() -> None:
    found = names_of(cloud(extensions=("sfc", "bgpvpn"), services=("compute",)))
    assert found == Names(
        networks={"net": "red"},
        ports={
            "src": NamedPort("a", "compute:probe", "a"),
            "dst": NamedPort("", "compute:nova", "server"),
            "in": NamedPort("", "", ""),
            "out": NamedPort("", "", ""),
        },
        servers={"server": "vm"},
        routers={"router": "edge"},
        functions=frozenset({"in", "out"}),
        # What was made after its list was read is left out.
        chains=(
            Chained(
                "chain",
                "web",
                (Classified("src", "dst", "tcp to 80"),),
                ((("in", "out"),),),
                symmetric=True,
            ),
        ),
        vpns=(NamedVpn("vpn", "wan", "l3", ("1:1",), ("1:1",), ("net", "router")),),
    )


def test_a_cloud_without_chains_vpns_and_servers_is_not_asked_for_them() -> None:
    found = names_of(cloud(extensions=(), services=()))
    assert (found.chains, found.vpns, found.servers) == ((), (), {})
    assert found.networks == {"net": "red"}
