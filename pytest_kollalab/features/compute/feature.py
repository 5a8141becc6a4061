"""The feature `compute`: real servers with Nova, their images with Glance."""

from __future__ import annotations

from pytest_kollalab.features.base import Feature

FEATURE = Feature(
    name="compute",
    requires=("core",),
    control_images=(
        "glance-api",
        "placement-api",
        "nova-api",
        "nova-scheduler",
        "nova-conductor",
    ),
    compute_images=("nova-libvirt", "nova-compute"),
    globals={
        "enable_glance": True,
        "enable_nova": True,
        "enable_placement": True,
        # Tests use neither graphical consoles nor migration, so their images are not needed.
        "enable_nova_ssh": False,
        "nova_console": "none",
    },
    config={
        # The default is 64 threads, each of which polls for work every second (as in Neutron).
        "nova.conf": "[DEFAULT]\nexecutor_thread_pool_size = 8\n",
        # At the end of a deploy the scheduler gets SIGHUP. Nova 33 then ends the worker, which
        # takes no requests and first waits up to 160 s for work in progress.
        "nova/nova-scheduler.conf": "[DEFAULT]\n"
        "manager_shutdown_timeout = 1\ngraceful_shutdown_timeout = 15\n",
    },
    services=("compute", "image", "placement"),
    addresses=(
        "nova.compute_nodes.host_ip",
        "nova_api.cell_mappings.database_connection",
        "nova_api.cell_mappings.transport_url",
    ),
    queues=("compute", "conductor", "scheduler"),
    containers={
        "control": (
            "glance_api",
            "nova_api",
            "nova_conductor",
            "nova_metadata",
            "nova_scheduler",
            "placement_api",
        ),
        "compute": ("nova_compute", "nova_libvirt"),
    },
)
