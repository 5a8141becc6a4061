"""The seed: what cloud-init tells a machine about itself when it starts for the first time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_kollalab.engine.records import Tag
from pytest_kollalab.providers.addresses import Subnet
from pytest_kollalab.providers.base import HostKey
from pytest_kollalab.providers.docker.spec import dockerd_config, hosts_file
from pytest_kollalab.providers.libvirt.xml import INTERFACES, MTU, NETWORKS, mac
from pytest_kollalab.system import temporary
from pytest_kollalab.system.run import run

# The name by which cloud-init knows such a disk.
LABEL = "cidata"
# What our own image has in node/modprobe.conf, for images of others. udev was there before
# cloud-init, so the module goes.
WITHOUT_KVM = (
    "echo 'install kvm_amd /bin/false' > /etc/modprobe.d/kollalab.conf;"
    " modprobe --remove kvm_amd || true"
)
# cloud-init's networkd renderer (25.1) knows no `link-local: []`, so the interface would have an
# IPv6 address and the routes that a router advertises. Our own image has this file and no bootcmd;
# with netplan it has no effect.
FOLDER = f"/etc/systemd/network/10-cloud-init-{INTERFACES['external']}.network.d"
WITHOUT_ADDRESSES = (
    f"mkdir -p {FOLDER}; "
    f"printf '%s\\n' '[Network]' LinkLocalAddressing=no IPv6AcceptRA=no > {FOLDER}/kollalab.conf; "
    # Only the first boot has begun without the file.
    "if command -v networkctl > /dev/null; then networkctl reload; fi"
)


def user_data(
    node: str,
    subnets: Mapping[str, Subnet],
    authorized_key: str,
    host_key: HostKey,
    registry: str,
    *,
    without_kvm: bool = False,
) -> dict[str, Any]:
    """The machine's name, who may enter, its SSH host key, and files; for cloud-init 20 and up.

    `without_kvm` takes the processor's virtualization from it.
    """
    settings = dockerd_config(registry)
    if not registry:
        # Docker does not start with an empty name among its registries.
        settings["insecure-registries"] = []
    files = {
        "/etc/hosts": hosts_file(subnets),
        "/etc/docker/daemon.json": json.dumps(settings, indent=2) + "\n",
    }
    return {
        "bootcmd": [*([WITHOUT_KVM] if without_kvm else []), WITHOUT_ADDRESSES],
        "hostname": node,
        "manage_etc_hosts": False,
        "disable_root": False,
        "ssh_pwauth": False,
        "users": [
            {
                "name": "root",
                "lock_passwd": True,
                "ssh_authorized_keys": [authorized_key.strip()],
            }
        ],
        "ssh_deletekeys": True,
        "ssh_keys": {"ed25519_private": host_key.private, "ed25519_public": host_key.public},
        "write_files": [
            {"path": path, "content": text, "permissions": "0644"} for path, text in files.items()
        ],
    }


def network_config(lab: str, node: str, subnets: Mapping[str, Subnet]) -> dict[str, Any]:
    """The interfaces, named after their networks; `external` is left to Open vSwitch."""
    cards: dict[str, dict[str, Any]] = {}
    for network in NETWORKS:
        name, subnet = INTERFACES[network], subnets[network]
        card: dict[str, Any] = {
            "match": {"macaddress": mac(lab, node, network)},
            "set-name": name,
            "mtu": MTU[network],
        }
        if network == "provisioning":
            card["dhcp4"] = True
        elif network == "management":
            card["addresses"] = [f"{subnet.node(node)}/{subnet.cidr.prefixlen}"]
        else:
            card["link-local"] = []
        cards[name] = card
    return {"version": 2, "ethernets": cards}


def texts(
    tag: Tag,
    node: str,
    subnets: Mapping[str, Subnet],
    authorized_key: str,
    host_key: HostKey,
    registry: str,
    *,
    without_kvm: bool = False,
) -> dict[str, str]:
    """The files of the seed by name; JSON is YAML too."""
    # Another instance for cloud-init whenever the machine is made anew.
    meta = {"instance-id": f"{tag.lab}-{node}-{tag.run}", "local-hostname": node}
    user = user_data(node, subnets, authorized_key, host_key, registry, without_kvm=without_kvm)
    return {
        "meta-data": json.dumps(meta),
        "user-data": "#cloud-config\n" + json.dumps(user),
        "network-config": json.dumps(network_config(tag.lab, node, subnets)),
    }


def write_iso(files: Mapping[str, str], target: Path) -> None:
    """Write the seed as the disk image that cloud-init looks for; for its owner's eyes only."""
    target.touch(mode=0o600)
    with temporary.scratch(target.parent, "seed") as scratch:
        folder = Path(scratch)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
        run(
            [
                "xorriso", "-as", "mkisofs", "-quiet", "-volid", LABEL, "-joliet", "-rational-rock",
                "-output", target, folder,
            ]
        )  # fmt: skip
