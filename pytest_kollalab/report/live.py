"""Live progress: a line for each running stage at the bottom of a terminal."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from pytest_kollalab.engine.progress import Expected, Watcher, clock
from pytest_kollalab.system.telling import lenient

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
    """The line of a stage: current step, number of steps, elapsed and remaining time."""
    elapsed = now - running.began
    parts = [f"{stage}: {running.what}" if running.what else stage]
    if running.steps:
        total = running.expected.steps
        # With more steps than ever before, the history is no longer a good estimate.
        of = f" of about {total}" if total is not None and total >= running.steps else ""
        parts.append(f"step {running.steps}{of}")
    parts.append(clock(elapsed))
    left = running.expected.left(elapsed)
    if left is not None:
        parts.append(f"about {clock(left)} left")
    return ", ".join(parts)


class Terminal(Watcher):
    """Shows live lines on a terminal while stages run.

    Args:
        file: The terminal. It must not be standard output, which pytest captures.
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
        # No stage runs, so there are no live lines to keep below the text.
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
    """Writes a line for each step, for verbose output that is not on a terminal."""

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
    """The watcher for an output: live lines on a terminal, or else lines of steps if verbose."""
    if verbosity < 0:
        return Watcher()
    file = lenient(file)
    if file.isatty():
        return Terminal(file)
    return Lines(file) if verbosity > 0 else Watcher()
