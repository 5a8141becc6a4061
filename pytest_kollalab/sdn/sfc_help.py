"""The help for an agent that leaves something out: networking-sfc makes each change only once."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from pytest_kollalab.errors import WaitError

if TYPE_CHECKING:
    from pytest_kollalab.sdn.network import Port
    from pytest_kollalab.sdn.tenant import Tenant

# How long a change may take before its chain is helped.
PATIENCE = 10
# How long it must be as it should be where nothing else tells that it is done, and how long one
# look takes at most, in seconds.
STEADY, MOMENT = 3, 0.7
# How often it is helped: what an agent asks for while others change it may be half of it again.
ATTEMPTS = 3


def touch(tenant: Tenant, ports: Iterable[Port]) -> None:
    """Make the agents ask for the flows of these ports anew."""
    for port in ports:
        touched = f"touched {secrets.token_hex(4)}"
        tenant.admin.network.update_port(port.id, description=touched)


def helped(
    await_it: Callable[[float], object], help_it: Callable[[], None], *, unseen: bool = False
) -> bool:
    """Wait for what the agent should do, and help it when that takes too long; whether it did.

    `await_it` is given seconds, `help_it` touches ports. What is `unseen` ends as it began, so that
    nothing tells when the agent has begun with it: that has to stay right for a while. Raises
    WaitError when help does not help.
    """
    try:
        if unseen:
            _await_steadily(await_it)
        else:
            await_it(PATIENCE)
    except WaitError:
        for _ in range(ATTEMPTS):
            help_it()
            with suppress(WaitError):
                _await_steadily(await_it)
                return True
        await_it(PATIENCE)
        return True
    return False


def _await_steadily(await_it: Callable[[float], object]) -> None:
    """An agent deals with one port after the other: what is right may be wrong again in between."""
    since = time.monotonic()
    while time.monotonic() - since < STEADY:
        began = time.monotonic()
        await_it(PATIENCE)
        if time.monotonic() - began > MOMENT:
            since = time.monotonic()
