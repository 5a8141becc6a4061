"""The feature `greeter`: what a lab has more with it, as data."""

from __future__ import annotations

from pathlib import Path

from greeter.settings import GreeterSettings
from pytest_kollalab.features.base import Feature, HealthCheck, where

HERE = Path(__file__).parent


FEATURE = Feature(
    name="greeter",
    settings=GreeterSettings,
    # Its image, which nodes run it, what deploys it, and what must run before a test may begin.
    images_from=(HERE / "images",),
    control_images=("greeter",),
    playbooks=(HERE / "playbooks" / "greeter.yml",),
    containers={"control": ("greeter",)},
    health=(HealthCheck("the greeter answers", url="http://{management}:{settings.port}/"),),
    # What to look at when a test fails.
    artifacts={"greeter.txt": where("greeter", "docker logs --tail 100 greeter")},
    # A test that uses this fixture needs no marker.
    fixtures=("greeter",),
)


def pytest_kollalab_features() -> Feature:
    """Tests can ask for the greeter."""
    return FEATURE
