"""What a docker node was made from, out of docker's own answer; nothing of a saved state in it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pytest_kollalab.engine.records import Tag
from pytest_kollalab.providers.docker import layers
from pytest_kollalab.providers.docker.owned import Owned
from pytest_kollalab.providers.docker.saves import DockerSaves, body_of
from pytest_kollalab.system import identity

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
