"""What a docker node was made from, out of docker's own answer; nothing of a saved state in it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pytest_kollalab.engine.records import Tag
from pytest_kollalab.providers.docker import layers
from pytest_kollalab.providers.docker import saves as docker_saves
from pytest_kollalab.providers.docker.owned import Owned
from pytest_kollalab.providers.docker.refusals import refusals
from pytest_kollalab.providers.docker.saves import DockerSaves, body_of
from pytest_kollalab.system import identity
from pytest_kollalab.system.errors import StageError

ADDRESSES = {"lab-provisioning": "10.0.0.11", "lab-management": "10.0.1.11"}
LABELS = {"kollalab.lab": "lab", "kollalab.node": "compute-1"}


def answer(**labels: str) -> dict[str, Any]:
    volume = {"Type": "volume", "Source": "lab-compute-1-docker", "Target": "/var/lib/docker"}
    networks = {
        name: {"IPAMConfig": {"IPv4Address": address}, "MacAddress": "02:42:0a:00:00:0b"}
        for name, address in sorted(ADDRESSES.items())
    }
    config = {
        "Hostname": "compute-1", "Cmd": ["/bin/sh", "first"], "Env": ["container=docker"],
        "Tty": True, "StopSignal": "SIGRTMIN+3", "Image": "sha256:1",
        "Labels": LABELS | {f"kollalab.{name}": value for name, value in labels.items()},
    }  # fmt: skip
    return {
        "Config": config,
        "HostConfig": {"NetworkMode": "lab-provisioning", "Mounts": [volume], "CapDrop": ["X"]},
        "NetworkSettings": {"Networks": networks},
    }


def test_a_node_is_made_again_from_what_it_was_made_from() -> None:
    body = body_of(answer())
    assert body["Hostname"] == "compute-1"
    assert body["HostConfig"]["CapDrop"] == ["X"]
    assert "Image" not in body
    # The first is the one that it is made with; the others are connected afterwards.
    assert list(body["Networks"].items()) == list(ADDRESSES.items())


def test_a_node_that_was_brought_back_is_none_of_a_saved_state() -> None:
    assert body_of(answer(save="first", nodes="compute-1", config="{}"))["Labels"] == LABELS


def test_docker_copies_nothing_into_the_volume_while_we_do() -> None:
    (mount,) = body_of(answer())["HostConfig"]["Mounts"]
    assert mount["VolumeOptions"] == {"NoCopy": True}


def a_saved_state(home: Path, needs: str, *stores: str) -> list[str]:
    """The saved states that are whole, of one whose parts are there; `stores` are the volumes."""
    tag = Tag("lab", "nodes", "key", "run", str(home), identity.make_state(home)).labels()
    image = {
        "Labels": tag | {"kollalab.save": "golden"},
        "RepoTags": ["kollalab/saved:lab-compute-1-golden"],
    }
    labels = tag | {
        "kollalab.save": "golden",
        "kollalab.nodes": "compute-1",
        "kollalab.needs": needs,
    }

    class Api:
        def images(self, **_: Any) -> list[dict[str, Any]]:
            return [image]

        def volumes(self, filters: dict[str, Any]) -> dict[str, Any]:
            if filters == {"label": layers.LABEL}:
                return {"Volumes": [{"Name": name} for name in stores] or None}
            return {"Volumes": [{"Name": "saved", "Labels": labels}]}

    client: Any = SimpleNamespace(api=Api())
    return DockerSaves(lambda: Owned(client, home)).saved("lab")


def test_a_saved_state_is_whole_with_the_layers_that_it_needs(tmp_path: Path) -> None:
    assert a_saved_state(tmp_path, "") == ["golden"]
    assert a_saved_state(tmp_path, "layers", "others", "layers") == ["golden"]


def test_a_saved_state_without_the_layers_that_it_needs_is_none(tmp_path: Path) -> None:
    assert a_saved_state(tmp_path, "layers") == []
    assert a_saved_state(tmp_path, "layers", "others") == []


class Runc:
    """What docker's API says when runc cannot freeze a node a few times."""

    def __init__(self, refusals: int, status: int = 500, said: str = "unable to freeze") -> None:
        self.refusals = refusals
        self.status = status
        self.said = said
        self.asked = 0

    def pause(self, _node: str) -> None:
        from docker.errors import APIError
        from requests import Response

        self.asked += 1
        if self.asked <= self.refusals:
            response = Response()
            response.status_code = self.status
            raise APIError(self.said, response, self.said)


def freeze(runc: Runc) -> None:
    owned = SimpleNamespace(client=SimpleNamespace(api=runc))
    saves = DockerSaves(lambda: cast("Owned", owned))
    saves._freeze({"Id": "1", "Labels": {"kollalab.node": "compute-1"}})


def test_a_node_that_cannot_be_frozen_is_asked_again() -> None:
    runc = Runc(2)
    freeze(runc)
    assert runc.asked == 3


def test_a_node_that_can_never_be_frozen_is_an_error_with_a_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(docker_saves, "FREEZE_TIMEOUT", 1.2)
    with pytest.raises(StageError, match="docker could not freeze compute-1") as caught:
        freeze(Runc(1000))
    assert "unable to freeze" in caught.value.details


def test_a_node_that_stands_still_already_is_frozen() -> None:
    freeze(Runc(1000, 409, "Container 1 is already paused"))


def test_another_refusal_is_not_waited_for() -> None:
    runc = Runc(1000, 409, "Container 1 is not running")
    with (
        pytest.raises(StageError, match="lab could not be saved"),
        refusals("lab could not be saved"),
    ):
        freeze(runc)
    assert runc.asked == 1
