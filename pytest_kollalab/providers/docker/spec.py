"""What a docker node is made of, as plain data: container, networks and the files inside."""

from __future__ import annotations

import io
import json
import tarfile
import uuid
from collections.abc import Collection, Mapping
from importlib.resources import files
from typing import Any

from pytest_kollalab.providers import base
from pytest_kollalab.providers.addresses import Subnet
from pytest_kollalab.providers.base import NETWORKS, REGISTRY, HostKey
from pytest_kollalab.providers.docker.kolla_variables import INTERFACES, UNDERLAY_BRIDGE
from pytest_kollalab.system.digest import digest

# The images of nodes, one tag each.
NODE_IMAGES = "kollalab/node"
FIRST_PROCESS = "/usr/local/lib/kollalab/first-process"
# Packaged files: name -> where they go on the node.
PACKAGED = {
    "first-process": FIRST_PROCESS,
    "underlay": "/usr/local/lib/kollalab/underlay",
    "kollalab-underlay.service": "/etc/systemd/system/kollalab-underlay.service",
    "journald.conf": "/etc/systemd/journald.conf.d/kollalab.conf",
    "sshd.conf": "/etc/ssh/sshd_config.d/kollalab.conf",
}
WANTED = "/etc/systemd/system/multi-user.target.wants"
# Where a node sees the layers that it shares with others, which it cannot change.
LAYERS = "/var/lib/kollalab/layers"
# Labels: which node a container is, and which volume of layers a saved state needs.
NODE, NEEDS = "kollalab.node", "kollalab.needs"


def resource_name(lab: str, thing: str) -> str:
    """The name of a container, network or volume."""
    return f"kollalab-{lab}-{thing}"


def own_volume(lab: str, node: str) -> str:
    """The name of the volume with the data of a node's docker."""
    return resource_name(lab, f"{node}-docker")


def registry_address(subnets: Mapping[str, Subnet]) -> str:
    """Where nodes find the lab's registry: host:port."""
    return f"{subnets['provisioning'].registry}:{base.PORT}"


def bridge_name(lab: str, network: str) -> str:
    """The name of a network's bridge on the host: at most 15 characters."""
    return f"kl{digest(lab)[:8]}-{network[:4]}"


def packaged_files() -> dict[str, str]:
    """The text of each packaged file of a node."""
    folder = files("pytest_kollalab.providers.docker") / "node"
    return {name: (folder / name).read_text(encoding="utf-8") for name in PACKAGED}


def network_config(
    lab: str, network: str, subnet: Subnet, labels: Mapping[str, str]
) -> dict[str, Any]:
    """The arguments of the SDK's `create_network`."""
    return {
        "name": resource_name(lab, network),
        "driver": "bridge",
        "ipam": {"Config": [{"Subnet": str(subnet.cidr), "Gateway": str(subnet.gateway)}]},
        "options": {
            "com.docker.network.bridge.name": bridge_name(lab, network),
            "com.docker.network.driver.mtu": str(subnet.mtu),
        },
        "labels": dict(labels),
    }


def node_config(
    lab: str,
    node: str,
    image: str,
    subnets: Mapping[str, Subnet],
    labels: Mapping[str, str],
    missing_capabilities: Collection[str],
    layers: str | None = None,
) -> dict[str, Any]:
    """The body of docker's container-create call for a node, attached to its first network.

    `layers` is the volume with the layers of images that it shares with other nodes.
    """
    first = NETWORKS[0]
    return {
        "Image": image,
        "Hostname": node,
        "Cmd": ["/bin/sh", FIRST_PROCESS],
        "Env": ["container=docker"],
        "Tty": True,
        "StopSignal": "SIGRTMIN+3",
        "Labels": dict(labels) | {NODE: node},
        "HostConfig": {
            **privileges(missing_capabilities),
            # overlay2 in the node cannot sit on the overlay of the node's own root.
            "Mounts": [
                {
                    "Type": "volume",
                    "Source": own_volume(lab, node),
                    "Target": "/var/lib/docker",
                },
                *([read_only(layers, LAYERS)] if layers else []),
            ],
            "NetworkMode": resource_name(lab, first),
            "RestartPolicy": {"Name": "no"},
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "1"}},
        },
        "NetworkingConfig": {
            "EndpointsConfig": {
                resource_name(lab, first): {
                    "IPAMConfig": {"IPv4Address": str(subnets[first].node(node))}
                }
            }
        },
    }


def privileges(missing_capabilities: Collection[str]) -> dict[str, Any]:
    """The part of docker's HostConfig that lets systemd and docker run in a container.

    It asks for all that `--privileged` gives and the host can give: docker refuses
    `--privileged` where the bounding set lacks a capability ("unable to apply caps").
    """
    return {
        "CapAdd": ["ALL"],
        "CapDrop": sorted(missing_capabilities),
        "SecurityOpt": ["seccomp=unconfined", "apparmor=unconfined", "label=disable"],
        "MaskedPaths": [],
        # Of the host as well. What is below /proc/sys is up to the first process.
        "ReadonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sysrq-trigger"],
        "DeviceCgroupRules": ["a *:* rwm"],
        "CgroupnsMode": "private",
        "Tmpfs": {
            "/run": "rw,exec,nosuid,nodev,mode=755",
            "/tmp": "rw,exec,nosuid,nodev,mode=1777",
        },
    }


def read_only(volume: str, target: str) -> dict[str, Any]:
    """A volume that is mounted where a node cannot change it, as docker's API describes it."""
    return {"Type": "volume", "Source": volume, "Target": target, "ReadOnly": True}


def registry_config(
    lab: str, image: str, root: str, subnets: Mapping[str, Subnet], labels: Mapping[str, str]
) -> dict[str, Any]:
    """The body of docker's container-create call for the lab's registry."""
    network = resource_name(lab, NETWORKS[0])
    return {
        "Image": image,
        "Hostname": REGISTRY,
        "Labels": dict(labels),
        "HostConfig": {
            "Mounts": [
                {
                    "Type": "bind",
                    "Source": root,
                    "Target": base.STORE,
                    "ReadOnly": True,
                }
            ],
            "NetworkMode": network,
            "RestartPolicy": {"Name": "no"},
        },
        "NetworkingConfig": {
            "EndpointsConfig": {
                network: {"IPAMConfig": {"IPv4Address": str(subnets[NETWORKS[0]].registry)}}
            }
        },
    }


def hosts_file(subnets: Mapping[str, Subnet]) -> str:
    """/etc/hosts: one address a name, as RabbitMQ's precheck wants it."""
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback"]
    management = subnets["management"]
    lines += [f"{management.node(name)} {name}" for name in management.nodes]
    return "\n".join(lines) + "\n"


def interfaces_file(node: str, subnets: Mapping[str, Subnet]) -> str:
    """What the first process needs to name interfaces: name, address, keep or flush."""
    lines = []
    for network in NETWORKS:
        # Open vSwitch owns these two: no address on the interface itself.
        mode = "flush" if network in ("external", "tunnel") else "keep"
        lines.append(f"{INTERFACES[network]} {subnets[network].node(node)} {mode}")
    return "\n".join(lines) + "\n"


def node_env(node: str, subnets: Mapping[str, Subnet]) -> str:
    """Variables of the scripts on the node, as shell assignments."""
    tunnel = subnets["tunnel"]
    values = {
        "GATEWAY": subnets["provisioning"].gateway,
        "GATEWAY_INTERFACE": INTERFACES["provisioning"],
        "UNDERLAY_BRIDGE": UNDERLAY_BRIDGE,
        "UNDERLAY_PORT": INTERFACES["tunnel"],
        "UNDERLAY_ADDRESS": f"{tunnel.node(node)}/{tunnel.cidr.prefixlen}",
    }
    return "".join(f"{name}={value}\n" for name, value in values.items())


def dockerd_config(insecure: str) -> dict[str, Any]:
    """daemon.json of the docker daemon inside a node; Kolla only uses the host's network."""
    return {
        "bridge": "none",
        "iptables": False,
        "ip6tables": False,
        "ip-forward": False,
        "insecure-registries": [insecure],
        "max-concurrent-downloads": 6,
        "log-opts": {"max-file": "2", "max-size": "20m"},
    }


def node_files(
    node: str,
    subnets: Mapping[str, Subnet],
    authorized_key: str,
    host_key: HostKey,
    insecure: str,
) -> dict[str, tuple[str, int]]:
    """Every file that is put into a node before its first start: path -> text and mode.

    `insecure` is the registry that its docker may use without TLS.
    """
    texts = packaged_files()
    found = {
        path: (texts[name], 0o755 if texts[name].startswith("#!") else 0o644)
        for name, path in PACKAGED.items()
    }
    found |= {
        "/etc/kollalab/hosts": (hosts_file(subnets), 0o644),
        "/etc/kollalab/interfaces": (interfaces_file(node, subnets), 0o644),
        "/etc/kollalab/node.env": (node_env(node, subnets), 0o644),
        "/etc/machine-id": (uuid.uuid4().hex + "\n", 0o444),
        "/etc/docker/daemon.json": (json.dumps(dockerd_config(insecure), indent=2), 0o644),
        "/etc/ssh/ssh_host_ed25519_key": (host_key.private, 0o600),
        "/etc/ssh/ssh_host_ed25519_key.pub": (host_key.public, 0o644),
        "/root/.ssh/authorized_keys": (authorized_key, 0o600),
    }
    return found


def archive(contents: Mapping[str, tuple[str, int]], links: Mapping[str, str]) -> bytes:
    """A tar of files and symbolic links, owned by root, with private folders kept private."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        secret = tarfile.TarInfo("root/.ssh")
        secret.type, secret.mode = tarfile.DIRTYPE, 0o700
        tar.addfile(secret)
        for path, (text, mode) in contents.items():
            data = text.encode()
            member = tarfile.TarInfo(path.lstrip("/"))
            member.size, member.mode = len(data), mode
            tar.addfile(member, io.BytesIO(data))
        for path, target in links.items():
            link = tarfile.TarInfo(path.lstrip("/"))
            link.type, link.linkname = tarfile.SYMTYPE, target
            tar.addfile(link)
    return buffer.getvalue()


def node_links() -> dict[str, str]:
    """Symbolic links that enable the node's own units."""
    unit = "kollalab-underlay.service"
    return {f"{WANTED}/{unit}": PACKAGED[unit]}
