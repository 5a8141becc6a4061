"""The picture of a failure: as the nodes that answer have it, and never in the failure's way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_kollalab.engine import records
from pytest_kollalab.engine.records import Record
from pytest_kollalab.providers.base import NodeMade, NodesMade
from pytest_kollalab.report import artifacts, drawn
from pytest_kollalab.report.failures import LabScene
from pytest_kollalab.sdn.topology import layout
from pytest_kollalab.sdn.topology.names import Names
from pytest_kollalab.stages.cloud.made import CloudMade
from pytest_kollalab.system.errors import CommandError, KollalabError
from tests.recorded import lab as recorded
from tests.svg import measured

CLOUD = CloudMade(
    clouds_yaml=Path("clouds.yaml"),
    cloud="lab",
    auth_url="http://none",
    features=("core",),
    etc=Path("etc"),
)


class Nodes:
    """The gateway answers as it was recorded; any other node does not."""

    def run(self, node: str, argv: Sequence[str], **_: Any) -> SimpleNamespace:
        if node != "gateway-1":
            raise CommandError(f"ssh to {node} failed", details="no route")
        if list(argv) == ["sh", "-eu"]:
            text = (recorded.HERE / "gateway-1.txt").read_text(encoding="utf-8")
            return SimpleNamespace(stdout=text)
        return SimpleNamespace(stdout="0")


@pytest.fixture
def ssh() -> Any:
    return Nodes()


def no_names(_: CloudMade) -> Names:
    raise KollalabError("Keystone does not answer")


def test_who_does_not_answer_is_told_in_the_picture(
    ssh: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawn, "_names", no_names)
    files = drawn.drawn(ssh, ["gateway-1", "compute-1"], CLOUD, "lab lab at noon")
    said = measured(files["topology.svg"]).said.splitlines()
    assert {"lab lab at noon", "gateway-1", "vnf-6cf7-archive-2"} <= set(said)
    assert "without compute-1: ssh to compute-1 failed" in said
    assert f"without {drawn.API}: Keystone does not answer" in said


def test_names_are_in_it_when_the_api_answers(ssh: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawn, "_names", lambda _: recorded.names())
    files = drawn.drawn(ssh, ["gateway-1"], CLOUD, "lab")
    said = measured(files["topology.svg"]).said
    assert "vnf-6cf7-9ac1" in said
    assert "without" not in said


def test_no_node_is_no_picture(ssh: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawn, "_names", lambda _: recorded.names())
    with pytest.raises(KollalabError, match="compute-1: ssh to compute-1 failed"):
        drawn.drawn(ssh, ["compute-1"], CLOUD, "lab")


@pytest.fixture
def scene(tmp_path: Path, ssh: Any, monkeypatch: pytest.MonkeyPatch) -> LabScene:
    """A lab with a gateway and a cloud."""
    monkeypatch.setattr(drawn, "_names", lambda _: recorded.names())
    made = NodesMade(
        provider="docker",
        nodes={"gateway-1": NodeMade("", "", "", "")},
        interfaces={},
        networks={},
        ssh_config=tmp_path / "none",
        ssh_key=tmp_path / "none",
    )
    for stage, what in (("nodes", made), ("cloud", CLOUD)):
        record = Record(stage, "key", "run", records.READY, {}, made=what.to_json())
        records.save(tmp_path / f"{stage}.json", record)
    provider: Any = SimpleNamespace(last_words=lambda *_: "")
    return LabScene(tmp_path, lambda: ssh, lambda: provider)


def test_it_is_among_the_artifacts(scene: LabScene, tmp_path: Path) -> None:
    told = scene.collect(1764504000, 1764504001)
    assert "vnf-6cf7-archive-2" in told.files["topology.svg"]
    names = artifacts.write(tmp_path / "x", told.files, str)
    assert "topology.svg" in names
    text = (tmp_path / "x" / "topology.svg").read_text(encoding="utf-8")
    assert "lab " in measured(text).said


def test_what_it_fails_for_is_told_and_takes_nothing_else_along(
    scene: LabScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "DRAW", "import os; os.abort()")
    told = scene.collect(0, 1)
    assert "topology.svg" not in told.files
    assert "gateway-1/console" in told.files
    assert "the picture of the network: Graphviz could not draw the picture" in told.problems


def test_a_cloud_that_is_not_there_has_no_picture(scene: LabScene, tmp_path: Path) -> None:
    (tmp_path / "cloud.json").unlink()
    told = scene.collect(0, 1)
    assert "topology.svg" not in told.files
    assert not [problem for problem in told.problems if "picture" in problem]
