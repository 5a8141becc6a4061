"""Health checks: a cloud is ready when all its services run and answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from textwrap import indent
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from pytest_kollalab.features.base import Feature, HealthCheck
from pytest_kollalab.providers.base import NodeMade
from pytest_kollalab.stages.cloud import inventory
from pytest_kollalab.system import wait
from pytest_kollalab.system.errors import CommandError, ConfigError, StageError, WaitError
from pytest_kollalab.system.nearest import nearest
from pytest_kollalab.system.wait import NotYet

if TYPE_CHECKING:
    from pathlib import Path

    from openstack.connection import Connection

    from pytest_kollalab.system.ssh import Ssh

DEADLINE = 240.0
INTERVAL = 2.0
# In seconds. Kolla's first health check is 30 s after the start of a container, and a container
# counts as unhealthy after three failed checks.
FIRST_CHECKS = 180.0
REQUEST_TIMEOUT = 20
CHECK_TIMEOUT = 60
SHOWN = 6

COMPUTE_SERVICES = {
    "control": ("nova-conductor", "nova-scheduler"),
    "compute": ("nova-compute",),
}


@dataclass(frozen=True)
class Container:
    """A container of a node, with the columns of `docker ps`."""

    name: str
    state: str
    status: str

    @property
    def unchecked(self) -> bool:
        """Whether it runs and docker has not finished its first health check."""
        return self.state == "running" and "(health: starting)" in self.status

    @property
    def unhealthy(self) -> bool:
        """Whether it runs and failed docker's health check."""
        return self.state == "running" and "(unhealthy)" in self.status

    @property
    def trouble(self) -> str | None:
        """What is wrong, or None if it runs and is healthy or has no health check."""
        if self.state != "running":
            return f"{self.name} is {self.state}"
        if self.unhealthy:
            return f"{self.name} is unhealthy"
        if self.unchecked:
            return f"{self.name} does not pass its health check yet"
        return None


PS = ("docker", "ps", "--all", "--format", "{{.Names}}\t{{.State}}\t{{.Status}}")

# Docker runs the first health check of a container 30 s after its start and keeps the result until
# the next check, on emulated machines for four minutes. This script runs the same commands now and
# prints the names of the containers that pass.
ASK = """\
for name do
    {
        test=$(docker inspect --format '{{index .Config.Healthcheck.Test 1}}' "$name") &&
            docker exec "$name" sh -c "$test" >/dev/null 2>&1 && echo "$name"
    } &
done
wait
"""


def parse_ps(text: str) -> list[Container]:
    """The containers in the output of PS."""
    rows = (line.split("\t") for line in text.splitlines() if line.strip())
    return [Container(name, state, status) for name, state, status in rows]


def with_passed(containers: Iterable[Container], passed: Iterable[str]) -> list[Container]:
    """Return the containers with those that passed their check as healthy."""
    names = set(passed)
    return [
        replace(container, status="Up (healthy)") if container.name in names else container
        for container in containers
    ]


def await_first_checks(node: str, ssh: Ssh, *, slowness: float) -> list[Container]:
    """Wait until docker has checked the health of all containers of a node.

    A deploy restarts some containers at its end, and docker has not checked those yet.

    Returns:
        The containers of the node.

    Raises:
        WaitError: Some containers were not checked in time. The details name them.
    """

    def look() -> list[Container] | NotYet:
        containers = parse_ps(ssh.run(node, PS).stdout)
        unchecked = [container.name for container in containers if container.unchecked]
        return NotYet(f"not checked yet: {', '.join(unchecked)}") if unchecked else containers

    return wait.until(
        f"docker on {node} to check the health of its containers",
        look,
        timeout=FIRST_CHECKS * slowness,
        interval=INTERVAL,
    )


def check_groups(features: Iterable[Feature], nodes: Sequence[str]) -> None:
    """Check that a lab has the node groups of its features' containers, agents and health checks.

    Args:
        features: The features.
        nodes: The names of the lab's nodes.

    Raises:
        ConfigError: It does not have one of them.
    """
    members = inventory.groups(nodes)
    for feature in features:
        asked = [(each.group, f"the health check {each.what!r}") for each in feature.health]
        asked += [(group, "containers") for group in feature.containers]
        asked += [(group, "agents") for group in feature.agents]
        for group, what in asked:
            if group not in members:
                raise ConfigError(
                    f"the feature {feature.name} has {what} on the node group {group!r}",
                    details="the lab has no such group",
                    hint=nearest(group, members),
                )


def expected_containers(features: Iterable[Feature], nodes: Sequence[str]) -> dict[str, list[str]]:
    """The names of the containers that the features need on each node."""
    members = inventory.groups(nodes)
    wanted: dict[str, set[str]] = {node: set() for node in nodes}
    for feature in features:
        for group, names in feature.containers.items():
            for node in members[group]:
                wanted[node].update(names)
    return {node: sorted(names) for node, names in wanted.items()}


def container_troubles(
    found: Mapping[str, Sequence[Container]], wanted: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    """Yield a line for each container that is missing or not healthy."""
    for node, names in wanted.items():
        there = {container.name for container in found[node]}
        yield from (f"{node}: {name} is missing" for name in names if name not in there)
        for container in found[node]:
            if container.trouble is not None:
                yield f"{node}: {container.trouble}"


def wanted_pairs(kinds: Mapping[str, Sequence[str]], nodes: Sequence[str]) -> set[tuple[str, str]]:
    """Pairs of kind and node that must be alive."""
    members = inventory.groups(nodes)
    return {
        (kind, node) for group, names in kinds.items() for node in members[group] for kind in names
    }


def expected_agents(features: Iterable[Feature], nodes: Sequence[str]) -> set[tuple[str, str]]:
    """Pairs of type and node of Neutron's agents that must be alive."""
    return {pair for feature in features for pair in wanted_pairs(feature.agents, nodes)}


def alive_troubles(
    found: Mapping[tuple[str, str], bool], wanted: Iterable[tuple[str, str]]
) -> Iterator[str]:
    """Yield a line for each missing pair of kind and host, and for each that is down."""
    for kind, host in sorted(wanted):
        if (kind, host) not in found:
            yield f"{host}: {kind} is not registered"
    for (kind, host), alive in sorted(found.items()):
        if not alive:
            yield f"{host}: {kind} is down"


def wait_until_healthy(
    features: Sequence[Feature],
    nodes: Mapping[str, NodeMade],
    ssh: Ssh,
    connection: Connection,
    *,
    slowness: float,
    log: Path,
    waiting: Callable[[str], object] = lambda _: None,
) -> None:
    """Wait until the cloud is healthy. What is not healthy yet goes into the log.

    Args:
        features: The features of the cloud.
        nodes: The nodes, by name.
        ssh: SSH access to the nodes.
        connection: The connection of the cloud's administrator.
        slowness: Scales the timeout.
        log: The log file.
        waiting: Called with what is waited for, each time that this changes.

    Raises:
        StageError: The cloud did not become healthy in time. The details say what was wrong.
    """
    names = tuple(nodes)
    started, told = time.monotonic(), ""

    def probe() -> bool | NotYet:
        nonlocal told
        # The expensive checks come last, when all others succeed.
        troubles = _api(features, names, connection)
        troubles += _containers(features, names, ssh, ask=not troubles)
        if not troubles:
            troubles += _queues(features, names, ssh)
        if not troubles:
            troubles += check_troubles(features, nodes, ssh, connection)
        if not troubles:
            return True
        more = f"\nand {len(troubles) - SHOWN} more" if len(troubles) > SHOWN else ""
        trouble = "\n".join(troubles[:SHOWN]) + more
        if trouble != told:
            told, seconds = trouble, time.monotonic() - started
            waiting(f"waiting until all is healthy: {troubles[0]}")
            with log.open("a", encoding="utf-8") as file:
                file.write(f"not healthy after {seconds:.0f} s\n{indent(trouble, '  ')}\n")
        return NotYet(trouble)

    try:
        wait.until("the cloud is healthy", probe, timeout=DEADLINE * slowness, interval=INTERVAL)
    except WaitError as error:
        raise StageError(
            "the cloud was deployed but did not become healthy",
            details=error.details,
            hint="look at the logs below /var/log/kolla on the nodes; the next run checks again",
            log=log,
        ) from error


QUEUES = ("docker", "exec", "rabbitmq", "rabbitmqctl", "-q", "list_queues", "name", "consumers")


def queue_troubles(text: str, wanted: Iterable[str]) -> Iterator[str]:
    """Yield a line for each wanted queue without a consumer in the output of QUEUES.

    A service can be up and still handle no requests, for example while it reloads.
    """
    rows = (line.split("\t") for line in text.splitlines())
    read = {row[0] for row in rows if len(row) == 2 and row[1] not in ("0", "consumers")}
    yield from (f"no service takes requests for {name}" for name in sorted(set(wanted) - read))


def check_troubles(
    features: Iterable[Feature],
    nodes: Mapping[str, NodeMade],
    ssh: Ssh,
    connection: Connection,
) -> list[str]:
    """Run the features' own health checks.

    Returns:
        A line for each failed check, with what was seen instead.

    Raises:
        ConfigError: A check is for a node group that the lab does not have.
    """
    features = list(features)
    check_groups(features, tuple(nodes))
    members = inventory.groups(tuple(nodes))

    def look(check: HealthCheck, node: str) -> str | None:
        if check.command:
            return _run_check(check.command, node, ssh)
        addresses = nodes[node].addresses
        # Where there is no such network, tunnels use that of the management.
        addresses = {"tunnel": addresses["management"], **addresses}
        return _ask_check(check.url_of(addresses), connection)

    checks = [check for feature in features for check in feature.health]
    asked = [(check, node) for check in checks for node in members[check.group]]
    with ThreadPoolExecutor() as pool:
        seen = list(pool.map(lambda each: look(*each), asked))
    return [
        f"{node}: not yet: {check.what} ({trouble})"
        for (check, node), trouble in zip(asked, seen, strict=True)
        if trouble is not None
    ]


def _run_check(command: str, node: str, ssh: Ssh) -> str | None:
    try:
        result = ssh.run(node, ["sh", "-c", command], check=False, timeout=CHECK_TIMEOUT)
    except CommandError as error:
        return error.brief
    if result.returncode == 0:
        return None
    said = (result.stderr.strip() or result.stdout.strip()).splitlines()
    return f"exit code {result.returncode}" + (f": {said[-1]}" if said else "")


def _ask_check(url: str, connection: Connection) -> str | None:
    from keystoneauth1.exceptions import ClientException

    try:
        answer = connection.session.get(
            url,
            # Do not send the administrator's token: the URL is not of an OpenStack service.
            authenticated=False,
            raise_exc=False,
            timeout=REQUEST_TIMEOUT,
            redirect=False,
        )
    except ClientException as error:
        # The rest of the message is from urllib3 and repeats the URL.
        return str(error).splitlines()[0].partition(": HTTP")[0]
    return f"{url} answers {answer.status_code}" if answer.status_code >= 400 else None


def _queues(features: Sequence[Feature], nodes: Sequence[str], ssh: Ssh) -> Iterator[str]:
    wanted = {name for feature in features for name in feature.queues}
    if wanted:
        (control,) = inventory.groups(nodes)["control"]
        yield from queue_troubles(ssh.run(control, QUEUES).stdout, wanted)


def _containers(
    features: Sequence[Feature], nodes: Sequence[str], ssh: Ssh, *, ask: bool
) -> Iterator[str]:
    with ThreadPoolExecutor() as pool:
        looks = {node: pool.submit(_look, node, ssh, ask=ask) for node in nodes}
    found = {node: look.result() for node, look in looks.items()}
    yield from container_troubles(found, expected_containers(features, nodes))


def _look(node: str, ssh: Ssh, *, ask: bool) -> list[Container]:
    containers = parse_ps(ssh.run(node, PS).stdout)
    doubtful = [each.name for each in containers if each.unchecked or each.unhealthy]
    if not doubtful or not ask:
        return containers
    passed = ssh.run(node, ["sh", "-c", ASK, "ask", *doubtful]).stdout.split()
    return with_passed(containers, passed)


def _api(features: Sequence[Feature], nodes: Sequence[str], connection: Connection) -> list[str]:
    from keystoneauth1.exceptions import ClientException
    from openstack.exceptions import SDKException

    try:
        return list(_api_troubles(features, nodes, connection))
    except (ClientException, SDKException) as error:
        return [f"the API does not answer: {str(error).splitlines()[0]}"]


def _api_troubles(
    features: Sequence[Feature], nodes: Sequence[str], connection: Connection
) -> Iterator[str]:
    services = {name for feature in features for name in feature.services}
    yield from _endpoint_troubles(services, connection)
    agents: dict[tuple[str, str], bool] = {
        (agent.agent_type, agent.host): bool(agent.is_alive)
        for agent in connection.network.agents()
    }
    yield from alive_troubles(agents, expected_agents(features, nodes))
    wanted = {name for feature in features for name in feature.extensions}
    loaded = {extension.alias for extension in connection.network.extensions()} if wanted else set()
    yield from (f"the network API has no extension {name}" for name in sorted(wanted - loaded))
    if "compute" in services:
        running: dict[tuple[str, str], bool] = {
            (service.binary, service.host): service.state == "up"
            for service in connection.compute.services()
        }
        yield from alive_troubles(running, wanted_pairs(COMPUTE_SERVICES, nodes))


def asked_at(url: str, project: str | None) -> str:
    """The URL that shows whether a service answers, given that of its endpoint.

    Where an endpoint ends with the project's id, as Heat's does, there are only resources below it,
    and the root of the service is asked.
    """
    parts = urlsplit(url)
    if project is None or not parts.path.rstrip("/").endswith(f"/{project}"):
        return url
    return urlunsplit((parts.scheme, parts.netloc, "/", "", ""))


def _endpoint_troubles(services: Iterable[str], connection: Connection) -> Iterator[str]:
    catalogue: dict[str, Any] = {
        entry["type"]: entry["endpoints"] for entry in connection.service_catalog
    }
    for service in sorted(services):
        endpoints = catalogue.get(service, [])
        if not endpoints:
            yield f"{service}: no endpoint in the catalogue"
        found = (asked_at(endpoint["url"], connection.current_project_id) for endpoint in endpoints)
        for url in dict.fromkeys(found):
            answer = connection.session.get(
                url, raise_exc=False, timeout=REQUEST_TIMEOUT, redirect=False
            )
            if answer.status_code >= 400:
                yield f"{service}: {url} answers {answer.status_code}"
