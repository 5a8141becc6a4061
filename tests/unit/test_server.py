"""A server: the workarounds for a deletion that Nova gives up, and for a device that is down."""

from __future__ import annotations

import itertools
import json
from types import SimpleNamespace
from typing import Any, cast

import pytest
from openstack.exceptions import ServiceDisabledException

from pytest_kollalab.sdn import workarounds
from pytest_kollalab.sdn.tenant import server as server_module
from pytest_kollalab.sdn.tenant.network import Network, Port
from pytest_kollalab.sdn.tenant.server import Server
from pytest_kollalab.sdn.workarounds import (
    DELETION_GIVEN_UP,
    DEVICE_DOWN,
    REFUSED,
    USED,
    WorkaroundForbiddenError,
)
from pytest_kollalab.system.errors import ConfigError, WaitError


class Compute:
    """Nova, as far as a deletion goes: it gives up so many of them, then it deletes."""

    def __init__(self, gives_up: int) -> None:
        self.gives_up = gives_up
        self.asked = 0

    def delete_server(self, server: str, *, ignore_missing: bool) -> None:
        self.asked += 1

    def find_server(self, server: str, *, ignore_missing: bool) -> Any:
        if self.asked > self.gives_up:
            return None
        fault = {"message": f"fault {self.asked}"}
        return SimpleNamespace(status="ERROR", task_state=None, fault=fault)


def remove(compute: Compute) -> None:
    tenant = SimpleNamespace(cloud=SimpleNamespace(compute=compute), patience=1.0)
    server_module.remove(cast("Any", tenant), "id-1")


def test_a_deletion_that_works_is_asked_for_once() -> None:
    compute = Compute(gives_up=0)
    remove(compute)
    assert compute.asked == 1
    assert workarounds.taken() == []


def test_a_deletion_that_nova_gives_up_is_asked_for_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    compute = Compute(gives_up=2)
    remove(compute)
    assert compute.asked == 3
    assert workarounds.taken() == [(USED, DELETION_GIVEN_UP.id)] * 2
    assert "fault 1" in caplog.text
    assert "fault 2" in caplog.text


def test_where_workarounds_are_forbidden_it_fails_when_the_server_is_gone() -> None:
    compute = Compute(gives_up=2)
    with pytest.raises(WorkaroundForbiddenError, match="fault 1"), workarounds.forbidden():
        remove(compute)
    assert compute.find_server("id-1", ignore_missing=True) is None
    assert workarounds.taken() == [(REFUSED, DELETION_GIVEN_UP.id)] * 2


def test_one_that_nova_gives_up_each_time_fails_with_the_reason() -> None:
    compute = Compute(gives_up=99)
    with pytest.raises(WaitError, match="waiting longer cannot help") as caught:
        remove(compute)
    assert compute.asked == server_module.ATTEMPTS
    assert "gave up its deletion 3 times: fault 3" in caught.value.details
    assert workarounds.taken() == [(USED, DELETION_GIVEN_UP.id)] * 2


PORTS = [
    Port("8ba3cc0e-61ee-4c0e-9f7b-73d56252ff0c", "fa:16:3e:00:00:01", "10.0.0.3"),
    Port("d1c1b7a2-2b40-4a1f-8a3e-5f0f3c3f6a10", "fa:16:3e:00:00:02", "10.0.0.4"),
]


class Node:
    """A node and the console of a server: ready once its first device was up for a look."""

    def __init__(self, *flags: str) -> None:
        """`flags` are those of the two devices."""
        self.flags = dict(zip([port.device for port in PORTS], flags, strict=True))
        self.set_up: list[str] = []
        self.looks = 0

    def run(self, node: str, argv: list[str], *, check: bool = True) -> Any:
        if "set" in argv:
            device = argv[-2]
            self.set_up.append(device)
            self.flags[device] = "UP"
        links = [{"ifname": name, "flags": [flag]} for name, flag in self.flags.items()]
        return SimpleNamespace(returncode=0, stdout=json.dumps(links))

    def get_server_console_output(self, server: str, *, length: int) -> dict[str, str]:
        self.looks += 1
        booted = self.looks > 3 and self.flags[PORTS[0].device] == "UP"
        return {"output": server_module.READY if booted else "booting"}


@pytest.fixture
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look takes 3 s."""
    ticks = itertools.count(step=3.0)
    monkeypatch.setattr(server_module, "time", SimpleNamespace(monotonic=lambda: next(ticks)))


def boot(node: Node) -> None:
    cloud = SimpleNamespace(compute=node)
    tenant: Any = SimpleNamespace(cloud=cloud, ssh=node, patience=1.0, has_nodes=True)
    network = Network("id", "net", "subnet", "10.0.0.0/24", None, 1400)
    Server(tenant, network, "compute-1", PORTS, "id-1", "web").await_ready()


@pytest.mark.usefixtures("no_patience")
def test_a_device_that_is_up_is_left_alone() -> None:
    node = Node("UP", "UP")
    boot(node)
    assert node.set_up == []
    assert workarounds.taken() == []


@pytest.mark.usefixtures("no_patience")
@pytest.mark.parametrize("down", [0, 1])
def test_a_device_that_stays_down_is_set_up(down: int) -> None:
    flags = ["UP", "UP"]
    flags[down] = "BROADCAST"
    node = Node(*flags)
    boot(node)
    assert node.set_up == [PORTS[down].device]
    assert workarounds.taken() == [(USED, DEVICE_DOWN.id)]


@pytest.mark.usefixtures("no_patience")
def test_it_stays_down_where_workarounds_are_forbidden() -> None:
    node = Node("BROADCAST", "UP")
    with pytest.raises(WorkaroundForbiddenError, match=DEVICE_DOWN.id), workarounds.forbidden():
        boot(node)
    assert node.set_up == []
    assert workarounds.taken() == [(REFUSED, DEVICE_DOWN.id)]


class Disabled:
    """A service of a connection that is not in the catalogue: openstacksdk refuses all of it."""

    def __getattr__(self, name: str) -> Any:
        raise ServiceDisabledException("Service 'image' is disabled")


def test_a_server_in_a_cloud_without_nova_says_which_fixture_is_missing() -> None:
    catalogue = [{"type": "identity"}, {"type": "network"}]
    cloud = SimpleNamespace(service_catalog=catalogue, image=Disabled(), compute=Disabled())
    tenant: Any = SimpleNamespace(cloud=cloud, has_nodes=False, patience=1.0)
    network = Network("id", "net", "subnet", "10.0.0.0/24", None, 1400)
    with pytest.raises(ConfigError, match="the cloud has no Glance and no Nova") as caught:
        server_module.boot(tenant, network, "compute-1")
    assert "ask for the fixture `compute`" in str(caught.value)
