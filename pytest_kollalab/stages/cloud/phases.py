"""Phases: the parts of Kolla-Ansible's deploy that can run side by side, and their running."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

# Most of a deploy is waiting for one module on one node; more phases than this fight for cores.
AT_ONCE = 2


@dataclass(frozen=True)
class Phase:
    """Some roles of site.yml, by their tags, deployed once the phases in `after` are done.

    It is left out unless one of the variables in `when` is true, or `when` is empty.
    """

    name: str
    tags: tuple[str, ...]
    after: tuple[str, ...] = ()
    when: tuple[str, ...] = ()


# Within a phase the roles run in the order of site.yml. Everything that registers itself or
# makes a database goes through kolla_toolbox, which is why `common` comes before so much.
PHASES = (
    Phase("common", ("common",)),
    Phase("messaging", ("cron", "memcached", "rabbitmq")),
    Phase("identity", ("mariadb", "keystone"), after=("common",)),
    Phase("switches", ("openvswitch",), after=("common",)),
    # Beside Nova from its start, and much shorter: Nova's scheduler gives up where none answers.
    Phase("placement", ("placement",), after=("identity",), when=("enable_placement",)),
    Phase("compute", ("nova",), after=("identity", "messaging"), when=("enable_nova",)),
    Phase("network", ("neutron",), after=("identity", "messaging", "switches")),
    Phase("images", ("glance",), after=("identity",), when=("enable_glance",)),
)


def plan(merged: Mapping[str, Any]) -> tuple[Phase, ...]:
    """The phases of a lab with these globals."""
    return tuple(
        phase for phase in PHASES if not phase.when or any(merged.get(name) for name in phase.when)
    )


def tags(phases: Iterable[Phase]) -> tuple[str, ...]:
    """The tags of all phases: what is left for the run of everything else to skip."""
    return tuple(tag for phase in phases for tag in phase.tags)


def run_phases(
    phases: Sequence[Phase],
    run: Callable[[Phase, threading.Event], None],
    at_once: int = AT_ONCE,
) -> None:
    """Run phases side by side, each after those it waits for, earlier ones first.

    `run` is given the phase and an event that is set when it should stop early: another phase
    failed, or the user pressed Ctrl-C. Raises the first failure once all have ended.
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
