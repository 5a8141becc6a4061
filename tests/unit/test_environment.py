"""The environment of child processes, and of our own clients of a lab."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from pytest_kollalab.features.skydive.words import Skydive
from pytest_kollalab.stages.cloud import clouds_yaml, deploy
from pytest_kollalab.stages.cloud.connect import connect
from pytest_kollalab.stages.cloud.deploy import Deployment, Run
from pytest_kollalab.stages.cloud.events import PlayProgress, Tally
from pytest_kollalab.stages.cloud.made import CloudMade
from pytest_kollalab.system import environment
from pytest_kollalab.system.run import run

# Nothing listens there.
NO_PROXY_THERE = "http://127.0.0.1:9"
LAB = ("10.90.1.0/24", "10.90.1.11")
PROFILE = {
    "LC_ALL": "xx_XX.UTF-8",
    "LANG": "xx_XX.UTF-8",
    "LC_MESSAGES": "xx_XX.UTF-8",
    "ANSIBLE_SSH_ARGS": "-F /nowhere",
    "ANSIBLE_CALLBACK_PLUGINS": "/nowhere",
    "ANSIBLE_STDOUT_CALLBACK": "awx_display",
    "ANSIBLE_NOCOWS": "0",
    "PYTHONPATH": "/nowhere",
    "MITOGEN_POOL_SIZE": "7",
    "https_proxy": NO_PROXY_THERE,
    "HTTP_PROXY": NO_PROXY_THERE,
    "NO_PROXY": "example.org",
    "PIP_INDEX_URL": "https://index.example/simple",
    "KOLLALAB_NAME": "mine",
}


@pytest.fixture
def profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    for name, value in PROFILE.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def server() -> Iterator[str]:
    """The URL of a server that answers `{}` to everything."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with HTTPServer(("127.0.0.1", 0), Answer) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{found.server_port}"
        found.shutdown()


def checked(found: dict[str, str]) -> dict[str, str]:
    """Check what all children have in common."""
    assert found["LC_ALL"] == "C.UTF-8"
    for name in ("LANG", "LC_MESSAGES", "ANSIBLE_SSH_ARGS", "PYTHONPATH", "MITOGEN_POOL_SIZE"):
        assert name not in found
    for name in ("https_proxy", "HTTP_PROXY", "PIP_INDEX_URL", "KOLLALAB_NAME"):
        assert found[name] == PROFILE[name]
    return found


@pytest.mark.usefixtures("profile")
def test_a_child_gets_what_is_passed_on_and_nothing_else() -> None:
    code = "import json, os; print(json.dumps(dict(os.environ)))"
    found = checked(json.loads(run([sys.executable, "-c", code]).stdout))
    assert found["PATH"]
    assert found["NO_PROXY"] == "example.org"


@pytest.mark.usefixtures("profile")
def test_ansible_gets_the_same_and_the_labs_addresses_without_a_proxy(tmp_path: Path) -> None:
    program = tmp_path / "venv" / "bin" / "ansible-playbook"
    (tmp_path / "venv" / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\nimport json, os, pathlib\n"
        f"pathlib.Path({str(tmp_path / 'seen')!r}).write_text(json.dumps(dict(os.environ)))\n"
    )
    program.chmod(0o755)
    etc = tmp_path / "etc"
    etc.mkdir()
    site = Deployment(tmp_path / "venv", etc, etc, tmp_path, direct=LAB)
    progress = PlayProgress(Tally(lambda _: None))
    deploy.play(site, Run("a", "a"), progress, log=tmp_path / "log", say=lambda _: None)
    found = checked(json.loads((tmp_path / "seen").read_text()))
    assert found["no_proxy"] == found["NO_PROXY"] == f"example.org,{','.join(LAB)}"
    assert found["ANSIBLE_CONFIG"] == str(etc / "ansible.cfg")
    assert found["ANSIBLE_STDOUT_CALLBACK"] == "awx_display"
    assert "/nowhere" not in found["ANSIBLE_CALLBACK_PLUGINS"]
    assert "ANSIBLE_NOCOWS" not in found


@pytest.mark.parametrize(
    ("told", "wanted"), [("", "10.90.1.11"), ("a,b", "a,b,10.90.1.11"), ("*", "*")]
)
def test_no_proxy_keeps_what_it_says(
    told: str, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", told)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert environment.no_proxy(["10.90.1.11"]) == {"no_proxy": wanted, "NO_PROXY": wanted}
    assert environment.no_proxy([]) == {}


def test_no_proxy_leads_to_a_lab(
    tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, NO_PROXY_THERE)
    path = tmp_path / "clouds.yaml"
    clouds_yaml.write(path, clouds_yaml.document("lab", server, "secret"))
    made = CloudMade(
        clouds_yaml=path, cloud="lab", auth_url=server, features=("core",), etc=tmp_path
    )
    with connect(made) as admin:
        for connection in (admin, admin.connect_as(username="user", password="other")):
            assert connection.session.get(server, authenticated=False).status_code == 200
    assert Skydive(server, "user", "secret").ask("GET", "node") == {}
