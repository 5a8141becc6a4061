"""The recipe: configuration, digest of a rendered tree, parents, order."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest

from pytest_kollalab.releases import releases
from pytest_kollalab.stages.images import render
from pytest_kollalab.system.errors import StageError

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
        "requirements/overrides.txt",
        "requirements/upper-constraints.txt",
        "template-overrides.j2",
        "tools.txt",
    } <= names
    assert "patches/openstack-base/series" in names
    assert not any("kolla-ansible" in name for name in names)


def test_the_recipe_is_the_same_each_time_and_names_no_path() -> None:
    recipe = render.recipe(RELEASE)
    assert recipe == render.recipe(RELEASE)
    assert "/" not in "".join(recipe["sources"])
    assert not any(name.startswith("/") for name in recipe["files"])


def test_nothing_is_known_before_it_was_rendered(tmp_path: Path) -> None:
    assert render.recall(RELEASE, ["cron"], tmp_path) is None


@pytest.fixture
def kolla(tmp_path: Path) -> Path:
    """A virtual environment with templates of Kolla's."""
    docker = tmp_path / "venv" / "share" / "kolla" / "docker"
    (docker / "nova" / "nova-api").mkdir(parents=True)
    (docker / "macros.j2").write_text("{% macro one() %}stock{% endmacro %}\n")
    (docker / "nova" / "nova-api" / "Dockerfile.j2").write_text(
        "{% block nova_api_footer %}{% endblock %}{{ things | customizable('packages') }}"
    )
    return tmp_path / "venv"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data of a release with one patch of Kolla's templates and one of an image."""
    data = tmp_path / "2026.1"
    for name in ("kolla", "nova-api"):
        (data / "patches" / name).mkdir(parents=True)
        (data / "patches" / name / "series").write_text("one.patch\n")
        (data / "patches" / name / "one.patch").write_text(
            "Description: One\n Because.\nProject: kolla 1\n\n"
            "--- macros.j2\n+++ macros.j2\n@@ -1 +1 @@\n"
            "-{% macro one() %}stock{% endmacro %}\n+{% macro one() %}ours{% endmacro %}\n"
        )
    (data / "template-overrides.j2").write_text("{% block nova_api_footer %}x{% endblock %}")
    (data / "tools.txt").write_text("kolla==1\n")
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "template-overrides.j2").write_text("{% set nova_api_packages_override = [] %}")
    monkeypatch.setattr(releases, "SHARED", shared)
    monkeypatch.setattr(releases.Release, "data", data)
    return data


def test_patched_templates_are_laid_over_those_of_kolla(kolla: Path, own: Path) -> None:
    (folder,) = render.lay_over(RELEASE, kolla, own / "laid")
    assert [path.name for path in folder.iterdir()] == ["macros.j2"]
    assert "ours" in (folder / "macros.j2").read_text()
    (own / "overlay").mkdir()
    assert render.lay_over(RELEASE, kolla, own / "laid") == [folder, own / "overlay"]


def test_templates_that_a_patch_does_not_fit_are_an_error(kolla: Path, own: Path) -> None:
    (kolla / "share" / "kolla" / "docker" / "macros.j2").write_text("{% macro two() %}\n")
    with pytest.raises(StageError, match=r"kolla/one\.patch does not fit"):
        render.lay_over(RELEASE, kolla, own / "laid")


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        ("{% block nova_api_footer %}", ""),
        ("{% set nova_api_packages_override = [] %}", ""),
        ("{% set nova_api_packages_remove = [] %}", ""),
        ("{%- block nova_api_feet %}", "nova_api_feet"),
        ("{% set nova_api_pip_packages_append = [] %}", "nova_api_pip_packages"),
    ],
)
def test_an_override_of_what_kolla_does_not_have_is_an_error(
    kolla: Path, own: Path, text: str, lost: str
) -> None:
    (own / "template-overrides.j2").write_text(text)
    if not lost:
        render.lay_over(RELEASE, kolla, own / "laid")
        return
    with pytest.raises(StageError, match=f"have no {lost}\n"):
        render.lay_over(RELEASE, kolla, own / "laid")


def test_an_image_that_leaves_its_patches_out_is_an_error(own: Path, tree: Path) -> None:
    with pytest.raises(StageError, match="image nova-api would not be applied"):
        render.check_patched(tree, RELEASE)
    (tree / "nova" / "nova-api" / "Dockerfile").write_text("FROM x\nRUN mkdir y && kolla_patch\n")
    render.check_patched(tree, RELEASE)


def test_stock_has_only_the_patches_without_which_nothing_is_built(own: Path) -> None:
    stock = releases.get("2026.1", stock=True)
    assert stock.patched_images == ()
    assert stock.patches("nova-api") == []
    assert [patch.name for patch in stock.patches(releases.KOLLA)] == ["kolla/one.patch"]
    assert RELEASE.patched_images == ("nova-api",)


def test_stock_is_another_recipe() -> None:
    stock = render.recipe(releases.get("2026.1", stock=True))
    assert stock["stock"] is True
    assert "stock" not in render.recipe(RELEASE)
    assert not any("openstack-base" in name for name in stock["files"])
    assert "patches/kolla/series" in stock["files"]


def test_kolla_build_is_told_of_patches_unless_stock() -> None:
    assert "patches_path = " in configuration()
    stock = render.configuration(
        releases.get("2026.1", stock=True),
        tag="t",
        base_tag="b",
        docker_dirs=[],
        sources=Path("/src"),
        collections=Path("/collections"),
    )
    assert "patches_path" not in stock


def test_what_releases_have_in_common_has_a_name_of_its_own_beside_the_own(own: Path) -> None:
    names = set(render.recipe(RELEASE)["files"])
    assert {"shared/template-overrides.j2", "template-overrides.j2"} <= names
    text = configuration()
    assert text.index("/shared/template-overrides.j2") < text.index("2026.1/template-overrides.j2")
    (own / "template-overrides.j2").unlink()
    names = set(render.recipe(RELEASE)["files"])
    assert "template-overrides.j2" in names
    assert "shared/template-overrides.j2" not in names


def test_patches_of_several_releases_are_in_the_recipe_of_each() -> None:
    for release in releases.RELEASES.values():
        names = set(render.recipe(release)["files"])
        listed = {f"patches/{patch.name}" for patch in release.patches(releases.KOLLA)}
        assert listed
        assert listed <= names


def test_kolla_build_is_kept_from_what_the_host_may_not_have() -> None:
    def told(release: releases.Release) -> str:
        return render.configuration(
            release,
            tag="t",
            base_tag="b",
            docker_dirs=[],
            sources=Path("/src"),
            collections=Path("/collections"),
        )

    assert "buildkit = false" in told(releases.get("2026.2"))
    # It knows no such option.
    assert "buildkit" not in told(releases.get("2026.1"))
