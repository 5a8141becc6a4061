"""The docker provider's plain data: capabilities, bodies of calls, files of a node."""

from __future__ import annotations

import io
import json
import tarfile
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from pytest_kollalab.providers import addresses, capabilities
from pytest_kollalab.providers.base import NETWORKS, NODES, HostKey
from pytest_kollalab.providers.choice import choose
from pytest_kollalab.providers.docker import kolla_variables, node_image, spec
from pytest_kollalab.providers.docker.host import too_small
from pytest_kollalab.settings.config import Options
from pytest_kollalab.system.errors import ConfigError
from pytest_kollalab.system.paths import Paths
from tests import made

SUBNETS = addresses.subnets(IPv4Network("10.64.0.0/22"))
LABELS = {"kollalab.lab": "lab", "kollalab.stage": "nodes"}
ALL = "CapBnd:\t000001ffffffffff\n"
NO_SYS_RESOURCE = "Name:\tx\nCapBnd:\t000001fffeffffff\nCapAmb:\t0000000000000000\n"


def files_of(node: str) -> dict[str, tuple[str, int]]:
    key = HostKey("private", "pub")
    registry = spec.registry_address(SUBNETS)
    return spec.node_files(node, SUBNETS, "ssh-ed25519 AAAA user", key, registry)


def test_too_little_memory_is_a_problem_with_a_way_out() -> None:
    assert list(too_small(64 * 2**30)) == []
    (problem,) = too_small(4 * 2**30)
    assert problem.what == "4.0 GiB of memory; a lab needs 7"
    assert problem.fix == "use a host with more memory"


def test_missing_capabilities_are_named() -> None:
    assert capabilities.missing(ALL) == ()
    assert capabilities.missing(NO_SYS_RESOURCE) == ("SYS_RESOURCE",)
    assert len(capabilities.missing("CapBnd:\t0\n")) == len(capabilities.NAMES)


def test_capabilities_are_in_the_order_of_their_bits() -> None:
    assert capabilities.NAMES[12] == "NET_ADMIN"
    assert capabilities.NAMES[21] == "SYS_ADMIN"
    assert capabilities.NAMES[40] == "CHECKPOINT_RESTORE"


def test_a_node_asks_for_what_the_host_has() -> None:
    body = spec.node_config("lab", "compute-1", "image", SUBNETS, LABELS, ["SYS_RESOURCE"])
    host = body["HostConfig"]
    assert "Privileged" not in host
    assert (host["CapAdd"], host["CapDrop"]) == (["ALL"], ["SYS_RESOURCE"])
    assert host["CgroupnsMode"] == "private"
    assert body["Labels"]["kollalab.lab"] == "lab"
    assert body["Hostname"] == "compute-1"
    (mount,) = host["Mounts"]
    assert mount["Source"] == "kollalab-lab-compute-1-docker"
    endpoint = body["NetworkingConfig"]["EndpointsConfig"]["kollalab-lab-provisioning"]
    assert endpoint["IPAMConfig"]["IPv4Address"] == "10.64.0.12"


def test_a_node_cannot_change_the_layers_that_it_shares() -> None:
    body = spec.node_config("lab", "compute-1", "image", SUBNETS, LABELS, [], "layers")
    _, mount = body["HostConfig"]["Mounts"]
    assert mount == {
        "Type": "volume", "Source": "layers", "Target": spec.LAYERS, "ReadOnly": True,
    }  # fmt: skip


def test_the_registry_only_reads_its_store() -> None:
    body = spec.registry_config("lab", "image", "/store", SUBNETS, LABELS)
    [mount] = body["HostConfig"]["Mounts"]
    assert mount["Source"] == "/store"
    assert mount["ReadOnly"]
    assert "PortBindings" not in body["HostConfig"]
    endpoint = body["NetworkingConfig"]["EndpointsConfig"]["kollalab-lab-provisioning"]
    assert endpoint["IPAMConfig"]["IPv4Address"] == "10.64.0.2"


@pytest.mark.parametrize("network", NETWORKS)
def test_names_of_bridges_fit_the_kernel(network: str) -> None:
    name = spec.bridge_name("a-very-long-lab-name", network)
    assert len(name) <= 15
    assert name != spec.bridge_name("another-lab", network)


def test_bridges_of_a_lab_differ() -> None:
    assert len({spec.bridge_name("lab", network) for network in NETWORKS}) == len(NETWORKS)


def test_each_name_has_one_address_in_the_hosts_file() -> None:
    lines = [line.split() for line in spec.hosts_file(SUBNETS).splitlines()]
    addresses_of = {name: [line[0] for line in lines if name in line] for name in NODES}
    assert addresses_of == {"controller-1": ["10.64.1.11"], "compute-1": ["10.64.1.12"]}


def test_open_vswitch_gets_its_interfaces_without_an_address() -> None:
    lines = spec.interfaces_file("controller-1", SUBNETS).splitlines()
    assert lines == [
        "prov0 10.64.0.11 keep",
        "mgmt0 10.64.1.11 keep",
        "ext0 10.64.2.11 flush",
        "tun0 10.64.3.11 flush",
    ]


def test_a_node_pulls_from_the_registry_of_its_lab() -> None:
    text, _ = files_of("compute-1")["/etc/docker/daemon.json"]
    assert json.loads(text)["insecure-registries"] == ["10.64.0.2:4000"]


def test_scripts_can_be_executed_and_keys_are_private() -> None:
    found = files_of("compute-1")
    assert found[spec.FIRST_PROCESS][1] == 0o755
    assert found["/usr/local/lib/kollalab/underlay"][1] == 0o755
    assert found["/etc/ssh/ssh_host_ed25519_key"][1] == 0o600
    assert found["/etc/systemd/system/kollalab-underlay.service"][1] == 0o644


def test_nodes_do_not_share_an_identity() -> None:
    ids = {files_of(node)["/etc/machine-id"][0] for node in NODES}
    assert len(ids) == len(NODES)


def test_the_archive_holds_files_and_links() -> None:
    data = spec.archive({"/etc/x": ("text", 0o640)}, {"/etc/link": "/etc/x"})
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        members = {member.name: member for member in tar.getmembers()}
        content = tar.extractfile("etc/x")
        assert content is not None
        assert content.read() == b"text"
    assert members["etc/x"].mode == 0o640
    assert members["etc/link"].linkname == "/etc/x"
    assert members["root/.ssh"].mode == 0o700
    assert all(member.uid == 0 for member in members.values())


def test_limits_are_left_alone_only_where_they_cannot_be_raised() -> None:
    full = kolla_variables.kolla_globals([])
    lacking = kolla_variables.kolla_globals(["SYS_RESOURCE"])
    assert set(lacking) - set(full) == {
        "default_container_dimensions",
        "nova_libvirt_dimensions",
        "qemu_max_files",
        "qemu_max_processes",
    }
    assert full["ovs_datapath"] == "netdev"
    assert full["modules"] == []


def test_each_node_is_told_where_its_tunnels_begin() -> None:
    assert kolla_variables.host_vars(made.nodes({"compute-1": 12})) == {
        "compute-1": {
            "tunnel_interface_address": "10.64.3.12",
            "kollalab_underlay_bridge": "br-phy",
        }
    }


def test_the_image_is_made_from_the_mirror_with_the_hosts_authorities() -> None:
    cas = [Path("/usr/local/share/ca-certificates/own.crt")]
    argv = node_image.mmdebstrap("trixie", "http://mirror/debian/", Path("/t.tar"), cas)
    assert "deb http://mirror/debian trixie main" in argv
    assert "deb http://mirror/debian-security trixie-security main" in argv
    assert any("update-ca-certificates" in word for word in argv)
    plain = node_image.mmdebstrap("trixie", "http://mirror/debian", Path("/t.tar"), [])
    assert not any("update-ca-certificates" in word for word in plain)


def test_the_spec_of_the_image_knows_the_suite() -> None:
    assert node_image.spec("trixie") != node_image.spec("bookworm")


def test_auto_is_docker(tmp_path: Path) -> None:
    paths = Paths(cache=tmp_path, state=tmp_path)
    assert choose(Options(), paths).name == "docker"
    assert choose(Options(provider="libvirt"), paths).name == "libvirt"
    with pytest.raises(ConfigError, match="libvirt"):
        choose(Options(provider="libvrt"), paths)


def test_containers_are_saved_without_their_memory(tmp_path: Path) -> None:
    provider = choose(Options(), Paths(cache=tmp_path, state=tmp_path))
    assert provider.saving is not None
    assert not provider.saving.memory
