"""The feature `core`: Keystone and Neutron, and the services that they need.

The network backend adds its agents (`features/backend.py`).
"""

from __future__ import annotations

from pytest_kollalab.features.base import Feature, FeatureParts
from pytest_kollalab.features.log_lines import LogLine

VSWITCHD = r"^kolla/openvswitch/ovs-vswitchd\.log$"
PLUGGED = "a probe's device is not there yet when its port is made, or moves to its namespace"

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
    usual=(
        LogLine(VSWITCHD, r"interface tap\S+: setting MAC failed \(No such device\)", PLUGGED),
        LogLine(VSWITCHD, r"ethtool command \S+ on network device tap\S+ failed: No such", PLUGGED),
        LogLine(VSWITCHD, r"failed to set MTU for network device tap\S+: No such device", PLUGGED),
        LogLine(
            VSWITCHD,
            r"\|netdev_linux\|WARN\|Dropped \d+ log messages",
            "the same line again, too often within a minute",
        ),
        LogLine(
            VSWITCHD,
            r"\|vconn\|WARN\|unix#\d+: version negotiation failed"
            r"|\|rconn\|WARN\|br-\w+<->unix#\d+: connection dropped "
            r"\((Protocol error|Broken pipe)\)",
            "a tool asks a bridge with a version of OpenFlow that it does not speak, or ends early",
        ),
        LogLine(
            VSWITCHD,
            r"\|dpif\|WARN\|failed to enumerate system datapaths: No such file",
            "the kernel has no module of Open vSwitch, which then forwards in user space",
        ),
        LogLine(
            r"^kolla/keystone/",
            r"password_hashing .*Truncating password to algorithm specific maximum length",
            "bcrypt takes 72 characters of a password; Kolla's are longer",
        ),
        LogLine(
            r"^kolla/keystone/",
            r"UserWarning: Invalid uuid: RegionOne|Deprecated policy rules found",
            "Keystone says it once for each process",
        ),
        LogLine(
            r"^kolla/mariadb/",
            r"\[Warning\] Aborted connection \d+ to db: "
            r".*(without authentication|Got an error reading communication packets)",
            "a health check, or a pool of connections of a process that ended",
        ),
        LogLine(
            r"^kolla/",
            r" WARNING oslo_config\.cfg .*Deprecated: Option ",
            "a service says at its start which of Kolla's options are old",
        ),
        LogLine(
            r"^kolla/neutron/",
            r"Did not find expected name \"Stdattrs_common\""
            r"|resource_registry .* is already registered"
            r"|service_token_roles_required set to False"
            r"|is not picklable with spawn; falling back to fork",
            "Neutron says it at its start",
        ),
        LogLine(
            r"^kolla/",
            r" WARNING oslo\.privsep\.daemon \[-\] privsep log: "
            r"(\S*\.py:\d+: EventletDeprecationWarning|  ?import eventlet|Eventlet is deprecated"
            r"|If you are already using Eventlet|framework\.  For more|https://eventlet"
            r"|we strongly recommend against|$)",
            "a privileged helper says at its start that eventlet is old",
        ),
    ),
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
