"""The processes of a session: the controller and the workers of pytest-xdist."""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pytest

from pytest_kollalab.plugin.asked import FRESH, fixture_names, uses_lab
from pytest_kollalab.plugin.markers import is_disruptive
from pytest_kollalab.plugin.reporter import uncaptured
from pytest_kollalab.settings import config as configuration
from pytest_kollalab.system.errors import if_writable
from pytest_kollalab.system.paths import default_paths

if TYPE_CHECKING:
    from pytest_kollalab.engine.runs import LabFailure, SharedRun
    from pytest_kollalab.system.errors import KollalabError
    from pytest_kollalab.system.signals import Signals

POLL = 0.2
REFUSED = "kollalab_refused"
NUMBER = "kollalab_number"
RUN = "kollalab_run"
USED = "kollalab_used"

Say = Callable[[str], None]


def of_use(
    options: configuration.Options, items: Iterable[pytest.Item], *, kept: bool = False
) -> configuration.Options:
    """The options, without a golden state if no test and no lab needs it.

    Args:
        options: The options of the session.
        items: The selected tests.
        kept: Whether the lab was there before the session, and may so stay after it.
    """
    asked = any(FRESH in fixture_names(item) for item in items)
    if options.labs > 1 and not options.clone_of:
        return options
    goes = options.keep == "never" or (options.keep == "auto" and not kept)
    if asked or options.golden != "drop" or not goes or _is_pushed(options):
        return options
    return dataclasses.replace(options, golden="none")


def _is_pushed(options: configuration.Options) -> bool:
    if options.push == "never":
        return False
    from pytest_kollalab.stages.golden.push import is_wanted

    return is_wanted(options)


def of_worker(options: configuration.Options, number: int) -> configuration.Options:
    """The options in a worker of pytest-xdist: those of its own lab if there are several labs.

    Args:
        options: The options of the session.
        number: The worker's number, counted from 0. Its name may be any (`--tx popen//id=alpha`).
    """
    return configuration.of_lab(options, number % options.labs)


class Processes:
    """One process of a session, and its communication with the others.

    A worker of pytest-xdist has no terminal, so it sends lines to the controller, which shows them.

    Args:
        config: pytest's configuration of this process.
        show: Shows a line on the terminal of this process.

    Attributes:
        worker: The name of this worker; empty in the controller and without pytest-xdist.
        number: The number of this worker, counted from 0.
    """

    def __init__(self, config: pytest.Config, show: Say) -> None:
        self.config = config
        given: dict[str, Any] = getattr(config, "workerinput", {})
        self.worker = str(given.get("workerid", ""))
        self.number = int(given.get(NUMBER, 0))
        self._run = str(given.get(RUN, ""))
        self.signals: Signals | None = None
        self.refused = ""
        self._show = show
        self._done = threading.Event()
        self._follower: threading.Thread | None = None
        self._numbers: dict[Any, int] = {}

    @cached_property
    def run(self) -> SharedRun:
        """The run of the session, which all its processes share."""
        from pytest_kollalab.engine.runs import SharedRun, new_run_id

        return SharedRun(default_paths(), self._run or new_run_id())

    @property
    def failures(self) -> list[LabFailure]:
        """The first failure of each lab of the session."""
        # Without a run, no lab was used, and nothing needs to be imported.
        return self.run.failures() if "run" in vars(self) else []

    @property
    def is_used(self) -> bool:
        """Whether any process has used a lab, including one that crashed."""
        return "run" in vars(self) and self.run.is_used()

    @property
    def is_interrupted(self) -> bool:
        """Whether a signal has ended the session."""
        return self.signals is not None and self.signals.seen > 0

    def use(self, options: configuration.Options) -> None:
        """Note that this process uses a lab; from now on, signals end the session in order."""
        self.run.open()
        self.run.use()
        if self.worker:
            from pytest_kollalab.system.signals import ignore_hangup

            ignore_hangup()
        elif self.signals is None:
            self._handle_signals(options)

    def say(self, text: str) -> None:
        """Show a line, in a worker through the controller."""
        if self.worker:
            from pytest_kollalab.engine.runs import Line

            self.run.tell(Line(self.worker, text))
        else:
            self._show(text)

    def begin_removal(self) -> None:
        """Note that labs are being removed: a first signal no longer interrupts anything."""
        with if_writable():
            self.run.join()
        if self.signals is not None:
            self.signals.removing = True

    def close(self) -> None:
        """End the run, the thread for workers and the signal handling."""
        self._done.set()
        if self._follower is not None:
            self._follower.join()
        if self.signals is not None:
            self.signals.restore()
        if not self.worker and "run" in vars(self):
            self.run.close()

    def refuse(self, session: pytest.Session, error: KollalabError) -> None:
        """End the session before its first test because of a wrong request.

        A worker passes the message on and runs no tests. If it raised an error, pytest-xdist would
        report a crash.

        Raises:
            pytest.UsageError: This process is not a worker.
        """
        if not self.worker:
            raise pytest.UsageError(str(error)) from None
        self.refused = str(error)
        session.shouldstop = error.brief
        self._output[REFUSED] = self.refused

    def add_worker(self, node: Any, options: configuration.Options) -> None:
        """Prepare a worker, in the controller, before it starts."""
        if self._follower is None:
            self._handle_signals(options)
            self._follower = threading.Thread(target=self._follow, daemon=True)
            self._follower.start()
        # A worker that replaces one that crashed has its number, and so its lab.
        free = set(range(len(self._numbers) + 1)) - set(self._numbers.values())
        self._numbers[node] = node.workerinput[NUMBER] = min(free)
        node.workerinput[RUN] = self.run.name

    def end_worker(self, node: Any) -> bool:
        """Read the output of a worker that has ended; returns whether it used a lab."""
        self._numbers.pop(node, None)
        output: dict[str, Any] = getattr(node, "workeroutput", {})
        refused = output.get(REFUSED, "")
        if refused and not self.refused:
            self.refused = refused
            self._show(f"ERROR: {refused}")
        return bool(output.get(USED))

    def tell_controller(self, *, used: bool) -> None:
        """Tell the controller, from a worker, whether it used a lab."""
        self._output[USED] = used

    @contextmanager
    def turn(self, item: pytest.Item, lab: str) -> Iterator[None]:
        """A block in which a test may use a lab: alone if it is disruptive, or else with others."""
        if self.refused or not uses_lab(item):
            yield
            return
        from pytest_kollalab.system.locks import ReadWriteLock

        rwlock = ReadWriteLock(default_paths().state / "labs" / lab)
        if is_disruptive(item) or FRESH in fixture_names(item):
            with rwlock.alone(lambda: self.say(f"{item.name}: waits for the other tests")):
                yield
        else:
            with rwlock.together(lambda: self.say(f"{item.name}: waits for one that disrupts")):
                yield

    @property
    def _output(self) -> dict[str, Any]:
        output: dict[str, Any] = getattr(self.config, "workeroutput", {})
        return output

    def _follow(self) -> None:
        for line in self.run.lines():
            # Workers create the run's folder. This process must own it too, because otherwise it
            # would count as a leftover after the workers have ended.
            with if_writable():
                self.run.join()
            if line is not None:
                self._show(f"[{line.who}] {line.text}")
            elif self._done.is_set():
                return
            else:
                self._done.wait(POLL)

    def _handle_signals(self, options: configuration.Options) -> None:
        from pytest_kollalab.report.summary import down_command
        from pytest_kollalab.system.signals import Signals

        command, name = down_command(configuration.options_of(options)), options.name
        with uncaptured(self.config):
            # A copy of the handle, because pytest later captures standard error.
            handle = os.dup(2)
        after = {
            "always": f"; lab {name} is kept",
            "failed": f", then removing lab {name} if none has failed",
            "auto": f", then removing lab {name} unless it was there before",
            "never": f", then removing lab {name}",
        }
        self.signals = Signals(
            f"ending the tests{after[options.keep]}",
            f"Lab {name} is removed by: {command}",
            handle=handle,
            pass_on=self._pass_on,
            used=self.run.is_used,
        )
        self.signals.install()

    def _pass_on(self, number: int) -> None:
        # On Ctrl-C the terminal signals the workers as well; other senders do not. Workers ignore
        # that the terminal is closed.
        if number in (signal.SIGTERM, signal.SIGHUP):
            for pid in self.run.users():
                if pid != os.getpid():
                    with suppress(OSError):
                        os.kill(pid, signal.SIGINT)
