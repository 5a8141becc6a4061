"""Waiting for an agent to apply a change, and asking it again: networking-sfc sends it only once.

The functions that wait here are given `await_it`, which waits for a number of seconds (0 is one
look) and raises WaitError.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from pytest_kollalab.sdn import workarounds
from pytest_kollalab.system.errors import WaitError

if TYPE_CHECKING:
    from pytest_kollalab.sdn.tenant.network import Port
    from pytest_kollalab.sdn.tenant.tenant import Tenant

# How long a change may take, in seconds.
PATIENCE = 10
# How long it must be as it should be where nothing else tells that it is done, in seconds.
STEADY = 3
# How many times as long it may take to come to rest.
RESTLESS = 10
# How often a workaround is applied: what an agent asks for while others change it may be half of it
# again.
ATTEMPTS = 3


def touch(tenant: Tenant, ports: Iterable[Port]) -> None:
    """Make the agents ask for the flows of these ports again."""
    for port in ports:
        touched = f"touched {secrets.token_hex(4)}"
        tenant.admin.network.update_port(port.id, description=touched)


def await_change(
    await_it: Callable[[float], object], *, patience: float, unseen: bool = False
) -> None:
    """Wait until an agent has applied a change.

    Args:
        await_it: waits for the result of the change.
        patience: how many times as long as usual things take; `await_it` counts it in itself.
        unseen: the change ends as it began, so nothing tells whether the agent has started with
            it. The result has to stay right for 3 s.

    Raises:
        WaitError: it was not there within 10 s, or 30 s where workarounds are forbidden.
    """
    if unseen:
        _await_steadily(await_it, STEADY * patience)
    else:
        await_it(workarounds.delay(PATIENCE))


def repeat(
    await_it: Callable[[float], object], act: Callable[[], None], *, patience: float
) -> None:
    """Act, up to three times, until what is waited for is there and stays for 3 s.

    Raises WaitError when it does not come.
    """
    for _ in range(ATTEMPTS):
        act()
        with suppress(WaitError):
            _await_steadily(await_it, STEADY * patience)
            return
    await_it(PATIENCE)


def _await_steadily(await_it: Callable[[float], object], steady: float) -> None:
    """An agent deals with one port after the other: what is right may be wrong again in between."""
    await_it(workarounds.delay(PATIENCE))
    began = since = time.monotonic()
    while time.monotonic() - since < steady:
        try:
            await_it(0)
        except WaitError:
            if time.monotonic() - began > RESTLESS * steady:
                raise
            await_it(workarounds.delay(PATIENCE))
            since = time.monotonic()
