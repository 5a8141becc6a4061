"""Records: written whole, read with care, compared in words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_kollalab.engine.records import READY, Record, Tag, load, save
from pytest_kollalab.system.digest import changes, digest
from pytest_kollalab.system.errors import StateError
from pytest_kollalab.system.files import write

RECORD = Record(stage="nodes", key="k", run="r", status=READY, inputs={"a": [1]}, made={"b": "c"})


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "labs" / "lab" / "nodes.json"
    save(path, RECORD)
    assert load(path) == RECORD
    assert path.stat().st_mode & 0o777 == 0o600


def test_no_file_is_no_record(tmp_path: Path) -> None:
    assert load(tmp_path / "none.json") is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 1}', '{"format": 1, "x": 2}'])
def test_a_damaged_record_is_an_error_with_a_way_out(tmp_path: Path, text: str) -> None:
    path = tmp_path / "nodes.json"
    path.write_text(text)
    with pytest.raises(StateError, match="is damaged") as caught:
        load(path)
    assert str(path) in caught.value.hint


def test_a_record_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "nodes.json"
    path.write_text(json.dumps({"format": 99}))
    with pytest.raises(StateError, match="newer"):
        load(path)


def test_a_failed_write_leaves_the_old_text(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write(path, "\udc80")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_digest_knows_no_order_of_keys_but_every_value() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
    assert digest("a", "b") != digest("b", "a")


def test_labels_carry_the_whole_tag() -> None:
    assert Tag("lab", "nodes", "k", "r").labels() == {
        "kollalab.lab": "lab",
        "kollalab.stage": "nodes",
        "kollalab.key": "k",
        "kollalab.run": "r",
    }


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 2}, ["a changed from 1 to 2"]),
        ({"a": {"b": "x"}}, {"a": {"b": "y"}}, ['a.b changed from "x" to "y"']),
        ({}, {"a": 1}, ["a is new"]),
        ({"a": 1}, {}, ["a is gone"]),
        ({"a": [1]}, {"a": [2]}, ["a changed"]),
        ({"a": "x" * 40}, {"a": "y" * 40}, ["a changed"]),
    ],
)
def test_changes_are_said_in_words(old: object, new: object, said: list[str]) -> None:
    assert list(changes(old, new)) == said
