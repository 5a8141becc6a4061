"""A server's deletion: what is done when Nova gives it up."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from pytest_kollalab.sdn.tenant import server
from pytest_kollalab.system.errors import WaitError


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
    server.remove(cast("Any", tenant), "id-1")


def test_a_deletion_that_works_is_asked_for_once(recorded: list[str]) -> None:
    compute = Compute(gives_up=0)
    remove(compute)
    assert compute.asked == 1
    assert recorded == []


def test_a_deletion_that_nova_gives_up_is_asked_for_again(
    recorded: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    compute = Compute(gives_up=2)
    remove(compute)
    assert compute.asked == 3
    assert recorded == [server.DELETED_AGAIN]
    assert "fault 1" in caplog.text
    assert "fault 2" in caplog.text


def test_one_that_nova_gives_up_each_time_fails_with_the_reason(recorded: list[str]) -> None:
    compute = Compute(gives_up=99)
    with pytest.raises(WaitError, match="waiting longer cannot help") as caught:
        remove(compute)
    assert compute.asked == server.ATTEMPTS
    assert "gave up its deletion 3 times: fault 3" in caught.value.details
    assert recorded == []
