"""What a stage made, in its record and out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_kollalab.engine.records import READY, Record
from pytest_kollalab.providers.base import CloneMade, NodesMade
from pytest_kollalab.system.errors import StateError

ADDRESSES = {
    "provisioning": "10.64.0.11",
    "management": "10.64.1.11",
    "external": "10.64.2.11",
    "tunnel": "10.64.3.11",
}
# As version 0.1 wrote it of virtual machines.
MACHINES: Mapping[str, Any] = {
    "accelerator": "kvm",
    "interfaces": {name: f"{name[:4]}0" for name in ADDRESSES},
    "jump": "",
    "networks": {
        name: {"cidr": f"10.64.{n}.0/24", "gateway": f"10.64.{n}.1", "mtu": 1500}
        for n, name in enumerate(ADDRESSES)
    },
    "nodes": {"controller-1": ADDRESSES},
    "playbooks": ["/x/prepare.yml"],
    "provider": "libvirt",
    "registry": "10.64.0.1:4000",
    "ssh_config": "/state/nodes/ssh_config",
    "ssh_key": "/state/nodes/id_ed25519",
    "uri": "qemu:///system",
}


def record(made: Mapping[str, Any]) -> Record:
    return Record("nodes", "k", "r", READY, inputs={}, made=made)


def test_a_record_reads_as_attributes() -> None:
    nodes = record(MACHINES).read(NodesMade)
    assert nodes.controller.management == "10.64.1.11"
    assert nodes.controller.addresses == ADDRESSES
    assert nodes.networks["tunnel"].cidr == "10.64.3.0/24"
    assert nodes.ssh_key == Path("/state/nodes/id_ed25519")
    assert nodes.playbooks == (Path("/x/prepare.yml"),)


def test_what_a_record_had_is_written_back_as_it_was() -> None:
    nodes = record(MACHINES).read(NodesMade)
    assert nodes.extra == {"accelerator": "kvm"}
    assert nodes.to_json() == MACHINES


def test_what_was_not_written_has_its_default() -> None:
    older = {k: v for k, v in MACHINES.items() if k not in ("playbooks", "jump", "uri")}
    nodes = record(older).read(NodesMade)
    assert (nodes.playbooks, nodes.jump, nodes.clone) == ((), "", None)
    assert nodes.to_json() == {**older, "playbooks": [], "jump": "", "uri": ""}


def test_a_clone_is_written_and_read() -> None:
    clone = CloneMade("other", Path("/state/clone"), "2026-01-01T00:00:00Z", {"10.64.": "10.65."})
    nodes = replace(NodesMade.from_json(MACHINES), clone=clone)
    assert nodes.to_json()["clone"]["folder"] == "/state/clone"
    assert NodesMade.from_json(nodes.to_json()) == nodes


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ({"nodes": {"controller-1": {}}}, "provisioning"),
        ({"ssh_key": 3}, "ssh_key"),
        ({"registry": None}, "registry"),
    ],
)
def test_what_is_missing_or_wrong_is_told(damage: Mapping[str, Any], told: str) -> None:
    with pytest.raises(StateError, match="the record of nodes is damaged") as caught:
        record({**MACHINES, **damage}).read(NodesMade)
    assert told in caught.value.details
