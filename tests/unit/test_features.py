"""Features: which a lab has, and what they need."""

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_kollalab.features import BUILT_IN
from pytest_kollalab.features.backend import OVS, NetworkBackend
from pytest_kollalab.features.base import Feature, FeatureParts, images, nodes, stock_images
from pytest_kollalab.features.bgpvpn.feature import FEATURE as BGPVPN
from pytest_kollalab.features.core.feature import FEATURE as CORE
from pytest_kollalab.features.registry import FeatureRegistry, resolve
from pytest_kollalab.system.errors import ConfigError


def names(*wanted: str) -> list[str]:
    return [feature.name for feature in resolve(wanted, "2026.1")]


def test_every_lab_has_core() -> None:
    assert names() == ["core"]


def test_order_of_asking_does_not_matter() -> None:
    assert names("sfc", "compute") == names("compute", "sfc") == ["core", "compute", "sfc"]


def test_unknown_feature_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no feature 'compte'") as error:
        resolve(["compte"], "2026.1")
    assert "'compute'" in error.value.hint


def test_sfc_alone_needs_no_image_of_nova() -> None:
    found = images(resolve(["sfc"], "2026.1"))
    assert "neutron-server" in found
    assert not [name for name in found if name.startswith(("nova", "glance", "placement"))]


def test_every_built_in_names_itself() -> None:
    assert {feature.name for feature in resolve(BUILT_IN, "2026.1")} == set(BUILT_IN)


def test_added_feature_brings_what_it_requires() -> None:
    registry = FeatureRegistry()
    registry.add(Feature("balancer", requires=("compute",)))
    found = [feature.name for feature in registry.resolve(["balancer"], "2026.1")]
    assert found == ["core", "compute", "balancer"]


def test_a_name_is_taken_once() -> None:
    with pytest.raises(ConfigError, match="two features named 'sfc'"):
        FeatureRegistry().add(Feature("sfc"))


def test_a_feature_may_want_a_node_of_its_own() -> None:
    assert nodes(resolve(["sfc", "compute"], "2026.1")) == ()
    assert nodes(resolve(["bgpvpn"], "2026.1")) == ("gateway-1",)
    edge = Feature("edge", nodes={"edge-1": ("base", "cron")})
    assert edge.images == ("base", "cron")


def test_images_that_a_feature_brings_are_not_those_of_kolla() -> None:
    found = resolve(["bgpvpn"], "2026.1")
    assert set(images(found)) - set(stock_images(found)) == {"bagpipe-bgp", "frr"}
    assert stock_images(resolve(["sfc"], "2026.1")) == images(resolve(["sfc"], "2026.1"))


def test_tacker_has_images_of_its_own_for_each_container() -> None:
    found = resolve(["tacker"], "2026.1")
    assert [feature.name for feature in found] == ["core", "compute", "tacker"]
    assert set(images(found)) - set(stock_images(found)) == {"heat", "tacker"}
    assert stock_images(found) == images(resolve(["compute"], "2026.1"))


# As in 2026.2: the API of Neutron has no rolling upgrade any more, and templates write logs in
# another way.
NEXT_BGPVPN = FeatureParts(
    globals={"neutron_rolling_upgrade_services": None, "bgpvpn_as": 64513},
    config={"neutron.conf": None, "neutron/bagpipe.ini": "[BAGPIPE]\n"},
    playbooks=(Path("2026.2") / "bgpvpn.yml",),
)


def test_a_release_has_other_names() -> None:
    old, new = CORE.for_release("2026.1"), CORE.for_release("2026.2")
    assert old == replace(CORE, by_release={})
    here = CORE.control_images.index("keystone")
    # Images are fetched in this order.
    assert new.control_images[here] == "keystone-api"
    assert len(new.control_images) == len(CORE.control_images)
    assert "keystone" not in new.images
    assert "keystone_api" in new.containers["control"]
    assert "keystone" not in new.containers["control"]
    assert new.containers["compute"] == CORE.containers["compute"]
    assert new.for_release("2026.2") == new


def test_a_release_has_other_variables_files_and_playbooks() -> None:
    new = replace(BGPVPN, by_release={"2026.2": NEXT_BGPVPN}).for_release("2026.2")
    assert "neutron_rolling_upgrade_services" not in new.globals
    assert new.globals["bgpvpn_as"] == 64513
    assert new.globals["bgpvpn_device"] == BGPVPN.globals["bgpvpn_device"]
    assert set(new.config) == {"neutron/openvswitch_agent.ini", "neutron/bagpipe.ini"}
    assert new.playbooks == (Path("2026.2") / "bgpvpn.yml",)
    assert new.images_from == BGPVPN.images_from


def test_a_release_may_need_more_images_or_one_less() -> None:
    feature = Feature(
        "edge",
        compute_images=("a", "b"),
        nodes={"edge-1": ("a",)},
        by_release={"x": FeatureParts(renamed_images={"a": None}, compute_images=("b", "c"))},
    )
    found = feature.for_release("x")
    assert (found.compute_images, found.nodes) == (("b", "c"), {"edge-1": ()})


def test_what_is_renamed_must_be_there() -> None:
    feature = Feature(
        "f", control_images=("keystone",), by_release={"x": CORE.by_release["2026.2"]}
    )
    with pytest.raises(ConfigError, match="the feature f renames the container 'keystone'"):
        feature.for_release("x")


def test_the_registry_knows_the_release() -> None:
    registry = FeatureRegistry()
    registry.add(Feature("mine", by_release={"2026.2": FeatureParts(globals={"mine": 2})}))
    assert registry.resolve(["mine"], "2026.1")[-1].globals == {}
    assert registry.resolve(["mine"], "2026.2")[-1].globals == {"mine": 2}


def test_another_backend_is_data() -> None:
    ovn = NetworkBackend(
        "ovn",
        "another",
        "ovn",
        FeatureParts(
            control_images=("ovn-nb-db-server", "ovn-sb-db-server", "ovn-northd"),
            agents={"control": ("OVN Controller Gateway agent",)},
            globals={"neutron_plugin_agent": "ovn"},
        ),
        OVS.dataplane,
    )
    registry = FeatureRegistry()
    (with_ovs,) = registry.resolve([], "2026.1")
    (with_ovn,) = registry.resolve([], "2026.1", ovn)
    assert set(with_ovs.images) - set(with_ovn.images) == {
        "neutron-openvswitch-agent",
        "neutron-dhcp-agent",
        "neutron-l3-agent",
        "neutron-metadata-agent",
    }
    assert with_ovn.agents == {"control": ("OVN Controller Gateway agent",)}
    assert with_ovs.globals == {"neutron_plugin_agent": "openvswitch"}
    with pytest.raises(
        ConfigError, match="sfc does not work with the network backend ovn"
    ) as error:
        registry.check_conflicts({"sfc": ["test_a.py::test_one"]}, ovn)
    assert error.value.details.splitlines() == [
        "it works with ovs",
        "sfc is asked for by test_a.py::test_one",
    ]


def test_a_conflict_says_why_and_who_asks() -> None:
    registry = FeatureRegistry()
    registry.add(Feature("chains", requires=("sfc",)))
    registry.add(Feature("mesh", conflicts={"sfc": "both classify at the port"}))
    tests = [f"test_a.py::test_{number}" for number in range(5)]
    with pytest.raises(ConfigError, match="mesh and sfc cannot be in one lab") as error:
        registry.check_conflicts({"chains": tests, "mesh": ["the configuration"]})
    assert error.value.details.splitlines() == [
        "both classify at the port",
        "mesh is asked for by the configuration",
        f"sfc, which chains requires, is asked for by {', '.join(tests[:3])} and 2 more",
    ]


def test_features_without_a_conflict_pass() -> None:
    registry = FeatureRegistry()
    registry.add(Feature("mesh", conflicts={"sfc": "both classify at the port"}))
    registry.check_conflicts({"mesh": (), "compute": ()})
    registry.check_conflicts(dict.fromkeys(BUILT_IN, ()))
