"""The live line: one per running stage at the foot of a terminal."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from pytest_kollalab.engine.progress import Expected, Watcher, clock

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

PER_SECOND = 2


@dataclass
class Running:
    """A stage that is being built."""

    expected: Expected
    began: float = field(default_factory=time.monotonic)
    steps: int = 0
    what: str = ""


def describe(stage: str, running: Running, now: float) -> str:
    """The line of a stage: what it does, how far it is, elapsed, how long it still takes."""
    elapsed = now - running.began
    parts = [f"{stage}: {running.what}" if running.what else stage]
    if running.steps:
        total = running.expected.steps
        # More steps than ever before: the history is no measure any more.
        of = f" of about {total}" if total is not None and total >= running.steps else ""
        parts.append(f"step {running.steps}{of}")
    parts.append(clock(elapsed))
    left = running.expected.left(elapsed)
    if left is not None:
        parts.append(f"about {clock(left)} left")
    return ", ".join(parts)


class Terminal(Watcher):
    """Keeps the lines up to date while stages run; `file` is the terminal itself.

    pytest captures what goes to standard output, so that it must be a handle of one's own.
    """

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._running: dict[str, Running] = {}
        self._live: Live | None = None

    def begin(self, stage: str, expected: Expected) -> None:
        self._running[stage] = Running(expected)
        if self._live is None:
            from rich.console import Console
            from rich.live import Live

            console = Console(file=self._file, force_terminal=True, highlight=False)
            self._live = Live(
                console=console,
                get_renderable=self._render,
                refresh_per_second=PER_SECOND,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()

    def step(self, stage: str, what: str) -> None:
        running = self._running.get(stage)
        if running is not None:
            running.steps += 1
            running.what = what

    def end(self, stage: str) -> None:
        self._running.pop(stage, None)
        if not self._running and self._live is not None:
            self._live.stop()
            self._live = None

    def line(self, text: str) -> bool:
        # No stage runs: there is no live line to keep out of the way of.
        if self._live is None:
            return False
        self._live.console.print(text, markup=False, soft_wrap=True)
        return True

    def _render(self) -> Text:
        from rich.text import Text

        now = time.monotonic()
        lines = [describe(stage, running, now) for stage, running in self._running.items()]
        return Text("\n".join(lines), style="dim", no_wrap=True, overflow="ellipsis")


class Lines(Watcher):
    """Says each step in a line: for a log, when much is asked for."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._running: dict[str, Running] = {}

    def begin(self, stage: str, expected: Expected) -> None:
        self._running[stage] = Running(expected)

    def step(self, stage: str, what: str) -> None:
        running = self._running.get(stage)
        if running is not None:
            running.steps += 1
            running.what = what
            self._file.write(f"{describe(stage, running, time.monotonic())}\n")
            self._file.flush()

    def end(self, stage: str) -> None:
        self._running.pop(stage, None)


def watcher(file: IO[str], verbosity: int) -> Watcher:
    """Who watches: a terminal gets live lines, anything else lines of steps if asked for."""
    if verbosity < 0:
        return Watcher()
    if file.isatty():
        return Terminal(file)
    return Lines(file) if verbosity > 0 else Watcher()
