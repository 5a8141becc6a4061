"""Added folders: their images, what they are built on, a tag of their own."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pytest_kollalab.extensions.extensions import Extension, Extensions
from pytest_kollalab.features import image_folders
from pytest_kollalab.settings.config import Config
from pytest_kollalab.stages.cloud import kolla_variables as kolla
from pytest_kollalab.stages.cloud import playbooks
from pytest_kollalab.system.errors import ConfigError, StageError
from tests import made

FROM = "FROM {{ namespace }}/{{ image_prefix }}@PARENT@:{{ tag }}\nRUN true\n"


def image(folder: Path, name: str, parent: str = "base") -> Path:
    place = folder / name
    place.mkdir(parents=True)
    (place / "Dockerfile.j2").write_text(FROM.replace("@PARENT@", parent))
    return folder


def test_each_folder_with_a_template_is_an_image(tmp_path: Path) -> None:
    image(tmp_path, "front", "hello-base")
    image(tmp_path / "deeper", "hello-base", "openstack-base")
    found = image_folders.read(tmp_path)
    assert found.names == ("front", "hello-base")
    assert found.parents == ("openstack-base",)


def test_the_tag_is_of_the_contents_and_of_what_they_are_built_on(tmp_path: Path) -> None:
    one = image_folders.read(image(tmp_path, "hello"))
    assert one.tag("t") == image_folders.read(tmp_path).tag("t")
    assert one.tag("t") != one.tag("u")
    (tmp_path / "hello" / "more").write_text("x")
    two = image_folders.read(tmp_path)
    assert two.tag("t") != one.tag("t")
    (tmp_path / "hello" / "more").chmod(0o755)
    assert image_folders.read(tmp_path).tag("t") != two.tag("t")


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no image"):
        image_folders.read(tmp_path)


@pytest.mark.parametrize("text", ["FROM debian:13\n", "RUN true\n"])
def test_an_image_on_something_else_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "Dockerfile.j2").write_text(text)
    with pytest.raises(ConfigError, match="not built on an image of Kolla") as caught:
        image_folders.read(tmp_path)
    assert "begin it with" in caught.value.hint


def test_a_name_that_kolla_has_is_refused(tmp_path: Path) -> None:
    given = Extensions((Extension("one", images=(image(tmp_path, "neutron-server"),)),))
    with pytest.raises(ConfigError, match="two images named neutron-server"):
        given.folders((), Config())


def test_two_folders_with_one_name_are_refused(tmp_path: Path) -> None:
    folders = [image_folders.read(image(tmp_path / where, "hello")) for where in ("a", "b")]
    with pytest.raises(ConfigError, match="two images named hello"):
        image_folders.check_apart(folders, ())


def test_playbooks_are_told_where_each_image_is(tmp_path: Path) -> None:
    folder = image_folders.read(image(tmp_path, "hello"))
    images, nodes = made.images(), made.nodes(registry="10.0.0.2:4000")
    tags = image_folders.tags([folder], "t")
    assert kolla.added_images(images, nodes, tags) == {
        "kollalab_images": {"hello": f"10.0.0.2:4000/kolla/hello:{folder.tag('t')}"}
    }
    assert kolla.added_images(images, nodes, {}) == {}


def test_a_playbook_finds_what_is_beside_it_and_what_kolla_ansible_has(tmp_path: Path) -> None:
    stock, own = tmp_path / "stock", tmp_path / "own"
    for path in (
        stock / "site.yml",
        stock / "group_vars" / "all.yml",
        stock / "roles" / "nova" / "main.yml",
        own / "hello.yml",
        own / "roles" / "hello" / "main.yml",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.name)
    for _ in range(2):
        laid = playbooks.lay_over(stock, own, tmp_path / "laid")
        names = ("hello.yml", "site.yml", "group_vars/all.yml")
        roles = ("roles/hello/main.yml", "roles/nova/main.yml")
        assert all((laid / name).is_file() for name in (*names, *roles))
    assert sorted(path.name for path in (stock / "roles").iterdir()) == ["nova"]


def test_the_first_stage_of_several_has_a_name(tmp_path: Path) -> None:
    image(tmp_path, "hello")
    text = FROM.replace("@PARENT@", "base").replace("}}\n", "}} AS build\n", 1)
    (tmp_path / "hello" / "Dockerfile.j2").write_text(f"{text}FROM scratch\n")
    assert image_folders.read(tmp_path).parents == ("base",)


def test_what_is_given_is_part_of_the_digest_by_its_checksum(tmp_path: Path) -> None:
    image(tmp_path, "hello")
    one, other = (image_folders.Given("hello/program", "/a/program", each * 64) for each in "12")
    digests = {image_folders.read(tmp_path, given).digest for given in ((), (one,), (other,))}
    assert len(digests) == 3
    elsewhere = image_folders.Given("hello/program", "https://example.org/program", "1" * 64)
    assert (
        image_folders.read(tmp_path, (elsewhere,)).digest
        == image_folders.read(tmp_path, (one,)).digest
    )


def test_a_given_file_is_put_into_its_place(tmp_path: Path) -> None:
    source = tmp_path / "program"
    source.write_bytes(b"binary")
    right = hashlib.sha256(b"binary").hexdigest()
    for address in (str(source), source.as_uri()):
        laid = tmp_path / "laid"
        image_folders.Given("hello/source/program", address, right.upper()).fetch(laid)
        assert (laid / "hello" / "source" / "program").read_bytes() == b"binary"
        assert (laid / "hello" / "source" / "program").stat().st_mode & 0o111


def test_a_given_file_that_is_another_is_refused(tmp_path: Path) -> None:
    (tmp_path / "program").write_bytes(b"binary")
    with pytest.raises(StageError, match="is not what it should be"):
        image_folders.Given("program", str(tmp_path / "program"), "0" * 64).fetch(tmp_path / "laid")
    assert not (tmp_path / "laid" / "program").exists()
    with pytest.raises(StageError, match="cannot be fetched"):
        image_folders.Given("program", str(tmp_path / "gone"), "0" * 64).fetch(tmp_path / "laid")
