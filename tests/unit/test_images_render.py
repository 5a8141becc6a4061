"""The recipe: configuration, digest of a rendered tree, parents, order."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest

from pytest_kollalab.releases import releases
from pytest_kollalab.stages.images import render

RELEASE = releases.get("2026.1")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, parent in {
        "base": "kollalab/debian:tag",
        "openstack-base": "kolla/base:tag",
        "nova/nova-api": "kolla/openstack-base:tag",
    }.items():
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "Dockerfile").write_text(f"# x\nFROM {parent}\nRUN true\n")
        (folder / "Dockerfile.j2").write_text("{# template #}")
    return tmp_path


def configuration(**extra: str) -> str:
    return render.configuration(
        RELEASE,
        tag="t",
        base_tag="b",
        docker_dirs=[Path("/one"), Path("/two")],
        sources=Path("/src"),
        collections=Path("/collections"),
        extra=extra,
    )


def test_every_source_is_a_local_file_of_its_pinned_version() -> None:
    parser = configparser.ConfigParser(strict=False)
    parser.read_string(configuration(threads="2"))
    assert parser["DEFAULT"]["pull"] == "false"
    assert parser["DEFAULT"]["threads"] == "2"
    assert parser["nova-base"]["type"] == "local"
    assert parser["nova-base"]["location"] == "/src/nova-33.0.2.tar.gz"
    assert parser["placement-base"]["location"] == "/src/openstack_placement-15.0.0.tar.gz"
    assert parser["nova-base-plugin-blazar"]["enabled"] == "false"


def test_later_folders_of_templates_win() -> None:
    text = configuration()
    assert text.index("docker_dir = /one") < text.index("docker_dir = /two")


def test_the_digest_is_of_what_enters_images(tree: Path) -> None:
    before = render.digest_tree(tree)
    (tree / "base" / "Dockerfile.j2").write_text("another template that renders to the same")
    (tree / "base" / "__pycache__").mkdir()
    (tree / "base" / "__pycache__" / "start.cpython-311.pyc").write_bytes(b"1")
    assert render.digest_tree(tree) == before
    (tree / "base" / "start.sh").write_text("true\n")
    assert render.digest_tree(tree) != before


def test_the_digest_sees_a_file_that_moves(tree: Path) -> None:
    before = render.digest_tree(tree)
    (tree / "base").rename(tree / "bass")
    assert render.digest_tree(tree) != before


def test_parents_are_read_from_what_is_rendered(tree: Path) -> None:
    assert render.read_parents(tree) == {
        "base": "",
        "openstack-base": "base",
        "nova-api": "openstack-base",
    }


def test_parents_come_first_and_once() -> None:
    parents = {"a": "base", "b": "a", "c": "a", "base": ""}
    assert render.with_parents(["c", "b"], parents) == ["base", "a", "c", "b"]


def test_patterns_match_the_name_and_no_other() -> None:
    assert render.patterns(["nova-api", "cron"]) == ["^nova\\-api$", "^cron$"]


def test_the_recipe_knows_every_file_that_it_uses() -> None:
    names = set(render.recipe(RELEASE)["files"])
    assert {
        "macros.j2",
        "requirements/overrides.txt",
        "requirements/upper-constraints.txt",
        "template-overrides.j2",
        "tools.txt",
    } <= names
    assert any(name.startswith("overlay/") for name in names)


def test_the_recipe_is_the_same_each_time_and_names_no_path() -> None:
    recipe = render.recipe(RELEASE)
    assert recipe == render.recipe(RELEASE)
    assert "/" not in "".join(recipe["sources"])
    assert not any(name.startswith("/") for name in recipe["files"])


def test_nothing_is_known_before_it_was_rendered(tmp_path: Path) -> None:
    assert render.recall(RELEASE, ["cron"], tmp_path) is None


def test_macros_of_ours_come_after_those_of_kolla(tmp_path: Path) -> None:
    stock = tmp_path / "venv" / "share" / "kolla" / "docker" / "macros.j2"
    stock.parent.mkdir(parents=True)
    stock.write_text("{% macro enable_extra_repos(repos) %}stock{% endmacro %}\n")
    folder = render.lay_macros(RELEASE, tmp_path / "venv", tmp_path / "macros")
    text = (folder / "macros.j2").read_text()
    assert text.startswith("{% macro enable_extra_repos(repos) %}stock")
    assert text.count("{% macro enable_extra_repos(repos) %}") == 2
