"""Waits until nodes and cloud are usable after a rollback."""

from __future__ import annotations

import datetime
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_kollalab.features.base import Feature
from pytest_kollalab.providers.base import NodeMade, NodesMade, Provider
from pytest_kollalab.stages.cloud import health
from pytest_kollalab.stages.cloud.connect import connect
from pytest_kollalab.stages.cloud.made import CloudMade
from pytest_kollalab.stages.nodes import await_nodes
from pytest_kollalab.system.errors import CommandError, StageError, WaitError
from pytest_kollalab.system.ssh import Ssh, close
from pytest_kollalab.system.wait import NotYet, until

if TYPE_CHECKING:
    from openstack.connection import Connection

API_TIMEOUT = 120.0
REPORT_TIMEOUT = 240.0
# Linux reports free memory to its host after two seconds (mm/page_reporting.c,
# PAGE_REPORTING_DELAY), and only in blocks of 2 MiB. Memory is therefore compacted first.
GIVE_BACK = """\
sync
echo 3 > /proc/sys/vm/drop_caches
echo 1 > /proc/sys/vm/compact_memory
sleep 3
"""
GIVE_BACK_TIMEOUT = 60.0
# Adds whole seconds to the clock, so that the clocks of the nodes do not drift apart.
STEP = 'now=$(date +%s.%N) && date --set="@$((${now%.*} + $1)).${now#*.}"'


def settle(
    lab: str,
    nodes: NodesMade,
    cloud: CloudMade | None,
    provider: Provider,
    resolve: Callable[[Iterable[str]], Sequence[Feature]],
    log: Path,
    since: datetime.datetime | None = None,
) -> None:
    """Wait until nodes and cloud are usable after a rollback or an interrupted save.

    Args:
        lab: Name of the lab.
        nodes: The nodes.
        cloud: The cloud on the nodes, if there is one.
        provider: The provider of the nodes.
        resolve: Returns the features with these names.
        log: The log file.
        since: When the nodes were rolled back, in UTC. None if nothing was restarted.

    Raises:
        StageError: Nodes or cloud did not become usable in time. The details say what was wrong.
    """
    ssh, names = Ssh(nodes.ssh_config), list(nodes.nodes)
    # Earlier SSH connections are broken, but neither end notices.
    close(ssh.config)
    await_nodes(provider, lab, names, ssh, nodes.registry, log)
    saving = provider.saving
    if saving is not None and saving.own_clock:
        step_clocks(ssh, names)
    if cloud is not None:
        features = resolve(cloud.features)
        slowness = provider.slowness
        awake = saving is not None and saving.memory
        await_cloud(cloud, features, nodes.nodes, ssh, awake=awake, slowness=slowness, log=log)
        if since is not None and not awake:
            wanted = health.expected_agents(features, names)
            await_reports(cloud, wanted, since, timeout=REPORT_TIMEOUT * slowness)


def step_clocks(ssh: Ssh, nodes: Iterable[str]) -> int:
    """Set the clocks of nodes that were paused together.

    Returns:
        The number of seconds by which all clocks were set forward.
    """
    names = list(nodes)
    asked = time.time()
    said = ssh.run(names[0], ["date", "+%s.%N"]).stdout
    # Assume that the node read its clock in the middle of the round trip.
    behind = round((asked + time.time()) / 2 - float(said))
    if behind:
        with ThreadPoolExecutor() as pool:
            jobs = [
                pool.submit(ssh.run, name, ["sh", "-c", STEP, "step", str(behind)])
                for name in names
            ]
        for job in jobs:
            job.result()
    return behind


def give_back_memory(ssh: Ssh, nodes: Iterable[str]) -> None:
    """Make machines drop their caches and give free memory back to the host.

    Machines that do not answer are ignored.
    """

    def give_back(node: str) -> None:
        with suppress(CommandError):
            ssh.run(node, ["sh", "-c", GIVE_BACK], timeout=GIVE_BACK_TIMEOUT)

    with ThreadPoolExecutor() as pool:
        list(pool.map(give_back, nodes))
    close(ssh.config)


def await_cloud(
    made: CloudMade,
    features: Sequence[Feature],
    nodes: Mapping[str, NodeMade],
    ssh: Ssh,
    *,
    awake: bool = False,
    slowness: float,
    log: Path,
) -> None:
    """Wait until the cloud is healthy and its API can write and read.

    Args:
        made: The cloud.
        features: The features of the cloud.
        nodes: The nodes, by name.
        ssh: SSH access to the nodes.
        awake: Whether the API was never restarted. Both conditions are then checked concurrently.
        slowness: Scales the timeouts.
        log: The log file.

    Raises:
        StageError: The cloud did not become healthy in time. The details say what was wrong.
    """

    def is_healthy() -> None:
        with connect(made) as connection:
            health.wait_until_healthy(features, nodes, ssh, connection, slowness=slowness, log=log)

    def writes() -> None:
        with connect(made) as connection:
            write_and_read(connection, timeout=API_TIMEOUT * slowness)

    if awake:
        with ThreadPoolExecutor() as pool:
            written = pool.submit(writes)
            is_healthy()
        written.result()
    else:
        is_healthy()
        writes()


def await_reports(
    made: CloudMade,
    wanted: Iterable[tuple[str, str]],
    since: datetime.datetime,
    *,
    timeout: float,
) -> None:
    """Wait until each network agent has reported after a point in time.

    Without this, an agent that has not started yet could seem alive because of an older report.

    Args:
        made: What the stage `cloud` made.
        wanted: Type and node of the agents that must exist. All other agents must report as well.
        since: When the agents were restarted, in UTC.
        timeout: How long to wait, in seconds.

    Raises:
        StageError: An agent did not report in time.
    """
    connection = connect(made)

    def probe() -> bool | NotYet:
        told = {
            (agent.agent_type, agent.host): str(agent.last_heartbeat_at)
            for agent in connection.network.agents()
        }
        late = silent(told, wanted, since)
        return NotYet(f"silent: {', '.join(late)}") if late else True

    try:
        _until(
            "all network agents have reported",
            probe,
            timeout=timeout,
            otherwise="not all network agents came back",
        )
    finally:
        connection.close()


def silent(
    told: Mapping[tuple[str, str], str],
    wanted: Iterable[tuple[str, str]],
    since: datetime.datetime,
) -> list[str]:
    """The agents that do not exist or have not reported since a point in time.

    Args:
        told: The time of each agent's last report, in UTC, by type and node.
        wanted: Type and node of the agents that must exist.
        since: The point in time, in UTC.
    """
    late = {
        agent
        for agent, time_ in told.items()
        if datetime.datetime.fromisoformat(time_).replace(tzinfo=datetime.UTC) < since
    }
    return sorted(f"{kind} of {node}" for kind, node in late | (set(wanted) - told.keys()))


def write_and_read(connection: Connection, *, timeout: float) -> None:
    """Create, read and delete a network, which uses the API, the database and the queues."""
    name = f"kollalab-quiet-{uuid.uuid4().hex[:8]}"

    def probe() -> bool | NotYet:
        for left in connection.network.networks(name=name):
            connection.network.delete_network(left)
        made = connection.network.create_network(name=name)
        found = connection.network.get_network(made.id)
        connection.network.delete_network(made)
        return True if found.name == name else NotYet(f"it is called {found.name}")

    _until(
        "the network API writes and reads",
        probe,
        timeout=timeout,
        otherwise="the cloud's API does not write and read",
    )


def _until(what: str, ask: Callable[[], bool | NotYet], *, timeout: float, otherwise: str) -> None:
    """Call `ask` until it returns true. Errors of the cloud's API count as not yet."""
    from keystoneauth1.exceptions import ClientException
    from openstack.exceptions import SDKException

    def probe() -> bool | NotYet:
        try:
            return ask()
        except (ClientException, SDKException) as error:
            return NotYet(str(error))

    try:
        until(what, probe, timeout=timeout, interval=1.0)
    except WaitError as error:
        raise StageError(
            otherwise,
            details=error.details,
            hint="look at the logs below /var/log/kolla on the nodes, or build the cloud anew with "
            "--fresh cloud",
        ) from error
