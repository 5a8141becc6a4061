"""What features ask the nodes when a test has failed: where it is run, and with which secrets."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from jinja2 import Environment, FileSystemLoader

from pytest_kollalab.extensions.extensions import Extension, Extensions
from pytest_kollalab.features.base import Feature, where
from pytest_kollalab.features.registry import resolve
from pytest_kollalab.features.skydive import feature as skydive

PLAYBOOKS = skydive.HERE / "playbooks"
PASSWORD = 'a"b\\c$d'


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A docker with the container `there`, which tells its arguments and its input."""
    path = tmp_path / "bin" / "docker"
    path.parent.mkdir()
    path.write_text(
        "#!/bin/sh\n"
        '[ "$1" != container ] || { [ "$3" = there ] || [ "$3" = skydive_analyzer ]; exit; }\n'
        'for word; do echo "$word"; done\ncat\n'
    )
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(path.parent), prepend=os.pathsep)
    return path


def said(line: str) -> list[str]:
    done = subprocess.run(
        ["sh", "-c", line], check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    return done.stdout.splitlines()


def test_a_node_without_the_container_says_nothing(docker: Path) -> None:
    assert said(where("there", "docker exec there ls")) == ["exec", "there", "ls"]
    assert said(where("elsewhere", "docker exec elsewhere ls")) == []


def test_the_graph_is_asked_for_with_a_password_that_is_no_argument(
    docker: Path, tmp_path: Path
) -> None:
    environment = Environment(loader=FileSystemLoader(PLAYBOOKS))
    environment.filters["to_json"] = json.dumps
    environment.filters["put_address_in_context"] = lambda address, _context: address
    settings = tmp_path / "skydive.yml"
    settings.write_text(
        environment.get_template("templates/skydive-analyzer.yml.j2").render(
            inventory_hostname="controller-1",
            analyzer="10.0.0.2",
            skydive_analyzer_port=8085,
            skydive_etcd_port=12379,
            skydive_api_password=PASSWORD,
            item={"key": "skydive-analyzer"},
        )
    )
    (line,) = skydive.FEATURE.artifacts.values()
    words = said(line.replace(skydive.SETTINGS, str(settings)))
    assert words[:4] == ["exec", "-i", "skydive_analyzer", "curl"]
    assert [word for word in words if "a" in word and "b" in word and "c$d" in word] == words[-1:]
    assert words[-2:] == [
        'url = "http://10.0.0.2:8085/api/topology"',
        f'user = "skydive:{json.dumps(PASSWORD)[1:]}',
    ]


def test_a_lab_has_the_commands_of_its_features_and_those_of_plugins() -> None:
    given = Extensions((Extension("one", artifacts={"uptime": "uptime"}),))
    assert set(given.artifacts(resolve(["sfc"], "2026.1"))) == {"uptime"}
    assert set(given.artifacts(resolve(["bgpvpn"], "2026.1"))) == {"bgp", "bagpipe", "uptime"}
    own = Feature("own", artifacts={"greeting": "echo hello"})
    assert given.artifacts([own]) == {"greeting": "echo hello", "uptime": "uptime"}
