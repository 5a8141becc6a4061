"""Configuration: defaults, layers, and messages for what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_kollalab.settings.config import Config, Options
from pytest_kollalab.settings.read import Settings, options, read
from pytest_kollalab.system.errors import ConfigError
from pytest_kollalab.system.nearest import nearest


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "kollalab.toml"
    path.write_text(text)
    return path


def test_no_file_means_the_packaged_defaults() -> None:
    assert read(None) == Settings(Config(), Options())


def test_a_file_fills_config_and_options(tmp_path: Path) -> None:
    text = """
        release = "2026.1"
        features = ["sfc"]
        [nodes]
        suite = "forky"
        [globals]
        neutron_dns_domain = "lab."
        [run]
        keep = "failed"
    """
    path = written(tmp_path, text)
    found = read(path)
    config = found.config
    assert config.features == ("sfc",)
    assert config.nodes.suite == "forky"
    assert config.globals == {"neutron_dns_domain": "lab."}
    assert found.options == Options(keep="failed")
    assert found.origins["nodes.suite"] == found.origins["run.keep"] == str(path)
    assert "run.name" not in found.origins


@pytest.mark.parametrize(
    ("text", "key", "meant"),
    [
        ("relase = '2026.1'", "relase", "release"),
        ("[nodes]\nsuit = 'trixie'", "nodes.suit", "suite"),
        ("[run]\nkep = 'never'", "run.kep", "keep"),
    ],
)
def test_an_unknown_key_names_the_nearest(tmp_path: Path, text: str, key: str, meant: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        read(path)
    assert f"unknown key {key}" in caught.value.brief
    assert str(path) in caught.value.brief
    assert repr(meant) in caught.value.hint


def test_broken_toml_names_file_and_line(tmp_path: Path) -> None:
    path = written(tmp_path, "release = \n")
    with pytest.raises(ConfigError) as caught:
        read(path)
    assert str(path) in caught.value.brief
    assert "line 1" in caught.value.details


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no configuration file"):
        read(tmp_path / "none.toml")


@pytest.mark.parametrize(
    "text", ["release = 2026.1", "features = 'sfc'", "features = [1]", "run = 1", "nodes = 'x'"]
)
def test_a_wrong_type_is_said(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError):
        read(written(tmp_path, text))


def test_later_layers_win_and_none_says_nothing() -> None:
    made = options({"keep": "failed", "name": "a"}, {"keep": "always", "name": None})
    assert (made.keep, made.name, made.provider) == ("always", "a", Options().provider)


@pytest.mark.parametrize(
    ("layer", "hint"),
    [
        ({"keep": "alway"}, "'always'"),
        ({"until": "node"}, "'nodes'"),
        ({"fresh": ("cluod",)}, "'cloud'"),
    ],
)
def test_an_unknown_choice_names_the_nearest(layer: dict[str, object], hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        options(layer)
    assert hint in caught.value.hint


@pytest.mark.parametrize("name", ["", "Lab", "-a", "a b", "a" * 21, "ä", "a/b"])
def test_a_name_must_fit_into_resource_names(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be the name of a lab"):
        options({"name": name})


def test_nearest_lists_all_when_nothing_is_near() -> None:
    assert nearest("zzz", ["b", "a"]) == "known: a, b"


def test_workarounds_are_reported_unless_said_otherwise(tmp_path: Path) -> None:
    assert options().workarounds == "report"
    path = written(tmp_path, "[run]\nworkarounds = 'forbid'")
    assert read(path).options.workarounds == "forbid"
    with pytest.raises(ConfigError) as caught:
        options({"workarounds": "forbit"})
    assert "'forbid'" in caught.value.hint


def test_a_lab_has_our_patches_unless_stock_is_asked_for(tmp_path: Path) -> None:
    assert not Config().stock
    assert read(written(tmp_path, "stock = true")).config.stock
    with pytest.raises(ConfigError) as caught:
        read(written(tmp_path, "stock = 'yes'"))
    assert caught.value.hint == "write a boolean"
