"""The networks of docker nodes, at free addresses; the host fills in checksums on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Network
from typing import TYPE_CHECKING

from pytest_kollalab.engine.records import Tag
from pytest_kollalab.providers import addresses
from pytest_kollalab.providers.addresses import Subnet
from pytest_kollalab.providers.docker import spec
from pytest_kollalab.system.crash_points import point
from pytest_kollalab.system.errors import StageError

if TYPE_CHECKING:
    from docker import DockerClient


def make(
    client: DockerClient,
    tag: Tag,
    nodes: tuple[str, ...],
    taken: list[IPv4Network],
    ranges: Sequence[str] = (),
) -> dict[str, Subnet]:
    """Make the networks of a lab with these nodes, at free addresses, and return their subnets.

    Args:
        client: The daemon.
        tag: The tag of the lab.
        nodes: The names of the nodes.
        taken: Networks that are in use.
        ranges: The ranges to take addresses from.
    """
    from docker.errors import APIError

    while True:
        block = addresses.pick(tag.lab, taken, ranges)
        subnets = addresses.subnets(block, nodes)
        try:
            _make_all(client, tag, subnets)
        except APIError as error:
            if "overlap" not in str(error):
                raise cannot_make("networks", error) from error
            # Another lab took the block between our look and our call.
            taken = [*taken, block]
        else:
            return subnets


def make_at(
    client: DockerClient, tag: Tag, subnets: Mapping[str, Subnet], taken: Iterable[IPv4Network]
) -> None:
    """Make the networks of a lab at given addresses. Raises StageError if they are not free."""
    from docker.errors import APIError

    used = list(taken)
    for name, subnet in subnets.items():
        if any(subnet.cidr.overlaps(other) for other in used):
            raise StageError(
                f"the addresses of the network {name}, {subnet.cidr}, are in use",
                hint="end the lab that has them, or let this one be built anew",
            )
    try:
        _make_all(client, tag, subnets)
    except APIError as error:
        raise cannot_make("networks", error) from error


def fill_in_checksums(client: DockerClient, tag: Tag, image: str) -> None:
    """Have the host finish checksums towards the networks that Open vSwitch reads raw.

    Userspace OVS sees packets of the host before their checksums are complete, and the other end
    drops them: ping works, TCP does not. Done in a container of the node `image` on the host's
    network, so that it works on a remote daemon too.
    """
    from docker.errors import ContainerError

    bridges = [spec.bridge_name(tag.lab, network) for network in ("external", "tunnel")]
    script = "; ".join(f"ethtool -K {bridge} tx off" for bridge in bridges)
    try:
        client.containers.run(
            image,
            ["sh", "-ec", script],
            cap_add=["NET_ADMIN"],
            labels=tag.labels(),
            network_mode="host",
            remove=True,
        )
    except ContainerError as error:
        raise StageError(
            "checksum offload of the lab's bridges could not be switched off",
            details=str(error),
        ) from error


def cannot_make(thing: str, error: Exception) -> StageError:
    """The error for a thing that docker refuses to make."""
    return StageError(
        f"docker could not make {thing}",
        details=str(error),
        hint="see the daemon's own log, then run again: what was made so far is removed",
    )


def _make_all(client: DockerClient, tag: Tag, subnets: Mapping[str, Subnet]) -> None:
    made: list[str] = []
    try:
        for network, subnet in subnets.items():
            body = spec.network_config(tag.lab, network, subnet, tag.labels())
            made.append(client.api.create_network(**body)["Id"])
            point("nodes:network-made")
    except BaseException:
        for network in made:
            client.api.remove_network(network)
        raise
