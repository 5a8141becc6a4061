"""A project in the cloud, and the networks, ports, routers and probes that are made in it."""

from __future__ import annotations

import re
import secrets
import tempfile
from collections import Counter
from contextlib import ExitStack, suppress
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pytest_kollalab.sdn import workarounds
from pytest_kollalab.sdn.dataplane import OVS, Dataplane
from pytest_kollalab.sdn.probe import plugging
from pytest_kollalab.sdn.probe.namespace import Namespace
from pytest_kollalab.sdn.probe.probe import Probe
from pytest_kollalab.sdn.tenant import leftovers
from pytest_kollalab.sdn.tenant.external import external_network
from pytest_kollalab.sdn.tenant.network import Network, Port, Router
from pytest_kollalab.sdn.tenant.scope import Scope
from pytest_kollalab.system import wait
from pytest_kollalab.system.errors import KollalabError, NeedsLabError
from pytest_kollalab.system.wait import NotYet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openstack.connection import Connection

    from pytest_kollalab.system.ssh import Ssh

CONTROLLER = "controller-1"
COMPUTE = "compute-1"
SLUG = re.compile(r"[^a-z0-9]+")
# The networks 10.200.0.0/24 to 10.249.249.0/24.
NETWORKS = 50 * 250


class Project(Scope):
    """A project with a user; everything made in it is removed when its block ends, last first.

    `admin` is the administrator's connection, `cloud` the one of the project's own user, `ssh`
    reaches the nodes. `external_cidr` is the network behind br-ex on the controller; its first
    address is its gateway, addresses for routers and floating IPs are taken from its upper half.
    Without `ssh` and `external_cidr` the cloud is somebody else's: what takes access to nodes
    raises NeedsLabError, and the external network is the one that is there.
    `patience` multiplies every deadline, for slow nodes. `dataplane` is that of the cloud.
    """

    def __init__(
        self,
        admin: Connection,
        name: str,
        ssh: Ssh | None,
        *,
        external_cidr: str | None = "203.0.113.0/24",
        patience: float = 1.0,
        dataplane: Dataplane = OVS,
    ) -> None:
        super().__init__()
        self.admin = admin
        self._ssh = ssh
        self.name = f"{SLUG.sub('-', name.lower()).strip('-')}-{secrets.token_hex(2)}"
        self.external_cidr = external_cidr
        self.patience = patience
        self.dataplane = dataplane
        self.is_closed = False
        # Every port it ever had: of no interest to scenarios.
        self.known_ports: list[Port] = []
        self._named: Counter[str] = Counter()
        self._password = secrets.token_urlsafe(16)
        # Any two tenants have addresses of their own: whoever looks at flows tells them apart.
        self._networks = secrets.randbelow(NETWORKS)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name})"

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            identity: Any = self.admin.identity
            self.project = identity.create_project(name=self.name, domain_id="default")
            undo.callback(identity.delete_project, self.project, ignore_missing=True)
            self.user = identity.create_user(
                name=self.name, password=self._password, domain_id="default"
            )
            undo.callback(identity.delete_user, self.user, ignore_missing=True)
            member = identity.find_role("member", ignore_missing=False)
            identity.assign_project_role_to_user(self.project, self.user, member)
            undo.callback(self._sweep)
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove everything, also what is left when one removal fails. Raises KollalabError."""
        try:
            self._undo.close()
        finally:
            self.is_closed = True

    @property
    def ssh(self) -> Ssh:
        """The way to run commands on the nodes. Raises NeedsLabError when there is none."""
        self._check_nodes()
        assert self._ssh is not None
        return self._ssh

    @property
    def has_nodes(self) -> bool:
        """Whether the nodes are ours to look into."""
        return self._ssh is not None

    @cached_property
    def cloud(self) -> Connection:
        """The connection of the project's own user."""
        connection = self.admin.connect_as(
            username=self.name,
            password=self._password,
            project_name=self.name,
            user_domain_name="Default",
            project_domain_name="Default",
        )
        self._undo.callback(connection.close)
        return connection

    @cached_property
    def admin_inside(self) -> Connection:
        """An administrator's connection within the project, for what only they may ask for."""
        identity: Any = self.admin.identity
        role = identity.find_role("admin", ignore_missing=False)
        identity.assign_project_role_to_user(self.project, self.admin.current_user_id, role)
        connection = self.admin.connect_as_project(self.project)
        self._undo.callback(connection.close)
        return connection

    def network(
        self, name: str = "net", cidr: str | None = None, *, gateway: bool = True, dhcp: bool = True
    ) -> Network:
        """A network with one subnet; without a `cidr` it gets the next free one of the tenant."""
        self._networks = (self._networks + 1) % NETWORKS
        api = self.cloud.network
        full = f"{self.name}-{name}"
        made = api.create_network(name=full)
        self.undo.callback(api.delete_network, made.id, ignore_missing=True)
        subnet = api.create_subnet(
            name=full,
            network_id=made.id,
            ip_version=4,
            cidr=cidr or f"10.{200 + self._networks // 250}.{self._networks % 250}.0/24",
            enable_dhcp=dhcp,
            **({} if gateway else {"gateway_ip": None}),
        )
        return Network(made.id, full, subnet.id, subnet.cidr, subnet.gateway_ip, int(made.mtu))

    def router(self, *networks: Network, external: bool = False) -> Router:
        """A router between networks, with a way out to the external network if wanted."""
        api = self.cloud.network
        name = f"{self.name}-router-{secrets.token_hex(2)}"
        gateway = {"external_gateway_info": {"network_id": self.external.id}} if external else {}
        made = api.create_router(name=name, **gateway)
        self.undo.callback(api.delete_router, made.id, ignore_missing=True)
        for network in networks:
            api.add_interface_to_router(made, subnet=network.subnet_id)
            self.undo.callback(self._leave, made.id, network)
        info = made.external_gateway_info
        outside = info["external_fixed_ips"][0]["ip_address"] if info else None
        return Router(made.id, name, outside)

    def remove_router(self, router: Router, *networks: Network) -> None:
        """Take a router out of these networks, which are all that it is in, and remove it."""
        for network in networks:
            self._leave(router.id, network)
        self.cloud.network.delete_router(router.id)

    def _leave(self, router: str, network: Network) -> None:
        from openstack.exceptions import NotFoundException

        with suppress(NotFoundException):
            self.cloud.network.remove_interface_from_router(router, subnet=network.subnet_id)

    @cached_property
    def external(self) -> Network:
        """The network behind br-ex; made once for all tenants of the lab, and left there."""
        return external_network(self.admin, self.external_cidr)

    def port(
        self,
        network: Network,
        node: str,
        name: str,
        *,
        device: str | None = None,
        ip: str | None = None,
    ) -> Port:
        """A port bound to a node, without port security. Ports of one `device` belong together."""
        return self.ports(network, node, [name], device=device, ip=ip)[0]

    def ports(
        self,
        network: Network,
        node: str,
        names: Sequence[str],
        *,
        device: str | None = None,
        ip: str | None = None,
    ) -> list[Port]:
        """Ports that belong together, as `port` makes them, with one call."""
        self._check_nodes()
        api = self.admin.network
        wanted = [
            {
                "name": f"{self.name}-{name}",
                "project_id": self.project.id,
                "network_id": network.id,
                "device_owner": "compute:probe",
                "device_id": device or f"{self.name}-{names[0]}",
                "binding:host_id": node,
                "port_security_enabled": False,
                **({"fixed_ips": [{"ip_address": ip}]} if ip else {}),
            }
            for name in names
        ]
        made = list(api.create_ports(wanted))
        for port in made:
            self.undo.callback(api.delete_port, port.id, ignore_missing=True)
        ports = [Port(p.id, p.mac_address, p.fixed_ips[0]["ip_address"]) for p in made]
        self.known_ports += ports
        return ports

    def probe(
        self,
        network: Network,
        node: str = COMPUTE,
        *,
        name: str | None = None,
        ip: str | None = None,
    ) -> Probe:
        """A probe on a node, plugged into a new port of the network and ready to talk."""
        name = name or f"probe-{secrets.token_hex(2)}"
        (port,) = self.ports(network, node, [name], ip=ip)
        namespace = self.namespace(node, name, [port])
        self._plug(namespace, network, port)
        self.await_active(namespace, port)
        return Probe(name, network, namespace, [port])

    def replug(self, probe: Probe) -> None:
        """Put a probe's devices back into its namespace after Open vSwitch was restarted.

        That is a workaround. Raises WorkaroundForbiddenError and WaitError.
        """
        workarounds.use(workarounds.DEVICES_LOST, f"{probe.name} on {probe.node}")
        for port in probe.ports:

            def look(port: Port = port) -> bool | NotYet:
                done = self.ssh.run(probe.node, ["ip", "link", "show", port.device], check=False)
                return done.returncode == 0 or NotYet(done.stderr.strip())

            wait.until(f"{port.device} to be there again", look, timeout=60 * self.patience)
            # Open vSwitch makes devices that outlive it; out of its sight nobody removes them.
            former = ["ip", "-n", probe.namespace.name, "link", "delete", port.device]
            self.ssh.run(probe.node, former, check=False)
            self._plug(probe.namespace, probe.network, port)

    def mend(self, *probes: Probe) -> None:
        """Put back the devices of those probes whose Open vSwitch somebody else has restarted."""
        for probe in probes:
            look = ["ip", "link", "show", probe.device]
            # One that is plugged is in its namespace, where the node does not see it.
            if self.ssh.run(probe.node, look, check=False).returncode == 0:
                self.replug(probe)

    def remove(self, probe: Probe) -> None:
        """Unplug a probe and remove its ports, as when a server is deleted."""
        probe.namespace.remove([port.device for port in probe.ports])
        for port in probe.ports:
            self.admin.network.delete_port(port.id, ignore_missing=True)

    def outside(self) -> Probe:
        """A host on the external network: what a user of floating IPs is. On the controller."""
        self._check_nodes()
        api = self.admin.network
        name = f"outside-{secrets.token_hex(2)}"
        # Not bound and not plugged by Neutron: the port only keeps the address ours.
        made = api.create_port(
            name=f"{self.name}-{name}",
            project_id=self.project.id,
            network_id=self.external.id,
            device_owner="kollalab:outside",
        )
        self.undo.callback(api.delete_port, made.id, ignore_missing=True)
        port = Port(made.id, made.mac_address, made.fixed_ips[0]["ip_address"])
        self.known_ports.append(port)
        namespace = self.namespace(CONTROLLER, name, [port])
        namespace.plug(
            port.device,
            bridge="br-ex",
            mac=port.mac,
            mtu=self.external.mtu,
            address=f"{port.ip}/{self.external.prefix}",
        )
        return Probe(name, self.external, namespace, [port])

    def floating_ip(self, port_id: str) -> str:
        """An address on the external network that leads to a port; a router has to be there."""
        made = self.cloud.network.create_ip(floating_network_id=self.external.id, port_id=port_id)
        self.undo.callback(self.cloud.network.delete_ip, made.id, ignore_missing=True)
        return str(made.floating_ip_address)

    def namespace(self, node: str, name: str, ports: Sequence[Port]) -> Namespace:
        """A namespace on a node that goes with the tenant; plugging makes it. Never one twice."""
        self._named[name] += 1
        again = f"-{self._named[name]}" if self._named[name] > 1 else ""
        namespace = Namespace(self.ssh, node, f"kl-{self.name}-{name}{again}")
        self.undo.callback(namespace.remove, [port.device for port in ports])
        return namespace

    def await_active(self, namespace: Namespace, *ports: Port) -> None:
        """Wait until Neutron says that ports plugged into a namespace work. Raises WaitError."""
        for port in ports:
            self.later(
                partial(plugging.await_active, self.admin, namespace, port, patience=self.patience)
            )

    @cached_property
    def key(self) -> Path:
        """The private SSH key of the tenant's servers, on this host, for as long as the tenant."""
        from pytest_kollalab.system.run import run

        folder = Path(self._undo.enter_context(tempfile.TemporaryDirectory(prefix="kollalab-")))
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.name, "-f", folder / "key"])
        return folder / "key"

    @cached_property
    def keypair(self) -> str:
        """The name of the key in Nova, and open doors in the project's default security group."""
        public = self.key.with_suffix(".pub").read_text(encoding="utf-8").strip()
        self.admin_inside.compute.create_keypair(name=self.name, public_key=public)
        self._undo.callback(
            self.admin_inside.compute.delete_keypair, self.name, ignore_missing=True
        )
        api = self.cloud.network
        group = next(iter(api.security_groups(name="default", project_id=self.project.id)))
        for protocol in ("icmp", "tcp", "udp"):
            api.create_security_group_rule(
                security_group_id=group.id,
                direction="ingress",
                ethertype="IPv4",
                protocol=protocol,
                remote_ip_prefix="0.0.0.0/0",
            )
        return self.name

    def _check_nodes(self) -> None:
        if self._ssh is None:
            raise NeedsLabError(
                "access to nodes needs a lab; this cloud is somebody else's",
                hint="leave out --kollalab-cloud",
            )

    def _plug(self, namespace: Namespace, network: Network, port: Port) -> None:
        namespace.plug(
            port.device,
            bridge=plugging.BRIDGE,
            mac=port.mac,
            mtu=network.mtu,
            address=f"{port.ip}/{network.prefix}",
            gateway=network.gateway,
            port=port.id,
        )

    def plug(self, namespace: Namespace, network: Network, ports: Sequence[Port]) -> None:
        """Plug ports of one network into a namespace and wait until they work."""
        for port in ports:
            self._plug(namespace, network, port)
        self.await_active(namespace, *ports)

    def _sweep(self) -> None:
        failures = leftovers.sweep(self.admin, self.project.id)
        if failures:
            raise KollalabError(
                f"project {self.name} could not be emptied",
                details="\n".join(failures),
                hint="look at the log of neutron-server, or remove the lab: kollalab down",
            )
