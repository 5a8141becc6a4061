"""Servers: Nova instances of the guest image."""

from __future__ import annotations

import base64
import json
import secrets
import shlex
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pytest_kollalab.sdn import workarounds
from pytest_kollalab.sdn.probe.namespace import Namespace
from pytest_kollalab.sdn.services import offered
from pytest_kollalab.sdn.tenant.network import Network, Port
from pytest_kollalab.sdn.tenant.project import CONTROLLER, Project
from pytest_kollalab.sdn.workarounds import WorkaroundForbiddenError
from pytest_kollalab.system import wait
from pytest_kollalab.system.errors import ConfigError, WaitError
from pytest_kollalab.system.run import Result, run
from pytest_kollalab.system.signals import uninterrupted
from pytest_kollalab.system.wait import NotYet

if TYPE_CHECKING:
    from openstack.connection import Connection

    from pytest_kollalab.sdn.probe.probe import Probe

GUEST = "kollalab-guest"
USER = "root"
READY = "guest: ready"
CONSOLE_LINES = 40
ATTEMPTS = 3
# Seconds after which a device that is down counts as missed: libvirt sets it up at the start.
DOWN = 5.0


class Server:
    """A server. `ip` is its address on its network, `floating_ip` on the external network.

    `port` is the first of its `ports`, the one on its network.
    """

    def __init__(
        self,
        tenant: Project,
        network: Network,
        node: str,
        ports: Sequence[Port],
        id: str,
        name: str,
    ) -> None:
        self.tenant = tenant
        self.network = network
        self.node = node
        self.ports = tuple(ports)
        self.port = self.ports[0]
        self.id = id
        self.name = name
        self.ip = self.port.ip
        self.floating_ip: str | None = None
        self.seconds_to_ready = 0.0
        self._outside: Probe | None = None

    def __repr__(self) -> str:
        return f"Server({self.name}, {self.ip})"

    def console(self, lines: int = CONSOLE_LINES) -> str:
        """The last lines of the console log."""
        answer = self.tenant.cloud.compute.get_server_console_output(self.id, length=lines)
        return str(answer["output"])

    def await_ready(self, timeout: float = 180) -> None:
        """Wait until the guest reports on its console that it has booted and has its metadata.

        The devices of all its ports are up then. One that stays down is set up; this is a
        workaround.

        Args:
            timeout: Seconds.

        Raises:
            WorkaroundForbiddenError: A device stays down and workarounds are forbidden.
            WaitError: The guest is not ready in time; the error has the end of the console log.
        """
        down_since: float | None = None

        def look() -> bool | NotYet:
            nonlocal down_since
            said, down = self.console(), self._devices_down()
            # The guest has its metadata by its first device; the others may be down still.
            if READY in said and not down:
                return True
            now = time.monotonic()
            if not down:
                down_since = None
            elif down_since is None:
                down_since = now
            elif now - down_since >= workarounds.delay(DOWN) * self.tenant.patience:
                seen = f"{', '.join(down)} on {self.node}, down for {now - down_since:.0f} s"
                workarounds.use(workarounds.DEVICE_DOWN, seen)
                for device in down:
                    argv = ["ip", "link", "set", "dev", device, "up"]
                    self.tenant.ssh.run(self.node, argv, check=False)
                down_since = None
            told = f"{', '.join(down)} is down, and " if down else ""
            return NotYet(f"{told}its console says:\n{said}")

        wait.until(f"server {self.name} to boot", look, timeout=timeout * self.tenant.patience)

    def await_status(self, wanted: str, timeout: float = 60) -> None:
        """Wait until Nova reports a status, such as `ACTIVE`. Raises WaitError."""

        def look() -> bool | NotYet:
            status = self.tenant.cloud.compute.get_server(self.id).status
            return status == wanted or NotYet(status)

        wait.until(
            f"server {self.name} to be {wanted}", look, timeout=timeout * self.tenant.patience
        )

    def give_floating_ip(self) -> str:
        """Give the server a floating IP and wait until a probe on the external network reaches it.

        Returns:
            The address.
        """
        self.floating_ip = self.tenant.floating_ip(self.port.id)
        self._outside = self.tenant.outside()
        self._outside.reaches(self.floating_ip, within=60 * self.tenant.patience)
        return self.floating_ip

    def ssh(self, argv: Sequence[str], *, via: Probe | None = None, check: bool = True) -> Result:
        """Run a command in the server over SSH.

        Args:
            argv: The command.
            via: The probe to connect from. By default this is the external network if the server
                has a floating IP, and otherwise the namespace that the network backend has in the
                network.
            check: Whether a command that fails is an error.

        Raises:
            CommandError: The command fails, and `check` is true.
        """
        target = self.ip
        if via is not None:
            namespace = via.namespace
        elif self._outside is not None and self.floating_ip is not None:
            namespace, target = self._outside.namespace, self.floating_ip
        else:
            namespace = network_namespace(self.tenant, self.network, self.node)
        return run(ssh_argv(self.tenant, namespace, target, argv), check=check, timeout=60)

    def _devices_down(self) -> list[str]:
        """Those of its devices that exist and are set down; unknown in an external cloud."""
        if not self.tenant.has_nodes:
            return []
        said = self.tenant.ssh.run(self.node, ["ip", "-json", "link", "show"]).stdout
        down = {link["ifname"] for link in json.loads(said) if "UP" not in link["flags"]}
        return [port.device for port in self.ports if port.device in down]


def boot(
    tenant: Project,
    network: Network,
    node: str,
    *,
    name: str | None = None,
    user_data: str | None = None,
    ports: Sequence[Port] = (),
    ready: bool = True,
) -> Server:
    """Create a server and wait until it is ACTIVE.

    Args:
        tenant: The project of the server.
        network: The network of the server.
        node: The node that it runs on. In an external cloud the scheduler chooses the node.
        name: The server's name; by default a random one.
        user_data: A script that the guest runs when it boots.
        ports: The ports of the server; by default it gets a new one on the network.
        ready: Whether to wait until the guest has booted as well.

    Raises:
        NoNodeError: There is no such node.
        ConfigError: The cloud has no Glance, no Nova, no guest image, or no flavor for it.
        WaitError: The server is not ACTIVE or not ready in time.
    """
    if tenant.has_nodes:
        tenant.ssh.check(node)
    name = name or f"server-{secrets.token_hex(2)}"
    cloud = tenant.cloud
    image, flavor = _find_guest(cloud)
    ports = ports or [_port(tenant, network, name)]
    started = time.monotonic()
    options: dict[str, Any] = {"user_data": encode(user_data)} if user_data else {}
    if tenant.has_nodes:
        options["availability_zone"] = f"nova:{node}"
    # Only an administrator may choose the host.
    compute, key = tenant.admin_inside.compute, tenant.keypair
    with uninterrupted():
        made = compute.create_server(
            name=tenant.full_name(name),
            image_id=image,
            flavor_id=flavor,
            networks=[{"port": port.id} for port in ports],
            key_name=key,
            **options,
        )
        tenant.undo.callback(remove, tenant, made.id)

    def look() -> Any:
        nonlocal made
        made = cloud.compute.get_server(made.id)
        return made if made.status == "ACTIVE" else NotYet(f"{made.status}, {made.task_state}")

    def hopeless() -> str | None:
        fault = (made.fault or {}).get("message", "no reason given")
        return f"it is in ERROR: {fault}" if made.status == "ERROR" else None

    try:
        wait.until(
            f"server {name} to be ACTIVE", look, timeout=120 * tenant.patience, hopeless=hopeless
        )
    except WaitError as error:
        raise WaitError(error.brief, details=error.details, hint=_hint(node)) from error
    server = Server(tenant, network, node, ports, made.id, name)
    if ready:
        server.await_ready()
    server.seconds_to_ready = time.monotonic() - started
    return server


def encode(text: str) -> str:
    """Encode user data for the API, as Base64."""
    return base64.b64encode(text.encode()).decode()


def ssh_argv(tenant: Project, namespace: Namespace, target: str, argv: Sequence[str]) -> list[str]:
    """The ssh command that runs `argv` in a server, through a namespace on a node.

    Only the connection passes the node; the private key stays on this host.
    """
    hop = namespace.ssh.argv(
        namespace.node, ["ip", "netns", "exec", namespace.name, "socat", "-", f"TCP:{target}:22"]
    )
    settings = {
        "ProxyCommand": shlex.join(hop).replace("%", "%%"),
        "IdentityFile": str(tenant.key),
        "IdentitiesOnly": "yes",
        # Every server makes a new host key when it boots.
        "StrictHostKeyChecking": "no",
        "UserKnownHostsFile": "/dev/null",
        "GlobalKnownHostsFile": "/dev/null",
        "BatchMode": "yes",
        "ConnectTimeout": "20",
        "LogLevel": "ERROR",
    }
    options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    return ["ssh", "-F", "none", *options, f"{USER}@{target}", shlex.join(argv)]


def network_namespace(tenant: Project, network: Network, node: str) -> Namespace:
    """The namespace of the network backend from which a network's servers on a node are reached.

    The network has to have DHCP.
    """
    dataplane = tenant.dataplane
    where = node if dataplane.space_at_ports else CONTROLLER
    return Namespace(tenant.ssh, where, f"{dataplane.space}{network.id}")


def _port(tenant: Project, network: Network, name: str) -> Port:
    api = tenant.cloud.network
    with uninterrupted():
        made = api.create_port(name=tenant.full_name(name), network_id=network.id)
        tenant.undo.callback(api.delete_port, made.id, ignore_missing=True)
    port = Port(made.id, made.mac_address, made.fixed_ips[0]["ip_address"])
    tenant.known_ports.append(port)
    return port


def remove(tenant: Project, server: str) -> None:
    """Delete a server and wait until it is gone.

    A deletion that Nova gives up is requested again; this is a workaround.

    Args:
        tenant: The project of the server.
        server: The server's id.

    Raises:
        WaitError: The server is not gone in time, or Nova gives up too often.
        WorkaroundForbiddenError: The workaround was needed and is forbidden. It is raised after the
            server is gone, so that the next test does not find it.
    """
    compute = tenant.cloud.compute
    given_up: list[str] = []
    refusal: WorkaroundForbiddenError | None = None
    compute.delete_server(server, ignore_missing=True)

    def look() -> bool | NotYet:
        nonlocal refusal
        found = compute.find_server(server, ignore_missing=True)
        if found is None:
            return True
        # While a deletion runs, the task is "deleting"; Nova clears it when it gives up.
        if found.status == "ERROR" and found.task_state is None:
            given_up.append((found.fault or {}).get("message", "no reason given"))
            if len(given_up) < ATTEMPTS:
                try:
                    workarounds.use(workarounds.DELETION_GIVEN_UP, f"{server}: {given_up[-1]}")
                except WorkaroundForbiddenError as error:
                    refusal = refusal or error
                compute.delete_server(server, ignore_missing=True)
        return NotYet(f"{found.status}, {found.task_state}")

    def hopeless() -> str | None:
        if len(given_up) < ATTEMPTS:
            return None
        return f"Nova gave up its deletion {ATTEMPTS} times: {given_up[-1]}"

    wait.until(
        f"server {server} to be gone", look, timeout=120 * tenant.patience, hopeless=hopeless
    )
    if refusal is not None:
        raise refusal


def _find_guest(cloud: Connection) -> tuple[str, str]:
    there = offered(cloud)
    services = {"image": "Glance", "compute": "Nova"}
    missing = [name for kind, name in services.items() if kind not in there]
    if missing:
        raise ConfigError(
            f"the cloud has no {' and no '.join(missing)}: it cannot boot a server",
            hint="let the test ask for the fixture `compute`",
        )
    image = next(iter(cloud.image.images(tag=GUEST, status="active", sort="created_at:desc")), None)
    flavor = cloud.compute.find_flavor(GUEST)
    if image is None or flavor is None:
        raise ConfigError(
            "there is no guest image in the cloud",
            hint="let the test ask for the fixture `compute`",
        )
    return image.id, flavor.id


def _hint(node: str) -> str:
    return f"look at /var/log/kolla/nova on {node}: kollalab logs, or kollalab ssh {node}"
