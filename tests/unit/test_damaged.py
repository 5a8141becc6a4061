"""Files that are damaged, cut short, of another coding or not there: messages, no tracebacks."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_kollalab.engine import progress
from pytest_kollalab.engine.runs import Line, SharedRun
from pytest_kollalab.features import passwords
from pytest_kollalab.releases import golang
from pytest_kollalab.stages.cloud import connect, external
from pytest_kollalab.system.errors import ConfigError, KollalabError, StateError
from pytest_kollalab.system.paths import Paths, default_paths

ROW = {"stage": "nodes", "outcome": "built", "seconds": 4.0, "reason": "new", "key": "k"}
CUT = {
    "in a text": b'clouds:\n  lab:\n    auth:\n      password: "abc',
    "before the login": b"clouds:\n  lab:\n    auth:\n",
    "in a name": b"clouds:\n  lab",
    "at once": b"",
    "no UTF-8": b"clouds:\n  \xff\xfe: {}\n",
    "no mapping": b"clouds: [lab]\n",
    "text for a login": b"clouds:\n  lab:\n    auth: text\n",
}


def test_damaged_lines_of_the_history_are_skipped(tmp_path: Path) -> None:
    good = json.dumps(ROW).encode()
    lines = [
        good,
        good[:20],
        b"\xff\xfe\x00",
        b"[1, 2]",
        b"null",
        b'{"stage": "nodes"}',
        json.dumps(ROW | {"seconds": "many"}).encode(),
        good,
    ]
    (tmp_path / "history.jsonl").write_bytes(b"\n".join(lines))
    found = progress.read(tmp_path / "history.jsonl")
    assert found == [ROW, ROW]
    assert progress.expect(found, "nodes", str(ROW["key"])).seconds == 4.0
    for features in ("core", [["core"]], [1], None):
        damaged = [ROW | {"features": features}]
        assert progress.expect(damaged, "nodes", "another").seconds is None


def test_a_history_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    assert progress.read(tmp_path) == []
    assert progress.read(tmp_path / "none") == []


@pytest.mark.parametrize("how", CUT)
def test_a_damaged_login_of_a_lab_is_a_message(tmp_path: Path, how: str) -> None:
    path = tmp_path / "clouds.yaml"
    path.write_bytes(CUT[how])
    made: Any = SimpleNamespace(clouds_yaml=path, cloud="lab")
    with pytest.raises(StateError, match=r"clouds\.yaml is damaged") as caught:
        connect.connect(made)
    assert "kollalab up --fresh cloud" in str(caught.value)


@pytest.mark.parametrize("how", CUT)
def test_a_damaged_login_of_another_cloud_is_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    path = tmp_path / "clouds.yaml"
    path.write_bytes(CUT[how])
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError):
        external.connect("lab")
    # Asked for after each test: what is masked.
    assert external.secrets("lab") == ()


@pytest.mark.parametrize("text", [b'database: "cut sho', b"\xff\xfe", b"- a\n", b""])
def test_a_damaged_file_of_passwords_is_a_message_without_them(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "passwords.yml"
    path.write_bytes(text)
    with pytest.raises(KollalabError, match="holds no passwords") as caught:
        passwords.read(path)
    assert "cut sho" not in str(caught.value)


def test_a_line_of_a_worker_that_is_cut_short_is_skipped(tmp_path: Path) -> None:
    run = SharedRun(Paths(tmp_path, tmp_path), "run")
    run.open()
    run.tell(Line("gw0", "first"))
    with (run.folder / "lines").open("ab") as file:
        file.write(b'{"who": "gw1", "te\n')
    run.tell(Line("gw0", "last"))
    lines = run.lines()
    assert [next(lines), next(lines)] == [Line("gw0", "first"), Line("gw0", "last")]
    assert next(lines) is None
    run.close()


def test_without_a_home_go_has_its_variables_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    # A user of a container that is in no passwd.
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("GOENV", raising=False)
    monkeypatch.setenv("GOPROXY", "off")
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    assert golang.settings()["GOPROXY"] == "off"


def test_without_a_home_the_folders_have_to_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "KOLLALAB_CACHE", "KOLLALAB_STATE", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    with pytest.raises(ConfigError, match="cache") as caught:
        default_paths()
    assert caught.value.hint == "set HOME, or KOLLALAB_CACHE to a folder"
