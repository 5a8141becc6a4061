"""The libvirt provider's plain data: XML, seed, image, console, verdict, and what Kolla is told."""

from __future__ import annotations

import json
import struct
import subprocess
import time
from ipaddress import IPv4Network
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pytest_kollalab.engine.records import Tag
from pytest_kollalab.features.core.feature import FEATURE as CORE
from pytest_kollalab.providers import addresses
from pytest_kollalab.providers.base import NODES, HostKey
from pytest_kollalab.providers.docker import kolla_variables as docker_variables
from pytest_kollalab.providers.libvirt import (
    console,
    kolla_variables,
    networks,
    probe,
    saves,
    storage,
    xml,
)
from pytest_kollalab.providers.libvirt import host as libvirt_host
from pytest_kollalab.providers.libvirt import image as libvirt_image
from pytest_kollalab.providers.libvirt import machines as libvirt_machines
from pytest_kollalab.providers.libvirt import seed as libvirt_seed
from pytest_kollalab.providers.libvirt.xml import NETWORKS, Machine
from pytest_kollalab.settings.config import ControllerConfig, MachineConfig, NodesConfig
from pytest_kollalab.settings.read import read
from pytest_kollalab.stages.cloud.kolla_variables import is_userspace, merge_config, merge_globals
from pytest_kollalab.system import ssh
from pytest_kollalab.system.errors import ConfigError, StageError

TAG = Tag("lab", "nodes", "key", "run", "/state")
SUBNETS = addresses.subnets(IPv4Network("10.64.0.0/22"))
MACHINE = Machine(TAG, "compute-1", MachineConfig(1, 768), "qemu", "/disk", "/seed", "/console")
IMAGE = "debian.qcow2"
SHA = "a" * 64


def domain(machine: Machine = MACHINE) -> ElementTree.Element:
    return ElementTree.fromstring(xml.domain_xml(machine))


def network(name: str) -> ElementTree.Element:
    return ElementTree.fromstring(xml.network_xml(TAG, name, SUBNETS[name]))


def test_the_tag_comes_back_from_whatever_carries_it() -> None:
    assert xml.tag_in(xml.domain_xml(MACHINE)) == TAG
    assert xml.tag_in(xml.network_xml(TAG, "external", SUBNETS["external"])) == TAG
    assert xml.tag_in("<domain><metadata/></domain>") is None
    assert xml.tag_in("<network/>") is None


def test_a_machine_is_as_big_as_it_was_told_and_has_no_screen() -> None:
    root = domain()
    assert root.get("type") == "qemu"
    assert root.findtext("memory") == "768"
    assert root.findtext("vcpu") == "1"
    assert root.findtext("os/type") == "hvm"
    assert root.find("os/loader") is None  # BIOS
    assert root.find("devices/graphics") is None
    serial = root.find("devices/serial/source")
    assert serial is not None
    assert serial.get("path") == "/console"
    assert list(xml.volumes_of(xml.domain_xml(MACHINE))) == ["/disk", "/seed"]


def test_the_processor_is_the_hosts_where_it_can_be() -> None:
    kvm = domain(Machine(TAG, "compute-1", MachineConfig(), "kvm", "/d", "/s", "/c"))
    modes = [root.find("cpu") for root in (kvm, domain())]
    assert [mode.get("mode") for mode in modes if mode is not None] == [
        "host-passthrough",
        "maximum",
    ]


def test_a_machine_gives_back_the_memory_that_it_has_freed() -> None:
    balloon = domain().find("devices/memballoon")
    assert balloon is not None
    assert balloon.attrib == {"model": "virtio", "freePageReporting": "on"}


def test_only_the_seed_is_never_written() -> None:
    disks = domain().findall("devices/disk")
    assert [disk.find("readonly") is not None for disk in disks] == [False, True]


def test_only_provisioning_leads_out_and_gives_each_node_its_address() -> None:
    found = {name: network(name) for name in NETWORKS}
    assert [name for name in NETWORKS if found[name].find("forward") is not None] == [
        "provisioning"
    ]
    hosts = found["provisioning"].findall("ip/dhcp/host")
    assert {host.get("name"): host.get("ip") for host in hosts} == {
        "controller-1": "10.64.0.11",
        "compute-1": "10.64.0.12",
    }
    cards = domain().findall("devices/interface/mac")
    assert hosts[1].get("mac") == cards[0].get("address")
    assert found["management"].find("ip/dhcp") is None


def test_names_of_bridges_fit_the_kernel_and_differ_from_containers_ones() -> None:
    names = {xml.bridge_name("a-very-long-lab-name", name) for name in NETWORKS}
    assert len(names) == len(NETWORKS)
    assert max(map(len, names)) <= 15
    assert all(name.startswith("kv") for name in names)


def test_hardware_addresses_differ_and_stay() -> None:
    every = {xml.mac("lab", node, name) for node in NODES for name in NETWORKS}
    assert len(every) == len(NODES) * len(NETWORKS)
    assert xml.mac("lab", "compute-1", "external") in every


def test_subnets_of_libvirts_networks_are_taken() -> None:
    text = (
        "<network><ip address='192.168.122.1' netmask='255.255.255.0'/>"
        "<ip family='ipv6' address='fd00::1' prefix='64'/></network>"
    )
    assert list(networks.in_xml(text)) == [IPv4Network("192.168.122.0/24")]
    own = xml.network_xml(TAG, "external", SUBNETS["external"])
    assert list(networks.in_xml(own)) == [IPv4Network("10.64.2.0/24")]


def seed(
    node: str = "controller-1", tag: Tag = TAG, *, without_kvm: bool = False
) -> dict[str, str]:
    return libvirt_seed.texts(
        tag,
        node,
        SUBNETS,
        "ssh-ed25519 AAAA u\n",
        HostKey("private", "public"),
        "10.64.0.1:4000",
        without_kvm=without_kvm,
    )


def test_the_seed_says_who_may_enter_and_who_it_is() -> None:
    head, _, text = seed()["user-data"].partition("\n")
    assert head == "#cloud-config"
    told = json.loads(text)
    assert told["hostname"] == "controller-1"
    assert told["users"][0]["ssh_authorized_keys"] == ["ssh-ed25519 AAAA u"]
    assert told["ssh_keys"]["ed25519_private"] == "private"
    files = {each["path"]: each["content"] for each in told["write_files"]}
    assert "10.64.1.12 compute-1" in files["/etc/hosts"]
    assert json.loads(files["/etc/docker/daemon.json"])["insecure-registries"] == ["10.64.0.1:4000"]


def test_docker_starts_on_machines_that_have_no_registry() -> None:
    # It refuses an empty name among the registries.
    key = HostKey("private", "public")
    told = libvirt_seed.user_data("compute-1", SUBNETS, "key", key, "")
    files = {each["path"]: each["content"] for each in told["write_files"]}
    assert json.loads(files["/etc/docker/daemon.json"])["insecure-registries"] == []


def test_the_seed_names_interfaces_and_leaves_the_external_one_alone() -> None:
    cards = json.loads(seed()["network-config"])["ethernets"]
    assert cards["prov0"]["dhcp4"] is True
    assert cards["mgmt0"]["addresses"] == ["10.64.1.11/24"]
    assert not {"addresses", "dhcp4"} & set(cards["ext0"])


def test_another_build_is_another_instance_for_cloud_init() -> None:
    again = seed(tag=Tag("lab", "nodes", "key", "other"))
    assert again["meta-data"] != seed()["meta-data"]


def test_the_seed_keeps_images_of_others_from_kvm() -> None:
    assert "kvm_amd" in seed(without_kvm=True)["user-data"]
    assert "kvm_amd" not in seed()["user-data"]


def test_the_external_interface_has_no_address_in_images_of_others_too(tmp_path: Path) -> None:
    told = json.loads(seed()["user-data"].partition("\n")[2])
    # Carried out in a folder in place of the root.
    command = told["bootcmd"][-1].replace("/etc/", f"{tmp_path}/")
    subprocess.run(["sh", "-euc", command.replace("networkctl", "true")], check=True)
    (file,) = tmp_path.rglob("*.conf")
    assert file.relative_to(tmp_path).parts[:2] == ("systemd", "network")
    assert file.parent.name == "10-cloud-init-ext0.network.d"
    assert file.read_text() == "[Network]\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n"


def test_sizes_have_defaults_of_their_own(tmp_path: Path) -> None:
    sizes = libvirt_machines.sizes(NodesConfig())
    assert (sizes["controller-1"].memory, sizes["compute-1"].memory) == (8192, 4096)
    path = tmp_path / "kollalab.toml"
    path.write_text("[nodes.controller]\ncpus = 1\n[nodes.compute]\nmemory = 768\n")
    config = read(path).config
    assert config.nodes.controller == ControllerConfig(1, 8192)
    assert config.nodes.compute == MachineConfig(2, 768)


def test_an_image_counts_from_the_configuration_and_needs_its_checksum(tmp_path: Path) -> None:
    path = tmp_path / "kollalab.toml"
    path.write_text(f"[nodes]\nimage = '{IMAGE}'\n")
    config = read(path).config
    assert config.nodes.image == str(tmp_path / IMAGE)
    with pytest.raises(ConfigError, match=r"nodes\.checksum") as caught:
        libvirt_image.spec(config.nodes)
    assert f"sha256sum {IMAGE}" in caught.value.hint
    path.write_text(f"[nodes]\nimage = 'https://host/{IMAGE}'\nchecksum = 'sha256:{SHA}'\n")
    config = read(path).config
    assert config.nodes.image == f"https://host/{IMAGE}"
    assert libvirt_image.spec(config.nodes)["sha256"] == SHA


def test_the_name_of_an_image_is_that_of_its_content_and_not_of_its_place() -> None:
    here, there = (NodesConfig(image=f"/{place}/x", checksum=SHA) for place in ("a", "b"))
    assert libvirt_image.name(here) == libvirt_image.name(there)
    assert libvirt_image.name(here) != libvirt_image.name(NodesConfig())
    assert libvirt_image.name(NodesConfig(disk=20)) != libvirt_image.name(NodesConfig())


def test_an_image_with_another_checksum_is_refused(tmp_path: Path) -> None:
    image = tmp_path / IMAGE
    image.write_bytes(b"not an image")
    nodes = NodesConfig(image=str(image), checksum=SHA)
    with pytest.raises(StageError, match="not the image that it should be") as caught:
        libvirt_image.fetch(nodes, tmp_path / "scratch", tmp_path / "made")
    assert SHA in caught.value.details
    assert not (tmp_path / "made").exists()
    with pytest.raises(ConfigError, match="there is no image"):
        libvirt_image.fetch(
            NodesConfig(image=str(tmp_path / "none"), checksum=SHA), tmp_path / "x", tmp_path / "y"
        )


def test_the_boot_record_has_one_active_partition_up_to_the_end() -> None:
    record = libvirt_image.boot_record(b"G" * 512, 10000)
    assert len(record) == 512
    assert record[:440] == b"G" * 440
    active, _, kind, _, start, length = struct.unpack("<B3sB3sII", record[446:462])
    assert (active, kind, start, start + length) == (0x80, 0x83, 2048, 10000)
    assert record[510:] == b"\x55\xaa"


def test_the_image_is_made_from_the_mirror_with_the_hosts_authorities() -> None:
    cas = [Path("/usr/local/share/ca-certificates/own.crt")]
    argv = libvirt_image.mmdebstrap("trixie", "http://m/debian/", Path("/w"), Path("/t"), cas)
    assert "deb http://m/debian trixie main" in argv
    assert any("update-ca-certificates" in word for word in argv)
    assert any("linux-image-cloud-amd64" in word for word in argv)


def test_the_probe_is_a_boot_sector() -> None:
    assert len(probe.SECTOR) == 512
    assert probe.SECTOR.endswith(b"\x55\xaa")


def test_a_verdict_is_good_for_a_day(tmp_path: Path) -> None:
    path, later = tmp_path / "kvm-1.json", tmp_path / "kvm-2.json"
    now = time.time()
    assert probe.verdict(path, now) is None
    probe.remember(path, "", now)
    assert probe.verdict(path, now + 60) == ""
    assert probe.verdict(path, now + 25 * 3600) is None
    probe.remember(later, "no", now + 60)
    assert path.exists()
    probe.remember(later, "no", now + 25 * 3600)
    assert not path.exists()
    assert probe.verdict(later, now + 26 * 3600) == "no"
    path.write_text("{")
    assert probe.verdict(path, now) is None


def test_one_panic_may_be_the_emulators_and_three_are_the_kernels() -> None:
    panic = "[ 1.0] Kernel panic - not syncing: VFS: Unable to mount root fs\nRebooting in 1 s..\n"
    assert console.hopeless("compute-1", "all is well") is None
    assert console.hopeless("compute-1", panic) is None
    assert "VFS: Unable" in str(console.hopeless("compute-1", panic * 3))
    final = panic + "---[ end Kernel panic - not syncing: VFS: Unable to mount root fs ]---"
    assert "VFS: Unable" in str(console.hopeless("compute-1", final))


def test_what_only_a_terminal_understands_is_left_out() -> None:
    assert console.plain(b"\x1b[0;1mbold\x1b[0m\r\nplain\x1b[?7l") == "bold\nplain"


def test_a_state_of_one_machine_alone_is_none() -> None:
    assert saves.complete([["a", "b"], ["b", "c"]]) == ["b"]
    assert saves.complete([["a"], []]) == []
    assert saves.complete([["a"]]) == []


def test_disks_are_known_by_their_lab_and_base_images_by_nobody() -> None:
    name = storage.volume_name("lab", "compute-1.disk")
    assert storage.lab_of(name) == "lab"
    assert storage.lab_of("base-0123456789ab.qcow2") == ""
    assert storage.lab_of("kollalab-probe-01234567") == ""


def test_a_remote_host_is_the_way_to_its_nodes_and_this_one_is_not() -> None:
    assert libvirt_host.remote("qemu:///system") is None
    assert libvirt_host.remote("qemu+ssh://root@127.0.0.1:2222/system") is None
    there = libvirt_host.remote("qemu+ssh://me@192.0.2.1:2222/system?keyfile=/key")
    assert there is not None
    assert there.proxy == "ssh -p 2222 -i /key -o BatchMode=yes me@192.0.2.1 -W %h:%p"


def test_an_ssh_config_leads_through_a_remote_host(tmp_path: Path) -> None:
    config = tmp_path / "config"
    ssh.write_config(
        config,
        addresses={"compute-1": "10.0.0.12"},
        key=tmp_path / "key",
        host_keys={"compute-1": "ssh-ed25519 AAAA"},
        sockets=tmp_path,
        connection="run",
        jump="ssh there -W %h:%p",
    )
    assert "    ProxyCommand ssh there -W %h:%p\n" in config.read_text()


@pytest.mark.parametrize(
    ("uri", "said", "advice"),
    [
        ("qemu:///system", "Permission denied", "group libvirt"),
        ("qemu:///system", "No such file or directory", "kollalab bootstrap"),
        ("qemu+ssh://host/system", "Permission denied", "virsh --connect qemu+ssh://host/system"),
        ("qemu+ssh://host/system", "Connection refused", "virsh --connect"),
    ],
)
def test_every_way_not_to_reach_libvirt_has_its_way_out(uri: str, said: str, advice: str) -> None:
    assert advice in libvirt_host.way_out(uri, said)


def test_nothing_of_the_container_provider_leaks_into_machines() -> None:
    machines = kolla_variables.kolla_globals(emulated=False)
    assert set(machines) == {"network_interface", "neutron_external_interface"}
    containers = docker_variables.kolla_globals(["SYS_RESOURCE"])
    merged = merge_globals([CORE], machines, {})
    assert not (set(containers) - set(machines)) & (
        set(merged) - set(merge_globals([CORE], {}, {}))
    )
    assert "ovs_datapath" not in merged
    assert "modules" not in merged
    assert "tunnel_interface_address" not in merged
    assert not is_userspace(merged)
    files = merge_config([CORE], {}, {}, userspace=is_userspace(merged))
    assert "neutron/openvswitch_agent.ini" not in files


def test_emulated_machines_have_longer_for_an_answer() -> None:
    emulated = kolla_variables.kolla_globals(emulated=True)
    assert emulated.pop("kollalab_rpc_timeout") == 60
    assert emulated.pop("default_container_healthcheck_timeout") == 120
    assert emulated.pop("default_container_healthcheck_interval") == 240
    # Kolla's own takes minutes there: the container would be unhealthy for good.
    assert "healthcheck_listen" in emulated.pop("rabbitmq_healthcheck_test")[1]
    assert emulated == kolla_variables.kolla_globals(emulated=False)
    assert "{{ kollalab_rpc_timeout | default(20) }}" in CORE.config["neutron.conf"]
