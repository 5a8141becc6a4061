"""The script that saves and brings back what the docker of a node keeps."""

from __future__ import annotations

import subprocess
from importlib.resources import files
from pathlib import Path

SCRIPT = str(files("pytest_kollalab.providers.docker") / "copy.sh")
MOUNT = "image/overlay2/layerdb/mounts/0001/mount-id"


def write(root: Path, texts: dict[str, str]) -> None:
    for path, text in texts.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def texts(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()
    }


def node(root: Path) -> Path:
    """A docker with two layers of an image, a container on them, and a volume."""
    write(
        root,
        {
            "overlay2/l/SHORT": "link",
            "overlay2/base/diff/file": "base",
            "overlay2/more/diff/file": "more",
            "overlay2/box/diff/file": "written by a container",
            MOUNT: "box",
            "volumes/mariadb/data": "rows",
        },
    )
    return root


def copy(trash: Path, source: Path, target: Path) -> None:
    subprocess.run(["sh", SCRIPT, trash, source, target], check=True)


def inode(root: Path, layer: str) -> int:
    return (root / "overlay2" / layer / "diff" / "file").stat().st_ino


def test_layers_are_linked_and_what_changes_is_copied(tmp_path: Path) -> None:
    here, saved = node(tmp_path / "here"), tmp_path / "saved"
    copy(tmp_path / "trash", here, saved)
    assert texts(saved) == texts(here)
    assert inode(here, "base") == inode(saved, "base")
    assert inode(here, "box") != inode(saved, "box")
    assert not (tmp_path / "trash").exists()


def test_what_came_later_goes_and_layers_stay(tmp_path: Path) -> None:
    here, saved = node(tmp_path / "here"), tmp_path / "saved"
    copy(tmp_path / "trash", here, saved)
    before = texts(saved)
    write(
        here,
        {
            "overlay2/box/diff/file": "changed",
            "overlay2/new/diff/file": "an image that was pulled",
            "overlay2/another/diff/file": "another container",
            "image/overlay2/layerdb/mounts/0002/mount-id": "another",
            "volumes/mariadb/data": "other rows",
            "volumes/new/data": "more",
        },
    )
    folder = (here / "overlay2" / "base").stat().st_ino
    copy(tmp_path / "trash", saved, here)
    assert texts(here) == before == texts(saved)
    assert (here / "overlay2" / "base").stat().st_ino == folder
    thrown = {path.read_text() for path in (tmp_path / "trash").rglob("*") if path.is_file()}
    assert {"changed", "other rows", "another container"} <= thrown


def test_a_layer_that_was_half_linked_when_it_was_killed_is_linked_again(tmp_path: Path) -> None:
    here, saved = node(tmp_path / "here"), tmp_path / "saved"
    copy(tmp_path / "trash", here, saved)
    (here / "overlay2" / "base" / "diff" / "file").unlink()
    (here / "overlay2" / "base").rename(here / "overlay2" / "base.half")
    copy(tmp_path / "trash", saved, here)
    assert texts(here) == texts(saved)
