"""A project in the cloud, with its networks, ports, routers and probes."""

from __future__ import annotations

import re
import secrets
import tempfile
from collections import Counter
from contextlib import ExitStack, suppress
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakSet

from pytest_kollalab.sdn import workarounds
from pytest_kollalab.sdn.dataplane import OVS, Dataplane
from pytest_kollalab.sdn.probe import plugging
from pytest_kollalab.sdn.probe.namespace import Namespace, namespace_name
from pytest_kollalab.sdn.probe.probe import Probe
from pytest_kollalab.sdn.tenant import leftovers, login
from pytest_kollalab.sdn.tenant.external import external_network
from pytest_kollalab.sdn.tenant.network import Network, Port, Router
from pytest_kollalab.sdn.tenant.scope import Scope
from pytest_kollalab.system import wait
from pytest_kollalab.system.attempts import Attempts
from pytest_kollalab.system.errors import KollalabError, NeedsLabError
from pytest_kollalab.system.names import fitting
from pytest_kollalab.system.signals import uninterrupted
from pytest_kollalab.system.wait import NotYet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openstack.connection import Connection

    from pytest_kollalab.system.ssh import Ssh

CONTROLLER = "controller-1"
COMPUTE = "compute-1"
SLUG = re.compile(r"[^a-z0-9]+")
# Keystone's limit for the name of a project; that for the name of a user is OTHERS.
LONGEST = 64
# The limit of Neutron and Nova, for devices' ids and key pairs too.
OTHERS = 255
SUFFIX = 4
# The name of Keystone's domain with the id `default`.
DEFAULT_DOMAIN = "Default"
# The networks 10.200.0.0/24 to 10.249.249.0/24.
NETWORKS = 50 * 250
# All projects of this process that somebody still knows.
PROJECTS: WeakSet[Project] = WeakSet()


class Project(Scope):
    """A project with a user of its own.

    Used as a context manager. Resources made in the project are removed when the block ends, in
    reverse order.

    Args:
        admin: The administrator's connection.
        name: A name of any length; a random suffix makes it unique.
        ssh: Runs commands on the nodes. None in an external cloud, where methods that need nodes
            raise NeedsLabError.
        external_cidr: The prefix of the network behind br-ex on the controller. Its first address
            is the gateway; routers and floating IPs get addresses from the upper half. None uses
            the external network that the cloud already has.
        patience: The factor by which every deadline is multiplied on slow nodes.
        dataplane: How the network backend of the cloud works on the nodes.
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
        slug = SLUG.sub("-", name.lower()).strip("-") or "project"
        self.name = f"{fitting(slug, LONGEST - SUFFIX - 1)}-{secrets.token_hex(SUFFIX // 2)}"
        self.external_cidr = external_cidr
        self.patience = patience
        self.dataplane = dataplane
        self.is_closed = False
        # What removes the project itself.
        self._end = ExitStack()
        # Every port that the project has ever had. Scenarios do not need it.
        self.known_ports: list[Port] = []
        PROJECTS.add(self)
        self._named: Counter[str] = Counter()
        self._password = secrets.token_urlsafe(16)
        # A random start, so that the flows of two tenants can be told apart by their addresses.
        self._networks = secrets.randbelow(NETWORKS)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name})"

    def __enter__(self) -> Self:
        from openstack.exceptions import ForbiddenException

        with uninterrupted(), ExitStack() as undo:
            identity: Any = self.admin.identity
            try:
                self.project = identity.create_project(name=self.name, domain_id="default")
                undo.callback(identity.delete_project, self.project, ignore_missing=True)
                self.user = self._create_user(undo, self.name, "member")
            except ForbiddenException as error:
                raise login.refused(self.admin, "create projects and users", error) from error
            self._end = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove all resources; go on with the others when one removal fails.

        What an API refuses to remove, such as a network with a port that nobody knows of, is
        removed with the rest of the project.

        Raises:
            KollalabError: A resource could not be removed.
        """
        try:
            with self._end:
                self._empty()
        finally:
            self.is_closed = True

    def _empty(self) -> None:
        from openstack.exceptions import SDKException

        removal = Attempts()
        try:
            for error in self._undo.run().errors:
                if not isinstance(error, SDKException):
                    removal.add(error)
        finally:
            with removal.step():
                self._sweep()
        removal.check(f"not all of project {self.name} could be removed")

    def full_name(self, name: str) -> str:
        """A name for a resource: the project's name and this one, not longer than any API allows.

        Args:
            name: A name of any length, unique in the project.
        """
        return fitting(f"{self.name}-{name}", OTHERS)

    @property
    def ssh(self) -> Ssh:
        """Runs commands on the nodes. Raises NeedsLabError in an external cloud."""
        self._check_nodes()
        assert self._ssh is not None
        return self._ssh

    @property
    def has_nodes(self) -> bool:
        """Whether commands can be run on the nodes."""
        return self._ssh is not None

    @property
    def login(self) -> dict[str, str]:
        """The login of the project's own user, for services that act for it.

        The keys are `auth_url`, `username`, `password`, `project_name`, and `user_domain_name` and
        `project_domain_name`, which both are the name of the default domain.
        """
        return {
            "auth_url": str(self.cloud.config.config["auth"]["auth_url"]),
            "username": self.name,
            "password": self._password,
            "project_name": self.name,
            "user_domain_name": DEFAULT_DOMAIN,
            "project_domain_name": DEFAULT_DOMAIN,
        }

    @cached_property
    def cloud(self) -> Connection:
        """The connection of the project's own user."""
        return self._log_in(self.name)

    @cached_property
    def admin_inside(self) -> Connection:
        """An administrator's connection in the project, for requests that a user may not make."""
        if login.is_fixed(self.admin):
            name = f"{self.name}-admin"
            self._create_user(self._undo, name, "admin")
            return self._log_in(name)
        identity: Any = self.admin.identity
        role = identity.find_role("admin", ignore_missing=False)
        identity.assign_project_role_to_user(self.project, self.admin.current_user_id, role)
        connection = self.admin.connect_as_project(self.project)
        self._undo.callback(connection.close)
        return connection

    def _create_user(self, undo: ExitStack, name: str, role: str) -> Any:
        identity: Any = self.admin.identity
        with uninterrupted():
            user = identity.create_user(name=name, password=self._password, domain_id="default")
            undo.callback(identity.delete_user, user, ignore_missing=True)
        given = identity.find_role(role, ignore_missing=False)
        identity.assign_project_role_to_user(self.project, user, given)
        return user

    def _log_in(self, name: str) -> Connection:
        connection = login.as_user(
            self.admin,
            username=name,
            password=self._password,
            project_name=self.name,
            user_domain_id="default",
            project_domain_id="default",
        )
        self._undo.callback(connection.close)
        return connection

    def network(
        self, name: str = "net", cidr: str | None = None, *, gateway: bool = True, dhcp: bool = True
    ) -> Network:
        """Create a network with one IPv4 subnet.

        Args:
            name: A name, to which the name of the project is prefixed.
            cidr: The prefix of the subnet; by default the next unused one of the tenant.
            gateway: Whether an address is reserved for a router.
            dhcp: Whether the subnet has a DHCP server.
        """
        self._networks = (self._networks + 1) % NETWORKS
        api = self.cloud.network
        full = self.full_name(name)
        with uninterrupted():
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
        """Create a router between networks; with `external`, also to the external network."""
        api = self.cloud.network
        name = self.full_name(f"router-{secrets.token_hex(2)}")
        gateway = {"external_gateway_info": {"network_id": self.external.id}} if external else {}
        with uninterrupted():
            made = api.create_router(name=name, **gateway)
            self.undo.callback(api.delete_router, made.id, ignore_missing=True)
        for network in networks:
            with uninterrupted():
                api.add_interface_to_router(made, subnet=network.subnet_id)
                self.undo.callback(self._leave, made.id, network)
        info = made.external_gateway_info
        outside = info["external_fixed_ips"][0]["ip_address"] if info else None
        return Router(made.id, name, outside)

    def remove_router(self, router: Router, *networks: Network) -> None:
        """Disconnect a router from all its networks, which must be given, and delete it."""
        for network in networks:
            self._leave(router.id, network)
        self.cloud.network.delete_router(router.id)

    def _leave(self, router: str, network: Network) -> None:
        from openstack.exceptions import NotFoundException

        with suppress(NotFoundException):
            self.cloud.network.remove_interface_from_router(router, subnet=network.subnet_id)

    @cached_property
    def external(self) -> Network:
        """The external network. All tenants of a lab share it, and it is never removed."""
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
        """Create a port that is bound to a node and has no port security.

        Args:
            network: The network of the port.
            node: The node that the port is bound to.
            name: A name, to which the name of the project is prefixed.
            device: Neutron's device id; ports with the same one belong to the same device.
            ip: The address; by default Neutron chooses it.
        """
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
        """Create several ports of one device with one request; the arguments are as for `port`."""
        self.ssh.check(node)
        wanted = [
            {
                "name": self.full_name(name),
                "project_id": self.project.id,
                "network_id": network.id,
                "device_owner": "compute:probe",
                "device_id": device or self.full_name(names[0]),
                "binding:host_id": node,
                "port_security_enabled": False,
                **({"fixed_ips": [{"ip_address": ip}]} if ip else {}),
            }
            for name in names
        ]
        return self.make_ports(wanted)

    def make_ports(self, wanted: list[dict[str, Any]]) -> list[Port]:
        """Create ports as the administrator, with one request.

        Args:
            wanted: The attributes of each port, as in the API.
        """
        api = self.admin.network
        with uninterrupted():
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
        """Create a probe on a node, plug it into a new port and wait until the port is active.

        Args:
            network: The network of the probe.
            node: The node that the probe is on.
            name: The probe's name; by default a random one.
            ip: The probe's address; by default Neutron chooses it.

        Raises:
            WaitError: The port did not become active in time.
        """
        name = name or f"probe-{secrets.token_hex(2)}"
        (port,) = self.ports(network, node, [name], ip=ip)
        namespace = self.namespace(node, name, [port])
        self._plug(namespace, network, port)
        self.await_active(namespace, port)
        return Probe(name, network, namespace, [port])

    def replug(self, probe: Probe) -> None:
        """Put a probe's devices back into its namespace after a restart of Open vSwitch.

        This is a workaround.

        Raises:
            WorkaroundForbiddenError: Workarounds are forbidden in this run.
            WaitError: A device did not appear, or a port did not become active, in time.
        """
        workarounds.use(workarounds.DEVICES_LOST, f"{probe.name} on {probe.node}")
        for port in probe.ports:

            def look(port: Port = port) -> bool | NotYet:
                done = self.ssh.run(probe.node, ["ip", "link", "show", port.device], check=False)
                return done.returncode == 0 or NotYet(done.stderr.strip())

            wait.until(f"{port.device} to be there again", look, timeout=60 * self.patience)
            # The old device outlives Open vSwitch, which does not remove it from a namespace.
            former = ["ip", "-n", probe.namespace.name, "link", "delete", port.device]
            self.ssh.run(probe.node, former, check=False)
            self._plug(probe.namespace, probe.network, port)

    def mend(self, *probes: Probe) -> None:
        """Replug those of the probes that lost their devices in a restart of Open vSwitch."""
        for probe in probes:
            look = ["ip", "link", "show", probe.device]
            # The device of a plugged probe is in its namespace and not visible on the node.
            if self.ssh.run(probe.node, look, check=False).returncode == 0:
                self.replug(probe)

    def remove(self, probe: Probe) -> None:
        """Unplug a probe and delete its ports, as Nova does when a server is deleted."""
        probe.namespace.remove([port.device for port in probe.ports])
        for port in probe.ports:
            self.admin.network.delete_port(port.id, ignore_missing=True)

    def outside(self) -> Probe:
        """Create a probe on the external network, such as a client of floating IPs.

        It runs on the controller.
        """
        self._check_nodes()
        api = self.admin.network
        name = f"outside-{secrets.token_hex(2)}"
        # The port only reserves the address: Neutron neither binds nor plugs it.
        with uninterrupted():
            made = api.create_port(
                name=self.full_name(name),
                project_id=self.project.id,
                network_id=self.external.id,
                device_owner=self.dataplane.reserved,
                device_id=leftovers.OUTSIDE,
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
        """Create a floating IP for a port and return its address.

        The port's network needs a router to the external network.
        """
        api, outside = self.cloud.network, self.external.id
        with uninterrupted():
            made = api.create_ip(floating_network_id=outside, port_id=port_id)
            self.undo.callback(api.delete_ip, made.id, ignore_missing=True)
        return str(made.floating_ip_address)

    def namespace(self, node: str, name: str, ports: Sequence[Port]) -> Namespace:
        """A namespace with a new name, which is removed with the tenant.

        The namespace itself is created when the first device is plugged into it.
        """
        self._named[name] += 1
        again = f"-{self._named[name]}" if self._named[name] > 1 else ""
        namespace = Namespace(self.ssh, node, namespace_name(self.name, f"{name}{again}"))
        self.undo.callback(namespace.remove, [port.device for port in ports])
        return namespace

    def await_active(self, namespace: Namespace, *ports: Port) -> None:
        """Wait until ports that are plugged into a namespace are active.

        In a block of `together` the wait happens at the end of the block.

        Raises:
            WaitError: A port did not become active in time.
        """
        active = partial(
            plugging.await_active,
            self.admin,
            namespace,
            patience=self.patience,
            missed=self.dataplane.misses_ports,
        )
        for port in ports:
            self.later(partial(active, port))

    @cached_property
    def key(self) -> Path:
        """The file with the private SSH key for the tenant's servers; removed with the tenant."""
        from pytest_kollalab.system.run import run

        folder = Path(self._undo.enter_context(tempfile.TemporaryDirectory(prefix="kollalab-")))
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.name, "-f", folder / "key"])
        return folder / "key"

    @cached_property
    def keypair(self) -> str:
        """The name of the key pair in Nova.

        The first use uploads the key and opens the default security group for ICMP, TCP and UDP.
        """
        public = self.key.with_suffix(".pub").read_text(encoding="utf-8").strip()
        # A key pair belongs to a user: the administrator boots servers on a node of choice, and
        # services that act for the project have its own user.
        for cloud in (self.admin_inside, self.cloud):
            with uninterrupted():
                cloud.compute.create_keypair(name=self.name, public_key=public)
                self._undo.callback(cloud.compute.delete_keypair, self.name, ignore_missing=True)
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
                "access to nodes needs a lab; this is an external cloud",
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
        """Plug ports of one network into a namespace and wait until they are active."""
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
