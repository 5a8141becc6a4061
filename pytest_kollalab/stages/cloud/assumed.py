"""Kolla-Ansible's variables that a lab depends on: they are followed, or they are fixed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from pytest_kollalab.features.backend import BACKENDS, OVN, OVS, NetworkBackend
from pytest_kollalab.system.errors import ConfigError

# What Ansible's filter `bool` takes for true and false.
TRUTH = {
    **dict.fromkeys(("true", "yes", "on", "1", "t", "y"), True),
    **dict.fromkeys(("false", "no", "off", "0", "f", "n"), False),
}


@dataclass(frozen=True)
class Access:
    """How clients reach a cloud's API.

    Attributes:
        region: The name of the region.
        user: The administrator's user name.
        project: The administrator's project.
    """

    region: str = "RegionOne"
    user: str = "admin"
    project: str = "admin"


@dataclass(frozen=True)
class Fixed:
    """Variables that cannot be set to any value.

    Attributes:
        names: Their names, as shell patterns.
        why: Why they are fixed, as a clause.
        hint: What to do instead.
        allowed: The values that they may have. Empty if they may not be set at all.
        includes: The parts that a comma-separated value must have.
    """

    names: tuple[str, ...]
    why: str
    hint: str = "take it out of [globals]"
    allowed: tuple[object, ...] = ()
    includes: tuple[str, ...] = ()

    def covers(self, name: str) -> bool:
        """Whether it is about this variable."""
        return any(fnmatchcase(name, each) for each in self.names)

    def allows(self, value: object) -> bool:
        """Whether a variable may have this value."""
        if self.includes:
            parts = {part.strip() for part in str(value).split(",")}
            return parts.issuperset(self.includes)
        return plain(value) in self.allowed


# Followed: clouds.yaml, and with it every client of a lab, uses the values that a user gave.
FOLLOWED: Mapping[str, str] = {
    "openstack_region_name": "region",
    "keystone_admin_user": "user",
    "keystone_admin_project": "project",
}

TUNNELS = {"vxlan": "VXLAN", "geneve": "Geneve"}
_OWN_ADDRESSES = "each lab has addresses of its own, so that no two labs need different ports"
_ONE_CONTROLLER = "a lab has a single controller and no load balancer in front of it"
_IN_TESTS = "the fixtures for tests look for it"

FIXED: tuple[Fixed, ...] = (
    Fixed(
        ("*_vip_address", "kolla_internal_address", "*_interface_address", "database_address"),
        "the provider chooses the addresses of a lab",
    ),
    Fixed(
        ("*_fqdn",),
        "services are reached by the address of the controller; nothing resolves other names",
    ),
    Fixed(
        ("*network_interface", "api_interface", "tunnel_interface", "neutron_external_interface",
         "kolla_external_vip_interface", "migration_interface"),
        "the provider names the interfaces of nodes",
    ),
    Fixed(("*_address_family",), "the networks of a lab have IPv4 addresses", allowed=("ipv4",)),
    Fixed(
        ("docker_registry", "docker_namespace", "docker_image_name_prefix", "docker_image_url",
         "openstack_tag", "openstack_tag_suffix"),
        "nodes pull the images that the stage `images` made",
        "name other images by `source` and `tag` of [images]",
    ),
    Fixed(
        ("kolla_base_distro_version",),
        "the images of a release are of one Debian release",
    ),
    Fixed(("kolla_base_distro",), "all images are built on Debian", allowed=("debian",)),
    Fixed(
        ("openstack_release",), "it is the release of the lab", "set `release` in kollalab.toml"
    ),
    Fixed(("kolla_container_engine",), "nodes have docker", allowed=("docker",)),
    Fixed(
        ("docker_runtime_directory", "node_config", "node_custom_config", "node_config_directory"),
        "logs and configuration are looked for in Kolla's usual folders",
    ),
    Fixed(
        ("config_strategy",),
        "a lab that is cloned gets its addresses by changed configuration files",
        allowed=("COPY_ALWAYS",),
    ),
    Fixed(
        ("docker_restart_policy",),
        "the containers must start again when a saved state is restored",
        allowed=("unless-stopped", "always"),
    ),
    Fixed(
        ("kolla_enable_tls_*", "*_enable_tls", "*_enable_tls_backend", "*_enable_tls_internal",
         "om_enable_rabbitmq_tls"),
        "a lab has neither certificates nor the load balancer that would end TLS",
        allowed=(False,),
    ),
    Fixed(
        ("enable_haproxy", "enable_keepalived", "haproxy_single_external_frontend"),
        _ONE_CONTROLLER,
        allowed=(False,),
    ),
    Fixed(
        ("*_listen_port", "*_public_port"),
        f"{_ONE_CONTROLLER}, so services listen on the ports of their endpoints",
        "set the port of the endpoint, such as nova_api_port",
    ),
    Fixed(
        ("keystone_internal_port", "neutron_server_port", "database_port", "mariadb_port",
         "rabbitmq_port", "om_rpc_port", "om_notify_port", "skydive_analyzer_port"),
        _OWN_ADDRESSES,
    ),
    Fixed(
        ("default_project_domain_*", "default_user_domain_*", "keystone_default_user_role",
         "database_user"),
        "accounts of tests and of the database are made with Kolla's default",
    ),
    Fixed(
        ("enable_openstack_core", "enable_keystone", "enable_neutron", "enable_mariadb",
         "enable_rabbitmq", "enable_memcached", "enable_openvswitch"),
        "the feature core consists of it",
        allowed=(True,),
    ),
    Fixed(("enable_ovs_dpdk",), "nodes have no interfaces for DPDK", allowed=(False,)),
    Fixed(("neutron_bridge_name",), _IN_TESTS, allowed=("br-ex",)),
    Fixed(("neutron_physical_networks",), _IN_TESTS, allowed=("physnet1",)),
)  # fmt: skip


def of_backend(backend: NetworkBackend) -> tuple[Fixed, ...]:
    """The variables that a network backend fixes."""
    tunnel = backend.dataplane.tunnel
    known = TUNNELS[tunnel]
    return (
        Fixed(
            ("neutron_plugin_agent",),
            f"it is the network backend {backend.name}",
            "set `backend` of [network] in kollalab.toml",
            allowed=(backend.agent,),
        ),
        Fixed(
            ("enable_ovn",),
            f"it follows the network backend, here {backend.name}",
            "set `backend` of [network] in kollalab.toml",
            allowed=(backend == OVN,),
        ),
        Fixed(
            ("neutron_tenant_network_types",),
            f"the fixtures for tests look into {known} tunnels",
            allowed=(tunnel,),
        ),
        Fixed(
            ("neutron_type_drivers",),
            f"external networks are flat, those of tenants are {known}",
            includes=("flat", tunnel),
        ),
    )


def check(layers: Iterable[tuple[str, Mapping[str, Any]]], backend: NetworkBackend = OVS) -> None:
    """Check that no variable has a value that a lab cannot have.

    Args:
        layers: Variables, each with the name of who sets them.
        backend: The network backend of the lab.

    Raises:
        ConfigError: A variable is fixed, or a value that is read here is a template.
    """
    for source, variables in layers:
        for name, value in variables.items():
            if name in FOLLOWED and not is_name(value):
                raise ConfigError(
                    f"{source}: {name} must be a plain string",
                    details=f"{value!r} also stands in clouds.yaml, which Ansible does not write",
                    hint="write the value itself",
                )
            for fixed in (*FIXED, *of_backend(backend)):
                if fixed.covers(name) and not fixed.allows(value):
                    raise _refused(source, name, value, fixed)


def access(merged: Mapping[str, Any]) -> Access:
    """How clients reach a cloud with these variables."""
    return Access(**{FOLLOWED[name]: merged[name] for name in FOLLOWED if name in merged})


def is_name(value: object) -> bool:
    """Whether a value is a string, and no template."""
    if not isinstance(value, str) or not value.strip():
        return False
    return "{{" not in value and "{%" not in value


def plain(value: object) -> object:
    """A value as Ansible's filter `bool` reads it: `yes`, 1 and the like are booleans."""
    told = str(value).strip().lower() if isinstance(value, str | int) else ""
    return TRUTH.get(told, value)


def table() -> str:
    """The variables that are followed and fixed, for the documentation."""
    rows = ["| variable | may be set to | because |", "|---|---|---|"]
    for name, field in FOLLOWED.items():
        rows.append(f"| `{name}` | any name | followed: it is the {field} in `clouds.yaml` |")
    rows += [_row(fixed) for fixed in FIXED]
    # The rows of one variable stand together.
    of_backends = zip(*(of_backend(each) for each in BACKENDS.values()), strict=True)
    rows += [_row(fixed) for several in of_backends for fixed in dict.fromkeys(several)]
    return "\n".join(rows)


def _row(fixed: Fixed) -> str:
    names = ", ".join(f"`{name}`" for name in fixed.names)
    values = ", ".join(f"`{_shown(value)}`" for value in fixed.allowed)
    if fixed.includes:
        values = "a list with " + " and ".join(f"`{each}`" for each in fixed.includes)
    return f"| {names} | {values or 'nothing'} | {fixed.why} |"


def _refused(source: str, name: str, value: object, fixed: Fixed) -> ConfigError:
    hint = fixed.hint
    if fixed.allowed:
        hint = f"set it to {' or '.join(_shown(each) for each in fixed.allowed)}, or {hint}"
    if fixed.includes:
        hint = f"name {' and '.join(fixed.includes)} in it, or {hint}"
    return ConfigError(
        f"{source}: a lab cannot have {name} = {_shown(value)}", details=fixed.why, hint=hint
    )


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
