"""What docker has recorded of addresses and names, moved to those of another lab."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_kollalab.providers import addresses
from pytest_kollalab.providers.docker import moved

# The second begins where the first ends: a lab that goes on from a retained state takes addresses
# that others of the old lab had.
MOVES = {"10.64.0.": "10.64.1.", "10.64.1.": "10.64.5.", "kollalab-lab-": "kollalab-other-"}


def write(root: Path, path: str, text: str) -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def move(*folders: Path) -> None:
    moved.main([addresses.pattern(MOVES), json.dumps(MOVES), *map(str, folders)])


def test_each_word_moves_once_and_others_stay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write(tmp_path, "one/containers/a/config.v2.json", '{"a": "10.64.0.1 10.64.1.11"}')
    config.chmod(0o600)
    hosts = write(tmp_path, "one/containers/a/hosts", "110.64.0.1 x\n1.10.64.0.1 y\n10.64.0.2 z\n")
    images = write(tmp_path, "two/image/overlay2/repositories.json", '{"10.64.1.1:4000/a": {}}')
    other = write(tmp_path, "two/volumes/data", "10.64.0.1")
    node = write(tmp_path, "two/containers/b/hostconfig.json", '["/kollalab-lab-x", 1]')
    untouched = write(tmp_path, "two/containers/b/config.v2.json", '{"a":  1}')
    before = untouched.stat().st_mtime_ns
    move(tmp_path / "one", tmp_path / "two")
    assert json.loads(config.read_text()) == {"a": "10.64.1.1 10.64.5.11"}
    assert config.stat().st_mode & 0o777 == 0o600
    assert hosts.read_text() == "110.64.0.1 x\n1.10.64.0.1 y\n10.64.1.2 z\n"
    assert json.loads(images.read_text()) == {"10.64.5.1:4000/a": {}}
    assert node.read_text() == '["/kollalab-other-x", 1]'
    assert other.read_text() == "10.64.0.1"
    assert untouched.stat().st_mtime_ns == before
    assert capsys.readouterr().out == "4\n"


def test_what_docker_could_not_read_is_not_written(tmp_path: Path) -> None:
    text = '{"a": "10.64.0.1'
    broken = write(tmp_path, "containers/a/config.v2.json", text)
    with pytest.raises(json.JSONDecodeError):
        move(tmp_path)
    assert broken.read_text() == text


def test_a_folder_of_a_docker_without_containers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    move(tmp_path)
    assert capsys.readouterr().out == "0\n"
