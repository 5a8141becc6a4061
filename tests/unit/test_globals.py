"""Globals and custom configuration: layers, joined lists, clashes."""

import re

import pytest

from pytest_kollalab.features.base import Feature
from pytest_kollalab.features.registry import resolve
from pytest_kollalab.stages.cloud import kolla_variables as kolla
from pytest_kollalab.system.errors import ConfigError
from tests import made

ROUTER = {"name": "router"}
SFC = {"name": "sfc"}
VPN = {"name": "bgpvpn"}


def test_sfc_alone_deploys_no_nova() -> None:
    merged = kolla.merge_globals(resolve(["sfc"], "2026.1"), {}, {})
    assert merged["enable_neutron_sfc"] is True
    assert not merged["enable_nova"]
    assert not merged["enable_glance"]
    assert not merged["enable_placement"]


def test_compute_deploys_nova() -> None:
    merged = kolla.merge_globals(resolve(["compute"], "2026.1"), {}, {})
    assert merged["enable_nova"] is True
    assert not merged.get("enable_neutron_sfc", False)


def test_later_layers_win() -> None:
    feature = Feature("f", globals={"a": 1, "b": 1, "c": 1})
    merged = kolla.merge_globals([feature], {"b": 2, "c": 2}, {"c": 3})
    assert (merged["a"], merged["b"], merged["c"]) == (1, 2, 3)


def test_lists_of_features_are_joined_once() -> None:
    features = [
        Feature("sfc", globals={"plugins": [ROUTER, SFC]}),
        Feature("vpn", globals={"plugins": [ROUTER, VPN]}),
    ]
    assert kolla.merge_globals(features, {}, {})["plugins"] == [ROUTER, SFC, VPN]
    assert features[0].globals["plugins"] == [ROUTER, SFC]


def test_chains_and_vpns_are_in_one_lab() -> None:
    merged = kolla.merge_globals(resolve(["sfc", "bgpvpn"], "2026.1"), {}, {})
    assert merged["enable_neutron_sfc"] is True
    # What the role itself switches on for chains is kept: the list is the role's, and one more.
    for name, stock, more in (
        ("neutron_service_plugins", "service_plugins", "bgpvpn"),
        ("neutron_agent_extensions", "agent_extensions", "bagpipe_bgpvpn"),
        ("neutron_bootstrap_services", "neutron_subprojects", "networking-bgpvpn"),
    ):
        assert re.fullmatch(rf"\{{\{{ \({stock} \|.*\) \+ \[.*'{more}'.*\] \}}\}}", merged[name])


def test_a_list_of_the_user_replaces() -> None:
    features = [Feature("sfc", globals={"plugins": [ROUTER]})]
    assert kolla.merge_globals(features, {}, {"plugins": [VPN]})["plugins"] == [VPN]


def test_clash_of_features_names_both() -> None:
    features = [Feature("one", globals={"mtu": 1500}), Feature("two", globals={"mtu": 9000})]
    with pytest.raises(ConfigError, match="one and two do not agree") as error:
        kolla.merge_globals(features, {}, {})
    assert "1500" in error.value.details
    assert "9000" in error.value.details


def config(
    *features: Feature, user: dict[str, str] | None = None, userspace: bool = False
) -> dict[str, str]:
    return kolla.merge_config(features, {}, user or {}, userspace=userspace)


def test_userspace_switches_the_firewall_off() -> None:
    path, core = "neutron/openvswitch_agent.ini", resolve([], "2026.1")
    assert path not in config(*core)
    assert "firewall_driver = noop" in config(*core, userspace=True)[path]
    assert kolla.is_userspace({"ovs_datapath": "netdev"})


def test_a_file_of_a_feature_wins_over_what_userspace_needs() -> None:
    first = Feature("first", userspace_config={"a.ini": "[x]\na = 1\nb = 1\n"})
    second = Feature(
        "second", userspace_config={"a.ini": "[y]\nc = 1\n"}, config={"a.ini": "[x]\na = 2\n"}
    )
    merged = config(first, second, userspace=True)["a.ini"]
    assert merged == "[x]\na = 2\nb = 1\n\n[y]\nc = 1\n"


def test_ini_files_are_merged_by_option() -> None:
    feature = Feature("f", config={"neutron.conf": "[quotas]\nport = 10\nrouter = 10\n"})
    merged = config(feature, user={"neutron.conf": "[quotas]\nport = -1\n"})["neutron.conf"]
    assert merged == "[quotas]\nport = -1\nrouter = 10\n"


def test_other_files_are_replaced() -> None:
    feature = Feature("f", config={"policy.yaml": "a: b\nlist:\n- 1\n"})
    assert config(feature, user={"policy.yaml": "c: d\n- 2\n"})["policy.yaml"] == "c: d\n- 2\n"


def test_features_may_share_an_ini_file() -> None:
    one = Feature("one", config={"a.conf": "[x]\na = 1\n"})
    two = Feature("two", config={"a.conf": "[x]\nb = 2\n"})
    assert config(one, two)["a.conf"] == "[x]\na = 1\nb = 2\n"


def test_features_that_disagree_on_an_option() -> None:
    one = Feature("one", config={"a.conf": "[x]\na = 1\n"})
    two = Feature("two", config={"a.conf": "[x]\na = 2\n"})
    with pytest.raises(ConfigError, match=r"one and two do not agree on a.conf: \[x\] a"):
        config(one, two)


def test_site_globals_come_from_what_was_made() -> None:
    nodes = made.nodes(
        block="10.9.",
        interfaces={"management": "mgmt0", "external": "ext0"},
        registry="10.9.0.2:4000",
    )
    assert kolla.site_globals(made.images(tag="abc"), nodes) == {
        "docker_registry": "10.9.0.2:4000",
        "docker_namespace": "kolla",
        "openstack_tag": "abc",
        "network_interface": "mgmt0",
        "neutron_external_interface": "ext0",
        "kolla_internal_vip_address": "10.9.1.11",
    }


@pytest.mark.parametrize("path", ["/etc/cron.d/x", "../globals.yml", "nova/../../x", ""])
def test_a_file_outside_the_configuration_folder_is_refused(path: str) -> None:
    with pytest.raises(ConfigError, match="not a path below") as caught:
        config(user={path: "text"})
    assert repr(path) in caught.value.brief


def test_text_that_would_silently_replace_an_ini_file_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"neutron\.conf is an INI file"):
        config(
            Feature("f", config={"neutron.conf": "[quotas]\nport = 10\n"}),
            user={"neutron.conf": "    [DEFAULT]\nx = 1\n"},
        )
