"""A node that dies during the deploy is what the message is about."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_kollalab.engine.records import Tag
from pytest_kollalab.engine.stage import Work
from pytest_kollalab.providers.base import NODES
from pytest_kollalab.providers.docker.provider import DockerProvider
from pytest_kollalab.settings.config import Config, Options
from pytest_kollalab.stages.cloud.making import Making
from pytest_kollalab.stages.cloud.stage import CloudStage
from pytest_kollalab.system.errors import StageError
from pytest_kollalab.system.paths import Paths


class Deadly(DockerProvider):
    """Its nodes are as the test says."""

    dead = ""

    def stopped(self, lab: str, thing: str) -> str | None:
        return f"{thing} ended with exit code 137" if thing == self.dead else None

    def last_words(self, lab: str, thing: str) -> str:
        return "1\n2\n3\n4\nlast words"


@pytest.mark.parametrize("dead", ["", "compute-1"])
def test_a_node_that_died_explains_what_ansible_says(tmp_path: Path, dead: str) -> None:
    paths = Paths(cache=tmp_path, state=tmp_path)
    provider = Deadly("", "", paths)
    provider.dead = dead
    stage = CloudStage(Config(), Options(), paths, features=(), provider=provider)
    tag = Tag("lab", "cloud", "key", "run")
    work = Work(key="key", tag=tag, needs=(), folder=tmp_path, log=tmp_path / "log")
    failed = StageError("deploy failed", details="compute-1: UNREACHABLE")
    with pytest.raises(StageError) as caught, Making(stage.cloud)._nodes_watched(work, NODES):
        raise failed
    if not dead:
        assert caught.value is failed
        return
    assert caught.value.brief == "the node compute-1 died during the deploy"
    assert caught.value.details.splitlines() == [
        "compute-1 ended with exit code 137", "2", "3", "4", "last words", "then: deploy failed",
    ]  # fmt: skip
    assert "makes the nodes anew" in caught.value.hint
