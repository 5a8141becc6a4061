"""Features: which a lab has, and what they need."""

import pytest

from pytest_kollalab.features.base import Feature, images, nodes, stock_images
from pytest_kollalab.features.registry import BUILT_IN, FeatureRegistry, resolve
from pytest_kollalab.system.errors import ConfigError


def names(*wanted: str) -> list[str]:
    return [feature.name for feature in resolve(wanted)]


def test_every_lab_has_core() -> None:
    assert names() == ["core"]


def test_order_of_asking_does_not_matter() -> None:
    assert names("sfc", "compute") == names("compute", "sfc") == ["core", "compute", "sfc"]


def test_unknown_feature_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no feature 'compte'") as error:
        resolve(["compte"])
    assert "'compute'" in error.value.hint


def test_sfc_alone_needs_no_image_of_nova() -> None:
    found = images(resolve(["sfc"]))
    assert "neutron-server" in found
    assert not [name for name in found if name.startswith(("nova", "glance", "placement"))]


def test_every_built_in_names_itself() -> None:
    assert {feature.name for feature in resolve(BUILT_IN)} == set(BUILT_IN)


def test_added_feature_brings_what_it_requires() -> None:
    registry = FeatureRegistry()
    registry.add(Feature("balancer", requires=("compute",)))
    found = [feature.name for feature in registry.resolve(["balancer"])]
    assert found == ["core", "compute", "balancer"]


def test_a_name_is_taken_once() -> None:
    with pytest.raises(ConfigError, match="two features named 'sfc'"):
        FeatureRegistry().add(Feature("sfc"))


def test_a_feature_may_want_a_node_of_its_own() -> None:
    assert nodes(resolve(["sfc", "compute"])) == ()
    assert nodes(resolve(["bgpvpn"])) == ("gateway-1",)
    edge = Feature("edge", nodes={"edge-1": ("base", "cron")})
    assert edge.images == ("base", "cron")


def test_images_that_a_feature_brings_are_not_those_of_kolla() -> None:
    found = resolve(["bgpvpn"])
    assert set(images(found)) - set(stock_images(found)) == {"bagpipe-bgp", "frr"}
    assert stock_images(resolve(["sfc"])) == images(resolve(["sfc"]))
