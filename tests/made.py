"""What stages made, for tests that look at one part of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_kollalab.engine.made import Made
from pytest_kollalab.providers.base import NETWORKS, NODES, NetworkMade, NodeMade, NodesMade
from pytest_kollalab.stages.cloud.made import CloudMade
from pytest_kollalab.stages.images.made import ImagesMade
from pytest_kollalab.stages.tools import ToolsMade


def images(**given: Any) -> ImagesMade:
    """Images, none unless given; without a registry, so that nodes get none either."""
    none: dict[str, Any] = {"namespace": "kolla", "tag": "t", "images": ()}
    return ImagesMade(**none | {"registry_root": Path("store"), "registry_image": ""} | given)


def nodes(
    hosts: Mapping[str, int] | None = None,
    block: str = "10.64.",
    first: int = 0,
    **given: Any,
) -> NodesMade:
    """Nodes at the hosts' addresses in four networks of a block, the first of which is `first`."""
    hosts = {name: 11 + n for n, name in enumerate(NODES)} if hosts is None else hosts
    begin = {name: f"{block}{first + n}." for n, name in enumerate(NETWORKS)}
    table: dict[str, Any] = {
        "provider": "none",
        "nodes": {
            name: NodeMade(**{where: f"{begin[where]}{host}" for where in NETWORKS})
            for name, host in hosts.items()
        },
        "interfaces": {name: f"{name[:4]}0" for name in NETWORKS},
        "networks": {
            name: NetworkMade(f"{begin[name]}0/24", f"{begin[name]}1", 1500) for name in NETWORKS
        },
        "ssh_config": Path("ssh_config"),
        "ssh_key": Path("id_ed25519"),
    }
    return NodesMade(**table | given)


def cloud(*features: str, folder: Path = Path("cloud")) -> CloudMade:
    """A cloud with these features."""
    return CloudMade(
        clouds_yaml=folder / "clouds.yaml",
        cloud="kollalab-lab",
        auth_url="http://10.64.1.11:5000",
        features=features,
        etc=folder / "etc",
    )


def of(stage: str) -> Made:
    """What a stage makes that makes nothing to speak of."""
    tools = ToolsMade(venv=Path("venv"))
    return {"tools": tools, "images": images(), "nodes": nodes({}), "cloud": cloud("core")}[stage]
