"""Live progress: a line for each running stage at the bottom of a terminal, or now and then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from pytest_kollalab.engine.progress import Expected, Watcher, clock
from pytest_kollalab.system.telling import lenient

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

PER_SECOND = 2
# Seconds without a line after which it is said what runs: CI ends jobs without output.
SILENCE = 60.0
# The same with pytest's `-q`.
QUIET = 180.0
# After so many times that, it is said even if there were other lines.
RARELY = 3
# It is said once that a build takes longer than usual, when it does so by this many seconds.
LATE = 15.0


@dataclass
class Running:
    """A stage that is being built."""

    expected: Expected
    began: float = field(default_factory=time.monotonic)
    steps: int = 0
    what: str = ""
    is_late: bool = False

    def turns_late(self, now: float) -> bool:
        """Whether the build is late now and was not before."""
        usual = self.expected.seconds
        if self.is_late or usual is None or now - self.began < usual + LATE:
            return False
        self.is_late = True
        return True


def describe(stage: str, running: Running, now: float) -> str:
    """The line of a stage: current step, number of steps, elapsed and remaining time.

    Beyond the expected time, by how much it is late.
    """
    elapsed = now - running.began
    parts = [f"{stage}: {running.what}" if running.what else stage]
    if running.steps:
        total = running.expected.steps
        # With more steps than ever before, the history is no longer a good estimate.
        of = f" of about {total}" if total is not None and total >= running.steps else ""
        parts.append(f"step {running.steps}{of}")
    parts.append(clock(elapsed))
    if told := running.expected.remaining(elapsed):
        parts.append(told)
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


class Plain(Watcher):
    """Says now and then what a stage does and how long it still takes, without a terminal.

    It does so after a silence, and less often while others show lines.

    Args:
        show: Shows a line.
        silence: After so many seconds without a line.
        steps: Whether to write a line for each step as well.
    """

    def __init__(
        self, show: Callable[[str], object], *, silence: float = SILENCE, steps: bool = False
    ) -> None:
        self._show = show
        self._silence = silence
        self._steps = steps
        self._running: dict[str, Running] = {}
        self._heard = self._told = 0.0
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, stage: str, expected: Expected) -> None:
        self._running[stage] = Running(expected)
        self._heard = self._told = time.monotonic()
        if self._thread is None:
            self._over.clear()
            self._thread = threading.Thread(target=self._watch, daemon=True)
            self._thread.start()

    def step(self, stage: str, what: str) -> None:
        running = self._running.get(stage)
        if running is not None:
            running.steps += 1
            running.what = what
            if self._steps:
                self._tell(stage, running)

    def end(self, stage: str) -> None:
        self._running.pop(stage, None)
        if not self._running and self._thread is not None:
            self._over.set()
            self._thread.join()
            self._thread = None

    def line(self, text: str) -> bool:
        # Somebody else shows it; there is something to see again.
        self._heard = time.monotonic()
        return False

    def _tell(self, stage: str, running: Running) -> None:
        self._heard = self._told = time.monotonic()
        self._show(describe(stage, running, self._heard))

    def _watch(self) -> None:
        while not self._over.wait(min(1.0, self._silence)):
            now = time.monotonic()
            is_silent = now - self._heard >= self._silence
            is_time = is_silent or now - self._told >= RARELY * self._silence
            for stage, running in list(self._running.items()):
                if running.turns_late(now) or is_time:
                    self._tell(stage, running)


def watcher(file: IO[str], verbosity: int) -> Watcher:
    """The watcher for an output: live lines on a terminal, or else lines after a silence.

    With more verbosity, each step is a line if there is no terminal; with less, nothing is shown.
    """
    if verbosity < 0:
        return Watcher()
    file = lenient(file)
    if file.isatty():
        return Terminal(file)

    def show(text: str) -> None:
        file.write(f"{text}\n")
        file.flush()

    return Plain(show, steps=verbosity > 0)
