"""What the scenarios of the platform share: a probe on each node, on one network."""

from scenarios.plain import here, network, there  # noqa: F401
