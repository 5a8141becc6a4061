"""Strands: the parts of Kolla-Ansible's deploy that can run side by side, and their running."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

# Most of a deploy is waiting for one module on one node; more strands than this fight for cores.
AT_ONCE = 2


@dataclass(frozen=True)
class Strand:
    """Some roles of site.yml, by their tags, deployed once the strands in `after` are done.

    It is left out unless one of the variables in `when` is true, or `when` is empty.
    """

    name: str
    tags: tuple[str, ...]
    after: tuple[str, ...] = ()
    when: tuple[str, ...] = ()


# Within a strand the roles run in the order of site.yml. Everything that registers itself or
# makes a database goes through kolla_toolbox, which is why `common` comes before so much.
STRANDS = (
    Strand("common", ("common",)),
    Strand("messaging", ("cron", "memcached", "rabbitmq")),
    Strand("identity", ("mariadb", "keystone"), after=("common",)),
    Strand("switches", ("openvswitch",), after=("common",)),
    # Beside Nova from its start, and much shorter: Nova's scheduler gives up where none answers.
    Strand("placement", ("placement",), after=("identity",), when=("enable_placement",)),
    Strand("compute", ("nova",), after=("identity", "messaging"), when=("enable_nova",)),
    Strand("network", ("neutron",), after=("identity", "messaging", "switches")),
    Strand("images", ("glance",), after=("identity",), when=("enable_glance",)),
)


def plan(merged: Mapping[str, Any]) -> tuple[Strand, ...]:
    """The strands of a lab with these globals."""
    return tuple(
        strand
        for strand in STRANDS
        if not strand.when or any(merged.get(name) for name in strand.when)
    )


def tags(strands: Iterable[Strand]) -> tuple[str, ...]:
    """The tags of all strands: what is left for the run of everything else to skip."""
    return tuple(tag for strand in strands for tag in strand.tags)


def weave(
    strands: Sequence[Strand],
    run: Callable[[Strand, threading.Event], None],
    at_once: int = AT_ONCE,
) -> None:
    """Run strands side by side, each after those it waits for, earlier ones first.

    `run` is given the strand and an event that is set when it should stop early: another strand
    failed, or the user pressed Ctrl-C. Raises the first failure once all have ended.
    """
    stop = threading.Event()
    waiting = list(strands)
    running: dict[Future[None], Strand] = {}
    done: set[str] = set()
    failure: BaseException | None = None
    with ThreadPoolExecutor(at_once) as pool:
        try:
            while waiting or running:
                ready = [s for s in waiting if done.issuperset(s.after)] if failure is None else []
                for strand in ready[: at_once - len(running)]:
                    waiting.remove(strand)
                    running[pool.submit(run, strand, stop)] = strand
                if not running:
                    break
                ended, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in ended:
                    strand = running.pop(future)
                    error = future.exception()
                    if error is None:
                        done.add(strand.name)
                    elif failure is None:
                        failure = error
                        stop.set()
        except BaseException:
            stop.set()
            raise
    if failure is not None:
        raise failure
