"""The help for an agent that leaves something out: networking-sfc makes each change only once."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from pytest_kollalab.system.errors import WaitError

if TYPE_CHECKING:
    from pytest_kollalab.sdn.tenant.network import Port
    from pytest_kollalab.sdn.tenant.tenant import Tenant

# How long a change may take before its chain is helped.
PATIENCE = 10
# How long it must be as it should be where nothing else tells that it is done, in seconds.
STEADY = 3
# How many times as long it may take to come to rest.
RESTLESS = 10
# How often it is helped: what an agent asks for while others change it may be half of it again.
ATTEMPTS = 3


def touch(tenant: Tenant, ports: Iterable[Port]) -> None:
    """Make the agents ask for the flows of these ports anew."""
    for port in ports:
        touched = f"touched {secrets.token_hex(4)}"
        tenant.admin.network.update_port(port.id, description=touched)


def helped(
    await_it: Callable[[float], object],
    help_it: Callable[[], None],
    *,
    patience: float,
    unseen: bool = False,
) -> bool:
    """Wait for what the agent should do, and help it when that takes too long; whether it did.

    `await_it` is given seconds, of which it makes `patience` times as many; 0 is one look.
    `help_it` touches ports. What is `unseen` ends as it began, so that nothing tells when the agent
    has begun with it: that has to stay right for a while. Raises WaitError when help does not help.
    """
    steady = STEADY * patience
    try:
        if unseen:
            _await_steadily(await_it, steady)
        else:
            await_it(PATIENCE)
    except WaitError:
        for _ in range(ATTEMPTS):
            help_it()
            with suppress(WaitError):
                _await_steadily(await_it, steady)
                return True
        await_it(PATIENCE)
        return True
    return False


def _await_steadily(await_it: Callable[[float], object], steady: float) -> None:
    """An agent deals with one port after the other: what is right may be wrong again in between."""
    await_it(PATIENCE)
    began = since = time.monotonic()
    while time.monotonic() - since < steady:
        try:
            await_it(0)
        except WaitError:
            if time.monotonic() - began > RESTLESS * steady:
                raise
            await_it(PATIENCE)
            since = time.monotonic()
