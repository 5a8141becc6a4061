"""Phases: parts of Kolla-Ansible's deploy that can run at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

# Most of a deploy is spent waiting for one module on one node. With more phases at once, the host's
# cores become the limit.
AT_ONCE = 2


@dataclass(frozen=True)
class Phase:
    """Some roles of site.yml that are deployed together.

    Attributes:
        name: The name of the phase.
        tags: The tags of the roles.
        after: Names of the phases that must be done first.
        when: Deploy the phase only if one of these variables is true. Always if empty.
    """

    name: str
    tags: tuple[str, ...]
    after: tuple[str, ...] = ()
    when: tuple[str, ...] = ()


# Within a phase, the roles run in the order of site.yml. Many phases come after `common`, because
# roles that register services or create databases do so through kolla_toolbox.
PHASES = (
    Phase("common", ("common",)),
    Phase("messaging", ("cron", "memcached", "rabbitmq")),
    Phase("identity", ("mariadb", "keystone"), after=("common",)),
    # OVN's databases are there before Neutron. Where they are not used, their roles have no hosts.
    Phase("switches", ("openvswitch", "ovn"), after=("common",)),
    # Placement starts with Nova and takes less time. Nova's scheduler fails if it does not answer.
    Phase("placement", ("placement",), after=("identity",), when=("enable_placement",)),
    Phase("compute", ("nova",), after=("identity", "messaging"), when=("enable_nova",)),
    Phase("network", ("neutron",), after=("identity", "messaging", "switches")),
    Phase("images", ("glance",), after=("identity",), when=("enable_glance",)),
    Phase(
        "orchestration",
        ("heat", "tacker"),
        after=("identity", "messaging"),
        when=("enable_heat", "enable_tacker"),
    ),
)


def plan(merged: Mapping[str, Any]) -> tuple[Phase, ...]:
    """The phases of a lab with these globals."""
    return tuple(
        phase for phase in PHASES if not phase.when or any(merged.get(name) for name in phase.when)
    )


def tags(phases: Iterable[Phase]) -> tuple[str, ...]:
    """The tags of all phases, which the run for all other roles skips."""
    return tuple(tag for phase in phases for tag in phase.tags)


def run_phases(
    phases: Sequence[Phase],
    run: Callable[[Phase, threading.Event], None],
    at_once: int = AT_ONCE,
) -> None:
    """Run phases at the same time, each after the phases that it depends on.

    If a phase fails, its exception is raised once all running phases have ended.

    Args:
        phases: The phases. Of those that are ready, earlier ones start first.
        run: Called with a phase and an event. The event is set if the phase should stop early,
            because another phase failed or the user pressed Ctrl-C.
        at_once: The number of phases that run at the same time.
    """
    stop = threading.Event()
    waiting = list(phases)
    running: dict[Future[None], Phase] = {}
    done: set[str] = set()
    failure: BaseException | None = None
    with ThreadPoolExecutor(at_once) as pool:
        try:
            while waiting or running:
                ready = [s for s in waiting if done.issuperset(s.after)] if failure is None else []
                for phase in ready[: at_once - len(running)]:
                    waiting.remove(phase)
                    running[pool.submit(run, phase, stop)] = phase
                if not running:
                    break
                ended, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in ended:
                    phase = running.pop(future)
                    error = future.exception()
                    if error is None:
                        done.add(phase.name)
                    elif failure is None:
                        failure = error
                        stop.set()
        except BaseException:
            stop.set()
            raise
    if failure is not None:
        raise failure
