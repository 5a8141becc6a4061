"""Network backends: how a cloud implements Neutron's networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pytest_kollalab.features import BACKEND
from pytest_kollalab.features.base import Feature, FeatureParts, HealthCheck, where
from pytest_kollalab.features.log_lines import LogLine
from pytest_kollalab.sdn import dataplane
from pytest_kollalab.sdn.dataplane import Dataplane
from pytest_kollalab.settings.config import BackendName
from pytest_kollalab.system.errors import ConfigError
from pytest_kollalab.system.nearest import nearest


@dataclass(frozen=True)
class NetworkBackend:
    """A way to implement Neutron's networks, as plain data.

    Attributes:
        name: Its name in features and in the configuration.
        title: What it is called.
        agent: Its name in Kolla-Ansible's variable `neutron_plugin_agent`.
        parts: What it adds to the feature `core`: images, containers, agents, variables.
        dataplane: What scenarios need to know about it.
        by_release: What it adds with a release of OpenStack beside that, by the release's name.
    """

    name: BackendName
    title: str
    agent: str
    parts: FeatureParts
    dataplane: Dataplane
    by_release: Mapping[str, FeatureParts] = field(default_factory=dict)

    def added_to(self, core: Feature, release: str) -> Feature:
        """The feature `core` of a release with the parts of the backend."""
        return core.with_parts(self.parts).with_parts(self.by_release.get(release, FeatureParts()))


OVS = NetworkBackend(
    name=BACKEND,
    title="ML2/OVS",
    agent="openvswitch",
    parts=FeatureParts(
        control_images=(
            "neutron-openvswitch-agent",
            "neutron-dhcp-agent",
            "neutron-l3-agent",
            "neutron-metadata-agent",
        ),
        compute_images=("neutron-openvswitch-agent",),
        containers={
            "control": (
                "neutron_dhcp_agent",
                "neutron_l3_agent",
                "neutron_metadata_agent",
                "neutron_openvswitch_agent",
            ),
            "compute": ("neutron_openvswitch_agent",),
        },
        agents={
            "control": ("DHCP agent", "L3 agent", "Metadata agent", "Open vSwitch agent"),
            "compute": ("Open vSwitch agent",),
        },
        globals={"neutron_plugin_agent": "openvswitch"},
        userspace_config={
            # With Open vSwitch in user space there is no bridge on which iptables could filter.
            "neutron/openvswitch_agent.ini": "[securitygroup]\n"
            "firewall_driver = noop\nenable_security_group = false\n",
        },
        addresses=("neutron.ml2_vxlan_endpoints.ip_address",),
        usual=(
            LogLine(
                r"^kolla/openvswitch/ovs-vswitchd\.log$",
                r"dropping VLAN 0 packet received on port tap.* not configured for trunking VLAN 0"
                r".*icmp6,.*ipv6_dst=ff02:",
                "a new probe looks for its IPv6 neighbours before the agent has wired its port",
            ),
        ),
        telling=(
            LogLine(
                r"^kolla/neutron/neutron-openvswitch-agent\.log$",
                r"putting on the dead VLAN",
                "a port that is down (admin_state_up=False) forwards nothing",
            ),
        ),
    ),
    dataplane=dataplane.OVS,
)

# Seconds. A sync takes less than one; without a limit it waits for ever if northd stands still.
SYNC = 20
NORTHBOUND = f"docker exec ovn_nb_db ovn-nbctl --db=unix:/run/ovn/ovnnb_db.sock --timeout={SYNC}"
SOUTHBOUND = f"docker exec ovn_sb_db ovn-sbctl --db=unix:/run/ovn/ovnsb_db.sock --timeout={SYNC}"
NORTHD_LOG = "/var/log/kolla/openvswitch/ovn-northd.log"

OVN = NetworkBackend(
    name="ovn",
    title="ML2/OVN",
    agent="ovn",
    parts=FeatureParts(
        control_images=(
            "ovn-controller",
            "ovn-nb-db-server",
            "ovn-sb-db-server",
            "ovn-northd",
            "neutron-metadata-agent",
        ),
        compute_images=("ovn-controller", "neutron-metadata-agent"),
        containers={
            "control": (
                "neutron_ovn_maintenance_worker",
                "neutron_ovn_metadata_agent",
                "ovn_controller",
                "ovn_nb_db",
                "ovn_northd",
                "ovn_sb_db",
            ),
            "compute": ("neutron_ovn_metadata_agent", "ovn_controller"),
        },
        agents={
            "control": ("OVN Controller Gateway agent", "OVN Metadata agent"),
            "compute": ("OVN Controller agent", "OVN Metadata agent"),
        },
        globals={
            "neutron_plugin_agent": "ovn",
            # Relays are for many nodes, and Kolla's image of one fetches a script from elsewhere.
            "enable_ovn_sb_db_relay": False,
        },
        health=(
            # Returns when every node's switch has what the northbound database says.
            HealthCheck(
                "all switches have what OVN's databases say",
                command=f"{NORTHBOUND} --wait=hv sync || "
                f"{{ grep -E 'WARN|ERR|EMER' {NORTHD_LOG} | tail -n 1 >&2; exit 1; }}",
            ),
        ),
        artifacts={
            "ovn-northbound.txt": where("ovn_nb_db", f"{NORTHBOUND} show"),
            "ovn-southbound.txt": where("ovn_sb_db", f"{SOUTHBOUND} show"),
            "ovn-logical-flows.txt": where("ovn_sb_db", f"{SOUTHBOUND} lflow-list"),
            "ovn-clusters.txt": where(
                "ovn_sb_db",
                "docker exec ovn_nb_db ovs-appctl -t /run/ovn/ovnnb_db.ctl "
                "cluster/status OVN_Northbound\n"
                "docker exec ovn_sb_db ovs-appctl -t /run/ovn/ovnsb_db.ctl "
                "cluster/status OVN_Southbound",
            ),
        },
    ),
    dataplane=dataplane.OVN,
    by_release={
        "2026.2": FeatureParts(
            userspace_config={
                # Nova would make tap devices in the kernel, where this switch does not look.
                "neutron/ml2_conf.ini": "[ovn]\novs_create_tap = false\n"
            }
        )
    },
)

BACKENDS: Mapping[str, NetworkBackend] = {backend.name: backend for backend in (OVS, OVN)}


def named(name: str) -> NetworkBackend:
    """The network backend of a name. Raises ConfigError if there is none."""
    if name not in BACKENDS:
        raise ConfigError(f"there is no network backend {name!r}", hint=nearest(name, BACKENDS))
    return BACKENDS[name]
