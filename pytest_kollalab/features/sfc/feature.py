"""The feature `sfc`: port chains, driven by networking-sfc's Open vSwitch driver."""

from __future__ import annotations

from pytest_kollalab.features.base import Feature

FEATURE = Feature(
    name="sfc",
    requires=("core",),
    backends=("ovs",),
    globals={"enable_neutron_sfc": True},
    extensions=("sfc", "flow_classifier"),
)
