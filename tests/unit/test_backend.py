"""Network backends: what each adds to a lab, and what a lab with one of them cannot have."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from pytest_kollalab.cli import frame, main
from pytest_kollalab.engine import records
from pytest_kollalab.engine.records import READY, Record
from pytest_kollalab.features.backend import BACKENDS, OVN, OVS, NetworkBackend, named
from pytest_kollalab.features.base import Feature, FeatureParts
from pytest_kollalab.features.registry import REGISTRY, FeatureRegistry, built_in, kolla_images
from pytest_kollalab.lab.lab import Lab
from pytest_kollalab.providers.base import NODES
from pytest_kollalab.releases import releases
from pytest_kollalab.settings.config import Config, NetworkConfig, Options
from pytest_kollalab.settings.declare import settings
from pytest_kollalab.settings.read import Settings
from pytest_kollalab.stages.cloud import assumed, catalogue, health, phases, services
from pytest_kollalab.stages.cloud import kolla_variables as kolla
from pytest_kollalab.stages.images.stage import ImagesStage
from pytest_kollalab.system.errors import ConfigError
from pytest_kollalab.system.paths import Paths

ON_OVN = Config(network=NetworkConfig("ovn"))
AGENTS_OF_OVS = {
    "neutron_dhcp_agent",
    "neutron_l3_agent",
    "neutron_metadata_agent",
    "neutron_openvswitch_agent",
}
RELEASES = tuple(releases.RELEASES)


@pytest.fixture(autouse=True)
def no_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")


def lab(paths: Paths, *features: str, config: Config | None = None, **options: object) -> Lab:
    return Lab(config, Options(**options), features=features, paths=paths)  # type: ignore[arg-type]


def core(release: str = "2026.1", backend: str = "ovn") -> Feature:
    (found,) = REGISTRY.resolve([], release, named(backend))
    return found


def test_the_settings_offer_the_backends_that_there_are() -> None:
    offered = settings(NetworkConfig)["backend"]
    assert offered.choices == tuple(BACKENDS)
    assert offered.default == OVS.name
    with pytest.raises(ConfigError, match="no network backend 'ovm'") as caught:
        named("ovm")
    assert caught.value.hint == "did you mean 'ovs'?"


def test_the_default_backend_is_in_no_key(paths: Paths) -> None:
    said = Config(network=NetworkConfig("ovs"))
    for features in ((), ("compute", "sfc"), ("bgpvpn",)):
        plain, named_one = lab(paths, *features), lab(paths, *features, config=said)
        keys = [[step.key for step in each.plan()] for each in (plain, named_one)]
        assert keys[0] == keys[1]
        assert "backend" not in plain.engine.stages["cloud"].inputs()


def test_another_backend_is_another_cloud_on_the_same_images_and_nodes(paths: Paths) -> None:
    ovs = {step.stage: step.key for step in lab(paths, "compute").plan()}
    ovn = {step.stage: step.key for step in lab(paths, "compute", config=ON_OVN).plan()}
    assert {stage for stage in ovs if ovs[stage] != ovn[stage]} == {"cloud"}


def test_a_cloud_serves_only_labs_of_its_backend(paths: Paths) -> None:
    more, less = (lab(paths, *each, config=ON_OVN).engine.stages["cloud"] for each in
                  (("compute", "skydive"), ("compute",)))  # fmt: skip
    assert less.serves(more.inputs(), less.inputs())
    other = lab(paths, "compute").engine.stages["cloud"]
    assert not other.serves(more.inputs(), other.inputs())


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_kolla_ansible_knows_its_containers_and_images(release: str, backend: str) -> None:
    known, found = catalogue.of_release(release), core(release, backend)
    containers = {service.container for service in known.services}
    images = {service.image for service in known.services}
    parts = named(backend).parts
    assert {name for names in parts.containers.values() for name in names} <= containers
    assert {*parts.control_images, *parts.compute_images} <= images
    for service in known.services:
        for names in (parts.containers["control"], parts.containers["compute"]):
            if service.container in names and service.image:
                assert service.image in found.images
    assert set(parts.globals) <= known.variables


@pytest.mark.parametrize("release", RELEASES)
def test_kolla_ansible_starts_what_is_waited_for_and_nothing_else(release: str) -> None:
    """The services whose conditions name the backend, with OVN's variables."""
    known, ovn = catalogue.of_release(release), core(release)
    waited = {name for names in ovn.containers.values() for name in names}
    for service in known.services:
        condition = str(service.enabled)
        if "neutron_plugin_agent" not in condition or " and " in condition:
            continue
        starts = "== 'ovn'" in condition
        assert (service.container in waited) is starts, service
    roles = {s.container for s in known.services if s.role in ("ovn-controller", "ovn-db")}
    relay = {"ovn_sb_db_relay"}
    assert roles - relay <= waited
    assert not relay & waited
    assert not AGENTS_OF_OVS & waited


def test_its_agents_are_those_that_neutron_registers() -> None:
    assert health.expected_agents([core()], NODES) == {
        ("OVN Controller Gateway agent", "controller-1"),
        ("OVN Controller agent", "compute-1"),
        ("OVN Metadata agent", "controller-1"),
        ("OVN Metadata agent", "compute-1"),
    }


def test_userspace_configuration_follows_the_release() -> None:
    for release, told in (("2026.1", False), ("2026.2", True)):
        merged = kolla.merge_config([core(release)], {}, {}, userspace=True)
        assert ("neutron/ml2_conf.ini" in merged) is told
        assert "neutron/openvswitch_agent.ini" not in merged
    with_kernel = kolla.merge_config([core("2026.2")], {}, {}, userspace=False)
    assert "neutron/ml2_conf.ini" not in with_kernel


def test_a_backends_parts_for_a_release_come_after_its_others() -> None:
    later = FeatureParts(globals={"enable_ovn_sb_db_relay": None, "new": 1})
    found = replace(OVN, by_release={"x": later})
    assert found.added_to(core("2026.1", "ovs"), "x").globals["new"] == 1
    assert "enable_ovn_sb_db_relay" not in found.added_to(Feature("core"), "x").globals
    assert "new" not in found.added_to(Feature("core"), "y").globals


def test_ovns_databases_are_deployed_before_neutron() -> None:
    found = {phase.name: phase for phase in phases.plan({})}
    assert found["switches"].tags == ("openvswitch", "ovn")
    assert "switches" in found["network"].after


def test_the_health_of_ovn_is_a_sync_with_a_deadline() -> None:
    (check,) = core().health
    assert "--timeout=20 --wait=hv sync" in check.command
    assert "ovn-northd.log" in check.command
    assert core("2026.1", "ovs").health == ()


def test_artifacts_of_ovn_are_asked_where_its_databases_are() -> None:
    found = core().artifacts
    assert set(found) >= {"ovn-northbound.txt", "ovn-southbound.txt", "ovn-clusters.txt"}
    assert all("docker container inspect ovn_" in command for command in found.values())


@pytest.mark.parametrize("name", ["sfc", "bgpvpn", "opendaylight"])
def test_a_lab_with_a_feature_that_does_not_suit_is_refused(paths: Paths, name: str) -> None:
    unsuited = "sfc" if name == "sfc" else "bgpvpn"
    message = f"the feature {unsuited} does not work with the network backend ovn"
    with pytest.raises(ConfigError, match=message) as caught:
        lab(paths, name, config=ON_OVN).plan()
    assert "it works with ovs" in caught.value.details
    assert not list(paths.state.parent.iterdir())


def test_why_features_do_not_suit() -> None:
    registry = FeatureRegistry()
    found = registry.unsuited(["compute", "sfc", "opendaylight"], OVN)
    assert found == {
        "sfc": "it works with the network backend ovs, not with ovn",
        "opendaylight": "the feature bgpvpn works with the network backend ovs, not with ovn",
    }
    assert registry.unsuited(registry.names(), OVS) == {}


@pytest.mark.parametrize(
    ("variable", "value", "backend"),
    [
        ("neutron_plugin_agent", "ovn", OVS),
        ("neutron_plugin_agent", "openvswitch", OVN),
        ("enable_ovn", True, OVS),
        ("enable_ovn", False, OVN),
        ("neutron_tenant_network_types", "vxlan", OVN),
        ("neutron_type_drivers", "flat,vxlan", OVN),
    ],
)
def test_variables_do_not_change_the_backend(
    variable: str, value: object, backend: NetworkBackend
) -> None:
    with pytest.raises(ConfigError, match=variable):
        assumed.check([("x.toml: globals", {variable: value})], backend)
    good = {
        "ovs": {"neutron_plugin_agent": "openvswitch", "neutron_tenant_network_types": "vxlan"},
        "ovn": {"neutron_plugin_agent": "ovn", "neutron_type_drivers": "flat,vlan,geneve"},
    }
    assumed.check([("x.toml: globals", good[backend.name])], backend)


def test_a_relay_is_no_service_of_a_lab() -> None:
    known = catalogue.of_release("2026.1")
    with pytest.raises(ConfigError, match="no feature has what enable_ovn_sb_db_relay switches on"):
        services.check({"enable_ovn_sb_db_relay": True}, known, [core()])


def test_a_stock_deploy_of_ovn_is_for_nodes_with_the_module(paths: Paths) -> None:
    stock = Config(network=NetworkConfig("ovn"), stock=True)
    with pytest.raises(ConfigError, match="stock deploy cannot have the network backend ovn"):
        lab(paths, config=stock, provider="docker").plan()
    with_kernel = Config(
        network=NetworkConfig("ovn"), stock=True, globals={"ovs_datapath": "system"}
    )
    assert lab(paths, config=with_kernel, provider="docker").plan()


def test_images_have_the_tag_that_they_had(paths: Paths) -> None:
    stages = [
        ImagesStage(Config(), Options(), paths, names=names)
        for names in (["neutron-server"], ["neutron-server", "ovn-northd"])
    ]
    assert stages[0].inputs() == stages[1].inputs()
    ovn = {"ovn-controller", "ovn-nb-db-server", "ovn-northd", "ovn-sb-db-server"}
    for release in RELEASES:
        universe = {n for f in built_in(release) for n in f.images}
        assert not ovn & universe
        assert ovn <= set(kolla_images(release))


def test_the_command_line_keeps_the_backend_of_a_cloud(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOLLALAB_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("KOLLALAB_CACHE", str(tmp_path / "cache"))
    ours = Settings(ON_OVN, Options(), origins={"network.backend": "--backend"})
    # Chains are among the defaults, but OVN has none.
    assert frame.lab_to_build(ours, ()).feature_names == ("compute",)
    assert frame.lab_to_build(Settings(Config(), Options()), ()).backend == OVS
    inputs = {"features": ["core", "compute"], "backend": "ovn"}
    record = Record("cloud", "k", "r", READY, inputs=inputs)
    records.save(tmp_path / "state" / "labs" / "lab" / "cloud.json", record)
    there = frame.lab_to_build(Settings(Config(), Options()), ())
    assert (there.backend, there.feature_names) == (OVN, ("core", "compute"))
    said = Settings(Config(), Options(), origins={"network.backend": "kollalab.toml"})
    assert frame.lab_to_build(said, ()).backend == OVS


def test_a_plan_says_which_backend_and_who_chose_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOLLALAB_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("KOLLALAB_CACHE", str(tmp_path / "cache"))
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kollalab.toml").write_text('[network]\nbackend = "ovn"\n')
    given = ["plan", "--explain", "--json", "--until", "tools"]
    told = json.loads(CliRunner().invoke(main, given).output)
    found = {each["name"]: (each["value"], each["source"]) for each in told["settings"]}
    assert found["network.backend"] == ("ovn", str(tmp_path / "kollalab.toml"))
    assert told["backend"] == "ovn"
    told = json.loads(CliRunner().invoke(main, [*given, "--backend", "ovs"]).output)
    found = {each["name"]: (each["value"], each["source"]) for each in told["settings"]}
    assert found["network.backend"] == ("ovs", "--backend")


def test_a_cloud_that_is_there_is_looked_at_with_its_own_backend(paths: Paths) -> None:
    found = lab(paths)
    assert found.cloud_backend() is None
    inputs = {"features": ["core"], "backend": "ovn"}
    records.save(found.folder / "cloud.json", Record("cloud", "k", "r", READY, inputs=inputs))
    assert found.cloud_backend() == "ovn"
    # Rolled back or started again without the option, its agents are OVN's.
    (there,) = found._resolve_there(["core"])
    assert there.agents == core().agents
    assert found.backend == OVS
    # So is the lab that is upgraded.
    assert found._of_release("2026.2", ["core"]).backend == OVN
