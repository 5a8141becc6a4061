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
        # Nobody looks at a console, and nothing migrates: no image for either.
        "enable_nova_ssh": False,
        "nova_console": "none",
    },
    config={
        # As for Neutron: sixty-four threads a pool that all look for work every second.
        "nova.conf": "[DEFAULT]\nexecutor_thread_pool_size = 8\n",
        # At its end the deploy has the scheduler reload itself (SIGHUP). Nova 33 does that by
        # ending the worker, which first waits 160 s for work that may be in progress, and takes
        # no request.
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
