"""Kolla-Ansible's variables that a lab depends on: followed, or refused by the plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pytest_kollalab.cli import main
from pytest_kollalab.features.base import Feature, stock_images
from pytest_kollalab.features.registry import built_in, resolve
from pytest_kollalab.releases.releases import RELEASES
from pytest_kollalab.stages.cloud import (
    assumed,
    catalogue,
    clouds_yaml,
    kolla_variables,
    services,
)
from pytest_kollalab.stages.cloud.catalogue import Catalogue
from pytest_kollalab.system import files
from pytest_kollalab.system.errors import ConfigError

HORIZON = """\
horizon_services:
  horizon-of-logs:
    container_name: horizon_of_logs
    enabled: "{{ enable_horizon_of_logs }}"
    image: "{{ horizon_of_logs_image_full }}"
  horizon:
    container_name: horizon
    enabled: true
    image: "{{ horizon_image_full }}"
horizon_of_logs_image: "{{ docker_image_url }}horizon-of-logs"
horizon_image: "{{ docker_image_url }}horizon"
horizon_image_full: "{{ horizon_image }}:{{ horizon_tag }}"
"""
NOVA = """\
nova_services:
  nova-api:
    container_name: nova_api
    enabled: true
    image: "{{ nova_api_image_full }}"
  nova-novncproxy:
    container_name: nova_novncproxy
    enabled: "{{ nova_console == 'novnc' }}"
    image: "{{ nova_novncproxy_image_full }}"
nova_api_image: "{{ docker_image_url }}nova-api"
nova_novncproxy_image: "{{ docker_image_url }}nova-novncproxy"
"""
NEUTRON = """\
neutron_services:
  neutron-metering-agent:
    container_name: neutron_metering_agent
    enabled: "{{ enable_neutron_metering | bool }}"
    image: "{{ neutron_metering_agent_image_full }}"
  neutron-ovn-vpn-agent:
    container_name: neutron_ovn_vpn_agent
    enabled: "{{ enable_neutron_vpnaas | bool and neutron_plugin_agent == 'ovn' }}"
    image: "{{ neutron_ovn_vpn_agent_image_full }}"
neutron_metering_agent_image: "{{ docker_image_url }}neutron-metering-agent"
neutron_ovn_vpn_agent_image: "{{ docker_image_url }}neutron-ovn-vpn-agent"
neutron_plugins:
  - name: qos
    enabled: "{{ enable_neutron_qos | bool }}"
"""
ALL = """\
enable_openstack_core: true
enable_neutron: "{{ enable_openstack_core | bool }}"
enable_horizon: "{{ enable_everything | bool }}"
enable_horizon_of_logs: "{{ enable_logs | bool }}"
enable_neutron_metering: >-
  {{ enable_meters | bool or
    (enable_bills | bool and bills_in == 'logs')
  }}
enable_meters: "{{ enable_all_meters | bool }}"
enable_neutron_vpnaas: "{{ enable_everything | bool and enable_ceilometer | bool }}"
"""


@pytest.fixture
def known(tmp_path: Path) -> Catalogue:
    for role, text in {"horizon": HORIZON, "nova": NOVA, "neutron": NEUTRON}.items():
        files.write(tmp_path / catalogue.ROLES / role / "defaults" / "main.yml", text)
    files.write(tmp_path / "ansible/group_vars/all/common.yml", ALL)
    return catalogue.read(tmp_path)


def features(*names: str) -> tuple[Feature, ...]:
    return tuple(resolve(names, "2026.1"))


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("kolla_internal_fqdn", "cloud.example", "take it out of [globals]"),
        ("kolla_internal_vip_address", "10.0.0.9", "take it out of [globals]"),
        ("network_interface", "eth7", "take it out of [globals]"),
        ("api_address_family", "ipv6", "set it to ipv4, or take it out of [globals]"),
        ("openstack_tag", "mine", "name other images by `source` and `tag` of [images]"),
        ("openstack_release", "2025.1", "set `release` in kollalab.toml"),
        ("kolla_enable_tls_internal", True, "set it to false, or take it out of [globals]"),
        ("rabbitmq_enable_tls", "yes", "set it to false, or take it out of [globals]"),
        ("neutron_server_public_port", 443, "set the port of the endpoint, such as nova_api_port"),
        ("keystone_internal_port", 5001, "take it out of [globals]"),
        ("neutron_plugin_agent", "ovn", "set it to openvswitch, or set `backend` of [network] in"),
        ("neutron_type_drivers", "flat,vlan", "name flat and vxlan in it, or take it out of"),
        ("docker_restart_policy", "no", "set it to unless-stopped or always, or take it out of"),
    ],
)
def test_what_a_lab_cannot_have_is_refused(name: str, value: object, hint: str) -> None:
    with pytest.raises(ConfigError, match=f"x.toml: globals: a lab cannot have {name} = ") as seen:
        assumed.check([("x.toml: globals", {name: value})])
    assert seen.value.hint.startswith(hint)
    assert seen.value.details


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kolla_enable_tls_internal", "no"),
        ("kolla_base_distro", "debian"),
        ("neutron_type_drivers", "flat, vlan,vxlan"),
        ("nova_api_port", 18774),
        ("neutron_dns_domain", "lab.example."),
        ("openstack_interface", "internal"),
        ("neutron_server_image_full", "{{ kollalab_images['x'] }}"),
    ],
)
def test_all_else_can_be_set(name: str, value: object) -> None:
    assumed.check([("x.toml: globals", {name: value})])


@pytest.mark.parametrize("release", RELEASES)
def test_our_own_defaults_are_what_a_lab_can_have(release: str) -> None:
    layers = [feature.globals for feature in built_in(release)]
    own = {"skydive_analyzer_port"}
    for layer in (kolla_variables.DEFAULTS, *layers):
        assumed.check([("ours", {name: v for name, v in layer.items() if name not in own})])


@pytest.mark.parametrize("release", RELEASES)
def test_features_use_the_names_of_each_release(release: str) -> None:
    known, features = catalogue.of_release(release), built_in(release)
    assert set(stock_images(features)) <= {service.image for service in known.services}
    containers = {service.container for service in known.services} | {"rabbitmq"}
    for feature in features:
        if not feature.images_from:
            for names in feature.containers.values():
                assert set(names) <= containers, feature.name


def test_clouds_yaml_follows_region_user_and_project() -> None:
    told = {
        "openstack_region_name": "North",
        "keystone_admin_user": "boss",
        "keystone_admin_project": "office",
        "enable_nova": False,
    }
    document = clouds_yaml.document("c", "http://x", "secret", assumed.access(told))
    found: Any = document["clouds"]["c"]
    assert found["region_name"] == "North"
    assert found["auth"]["username"] == "boss"
    assert found["auth"]["project_name"] == "office"
    assert assumed.access({}) == assumed.Access("RegionOne", "admin", "admin")


@pytest.mark.parametrize("value", ["{{ other }}", "", 7])
def test_what_is_followed_is_a_plain_string(value: object) -> None:
    with pytest.raises(ConfigError, match="openstack_region_name must be a plain string"):
        assumed.check([("x.toml: globals", {"openstack_region_name": value})])


@pytest.mark.parametrize(
    ("variables", "image"),
    [
        ({"enable_horizon": True}, "horizon"),
        ({"enable_neutron_metering": "yes"}, "neutron-metering-agent"),
        ({"nova_console": "novnc"}, "nova-novncproxy"),
        ({"enable_all_meters": True}, "neutron-metering-agent"),
        ({"enable_horizon_of_logs": "{{ enable_nova }}"}, "horizon-of-logs"),
        ({"enable_neutron_metering": 1}, "neutron-metering-agent"),
        ({"enable_neutron_metering": "1"}, "neutron-metering-agent"),
    ],
)
def test_a_service_that_no_feature_brings(
    variables: dict[str, object], image: str, known: Catalogue
) -> None:
    with pytest.raises(ConfigError, match="no feature has what") as seen:
        services.check(variables, known, features("compute"))
    assert f"the image {image}," in seen.value.details
    brings = Feature(name="more", control_images=(image,))
    services.check(variables, known, [*features("compute"), brings])


def test_a_feature_may_bring_the_container_with_an_image_of_its_own(known: Catalogue) -> None:
    wanted = {"enable_neutron_metering": True}
    with pytest.raises(ConfigError, match="no feature has what"):
        services.check(wanted, known, features("compute"))
    brings = Feature(name="more", containers={"control": ("neutron_metering_agent",)})
    services.check(wanted, known, [*features("compute"), brings])


def test_what_is_switched_off_belongs_to_no_feature(known: Catalogue) -> None:
    services.check({"enable_nova": False}, known, features("core"))
    with pytest.raises(ConfigError, match="enable_nova = false does not fit the feature compute"):
        services.check({"enable_nova": "no"}, known, features("compute"))


@pytest.mark.parametrize(
    "variables",
    [
        {"enable_nova": True},
        {"enable_neutron_qos": True},
        {"enable_neutron_vpnaas": True},
        {"enable_horizon": False},
        {"nova_console": "none"},
        {"enable_everything": True},  # our own defaults switch Horizon off
        {"enable_logs": True},  # and with it what it has more
    ],
)
def test_all_other_services_are_let_be(variables: dict[str, object], known: Catalogue) -> None:
    services.check(variables, known, features("compute"))


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("value", [True, "yes", "On", 1, "1"])
def test_every_service_without_an_image_is_refused(release: str, value: object) -> None:
    known, ours = catalogue.of_release(release), resolve(["compute", "sfc"], release)
    has = {image for feature in ours for image in feature.images}
    roles = {
        f"enable_{service.role.replace('-', '_')}"
        for service in known.services
        if service.enabled is True and service.image and service.image not in has
    } & known.variables
    # These are switched on by variables of other roles.
    others = {"enable_central_logging", "enable_osprofiler"}
    assert len(roles) > 20
    for name in sorted(roles | others):
        with pytest.raises(ConfigError, match=f"no feature has what {name} switches on"):
            services.check({name: value}, known, ours, built_in(release))


@pytest.mark.parametrize("release", RELEASES)
def test_what_a_lab_has_anyway_may_be_switched_on(release: str) -> None:
    (core,) = (fixed for fixed in assumed.FIXED if "enable_mariadb" in fixed.names)
    told = dict.fromkeys(core.names, True)
    assumed.check([("x.toml: globals", told)])
    known = catalogue.of_release(release)
    services.check(told, known, resolve(["compute"], release), built_in(release))


def test_what_features_have_is_named() -> None:
    all_of_them, known = built_in("2026.1"), catalogue.of_release("2026.1")
    with pytest.raises(ConfigError, match="no feature has what enable_horizon") as seen:
        services.check({"enable_horizon": True}, known, features("sfc"), all_of_them)
    assert "the image horizon, which would be neither built nor pulled" in seen.value.details
    assert "enable_glance, enable_nova, enable_placement (feature compute)" in seen.value.details
    with pytest.raises(ConfigError, match="no feature has what enable_nova") as seen:
        services.check({"enable_nova": True}, known, features("sfc"), all_of_them)
    assert seen.value.hint == "add the feature compute, which has it, instead of the variable"


def test_the_plan_refuses_what_a_lab_cannot_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CACHE", "STATE"):
        monkeypatch.setenv(f"KOLLALAB_{name}", str(tmp_path / name))
    (tmp_path / ".git").mkdir()
    (tmp_path / "kollalab.toml").write_text('[globals]\nkolla_internal_fqdn = "cloud.example"\n')
    monkeypatch.chdir(tmp_path)
    for verb in (["plan"], ["up", "--until", "tools"]):
        result = CliRunner().invoke(main, verb)
        assert result.exit_code == 2, result.output
        assert "globals: a lab cannot have kolla_internal_fqdn = cloud.example" in result.output
        assert "nothing resolves other names" in result.output
    assert not (tmp_path / "CACHE" / "tools").exists()
