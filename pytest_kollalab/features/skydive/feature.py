"""The feature `skydive`: an analyzer on the controller, an agent on each node."""

from __future__ import annotations

from pathlib import Path

from pytest_kollalab.features import Feature

HERE = Path(__file__).parent
PORT = 8085

FEATURE = Feature(
    name="skydive",
    requires=("core",),
    control_images=("skydive-analyzer", "skydive-agent"),
    compute_images=("skydive-agent",),
    images_from=(HERE / "images",),
    passwords=("skydive_keystone_password", "skydive_api_password"),
    globals={
        "skydive_analyzer_port": PORT,
        "skydive_agent_port": 8090,
        "skydive_etcd_port": 12379,
    },
    playbooks=(HERE / "playbooks" / "skydive.yml",),
    containers={
        "control": ("skydive_agent", "skydive_analyzer"),
        "compute": ("skydive_agent",),
    },
    fixtures=("skydive",),
)
