"""The feature `core`: Keystone and Neutron with Open vSwitch, and what they stand on."""

from __future__ import annotations

from pytest_kollalab.features import Feature

FEATURE = Feature(
    name="core",
    control_images=(
        "cron",
        "keystone",
        "keystone-fernet",
        "keystone-ssh",
        "kolla-toolbox",
        "mariadb-server",
        "memcached",
        "neutron-dhcp-agent",
        "neutron-l3-agent",
        "neutron-metadata-agent",
        "neutron-openvswitch-agent",
        "neutron-server",
        "openvswitch-db-server",
        "openvswitch-vswitchd",
        "rabbitmq",
    ),
    compute_images=(
        "cron",
        "kolla-toolbox",
        "neutron-openvswitch-agent",
        "openvswitch-db-server",
        "openvswitch-vswitchd",
    ),
    services=("identity", "network"),
    containers={
        "control": (
            "cron",
            "keystone",
            "keystone_fernet",
            "keystone_ssh",
            "kolla_toolbox",
            "mariadb",
            "memcached",
            "neutron_dhcp_agent",
            "neutron_l3_agent",
            "neutron_metadata_agent",
            "neutron_openvswitch_agent",
            "neutron_periodic_worker",
            "neutron_rpc_server",
            "neutron_server",
            "openvswitch_db",
            "openvswitch_vswitchd",
            "rabbitmq",
        ),
        "compute": (
            "cron",
            "kolla_toolbox",
            "neutron_openvswitch_agent",
            "openvswitch_db",
            "openvswitch_vswitchd",
        ),
    },
)
