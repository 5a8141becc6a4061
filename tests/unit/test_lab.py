"""The lab: planning is pure, verbs on what is not there are messages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_kollalab.engine import records
from pytest_kollalab.engine.engine import BUILD
from pytest_kollalab.engine.records import FAILED, READY, Record
from pytest_kollalab.features.registry import built_in
from pytest_kollalab.lab import kept
from pytest_kollalab.lab.lab import Lab
from pytest_kollalab.settings.config import STAGES, Config, Options, of_lab
from pytest_kollalab.system.errors import BusyError, ConfigError, KollalabError, StageError
from pytest_kollalab.system.locks import Lease
from pytest_kollalab.system.paths import Paths
from tests import made


@pytest.fixture(autouse=True)
def no_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")


def lab(paths: Paths, *features: str, config: Config | None = None, **options: object) -> Lab:
    return Lab(config, Options(**options), features=features, paths=paths)  # type: ignore[arg-type]


def keys(lab: Lab) -> dict[str, str]:
    return {step.stage: step.key for step in lab.plan()}


def test_a_plan_without_docker_and_caches_builds_all_and_touches_nothing(
    paths: Paths, tmp_path: Path
) -> None:
    steps = lab(paths, "compute", "sfc").plan()
    assert [step.stage for step in steps] == list(STAGES)
    assert {step.action for step in steps} == {BUILD}
    assert list(tmp_path.iterdir()) == []


def test_a_plan_stops_where_it_is_told_to(paths: Paths) -> None:
    assert [step.stage for step in lab(paths, until="images").plan()] == ["tools", "images"]


def test_keys_are_the_same_on_every_host_and_for_every_way_to_run(
    paths: Paths, tmp_path: Path
) -> None:
    elsewhere = Paths(cache=tmp_path / "a", state=tmp_path / "b")
    assert keys(lab(paths, "sfc")) == keys(lab(elsewhere, "sfc", name="other", keep="always"))


def test_features_change_the_cloud_and_not_the_tools(paths: Paths) -> None:
    one, two = keys(lab(paths, "sfc")), keys(lab(paths, "sfc", "compute"))
    assert one["tools"] == two["tools"]
    assert one["nodes"] == two["nodes"]
    assert one["cloud"] != two["cloud"]


def test_a_kolla_variable_of_the_user_changes_the_cloud_alone(paths: Paths) -> None:
    one = keys(lab(paths, "sfc"))
    two = keys(lab(paths, "sfc", config=Config(globals={"neutron_dns_domain": "lab."})))
    assert {stage for stage in STAGES if one[stage] != two[stage]} == {"cloud"}


def test_features_are_asked_for_once_each(paths: Paths) -> None:
    asked = lab(paths, "sfc", "sfc", config=Config(features=("compute", "sfc")))
    assert asked.feature_names == ("compute", "sfc")


@pytest.mark.parametrize("name", ["2026.3", "2025.1"])
def test_an_unknown_release_names_those_that_are_known(paths: Paths, name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        lab(paths, config=Config(release=name)).plan()
    assert name in caught.value.brief
    assert caught.value.hint == "known: 2026.1, 2026.2"


def test_an_unknown_feature_names_the_nearest(paths: Paths) -> None:
    with pytest.raises(ConfigError) as caught:
        lab(paths, "sfx").plan()
    assert "'sfc'" in caught.value.hint


def test_a_stage_beyond_until_is_refused(paths: Paths) -> None:
    with pytest.raises(StageError, match="comes after images"):
        lab(paths, until="images").ensure("cloud")


def test_a_host_without_docker_is_told_what_to_do_before_anything_is_built(paths: Paths) -> None:
    with pytest.raises(KollalabError) as caught:
        lab(paths).up()
    assert "docker" in str(caught.value)
    assert "bootstrap" in caught.value.hint
    assert not (paths.cache / "tools").exists()


def test_no_record_is_no_lab(paths: Paths) -> None:
    assert not lab(paths).exists()
    assert lab(paths).records() == {}


@pytest.mark.parametrize("status", [FAILED, records.CREATING])
def test_nodes_that_are_not_ready_take_no_ssh(paths: Paths, status: str) -> None:
    record = Record("nodes", "k", "r", status, inputs={})
    records.save(paths.lab("lab") / "nodes.json", record)
    assert lab(paths).exists()
    with pytest.raises(StageError, match="has no nodes"):
        lab(paths).ssh()


def test_ready_nodes_take_ssh(paths: Paths) -> None:
    nodes = made.nodes(ssh_config=Path("/x/ssh_config"))
    record = Record("nodes", "k", "r", READY, inputs={}, made=nodes.to_json())
    records.save(paths.lab("lab") / "nodes.json", record)
    assert "/x/ssh_config" in lab(paths).ssh().argv("controller-1", ["true"])


def test_a_lab_in_use_is_not_destroyed(paths: Paths) -> None:
    other = Lease(paths.state / "labs" / "lab.lease")
    other.take()
    try:
        with pytest.raises(BusyError, match="in use") as caught:
            lab(paths).destroy()
        assert "it is used by" in caught.value.details
        assert "removes it" not in caught.value.hint
    finally:
        other.release()


def test_a_damaged_record_of_nodes_does_not_hinder_the_removal(paths: Paths) -> None:
    mine = lab(paths)
    mine.folder.mkdir(parents=True)
    (mine.folder / "nodes.json").write_text("{")
    assert mine.provider.name == "docker"
    assert mine.retained is not None


def test_a_lab_is_looked_at_with_the_provider_that_made_it(paths: Paths) -> None:
    record = Record("nodes", "key", "run", READY, {"provider": "libvirt"}, made={"nodes": {}})
    records.save(paths.lab("lab") / "nodes.json", record)
    assert lab(paths).provider.name == "libvirt"
    assert lab(paths, provider="docker").provider.name == "docker"
    assert lab(paths, name="other").provider.name == "docker"


@pytest.mark.parametrize("verb", ["save", "rollback", "clear"])
def test_what_is_not_there_is_neither_saved_nor_brought_back(paths: Paths, verb: str) -> None:
    with pytest.raises(KollalabError) as caught:
        getattr(lab(paths), verb)("golden")
    assert caught.value.hint


@pytest.mark.parametrize("verb", ["save", "rollback"])
def test_a_lab_that_another_run_uses_keeps_its_nodes_as_they_are(paths: Paths, verb: str) -> None:
    other = Lease(paths.state / "labs" / "lab.lease", "other")
    other.take()
    with pytest.raises(BusyError, match="in use by another run") as caught:
        getattr(lab(paths), verb)("golden")
    assert "it is used by" in caught.value.details
    assert "end that run first" in caught.value.hint
    other.release()


def test_nodes_of_a_feature_change_the_nodes_and_serve_who_wants_none(paths: Paths) -> None:
    few, more = lab(paths, "sfc"), lab(paths, "sfc", "bgpvpn")
    assert keys(few)["images"] == keys(more)["images"]
    assert keys(few)["nodes"] != keys(more)["nodes"]
    wanted, recorded = (each.engine.stages["nodes"].inputs() for each in (few, more))
    assert recorded == {**wanted, "extra": ["gateway-1"]}
    assert few.engine.stages["nodes"].serves(recorded, wanted)
    assert not more.engine.stages["nodes"].serves(wanted, recorded)
    assert not few.engine.stages["nodes"].serves({**recorded, "mtu": "another"}, wanted)


@pytest.mark.parametrize("asked", [feature.name for feature in built_in("2026.1")])
def test_a_cloud_of_more_features_serves_who_asks_for_one(paths: Paths, asked: str) -> None:
    # What these require is not named.
    more, few = lab(paths, "opendaylight", "sfc", "skydive", "tacker"), lab(paths, asked)
    wanted, recorded = (each.engine.stages["cloud"].inputs() for each in (few, more))
    assert few.engine.stages["cloud"].serves(recorded, wanted)
    turned = {**recorded, "features": recorded["features"][::-1]}
    assert few.engine.stages["cloud"].serves(turned, wanted)
    assert not more.engine.stages["cloud"].serves(wanted, recorded)


def with_banner(inputs: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """The inputs of a cloud that has a feature more, which nobody here knows."""
    return {
        **inputs,
        "features": [*inputs["features"], "banner"],
        "playbooks": {**inputs.get("playbooks", {}), "banner/banner.yml": "d1"},
        "settings": {**inputs.get("settings", {}), "banner": {"text": "hello"}},
        "images": {**inputs.get("images", {}), "banner": "d2"},
        **more,
    }


@pytest.mark.parametrize("more", [("sfc",), ("sfc", "bgpvpn", "skydive")])
def test_a_cloud_with_an_unknown_feature_serves_if_the_rest_is_the_same(
    paths: Paths, more: tuple[str, ...]
) -> None:
    few, many = (lab(paths, *each).engine.stages["cloud"] for each in (("sfc",), more))
    wanted, there = few.inputs(), many.inputs()
    assert few.serves(with_banner(there), wanted)
    # What may be of that feature or of somebody else, nobody knows.
    assert not few.serves(with_banner(there, globals={**there["globals"], "a": "b"}), wanted)
    config = {**there["config"], "neutron.conf": "[DEFAULT]\ndebug = true\n"}
    assert not few.serves(with_banner(there, config=config), wanted)
    playbooks = {**there.get("playbooks", {}), "other/other.yml": "d3"}
    assert not few.serves(with_banner(there, playbooks=playbooks), wanted)
    # It lacks what is asked for.
    asking = lab(paths, "sfc", "compute").engine.stages["cloud"]
    assert not asking.serves(with_banner(there), asking.inputs())


@pytest.mark.parametrize("asked", [("sfc",), ("sfc", "compute"), ("compute",)])
def test_a_kept_lab_with_an_unknown_feature_is_not_thrown_away(
    paths: Paths, asked: tuple[str, ...]
) -> None:
    inputs = with_banner(lab(paths, "sfc").engine.stages["cloud"].inputs(), release="2025.2")
    records.save(paths.lab("lab") / "cloud.json", Record("cloud", "k", "r", READY, inputs))
    for act in (lambda: lab(paths, *asked).plan(), lambda: lab(paths, *asked).up()):
        with pytest.raises(ConfigError) as caught:
            act()
        assert caught.value.brief == (
            "lab lab has the feature banner, not known here: it would be built anew without"
        )
        assert "it has core sfc banner; wanted here: core " in caught.value.details
    # What does not touch the cloud is planned as ever, and what a session made for itself goes.
    lab(paths, *asked).plan("images")
    (paths.lab("lab") / kept.PASSING).touch()
    assert [step.action for step in lab(paths, *asked).plan()] == [BUILD] * 4


def test_a_lab_is_cloned_from_one_of_the_same_host_only(paths: Paths) -> None:
    there = "tcp://192.0.2.7:2376"

    def base(*hosts: str) -> Lab | None:
        options = Options(labs=2, provider="docker", hosts=hosts)
        return Lab(options=of_lab(options, 1), paths=paths).base

    found = base("default", "default")
    assert found is not None
    assert (found.name, found.options.clone_of) == ("lab", "")
    assert base("default", there) is None
    # The first lab is there, and there it stays.
    assert base(there, "default") is None
