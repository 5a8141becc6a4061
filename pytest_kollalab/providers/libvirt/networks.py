"""The networks of virtual machines: made at free addresses, started, and removed by tag."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network
from xml.etree import ElementTree

from pytest_kollalab.engine.records import Tag
from pytest_kollalab.providers import addresses
from pytest_kollalab.providers.addresses import Subnet
from pytest_kollalab.providers.libvirt import xml
from pytest_kollalab.providers.libvirt.host import BOOTSTRAP, LibvirtHost
from pytest_kollalab.providers.libvirt.xml import NETWORKS, resource_name
from pytest_kollalab.system.crash_points import point
from pytest_kollalab.system.errors import StageError

NAT = (
    "provisioning needs bridges, dnsmasq and a packet filter on libvirt's host: run there "
    f"`{BOOTSTRAP}`, and see why with `virsh net-start` and libvirt's log"
)


def make(host: LibvirtHost, tag: Tag, ranges: Sequence[str] = ()) -> dict[str, Subnet]:
    """Make and start the networks of a lab, with addresses of these ranges if any are named.

    Returns:
        The subnets, by network.
    """
    import libvirt

    taken = [*addresses.in_use(), *in_libvirt(host)]
    while True:
        block = addresses.pick(tag.lab, taken, ranges)
        cut = addresses.subnets(block)
        subnets = {network: cut[network] for network in NETWORKS}
        try:
            for network, subnet in subnets.items():
                _make_one(host, tag, network, subnet)
        except libvirt.libvirtError as error:
            destroy(host, tag.lab)
            # libvirt's host may have routes that we do not see, or another lab was faster.
            if "already in use" not in str(error):
                raise StageError(
                    "libvirt could not make the networks", details=str(error), hint=NAT
                ) from error
            taken.append(block)
        else:
            return subnets


def destroy(host: LibvirtHost, lab: str) -> None:
    """Remove the networks that carry the lab's tag."""
    for _, network in host.networks(lab):
        with host.doing(f"remove the network {network.name()}"):
            if network.isActive():
                network.destroy()
            network.undefine()
        point("nodes:bridge-removed")


def missing(host: LibvirtHost, lab: str) -> str | None:
    """The first network of a lab that is not there; None when all are."""
    there = {network.name() for _, network in host.networks(lab)}
    gone = [name for name in NETWORKS if resource_name(lab, name) not in there]
    return gone[0] if gone else None


def off(host: LibvirtHost, lab: str) -> list[str]:
    """The networks of a lab that are there and do not run."""
    there = {network.name() for _, network in host.networks(lab) if not network.isActive()}
    return [name for name in NETWORKS if resource_name(lab, name) in there]


def start(host: LibvirtHost, lab: str) -> None:
    """Start the networks of a lab that do not run."""
    for _, network in host.networks(lab):
        if not network.isActive():
            with host.doing(f"start the network {network.name()}", NAT):
                network.create()


def in_libvirt(host: LibvirtHost) -> Iterator[IPv4Network]:
    """The subnets of all networks that libvirt knows, also of those that do not run."""
    for network in host.connection.listAllNetworks():
        yield from in_xml(network.XMLDesc())


def in_xml(text: str) -> Iterator[IPv4Network]:
    """The IPv4 subnets in the XML of a network."""
    for ip in ElementTree.fromstring(text).iterfind("ip"):
        if ip.get("family", "ipv4") == "ipv4":
            mask = ip.get("prefix") or ip.get("netmask") or "32"
            yield IPv4Network(f"{ip.get('address')}/{mask}", strict=False)


def _make_one(host: LibvirtHost, tag: Tag, name: str, subnet: Subnet) -> None:
    network = host.connection.networkDefineXML(xml.network_xml(tag, name, subnet))
    point("nodes:bridge-defined")
    network.create()
    point("nodes:bridge-made")
