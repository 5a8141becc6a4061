"""Which docker daemon is meant: one answer for the SDK, the command line and children."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
from pathlib import Path

import pytest

import pytest_kollalab
from pytest_kollalab.system import daemon
from pytest_kollalab.system.daemon import SOCKET, Daemon
from pytest_kollalab.system.errors import ConfigError, HostError

HOST = "tcp://192.0.2.7:2375"
needs_docker = pytest.mark.skipif(shutil.which("docker") is None, reason="docker is not installed")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The folder of a configuration of docker that has a context and logins."""
    folder = tmp_path / "docker"
    folder.mkdir()
    text = {
        "auths": {"registry.example": {"auth": "bWU6c2VjcmV0"}},
        "credsStore": "not-there",
        "credHelpers": {"other.example": "not-there-either"},
        "HttpHeaders": {"X-Meta": "mine"},
    }
    (folder / "config.json").write_text(json.dumps(text))
    return folder


def context(config: Path, name: str, host: str) -> None:
    argv = [
        "docker",
        "--config",
        str(config),
        "context",
        "create",
        name,
        "--docker",
        f"host={host}",
    ]
    subprocess.run(argv, check=True, capture_output=True)


def in_use(config: Path, name: str) -> None:
    argv = ["docker", "--config", str(config), "context", "use", name]
    subprocess.run(argv, check=True, capture_output=True)


def of_the_command_line(environment: dict[str, str]) -> str:
    """The endpoint that docker itself would use."""
    inherited = {"PATH": str(Path(shutil.which("docker") or "").parent)}
    said = subprocess.run(
        ["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"],
        env=inherited | environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return said.stdout.strip()


@needs_docker
def test_the_daemon_is_the_one_of_dockers_command_line(config: Path) -> None:
    env = {"DOCKER_CONFIG": str(config)}
    for name in ("used", "chosen"):
        context(config, name, f"unix:///run/{name}.sock")
    cases = [
        (env, SOCKET, "default"),
        (env | {"DOCKER_CONTEXT": "chosen"}, "unix:///run/chosen.sock", "DOCKER_CONTEXT"),
        (env | {"DOCKER_CONTEXT": "default"}, SOCKET, "default"),
        (env | {"DOCKER_HOST": HOST, "DOCKER_CONTEXT": "chosen"}, HOST, "DOCKER_HOST"),
        (env | {"DOCKER_HOST": ""}, SOCKET, "default"),
    ]
    for environment, url, named in cases:
        found = daemon.resolve(environment=environment)
        assert found.url == url == of_the_command_line(environment)
        assert named in found.named
    in_use(config, "used")
    cases = [
        (env, "unix:///run/used.sock", "context used of docker context use"),
        (env | {"DOCKER_CONTEXT": "chosen"}, "unix:///run/chosen.sock", "DOCKER_CONTEXT"),
        (env | {"DOCKER_CONTEXT": "default"}, SOCKET, "default"),
        (env | {"DOCKER_HOST": HOST}, HOST, "DOCKER_HOST"),
    ]
    for environment, url, named in cases:
        found = daemon.resolve(environment=environment)
        assert found.url == url == of_the_command_line(environment)
        assert named in found.named


@needs_docker
def test_a_context_that_is_not_there_is_named_with_who_asks_for_it(config: Path) -> None:
    env = {"DOCKER_CONFIG": str(config), "DOCKER_CONTEXT": "mars"}
    with pytest.raises(ConfigError, match="DOCKER_CONTEXT: docker has no context 'mars'"):
        daemon.resolve(environment=env)


def test_a_host_without_a_scheme_is_tcp_and_one_of_another_is_refused() -> None:
    assert daemon.resolve(environment={"DOCKER_HOST": "192.0.2.7:2375"}).url == HOST
    with pytest.raises(ConfigError, match="DOCKER_HOST: npipe:///x is not an endpoint"):
        daemon.resolve(environment={"DOCKER_HOST": "npipe:///x"})


def test_tls_is_what_the_command_line_makes_of_the_environment() -> None:
    folder = Path("/certificates")
    env = {"DOCKER_HOST": HOST, "DOCKER_CERT_PATH": str(folder)}
    assert daemon.resolve(environment=env).certificates is None
    found = daemon.resolve(environment=env | {"DOCKER_TLS_VERIFY": "1"})
    assert (found.certificates, found.verify) == (folder, True)
    found = daemon.resolve(environment=env | {"DOCKER_TLS": "1"})
    assert (found.certificates, found.verify) == (folder, False)
    there = daemon.resolve("tcp://192.0.2.8:2376", env | {"DOCKER_TLS_VERIFY": "1"})
    assert (there.url, there.certificates) == ("tcp://192.0.2.8:2376", folder)
    # A socket has no use for them.
    socket = env | {"DOCKER_HOST": SOCKET, "DOCKER_TLS_VERIFY": "1"}
    assert daemon.resolve(environment=socket).certificates is None


def test_a_child_is_told_all_and_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONTEXT", "something-else")
    for found in (Daemon(SOCKET), Daemon(HOST, "x", Path("/certificates"), verify=True)):
        child = found.environment()
        again = daemon.resolve(environment=child)
        assert (again.url, again.certificates, again.verify) == (
            found.url,
            found.certificates,
            found.verify,
        )


def test_a_daemon_that_does_not_answer_is_named_with_who_names_it() -> None:
    nowhere = Daemon("tcp://127.0.0.1:1", "DOCKER_HOST")
    with pytest.raises(HostError, match=r"at tcp://127.0.0.1:1 \(DOCKER_HOST\)") as caught:
        nowhere.client(timeout=5)
    assert "unset DOCKER_HOST" in caught.value.hint


def test_a_build_has_dockers_configuration_without_logins(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(config))
    env = daemon.without_logins(tmp_path / "ours")
    assert env == {"DOCKER_CONFIG": str(tmp_path / "ours")}
    written = json.loads((tmp_path / "ours" / "config.json").read_text())
    assert written == {"HttpHeaders": {"X-Meta": "mine"}}


@pytest.mark.parametrize("text", ["no json", "[]", ""])
def test_a_configuration_that_cannot_be_read_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    assert daemon.resolve(environment={"DOCKER_CONFIG": str(tmp_path)}) == Daemon(SOCKET)


def test_nothing_but_the_daemon_starts_docker_or_asks_the_sdk_which_one() -> None:
    root = Path(pytest_kollalab.__file__).parent
    found = []
    for path in root.rglob("*.py"):
        if path.name == "daemon.py" or "on_nodes" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            asks = isinstance(node.func, ast.Attribute) and node.func.attr == "from_env"
            first = node.args[0] if node.args else None
            words = first.elts if isinstance(first, ast.List) else []
            starts = words and isinstance(words[0], ast.Constant) and words[0].value == "docker"
            if asks or (name == "run" and starts):
                found.append(f"{path.relative_to(root)}:{node.lineno}")
    assert found == []
