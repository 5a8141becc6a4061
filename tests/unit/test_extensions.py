"""Extensions: what hooks give becomes plain data, and says who gave it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from pytest_kollalab.cli import main
from pytest_kollalab.cli.frame import EXIT_USAGE
from pytest_kollalab.engine.engine import Engine
from pytest_kollalab.engine.made import Made
from pytest_kollalab.engine.stage import Stage, Work
from pytest_kollalab.extensions import extensions
from pytest_kollalab.extensions.extensions import Extension, Extensions
from pytest_kollalab.features.base import Feature
from pytest_kollalab.lab.lab import Lab
from pytest_kollalab.providers.base import ProvidedNodes, Provider, Spec
from pytest_kollalab.providers.choice import check
from pytest_kollalab.settings.config import STAGES, Config, NodesConfig, Options
from pytest_kollalab.stages.states.saves import Save
from pytest_kollalab.system.errors import ConfigError, HostError
from pytest_kollalab.system.paths import Paths

RELEASE = "2026.1"
FROM = "FROM {{ namespace }}/{{ image_prefix }}base:{{ tag }}\n"

PACKAGE = """
from pytest_kollalab.features.base import Feature

def pytest_kollalab_features():
    return Feature("balancer", requires=("compute",), globals={"enable_balancer": True})

def pytest_kollalab_globals(release):
    return {"release_seen": release}

def helper():
    raise AssertionError("is no hook")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    image = tmp_path / "images" / "hello"
    image.mkdir(parents=True)
    (image / "Dockerfile.j2").write_text(FROM)
    return tmp_path / "images"


def plugin(**hooks: Any) -> ModuleType:
    module = ModuleType("plugin")
    vars(module).update({f"pytest_kollalab_{name}": hook for name, hook in hooks.items()})
    return module


def gather(**plugins: Any) -> Extensions:
    hooks = extensions.Hooks()
    for name, each in plugins.items():
        hooks.register(each, name)
    return extensions.gather(hooks, RELEASE)


def lab(tmp_path: Path, given: Extensions, *features: str, config: Config | None = None) -> Lab:
    paths = Paths(cache=tmp_path / "cache", state=tmp_path / "state")
    return Lab(config, Options(), features=features, paths=paths, extensions=given)


def keys(lab: Lab) -> dict[str, str]:
    return {step.stage: step.key for step in lab.plan()}


def test_what_each_plugin_gives_is_kept_apart() -> None:
    one, two = Feature("one"), Feature("two")
    found = gather(
        first=plugin(features=lambda: one, globals=lambda: {"a": 1}),
        second=plugin(features=lambda: [two], artifacts=lambda: {"uptime": "uptime"}),
    )
    assert [extension.source for extension in found.given] == ["first", "second"]
    assert found.given[0].features == (one,)
    assert found.given[0].globals == {"a": 1}
    assert found.given[1].features == (two,)
    assert found.artifacts([]) == {"uptime": "uptime"}


def test_the_release_is_told_to_who_asks() -> None:
    found = gather(one=plugin(globals=lambda release: {"seen": release}))
    assert found.given[0].globals == {"seen": RELEASE}


def test_nothing_is_an_answer_too() -> None:
    assert gather(one=plugin(features=lambda: None, globals=lambda: None)).given[0].features == ()


def test_the_watchers_are_told() -> None:
    seen: list[tuple[str, str]] = []

    def watch(stage: str, action: str) -> None:
        seen.append((stage, action))

    gather(one=plugin(stage_done=watch)).watch("lab", "nodes", "build", Made())
    assert seen == [("nodes", "build")]


@pytest.mark.parametrize(
    ("hook", "answer"),
    [("features", "sfc"), ("features", 3), ("globals", ["a"]), ("images", "folder")],
)
def test_a_wrong_answer_says_whose_it_is(hook: str, answer: object) -> None:
    with pytest.raises(ConfigError, match=f"the hook pytest_kollalab_{hook} of one returned"):
        gather(one=plugin(**{hook: lambda: answer}))


def test_two_features_of_one_name_are_refused() -> None:
    given = gather(
        one=plugin(features=lambda: Feature("x")), two=plugin(features=lambda: Feature("x"))
    )
    with pytest.raises(ConfigError, match="two features named 'x'"):
        _ = given.registry


def test_a_lab_with_features_that_conflict_is_refused_before_anything_is_built(
    tmp_path: Path,
) -> None:
    mesh = Feature("mesh", conflicts={"sfc": "both classify at the port"})
    made = lab(tmp_path, Extensions((Extension("one", features=(mesh,)),)), "sfc", "mesh")
    for act in (made.plan_lines, lambda: made.ensure("tools"), made.up):
        with pytest.raises(ConfigError, match="mesh and sfc cannot be in one lab") as error:
            act()
        assert error.value.details == "both classify at the port"
    assert not made.folder.exists()


def test_a_lab_without_extensions_is_what_it_was(tmp_path: Path) -> None:
    idle = Extensions((Extension("idle", features=(Feature("unused"),)),))
    assert keys(lab(tmp_path, idle, "sfc")) == keys(lab(tmp_path, Extensions(), "sfc"))


def changed(tmp_path: Path, extension: Extension, *features: str) -> set[str]:
    before = keys(lab(tmp_path, Extensions(), "sfc"))
    after = keys(lab(tmp_path, Extensions((extension,)), "sfc", *features))
    return {stage for stage in before if before[stage] != after[stage]}


def test_what_plugins_give_enters_the_key_of_the_cloud(tmp_path: Path, folder: Path) -> None:
    assert changed(tmp_path, Extension("one", globals={"a": 1})) == {"cloud"}
    assert changed(tmp_path, Extension("one", images=(folder,))) == {"cloud"}
    brings = Feature("hello", images_from=(folder,), control_images=("hello",))
    assert changed(tmp_path, Extension("one", features=(brings,)), "hello") == {"cloud"}
    assert changed(tmp_path, Extension("one", artifacts={"a": "true"})) == set()


def test_a_change_of_a_template_or_a_playbook_is_seen(tmp_path: Path, folder: Path) -> None:
    playbook = tmp_path / "playbooks" / "hello.yml"
    (playbook.parent / "files").mkdir(parents=True)
    playbook.write_text("[]")
    feature = Feature("hello", images_from=(folder,), playbooks=(playbook,))
    given = Extensions((Extension("one", features=(feature,)),))
    seen = [keys(lab(tmp_path, given, "hello"))["cloud"]]
    for path in (folder / "hello" / "more", playbook, playbook.parent / "files" / "new"):
        path.write_text("- hosts: all\n")
        seen.append(keys(lab(tmp_path, given, "hello"))["cloud"])
    assert len(set(seen)) == 4


def test_a_clash_of_two_plugins_names_both(tmp_path: Path) -> None:
    given = Extensions((Extension("one", globals={"a": 1}), Extension("two", globals={"a": 2})))
    with pytest.raises(ConfigError, match="one and two do not agree on the Kolla variable a"):
        lab(tmp_path, given).plan()


def test_the_users_own_variable_wins(tmp_path: Path) -> None:
    given = Extensions((Extension("one", globals={"nova_api_port": 1}),))
    mine = Config(globals={"nova_api_port": 2})
    assert keys(lab(tmp_path, given, config=mine)) == keys(lab(tmp_path, Extensions(), config=mine))


def test_the_plan_says_what_came_from_whom(tmp_path: Path, folder: Path) -> None:
    feature = Feature("hello", images_from=(folder,), playbooks=(Path("/x/hello.yml"),))
    extension = Extension(
        "conftest.py", features=(feature, Feature("unused")), globals={"a": 1}, artifacts={"b": "c"}
    )
    given = Extensions((extension,))
    assert given.describe([feature]) == [
        "feature hello (image hello, playbook hello.yml), from conftest.py",
        "variable a = 1, from conftest.py",
        "artifact b, from conftest.py",
    ]


class Small(Stage[Made]):
    """A stage that makes its own name."""

    makes = Made

    def __init__(self, name: str, *needs: str) -> None:
        self.name, self.needs = name, needs

    def inputs(self) -> Any:
        return {}

    def gone(self, made: Made) -> str | None:
        return None

    def create(self, work: Work) -> Made:
        return Made(extra={"is": self.name})

    def destroy(self, work: Work) -> None:
        pass


def test_each_stage_is_told_once_with_what_it_made(tmp_path: Path) -> None:
    seen: list[tuple[str, str, str, Any]] = []

    def watch(lab: str, stage: str, action: str, made: Made) -> None:
        seen.append((lab, stage, action, made))

    def ensured(stage: str) -> Lab:
        made = lab(tmp_path, Extensions(watch=watch))
        stages = [Small("tools"), Small("images", "tools"), Small("nodes", "images")]
        made.engine = Engine("lab", stages, made.paths, say=lambda text: None)
        made._announced = len(STAGES)
        made.ensure(stage)
        made.lease.release()
        return made

    first = ensured("images")
    first.ensure("images")
    first.lease.release()
    assert seen == [
        ("lab", name, "build", Made(extra={"is": name})) for name in ("tools", "images")
    ]
    seen.clear()
    ensured("nodes")
    assert [action for _, _, action, _ in seen] == ["reuse", "reuse", "build"]


def install(folder: Path, module: str, text: str) -> None:
    metadata = folder / "balancer-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: balancer\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(f"[kollalab]\nbalancer = {module}\n")
    (folder / f"{module}.py").write_text(text)


def test_installed_packages_bring_extensions_without_pytest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "balancer_hooks", PACKAGE)
    monkeypatch.syspath_prepend(tmp_path)
    found = extensions.installed(RELEASE)
    (extension,) = [each for each in found.given if each.source == "balancer"]
    assert extension.globals == {"release_seen": RELEASE}
    names = [feature.name for feature in found.registry.resolve(["balancer"], "2026.1")]
    assert names == ["core", "compute", "balancer"]


def test_an_installed_package_that_cannot_be_imported_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "balancer_broken", "import no_such_module")
    monkeypatch.syspath_prepend(tmp_path)
    result = CliRunner().invoke(main, ["schema"])
    assert result.exit_code == EXIT_USAGE
    assert result.output == (
        "error: balancer_broken, an extension that balancer brings, cannot be imported\n"
        "  ModuleNotFoundError: No module named 'no_such_module'\n"
        "  what now: fix or uninstall balancer\n"
    )


def test_an_added_provider_is_known(tmp_path: Path) -> None:
    made = lab_of(tmp_path, lambda options, paths: Racks())
    assert made.provider.name == "racks"
    assert [step.stage for step in made.plan()] == ["tools", "images", "nodes", "cloud"]
    assert made.engine.stages["nodes"].inputs() == {"provider": "racks", "rack": "r7"}


class Racks(Provider):
    """As little as a provider can be."""

    name = "racks"

    def inputs(self, nodes: NodesConfig) -> dict[str, Any]:
        return {"rack": "r7"}

    def create(self, spec: Spec, undo: ExitStack) -> ProvidedNodes:
        raise NotImplementedError

    def gone(self, lab: str, made: ProvidedNodes) -> str | None:
        return None

    def destroy(self, lab: str) -> None:
        pass


def lab_of(tmp_path: Path, factory: Any) -> Lab:
    given = Extensions((Extension("one", providers={"racks": factory}),))
    paths = Paths(cache=tmp_path, state=tmp_path)
    return Lab(None, Options(provider="racks"), paths=paths, extensions=given)


def test_a_provider_has_defaults_for_what_it_need_not_say(tmp_path: Path) -> None:
    racks = Racks()
    assert (racks.slowness, racks.problems(), racks.globals()) == (1.0, [], {})
    assert racks.stopped("lab", "controller-1") is None
    assert racks.last_words("lab", "controller-1") == ""
    racks.prepare(NodesConfig(), tmp_path / "log", print)
    with pytest.raises(TypeError, match="abstract method"):
        type("Half", (Racks,), {"create": Provider.create})()


def test_nodes_that_cannot_be_saved_say_so(tmp_path: Path) -> None:
    made = lab_of(tmp_path, lambda options, paths: Racks())
    save = Save("golden", "golden.1", "2026-01-01T00:00:00Z", "", "")
    (made.folder / "saves").mkdir(parents=True)
    (made.folder / "saves" / "golden.1.json").write_text(json.dumps(asdict(save)))
    for act in (made.rewind.saves.save, made.rewind.saves.restore, made.rewind.saves.clear):
        with pytest.raises(HostError, match="nodes of the provider racks cannot be saved"):
            act("golden")
    assert made.rewind.saves.unfinished() is None
    # A lab is deployed all the same, with no golden state.
    made.rewind.keep_golden()
    assert made.retained.found() is None


def test_a_factory_that_makes_something_else_is_told(tmp_path: Path) -> None:
    made = lab_of(tmp_path, lambda options, paths: SimpleNamespace(name="racks"))
    with pytest.raises(ConfigError, match="the provider racks is not one"):
        _ = made.provider


@pytest.mark.parametrize(
    ("name", "added", "message"),
    [
        ("dokcer", {}, "did you mean 'docker'"),
        ("clud", {"cloud9": None}, "did you mean 'cloud9'"),
        ("docker", {"docker": None}, "another name"),
    ],
)
def test_a_provider_that_is_not_one(name: str, added: Mapping[str, None], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(name, added)
    assert message in caught.value.hint
