"""The feature `core`: Keystone and Neutron, and the services that they need.

The network backend adds its agents (`features/backend.py`).
"""

from __future__ import annotations

from pytest_kollalab.features.base import Feature, FeatureParts

FEATURE = Feature(
    name="core",
    # In the order of the deploy: images are fetched in this order while it runs.
    control_images=(
        "kolla-toolbox",
        "cron",
        "mariadb-server",
        "memcached",
        "rabbitmq",
        "keystone",
        "keystone-ssh",
        "keystone-fernet",
        "openvswitch-db-server",
        "openvswitch-vswitchd",
        "neutron-server",
    ),
    compute_images=(
        "kolla-toolbox",
        "cron",
        "openvswitch-db-server",
        "openvswitch-vswitchd",
    ),
    config={
        # An agent that starts before Neutron's RPC workers listen loses its first request. It waits
        # for the time-out and as long again before the next one, by default up to two minutes. The
        # time-out doubles with each attempt, so slow hosts work too; a provider of much slower
        # nodes sets it.
        # The RPC worker also handles the state reports of a few nodes.
        # The threads of each pool (64 by default) wake up every second to look for work (futurist's
        # MAX_IDLE_FOR). An idle agent has 335 of them, and a lab six thousand.
        "neutron.conf": "[DEFAULT]\n"
        "rpc_response_timeout = {{ kollalab_rpc_timeout | default(20) }}\n"
        "rpc_state_report_workers = 0\n"
        "executor_thread_pool_size = 8\n",
    },
    services=("identity", "network"),
    addresses=(
        "keystone.endpoint.url",
        "neutron.agents.configurations",
    ),
    containers={
        "control": (
            "cron",
            "keystone",
            "keystone_fernet",
            "keystone_ssh",
            "kolla_toolbox",
            "mariadb",
            "memcached",
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
            "openvswitch_db",
            "openvswitch_vswitchd",
        ),
    },
    by_release={
        "2026.2": FeatureParts(
            renamed_images={"keystone": "keystone-api"},
            renamed_containers={"keystone": "keystone_api"},
        )
    },
)
