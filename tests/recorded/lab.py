"""A lab that was recorded while scenarios ran, and the names that its API has for things."""

from __future__ import annotations

import json
from pathlib import Path

from pytest_kollalab.features.skydive.graph import SkydiveGraph
from pytest_kollalab.sdn.topology.chains import Chained, Classified
from pytest_kollalab.sdn.topology.local import join, parse
from pytest_kollalab.sdn.topology.names import NamedPort, NamedVpn, Names
from pytest_kollalab.sdn.topology.topology import Topology

HERE = Path(__file__).parent
# What the graph does not have was taken from the scenarios that ran: names of servers, the chain
# and the VPN. Their ids are made up.
SERVERS = {
    "ad9be650-2f04-4c7d-8758-a6f5d290940a": "vn-3018aaa856c0-fw-0-airubkcgjvtr-fw",
    "51ebf3ff-f7e5-4ac9-8bc7-f68a02f18c85": "vn-3018aaa856c0-site-0-airubkcgjvtr-site",
}
PROBES = {"3b6492d5-10da-4251-8a13-f2bb030f68ba": "vnf-6cf7-source"}
SOURCE, TARGET = "69e2cfb8-d1c1-40c5-907c-b63653812346", "2851f16d-bc86-4edf-9f92-336ff7777042"
FIREWALL = ("af5baf66-d34a-41e4-a6c4-990fa7ed8d64", "ad7d12d7-f962-425c-9414-04891337cba6")
NAT = ("e720cb3f-9fed-4b5e-9ab2-fd2634c3f867", "3e234976-39a7-44c6-8488-8288addd6cad")
COUNTER = ("25e312bb-d6c9-4a86-a208-075f502a7a14", "a9549128-76ca-4121-8868-ee1a6319420f")
REMOTE = ("c55d1d60-32d8-44e4-bd38-fe0f68cb9171", "816028c2-92fc-4688-96d3-1111edad4b02")
SERVED = (
    "b0be5da1-972d-414f-a809-ee092d33bf1a",
    "710df9fe-ec08-4c9e-b1df-108093125c8b",
)
BRANCH = "d1a97b82-7af0-4e19-8ce5-2635448bc02e"


def topology() -> Topology:
    """Controller and compute node from Skydive, the gateway as the node itself tells it."""
    graph = json.loads((HERE / "skydive-graph.json").read_text(encoding="utf-8"))
    gateway = (HERE / "gateway-1.txt").read_text(encoding="utf-8")
    return join([SkydiveGraph.parse(graph).topology(), parse("gateway-1", gateway)])


def names() -> Names:
    """The names of what is in the topology."""
    (graph,) = json.loads((HERE / "skydive-graph.json").read_text(encoding="utf-8"))
    known = [node["Metadata"] for node in graph["Nodes"] if node["Metadata"].get("Neutron")]
    servers = {
        each["Neutron"]["PortID"]: each["ExtID"]["vm-uuid"] for each in known if "ExtID" in each
    }
    return Names(
        networks={each["Neutron"]["NetworkID"]: each["Neutron"]["NetworkName"] for each in known},
        ports={
            **{port: NamedPort(name, "compute:probe", name) for port, name in PROBES.items()},
            **{port: NamedPort("", "compute:nova", server) for port, server in servers.items()},
        },
        servers=SERVERS,
        functions=frozenset((*FIREWALL, *NAT, *COUNTER, *REMOTE)),
        chains=(
            Chained(
                "0d0e7f0c-52a7-4c3c-8f39-6a0f1f1f4d11",
                "sfc-b805-3fa2",
                (Classified(SOURCE, TARGET),),
                ((FIREWALL,), (NAT,)),
                symmetric=True,
            ),
        ),
        vpns=(
            NamedVpn(
                "5b6f6b8e-3a61-4a1b-93a2-b7d1f2f7a9c4",
                "vnf-6cf7-9ac1",
                "l3",
                imports=("64512:4211",),
                exports=("64512:4211",),
                members=(BRANCH,),
            ),
        ),
    )
