"""The XML that libvirt is given for a lab's machines, networks and volumes, and the tag in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from xml.etree import ElementTree

from pytest_kollalab.engine.records import Tag
from pytest_kollalab.providers.addresses import Subnet
from pytest_kollalab.providers.base import NODES
from pytest_kollalab.settings.config import MachineConfig
from pytest_kollalab.system.digest import digest

NAMESPACE = "urn:pytest-kollalab:tag:1"
# Tunnels between nodes travel the management network, as Kolla has it when nothing else is said.
NETWORKS = ("provisioning", "management", "external")
INTERFACES = {"provisioning": "prov0", "management": "mgmt0", "external": "ext0"}
# Whole packets of 1500 bytes fit into a tunnel, headers of VXLAN, MPLS and VLAN included.
MTU = {"provisioning": 1500, "management": 1600, "external": 1500}
DHCP_RANGE = (100, 199)

Element = ElementTree.Element


@dataclass(frozen=True)
class Machine:
    """What a domain is made of: its name, size, disks (paths on libvirt's host) and networks."""

    tag: Tag
    node: str
    size: MachineConfig
    accelerator: str
    disk: str
    seed: str
    console: str


def resource_name(lab: str, thing: str) -> str:
    """The name of a domain or network."""
    return f"kollalab-{lab}-{thing}"


def bridge_name(lab: str, network: str) -> str:
    """The name of a network's bridge on the host: at most 15 characters."""
    return f"kv{digest(lab)[:8]}-{network[:4]}"


def mac(lab: str, node: str, network: str) -> str:
    """The hardware address of a node in a network: the same in every build of a lab."""
    number = digest("mac", lab, node, network)
    return ":".join(["52:54:00", number[0:2], number[2:4], number[4:6]])


def metadata(tag: Tag) -> Element:
    """The tag as libvirt keeps it."""
    found = Element("metadata")
    found.append(Element(f"{{{NAMESPACE}}}tag", asdict(tag)))
    return found


def tag_in(text: str) -> Tag | None:
    """The tag in the XML of a domain or network; None when it is not ours."""
    found = ElementTree.fromstring(text).find(f"metadata/{{{NAMESPACE}}}tag")
    if found is None:
        return None
    return Tag(**{each.name: found.get(each.name, "") for each in fields(Tag)})


def network_xml(tag: Tag, network: str, subnet: Subnet) -> str:
    """A network: the host has the first address; only `provisioning` leads further."""
    root = Element("network")
    _text(root, "name", resource_name(tag.lab, network))
    root.append(metadata(tag))
    if network == "provisioning":
        ElementTree.SubElement(root, "forward", mode="nat")
    # No spanning tree: a port forwards as soon as it is there.
    ElementTree.SubElement(root, "bridge", name=bridge_name(tag.lab, network), stp="off", delay="0")
    ElementTree.SubElement(root, "mtu", size=str(MTU[network]))
    ip = ElementTree.SubElement(
        root, "ip", address=str(subnet.gateway), prefix=str(subnet.cidr.prefixlen)
    )
    if network == "provisioning":
        dhcp = ElementTree.SubElement(ip, "dhcp")
        first, last = (str(subnet.cidr[number]) for number in DHCP_RANGE)
        ElementTree.SubElement(dhcp, "range", start=first, end=last)
        for node in NODES:
            card, address = mac(tag.lab, node, network), str(subnet.node(node))
            ElementTree.SubElement(dhcp, "host", mac=card, name=node, ip=address)
    return _dump(root)


def domain_xml(machine: Machine) -> str:
    """A virtual machine: BIOS, virtio, a console into a file, no screen."""
    kvm = machine.accelerator == "kvm"
    lab = machine.tag.lab
    root = Element("domain", type=machine.accelerator)
    _text(root, "name", resource_name(lab, machine.node))
    root.append(metadata(machine.tag))
    _text(root, "memory", str(machine.size.memory), unit="MiB")
    _text(root, "vcpu", str(machine.size.cpus))
    system = ElementTree.SubElement(root, "os")
    _text(system, "type", "hvm", arch="x86_64", machine="pc")
    ElementTree.SubElement(system, "boot", dev="hd")
    features = ElementTree.SubElement(root, "features")
    ElementTree.SubElement(features, "acpi")
    ElementTree.SubElement(features, "apic")
    ElementTree.SubElement(root, "cpu", mode="host-passthrough" if kvm else "maximum")
    ElementTree.SubElement(root, "clock", offset="utc")
    _text(root, "on_poweroff", "destroy")
    _text(root, "on_reboot", "restart")
    _text(root, "on_crash", "preserve")
    root.append(_devices(machine))
    return _dump(root)


def volume_xml(name: str, size: int, form: str, backing: str = "", *, secret: bool = False) -> str:
    """A volume of `size` bytes; with `backing` it starts as what that one holds."""
    root = Element("volume")
    _text(root, "name", name)
    _text(root, "capacity", str(size), unit="bytes")
    target = ElementTree.SubElement(root, "target")
    ElementTree.SubElement(target, "format", type=form)
    if secret:
        _text(ElementTree.SubElement(target, "permissions"), "mode", "0600")
    if backing:
        below = ElementTree.SubElement(root, "backingStore")
        _text(below, "path", backing)
        ElementTree.SubElement(below, "format", type="qcow2")
    return _dump(root)


def pool_xml(name: str, folder: str) -> str:
    """A storage pool that is a folder of libvirt's host."""
    root = Element("pool", type="dir")
    _text(root, "name", name)
    target = ElementTree.SubElement(root, "target")
    _text(target, "path", folder)
    _text(ElementTree.SubElement(target, "permissions"), "mode", "0711")
    return _dump(root)


def probe_xml(name: str, accelerator: str, disk: str) -> str:
    """The smallest machine that starts from a disk."""
    root = Element("domain", type=accelerator)
    _text(root, "name", name)
    _text(root, "memory", "16", unit="MiB")
    system = ElementTree.SubElement(root, "os")
    _text(system, "type", "hvm", arch="x86_64", machine="pc")
    features = ElementTree.SubElement(root, "features")
    ElementTree.SubElement(features, "acpi")
    _text(root, "on_poweroff", "destroy")
    devices = ElementTree.SubElement(root, "devices")
    _disk(devices, disk, "hda", "ide", {"type": "raw"})
    _bare(devices, model="none")
    return _dump(root)


def volumes_of(text: str) -> Iterator[str]:
    """The paths of the disks in the XML of a domain."""
    for source in ElementTree.fromstring(text).iterfind("devices/disk/source"):
        if source.get("file"):
            yield str(source.get("file"))


def value_in(text: str, path: str) -> str:
    """The text of the first element at `path`, such as a volume's target/path."""
    return ElementTree.fromstring(text).findtext(path) or ""


def _devices(machine: Machine) -> Element:
    devices = Element("devices")
    # Nobody wants back what a machine had not yet written when its host went down.
    _disk(devices, machine.disk, "vda", "virtio", {"type": "qcow2", "cache": "unsafe"})
    _disk(devices, machine.seed, "vdb", "virtio", {"type": "raw"})
    ElementTree.SubElement(devices.findall("disk")[1], "readonly")
    for network in NETWORKS:
        card = ElementTree.SubElement(devices, "interface", type="network")
        ElementTree.SubElement(card, "mac", address=mac(machine.tag.lab, machine.node, network))
        name = resource_name(machine.tag.lab, network)
        ElementTree.SubElement(card, "source", network=name)
        ElementTree.SubElement(card, "model", type="virtio")
        # No card looks for something to start from, which takes a second each.
        ElementTree.SubElement(card, "rom", enabled="no")
    serial = ElementTree.SubElement(devices, "serial", type="file")
    ElementTree.SubElement(serial, "source", path=machine.console, append="on")
    ElementTree.SubElement(serial, "target", port="0")
    source = ElementTree.SubElement(devices, "rng", model="virtio")
    _text(source, "backend", "/dev/urandom", model="random")
    # Memory that a machine has used and freed is empty again: it is in no saved state.
    _bare(devices, model="virtio", freePageReporting="on")
    return devices


def _bare(devices: Element, **balloon: str) -> None:
    ElementTree.SubElement(devices, "controller", type="usb", model="none")
    ElementTree.SubElement(devices, "memballoon", balloon)
    ElementTree.SubElement(ElementTree.SubElement(devices, "video"), "model", type="none")


def _disk(devices: Element, path: str, device: str, bus: str, driver: Mapping[str, str]) -> None:
    disk = ElementTree.SubElement(devices, "disk", type="file", device="disk")
    ElementTree.SubElement(disk, "driver", {"name": "qemu", **driver})
    ElementTree.SubElement(disk, "source", file=path)
    ElementTree.SubElement(disk, "target", dev=device, bus=bus)


def _text(parent: Element, name: str, text: str, **attributes: str) -> None:
    ElementTree.SubElement(parent, name, attributes).text = text


def _dump(root: Element) -> str:
    return ElementTree.tostring(root, encoding="unicode")
