"""Modules in Kolla's toolbox: what asks, and what answers, with modules that need no cloud."""

from __future__ import annotations

import json
import os
import pwd
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pytest_kollalab.stages.cloud import toolbox
from pytest_kollalab.stages.cloud.on_nodes import toolbox_client as client
from pytest_kollalab.stages.cloud.on_nodes import toolbox_server as server
from pytest_kollalab.system.wait import until

BASIC = """\
import subprocess
_ANSIBLE_ARGS = None
_ANSIBLE_PROFILE = None

class AnsibleModule:
    def run_command(self, args, data=None, **options):
        done = subprocess.run(args, input=data, capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr
"""
# As modules of Ansible are: they read their arguments from there, write JSON and exit.
MODULE = """\
import json, os, subprocess, sys
from ansible.module_utils import basic
args = json.loads(basic._ANSIBLE_ARGS)["ANSIBLE_MODULE_ARGS"]
print("something else")
done = subprocess.run(["true"]).returncode
told = {"args": args, "profile": basic._ANSIBLE_PROFILE, "uid": os.getuid(), "pid": os.getpid()}
print(json.dumps({**told, "home": os.environ["HOME"], "child": done, "main": __name__}))
sys.exit(0)
"""
ME = pwd.getpwuid(os.getuid())


@pytest.fixture
def tree() -> Iterator[Path]:
    """A folder of collections, and an Ansible to go with it; everybody may read it."""
    with tempfile.TemporaryDirectory(prefix="kollalab-toolbox-") as name:
        Path(name).chmod(0o755)
        lay(Path(name))
        yield Path(name)


def lay(folder: Path) -> None:
    files = {
        "ansible/__init__.py": "",
        "ansible/release.py": "__version__ = '2.20.1'\n",
        "ansible/module_utils/__init__.py": "",
        "ansible/module_utils/basic.py": BASIC,
        "ansible/modules/__init__.py": "",
        "ansible/modules/uri.py": "",
        "ansible_collections/one/two/plugins/modules/tell.py": MODULE,
        "ansible_collections/one/two/plugins/modules/broken.py": "raise ValueError('no planet')\n",
        "ansible_collections/one/two/plugins/modules/uri.py": "",
        "ansible_collections/one/two/plugins/modules/twice.py": "",
        "ansible_collections/one/more/plugins/modules/twice.py": "",
        "ansible_collections/one/two/plugins/modules/acts.py": "",
        "ansible_collections/one/two/plugins/action/acts.py": "",
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("one.two.tell", "ansible_collections.one.two.plugins.modules.tell"),
        ("tell", "ansible_collections.one.two.plugins.modules.tell"),
        ("one.two.uri", "ansible_collections.one.two.plugins.modules.uri"),
        ("uri", None),
        ("twice", None),
        ("acts", None),
        ("one.two.acts", None),
        ("ansible.builtin.uri", None),
        ("nowhere", None),
        ("two.tell", None),
    ],
)
def test_only_what_is_a_module_alone_is_found(
    tree: Path, monkeypatch: pytest.MonkeyPatch, name: str, found: str | None
) -> None:
    monkeypatch.setattr(server, "COLLECTIONS", tree)
    monkeypatch.setattr(server, "builtin", lambda last: last == "uri")
    assert server.find(name) == found


@pytest.fixture
def listening(tree: Path) -> Iterator[Path]:
    with serving(tree) as path:
        yield path


@contextmanager
def serving(tree: Path) -> Iterator[Path]:
    """The socket of a server for that folder, which runs."""
    text = Path(server.__file__).read_text(encoding="utf-8")
    file, path = tree / "server.py", tree / "s"
    file.write_text(text.replace("/usr/share/ansible/collections", str(tree)))
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    process = subprocess.Popen([sys.executable, file, path], env=environment)
    try:
        until("the server listens", lambda: answers(path), timeout=30, interval=0.05)
        yield path
    finally:
        process.terminate()
        process.wait()


def answers(path: Path) -> bool:
    # The socket is there a moment before it can be connected to.
    try:
        client.connected(str(path)).close()
    except OSError:
        return False
    return True


def ask(
    path: Path, name: str, warn: Callable[[str], None] = pytest.fail, **more: Any
) -> dict[str, Any] | None:
    asked = {"name": name, "args": {}, "user": ME.pw_name, "check_mode": False, "diff": False}
    with socket.socket(socket.AF_UNIX) as made:
        made.connect(str(path))
        made.sendall(json.dumps(asked | more).encode() + b"\n")
        return client.answer_in(b"".join(iter(lambda: made.recv(65536), b"")).decode(), warn)


def test_a_module_runs_as_ansible_runs_it(listening: Path) -> None:
    said = ask(listening, "tell", args={"name": "x", "deep": [1, {"a": None}]}, check_mode=True)
    assert said is not None
    args = said["args"]
    assert args["name"] == "x"
    assert args["deep"] == [1, {"a": None}]
    assert args["_ansible_check_mode"] is True
    assert args["_ansible_diff"] is False
    assert said["profile"] == "legacy"
    assert said["main"] == "__main__"
    assert said["uid"] == os.getuid()
    assert said["home"] == ME.pw_dir
    assert said["child"] == 0


def test_each_module_has_a_process_of_its_own(listening: Path) -> None:
    first, second = ask(listening, "tell"), ask(listening, "one.two.tell")
    assert first is not None
    assert second is not None
    assert first["pid"] != second["pid"]


def test_a_module_that_breaks_is_a_failure_and_the_next_one_runs(listening: Path) -> None:
    said = ask(listening, "broken")
    assert said is not None
    assert said["failed"] is True
    assert "no planet" in said["msg"]
    assert (ask(listening, "tell") or {})["child"] == 0


def test_what_is_not_there_goes_the_stock_way(listening: Path) -> None:
    assert ask(listening, "nowhere") is None


@pytest.mark.parametrize("version", ["2.19.4", "2.22.0", "3.0.0", ""])
def test_with_an_ansible_that_is_not_known_all_goes_the_stock_way(tree: Path, version: str) -> None:
    (tree / "ansible" / "release.py").write_text(f"__version__ = {version!r}\n")
    said: list[str] = []
    with serving(tree) as path:
        assert ask(path, "tell", warn=said.append) is None
    assert [line.startswith("kollalab: the toolbox server is not used") for line in said] == [True]
    assert f"ansible-core {version or 'no version'} of" in said[0]


@pytest.mark.parametrize(
    ("version", "fits"),
    [("2.20.0", True), ("2.20.10", True), ("2.20.0rc1", True), ("2.2", False), ("2.200.1", False)],
)
def test_which_ansible_is_known(version: str, fits: bool) -> None:
    assert server.fits(version) is fits


def test_somebody_else_has_libraries_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "LIBRARIES", ("xml.dom", "colorsys"))
    for name in ("xml.dom", "xml.dom.minidom", "colorsys", "json"):
        __import__(name)
    known = dict(sys.modules)
    try:
        server.forget()
        assert not {"xml", "xml.dom", "xml.dom.minidom", "colorsys"} & set(sys.modules)
        assert "json" in sys.modules
    finally:
        sys.modules.update(known)


@pytest.mark.skipif(os.getuid() != 0, reason="only root becomes somebody else")
def test_a_module_runs_as_the_user_that_is_asked_for(listening: Path) -> None:
    said = ask(listening, "tell", user="nobody")
    assert said is not None
    assert said["uid"] == pwd.getpwnam("nobody").pw_uid


def test_the_socket_is_for_its_owner_only(listening: Path) -> None:
    assert listening.stat().st_mode & 0o777 == 0o600


def test_a_server_that_nobody_asks_ends(tree: Path) -> None:
    text = Path(server.__file__).read_text(encoding="utf-8").replace("IDLE = 40", "IDLE = 0.1")
    (tree / "server.py").write_text(text)
    done = subprocess.run([sys.executable, tree / "server.py", tree / "s"], timeout=60, check=False)
    assert done.returncode == 0
    assert not (tree / "s").exists()


ASKED: dict[str, Any] = {
    "container_engine": "docker",
    "module_name": "openstack.cloud.project",
    "module_args": {"name": "x"},
    "module_extra_vars": {},
    "user": None,
    "timeout": 180,
}


@pytest.mark.parametrize(
    "differs",
    [
        {"container_engine": "podman"},
        {"module_extra_vars": {"a": 1}},
        {"module_args": {"name": "{{ a }}"}},
        {"module_args": {"name": {"a": "{% if b %}"}}},
    ],
)
def test_what_the_server_cannot_do_is_not_asked(
    monkeypatch: pytest.MonkeyPatch, differs: dict[str, Any]
) -> None:
    monkeypatch.setattr(client, "connect", lambda: pytest.fail("asked"))
    assert client.ask(ASKED | differs, False, False) is None


def test_where_there_is_no_server_the_stock_way_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "DOCKER", str(tmp_path / "nowhere"))
    assert client.ask(ASKED, False, False) is None


def test_what_has_begun_is_not_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    monkeypatch.setattr(client, "connect", lambda: ours)
    said = client.ask(ASKED, False, False)
    assert said is not None
    assert said["failed"] is True


def test_the_last_json_is_the_answer() -> None:
    said = 'a\n{"a": 1}\n{not json\n{"changed": true, "deprecations": [{"event": {}}]}\nbye\n'
    assert client.answer_in(said) == {"changed": True}


def test_the_client_has_the_server_in_it(tmp_path: Path) -> None:
    made: dict[str, Any] = {}
    exec(toolbox.client_text(), made)
    assert made["SERVER"] == Path(server.__file__).read_text(encoding="utf-8")
    assert made["NAME"].startswith("kollalab-")
