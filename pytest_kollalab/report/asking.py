"""Asking several sources at once, for a limited time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue
from typing import TypeVar

from pytest_kollalab.system.errors import KollalabError

T = TypeVar("T")


def gather(
    asked: Mapping[str, Callable[[], T]], *, deadline: float
) -> tuple[dict[str, T], list[str]]:
    """Ask all sources in parallel, for at most `deadline` seconds.

    Returns:
        The answers by the names of sources, and a line for each source that failed or is late.
    """
    answers: SimpleQueue[tuple[str, T | None, str]] = SimpleQueue()

    def ask(name: str, source: Callable[[], T]) -> None:
        try:
            answers.put((name, source(), ""))
        except KollalabError as error:
            answers.put((name, None, error.brief))
        except Exception as error:  # noqa: BLE001 - whatever it is, it hides no test's failure
            answers.put((name, None, KollalabError(repr(error)).brief))

    for name, source in asked.items():
        # Daemon threads, so that a source that hangs does not keep the process alive.
        threading.Thread(target=ask, args=(name, source), daemon=True).start()
    end = time.monotonic() + deadline
    missing = set(asked)
    told: dict[str, T] = {}
    problems = []
    while missing:
        try:
            name, answer, trouble = answers.get(timeout=max(end - time.monotonic(), 0.01))
        except Empty:
            problems += [f"{name}: no answer within {deadline:.0f} s" for name in missing]
            break
        missing.discard(name)
        if answer is None:
            problems.append(f"{name}: {trouble}")
        else:
            told[name] = answer
    return told, sorted(problems)
