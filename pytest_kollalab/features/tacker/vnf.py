"""VNF packages and VNFs of a tenant, with the servers and ports that a VNF is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_kollalab.features.tacker import api
from pytest_kollalab.features.tacker.csar import Vdu
from pytest_kollalab.features.tacker.operations import parts
from pytest_kollalab.sdn.tenant.network import Network, Port
from pytest_kollalab.sdn.tenant.server import Server
from pytest_kollalab.sdn.tenant.tenant import COMPUTE

if TYPE_CHECKING:
    from pytest_kollalab.sdn.tenant.tenant import Tenant


@dataclass(frozen=True)
class VnfPackage:
    """A package that Tacker has taken in.

    Attributes:
        id: The id of the package.
        descriptor: The id of its description (VNFD), which VNFs are made by.
        vdus: The kinds of servers in it.
    """

    id: str
    descriptor: str
    vdus: tuple[Vdu, ...]


@dataclass(frozen=True)
class Member:
    """A server of a VNF.

    Attributes:
        id: The id by which Tacker heals it.
        vdu: The name of its VDU.
        server: The server, with its first port.
        ports: The port of each connection point.
    """

    id: str
    vdu: str
    server: Server
    ports: Mapping[str, Port]

    @property
    def ip(self) -> str:
        """The address of its first port."""
        return self.server.ip


class Vnf:
    """A VNF, made by `Tacker.create` or `Tacker.instantiate`.

    Attributes:
        id: The id of the VNF instance.
        package: The package that it is made of.
        networks: The network of each connection point; empty until it is instantiated.
    """

    def __init__(self, tenant: Tenant, id: str, package: VnfPackage) -> None:
        self.tenant = tenant
        self.id = id
        self.package = package
        self.networks: dict[str, Network] = {}

    def __repr__(self) -> str:
        return f"Vnf({self.id})"

    @property
    def path(self) -> str:
        """The path of the instance in the API."""
        return f"{api.VNFS}/{self.id}"

    @property
    def stack(self) -> str:
        """The name of its stack in Heat."""
        return f"vnf-{self.id}"

    def describe(self) -> dict[str, Any]:
        """What Tacker knows about it, or an empty dictionary if there is no such VNF."""
        answer = api.call(self.tenant.cloud, "GET", self.path, missing=True)
        found: dict[str, Any] = answer.json() if answer.status_code != api.NOT_FOUND else {}
        return found

    def is_instantiated(self) -> bool:
        """Whether Tacker says that it has servers."""
        return bool(self.describe().get("instantiationState") == "INSTANTIATED")

    def members(self, vdu: str | None = None) -> list[Member]:
        """Its servers, the oldest first; only those of one VDU if it is named."""
        vdus = {each.name: each for each in self.package.vdus}
        return [
            self._member(part.id, vdus[part.vdu], part.server, part.ports)
            for part in parts(self.describe())
            if vdu in (None, part.vdu)
        ]

    def _member(self, id: str, vdu: Vdu, server: str, ports: Mapping[str, str]) -> Member:
        found = {point: self._port(ports[point]) for point in vdu.points}
        first = vdu.points[0]
        made = self.tenant.cloud.compute.get_server(server)
        network = self.networks[first]
        known = Server(self.tenant, network, COMPUTE, list(found.values()), server, str(made.name))
        return Member(id, vdu.name, known, found)

    def _port(self, id: str) -> Port:
        for port in self.tenant.known_ports:
            if port.id == id:
                return port
        made = self.tenant.cloud.network.get_port(id)
        port = Port(id, made.mac_address, made.fixed_ips[0]["ip_address"])
        # So that its flows are looked for when a test has ended.
        self.tenant.known_ports.append(port)
        return port
