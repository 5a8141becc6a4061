"""Merges the layers of Kolla-Ansible's globals and custom configuration, without any I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import PurePosixPath
from typing import Any

from pytest_kollalab.features.base import Feature
from pytest_kollalab.providers.base import NodesMade
from pytest_kollalab.stages.cloud import ini
from pytest_kollalab.stages.images.made import ImagesMade
from pytest_kollalab.system.errors import ConfigError

Globals = Mapping[str, Any]

# Settings for a cloud of two small nodes: one worker per service, no load balancer in front of the
# only controller, no log shipping, no dashboard. Endpoints use the controller's own address.
DEFAULTS: Globals = {
    "kolla_base_distro": "debian",
    "enable_fluentd": False,
    "enable_glance": False,
    "enable_haproxy": False,
    "enable_heat": False,
    "enable_horizon": False,
    "enable_nova": False,
    "enable_placement": False,
    "enable_proxysql": False,
    "enable_valkey": False,
    "docker_disable_default_iptables_rules": True,
    "docker_registry_insecure": True,
    # MariaDB's own health check script is not in Debian's package.
    "mariadb_enable_healthchecks": False,
    "mariadb_innodb_log_file_size_mb": 96,
    "nova_compute_virt_type": "qemu",
    "openstack_service_rpc_workers": 1,
    "openstack_service_workers": 1,
    "prechecks_enable_host_ntp_checks": False,
}

CONFIG: Mapping[str, str] = {
    "galera.cnf": """\
[mysqld]
innodb_buffer_pool_size = 128M
max_connections = 500
""",
}


def merge_globals(features: Iterable[Feature], provider: Globals, user: Globals) -> dict[str, Any]:
    """Merge the globals of a lab: defaults, features, provider and user. Later layers win.

    Lists of several features are joined without duplicates.

    Raises:
        ConfigError: Two features want different values for a variable.
    """
    wanted: dict[str, Any] = {}
    owner: dict[str, str] = {}
    for feature in features:
        for name, value in feature.globals.items():
            if name not in wanted:
                wanted[name], owner[name] = value, feature.name
            elif isinstance(value, list) and isinstance(wanted[name], list):
                wanted[name] = wanted[name] + [item for item in value if item not in wanted[name]]
                owner[name] = f"{owner[name]} and {feature.name}"
            elif wanted[name] != value:
                raise _clash(
                    f"the Kolla variable {name}", owner[name], wanted[name], feature.name, value
                )
    return {**DEFAULTS, **wanted, **provider, **user}


def merge_config(
    features: Iterable[Feature],
    provider: Mapping[str, str],
    user: Mapping[str, str],
    *,
    userspace: bool,
) -> dict[str, str]:
    """Merge the files of Kolla's custom configuration folder, in the layers of `merge_globals`.

    INI files are merged option by option. Of any other file, the later layer wins.

    Args:
        features: The features of the lab.
        provider: Text by path, from the provider.
        user: Text by path, from the user.
        userspace: Whether Open vSwitch forwards in user space.

    Returns:
        Text by path below the folder.

    Raises:
        ConfigError: Two features want different values, a path is not below the folder, or a text
            that is not INI would replace an INI file.
    """
    features = list(features)
    wanted: dict[str, str] = {}
    owner: dict[str, str] = {}
    for feature in features:
        for path, text in feature.config.items():
            if path in wanted:
                clash = ini.difference(wanted[path], text)
                if clash is not None:
                    where, old, new = clash
                    raise _clash(f"{path}: {where}", owner[path], old, feature.name, new)
                owner[path] = f"{owner[path]} and {feature.name}"
            else:
                owner[path] = feature.name
            wanted[path] = ini.merge(wanted.get(path, ""), text, path)
    merged: dict[str, str] = {}
    own = [feature.userspace_config for feature in features if userspace]
    for layer in (CONFIG, *own, wanted, provider, user):
        for path, text in layer.items():
            _check_below(path)
            merged[path] = ini.merge(merged.get(path, ""), text, path)
    return merged


def _check_below(path: str) -> None:
    """Raise ConfigError for a path that would be written outside Kolla's configuration folder."""
    parts = PurePosixPath(path).parts
    if not parts or parts[0] == "/" or ".." in parts:
        raise ConfigError(
            f"config: {path!r} is not a path below Kolla's configuration folder",
            details="its file would be written somewhere else on this host",
            hint='name the file as Kolla does, for example "neutron.conf" or "nova/nova-api.conf"',
        )


def site_globals(images: ImagesMade, nodes: NodesMade) -> dict[str, Any]:
    """The globals that differ between labs: addresses, registry, interfaces and tag."""
    return {
        "docker_registry": nodes.registry,
        "docker_namespace": images.namespace,
        "openstack_tag": images.tag,
        "network_interface": nodes.interfaces["management"],
        "neutron_external_interface": nodes.interfaces["external"],
        "kolla_internal_vip_address": nodes.controller.management,
    }


def added_images(images: ImagesMade, nodes: NodesMade, tags: Mapping[str, str]) -> dict[str, Any]:
    """The variable `kollalab_images`: the reference of each added image, by its name.

    Added images have their own tags. `openstack_tag` is the tag of Kolla's images.
    """
    place = f"{nodes.registry}/{images.namespace}"
    found = {name: f"{place}/{name}:{tag}" for name, tag in tags.items()}
    return {"kollalab_images": found} if found else {}


def networks(nodes: NodesMade) -> dict[str, Any]:
    """The variable `kollalab_networks` with cidr, gateway and mtu of each network."""
    return {"kollalab_networks": {name: asdict(each) for name, each in nodes.networks.items()}}


def is_userspace(merged: Globals) -> bool:
    """Whether these globals make Open vSwitch forward in user space."""
    return merged.get("ovs_datapath") == "netdev"


def _clash(what: str, first: str, old: object, second: str, new: object) -> ConfigError:
    return ConfigError(
        f"{first} and {second} do not agree on {what}",
        details=f"{first} wants {old!r}, {second} wants {new!r}",
        hint="select one of them, or set the value in the configuration's own table",
    )
