"""Waiting until agents apply a change, and making them ask again: it is sent to them only once.

The argument `await_it` is a function that waits for a number of seconds (0 checks once) and raises
WaitError.
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
# How long the result must stay right if there is no other sign that a change is done, in seconds.
STEADY = 3
# How many times as long it may take until the result stays right.
RESTLESS = 10
# How often a workaround is applied: what an agent gets while others change it may be incomplete.
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
        await_it: Waits for the result of the change.
        patience: The factor by which deadlines are multiplied; `await_it` includes it already.
        unseen: Whether the flows are the same before and after the change, so that they do not show
            whether the agent has begun. The result must then stay right for 3 s.

    Raises:
        WaitError: The result is not there within 10 s, or 30 s if workarounds are forbidden.
    """
    if unseen:
        _await_steadily(await_it, STEADY * patience)
    else:
        await_it(workarounds.delay(PATIENCE))


def repeat(
    await_it: Callable[[float], object], act: Callable[[], None], *, patience: float
) -> None:
    """Act up to three times, until the awaited result is there and stays for 3 s.

    Args:
        await_it: Waits for the result.
        act: Applies the workaround.
        patience: The factor by which deadlines are multiplied.

    Raises:
        WaitError: The result is still not there.
    """
    for _ in range(ATTEMPTS):
        act()
        with suppress(WaitError):
            _await_steadily(await_it, STEADY * patience)
            return
    await_it(PATIENCE)


def _await_steadily(await_it: Callable[[float], object], steady: float) -> None:
    """Wait until the result stays right: agents handle ports one by one, so it may change again."""
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
