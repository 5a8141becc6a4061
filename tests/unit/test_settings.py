"""Settings: declared once, given in several ways, and tables that features and providers add."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from click.testing import CliRunner

from pytest_kollalab.cli import main
from pytest_kollalab.extensions.extensions import Extension, Extensions
from pytest_kollalab.features.base import Feature
from pytest_kollalab.lab.explain import explain
from pytest_kollalab.lab.lab import Lab
from pytest_kollalab.providers.docker.provider import DockerProvider
from pytest_kollalab.settings.config import Config, Invocation, Options
from pytest_kollalab.settings.convert import Place
from pytest_kollalab.settings.declare import plain_settings, setting, settings
from pytest_kollalab.settings.read import check_tables, environment, keyed, read
from pytest_kollalab.system.errors import ConfigError
from pytest_kollalab.system.paths import Paths

# Variables of ours that are no settings.
OTHERS = {"CACHE", "STATE", "CRASH_AT", "OWNER", "REGISTRY_USERNAME", "REGISTRY_PASSWORD"}


@dataclass(frozen=True)
class EchoConfig:
    """How an echo sounds."""

    tone: Literal["high", "low"] = setting("high", "how it sounds")
    words: tuple[str, ...] = setting((), "what it says")
    sample: str = setting("", "a recording", path=True, key=False)

    def __post_init__(self) -> None:
        if "silence" in self.words:
            raise ConfigError("echo.words: nobody hears silence", hint="leave it out")


def written(folder: Path, text: str) -> Path:
    path = folder / "kollalab.toml"
    path.write_text(text)
    return path


def test_every_setting_says_what_it_is() -> None:
    for kind in (Config, Options, Invocation):
        for each in settings(kind).values():
            assert each.about.help, each.name


def test_no_variable_has_two_meanings() -> None:
    names = {each.variable for each in plain_settings(Invocation, Config, Options).values()}
    assert not names & {f"KOLLALAB_{name}" for name in OTHERS}


def test_a_later_layer_wins_and_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, "release = 'x'\n[run]\nkeep = 'failed'\nlabs = 2\nname = 'a'")
    first = {"keep": ("always", Place("KOLLALAB_KEEP")), "labs": ("3", Place("KOLLALAB_LABS"))}
    second = {"keep": ("never", Place("--keep")), "stock": (True, Place("--stock"))}
    found = read(path, first, second)
    assert found.options == Options(keep="never", labs=3, name="a")
    assert (found.config.release, found.config.stock) == ("x", True)
    assert found.origins == {
        "release": str(path),
        "stock": "--stock",
        "run.keep": "--keep",
        "run.labs": "KOLLALAB_LABS",
        "run.name": str(path),
    }


def test_the_environment_says_words_numbers_and_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {"FRESH": "nodes cloud", "THREADS": "2", "STOCK": "yes", "NAME": ""}.items():
        monkeypatch.setenv(f"KOLLALAB_{name}", text)
    found = read(None, environment())
    assert found.options == Options(fresh=("nodes", "cloud"), threads=2)
    assert found.config.stock


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("fresh", "nodes 'cloud", "is no list of strings"),
        ("fresh", "nodes cluod", "--x: 'cluod' is not known"),
        ("threads", "-1", "--x: -1 is not possible"),
        ("threads", "1.5", "--x: '1.5' is no whole number"),
        ("keep", 3, "--x has the wrong type"),
        ("labs", True, "--x has the wrong type"),
    ],
)
def test_what_is_wrong_is_said_with_where_it_was_written(
    name: str, text: object, message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read(None, {name: (text, Place("--x"))})
    assert caught.value.hint


def test_a_path_of_the_file_counts_from_it_and_a_url_does_not(tmp_path: Path) -> None:
    text = """
        [images.overrides]
        keystone = "keystone"
        [nodes]
        image = "https://example.org/image"
        [run]
        artifacts = "out"
        registry_ca = "/etc/ca.pem"
    """
    found = read(written(tmp_path, text))
    assert found.config.images.overrides == {"keystone": str(tmp_path / "keystone")}
    assert found.config.nodes.image == "https://example.org/image"
    assert found.options.artifacts == str(tmp_path / "out")
    assert found.options.registry_ca == "/etc/ca.pem"


def test_a_table_is_read_by_who_declares_it(tmp_path: Path) -> None:
    text = "[echo]\ntone = 'low'\nwords = ['a']\nsample = 'a.wav'\n"
    config = read(written(tmp_path, text)).config
    check_tables(config, {"echo": EchoConfig})
    found = config.table("echo", EchoConfig)
    assert found == EchoConfig("low", ("a",), str(tmp_path / "a.wav"))
    assert keyed(found) == {"tone": "low", "words": ["a"]}
    assert Config().table("echo", EchoConfig) == EchoConfig()


@pytest.mark.parametrize(
    ("text", "brief", "hint"),
    [
        ("[ehco]", "unknown table [ehco]", "'echo'"),
        ("[node]", "unknown table [node]", "'nodes'"),
        ("[echo]\ntune = 'low'", "unknown key echo.tune", "'tone'"),
        ("[echo]\ntone = 'lo'", "echo.tone: 'lo' is not known", "'low'"),
        ("[echo]\nwords = 'a'", "echo.words has the wrong type", "list of strings"),
        ("[echo]\nwords = ['silence']", "echo.words: nobody hears silence", "leave it out"),
    ],
)
def test_a_mistake_in_a_table_names_the_file(
    tmp_path: Path, text: str, brief: str, hint: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        check_tables(read(path).config, {"echo": EchoConfig})
    assert caught.value.brief == f"{path}: {brief}"
    assert hint in caught.value.hint


def test_who_gave_a_setting(tmp_path: Path) -> None:
    path = written(tmp_path, "features = ['sfc']\n")
    option = {"features": ("scf", Place("--kollalab-features"))}
    assert read(path).said_by("features") == "the configuration"
    assert read(path, option).said_by("features") == "--kollalab-features"
    assert read(None).said_by("features") == "the configuration"


class Hired(DockerProvider):
    """Nodes of somebody else's."""

    name = "hired"
    settings: EchoConfig


def hired(options: Options, paths: Paths, settings: EchoConfig) -> Hired:
    made = Hired("", options.mirror, paths)
    made.settings = settings
    return made


ECHO = Feature("echo", settings=EchoConfig)
BROUGHT = Extension(
    "plugin", providers={"hired": hired}, features=(ECHO,), settings={"hired": EchoConfig}
)


def lab(tmp_path: Path, provider: str = "docker", **tables: Any) -> Lab:
    paths = Paths(cache=tmp_path / "cache", state=tmp_path / "state")
    config, given = Config(tables=tables), Extensions((BROUGHT,))
    options = Options(provider=provider)
    return Lab(config, options, features=["echo"], paths=paths, extensions=given)


def keys(lab: Lab) -> dict[str, str]:
    return {step.stage: step.key for step in lab.plan()}


def changed(one: Lab, other: Lab) -> set[str]:
    return {stage for stage, key in keys(one).items() if keys(other)[stage] != key}


def test_what_a_feature_declares_enters_the_key_of_the_cloud(tmp_path: Path) -> None:
    plain = lab(tmp_path)
    assert changed(plain, lab(tmp_path, echo={"tone": "low"})) == {"cloud"}
    assert changed(plain, lab(tmp_path, echo={"tone": "high", "sample": "x"})) == set()
    assert plain.engine.stages["cloud"].inputs()["settings"] == {
        "echo": {"tone": "high", "words": []}
    }


def test_what_a_provider_declares_enters_the_key_of_the_nodes(tmp_path: Path) -> None:
    plain, low = lab(tmp_path, "hired"), lab(tmp_path, "hired", hired={"tone": "low"})
    assert changed(plain, low) == {"nodes", "cloud"}
    assert changed(plain, lab(tmp_path, "hired", hired={"sample": "x"})) == set()
    assert isinstance(low.provider, Hired)
    assert low.provider.settings == EchoConfig("low")


def test_labs_without_such_tables_have_the_keys_that_they_had(tmp_path: Path) -> None:
    paths = Paths(cache=tmp_path / "cache", state=tmp_path / "state")
    made = Lab(Config(), Options(), features=["sfc", "skydive"], paths=paths)
    for name in ("nodes", "cloud"):
        assert "settings" not in made.engine.stages[name].inputs()


def test_tables_are_explained(tmp_path: Path) -> None:
    said = read(written(tmp_path, "[echo]\ntone = 'low'\n[run]\nprovider = 'hired'\n"))
    paths = Paths(cache=tmp_path / "cache", state=tmp_path / "state")
    made = Lab(
        said.config, said.options, features=["echo"], paths=paths, extensions=Extensions((BROUGHT,))
    )
    found = {each.name: (each.value, each.source) for each in explain(made, said)}
    assert found["echo.tone"] == ("low", str(tmp_path / "kollalab.toml"))
    assert found["echo.words"] == ((), "default")
    assert found["hired.tone"] == ("high", "default")
    assert "skydive.binary" not in found


@pytest.mark.parametrize(
    ("extension", "message"),
    [
        (Extension("p", features=(Feature("nodes", settings=EchoConfig),)), "two tables named"),
        (Extension("p", features=(ECHO,), settings={"echo": EchoConfig}), "two tables named"),
        (Extension("p", settings={"skydive": EchoConfig}), "two tables named"),
        (Extension("p", settings={"x": int}), "the settings of x are no dataclass"),
    ],
)
def test_a_table_that_is_somebody_elses_is_refused(extension: Extension, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _ = Extensions((extension,)).tables


def test_verbs_take_settings_from_options_and_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CACHE", "STATE"):
        monkeypatch.setenv(f"KOLLALAB_{name}", str(tmp_path / name))
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KOLLALAB_NAME", "there")
    monkeypatch.setenv("KOLLALAB_UNTIL", "images")
    arguments = ["plan", "--explain", "--json", "--until", "tools", "--fresh", "tools", "--stock"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    found = {e["name"]: (e["value"], e["source"]) for e in json.loads(result.output)["settings"]}
    assert found["run.name"] == ("there", "KOLLALAB_NAME")
    assert found["run.until"] == ("tools", "--until")
    assert found["run.fresh"] == (["tools"], "--fresh")
    assert found["stock"] == (True, "--stock")
    result = CliRunner().invoke(main, ["plan", "--until", "tool"])
    assert result.exit_code == 2
    assert "--until: 'tool' is not known" in result.output
    assert "did you mean 'tools'?" in result.output
