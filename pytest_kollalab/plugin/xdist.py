"""Sharing: one lab for the workers of a session and for several sessions, and its orderly end."""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any

import pytest

from pytest_kollalab.engine.runs import Line, SharedRun, new_run_id
from pytest_kollalab.settings import config as configuration
from pytest_kollalab.system.locks import ReadWriteLock
from pytest_kollalab.system.paths import default_paths
from pytest_kollalab.system.signals import Signals

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_kollalab.engine.progress import Watcher
    from pytest_kollalab.engine.runs import LabFailure
    from pytest_kollalab.system.errors import KollalabError

MARKER = "disruptive"
# Rolls the lab back, which nobody else's test would survive.
FRESH = "fresh_cloud"
# Asking for it, directly or through another fixture, is what makes a test one of the lab.
FIXTURE = "kollalab"
# The stage that a fixture wants, the later one first.
STAGE_OF = {"openstack_cloud": "cloud", "lab_nodes": "nodes"}
POLL = 0.2
REFUSED = "kollalab_refused"

Say = Callable[[str], None]

watcher_key = pytest.StashKey["Watcher"]()


def of_use(options: configuration.Options, items: Iterable[pytest.Item]) -> configuration.Options:
    """The options, without a golden state where neither a test nor a lab goes back to it."""
    asked = any(FRESH in fixture_names(item) for item in items)
    if options.labs > 1 and not options.clone_of:
        return options
    if asked or options.golden != "drop" or options.keep != "never":
        return options
    return dataclasses.replace(options, golden="none")


def of_worker(options: configuration.Options, worker: str) -> configuration.Options:
    """The options in a worker of pytest-xdist: those of its own lab where there are several."""
    number = int(worker.removeprefix("gw") or 0)
    return configuration.of_lab(options, number % options.labs)


class Sharing:
    """What a process of pytest has to do with the others of its session.

    `options` name the lab, and `say` shows a line. In a worker of pytest-xdist there is no
    terminal: lines go to the controller, which shows them.
    """

    def __init__(self, config: pytest.Config, options: configuration.Options, say: Say) -> None:
        self.config = config
        self.worker = str(getattr(config, "workerinput", {}).get("workerid", ""))
        self.run = str(getattr(config, "workerinput", {}).get("kollalab_run", "")) or new_run_id()
        paths = default_paths()
        self.session = SharedRun(paths, self.run)
        # The log of a failure -> where it is when its lab has gone.
        self.kept_logs: dict[str, Path] = {}
        self._has_lab = False
        self._of(options)
        self.signals: Signals | None = None
        self.refused = ""
        self._say = say
        self._done = threading.Event()
        self._follower: threading.Thread | None = None

    def _of(self, options: configuration.Options) -> None:
        self.options = options
        self.rwlock = ReadWriteLock(default_paths().state / "labs" / options.name)

    def use(self) -> None:
        """Say that this process uses the lab; the first use makes signals end orderly."""
        self.session.open()
        self.session.use()
        if not self.worker and self.signals is None:
            self._handle_signals()

    def say(self, text: str) -> None:
        """Show a line, here or where the terminal is."""
        if self.worker:
            self.session.tell(Line(self.worker, text))
        else:
            self._say(text)

    def begin_removal(self) -> None:
        """From here on a first signal has nothing to interrupt."""
        self.session.join()
        if self.signals is not None:
            self.signals.removing = True

    def close(self) -> None:
        """End what use() and the workers began."""
        self._done.set()
        if self._follower is not None:
            self._follower.join()
        if self.signals is not None:
            self.signals.restore()
        if not self.worker:
            self.session.close()

    def refuse(self, session: pytest.Session, error: KollalabError) -> None:
        """End the session before its first test: what it asks for does not make sense.

        Raises UsageError where there is a terminal to show it. A worker that did so would be taken
        for one that crashed: it passes the message on, and runs nothing.
        """
        if not self.worker:
            raise pytest.UsageError(str(error)) from None
        self.refused = str(error)
        session.shouldstop = error.brief
        output: dict[str, Any] = getattr(self.config, "workeroutput", {})
        output[REFUSED] = self.refused

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        refused = getattr(node, "workeroutput", {}).get(REFUSED, "")
        if refused and not self.refused:
            self.refused = refused
            self._say(f"ERROR: {refused}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.refused:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
        elif self.failures and session.exitstatus == pytest.ExitCode.OK and not self.worker:
            # No test has failed: those of a lab that could not be had went on in another.
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @property
    def failures(self) -> list[LabFailure]:
        """The first failure of each lab of the session."""
        return self.session.failures()

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        if self._follower is None:
            self._handle_signals()
            self._follower = threading.Thread(target=self._follow, daemon=True)
            self._follower.start()
        node.workerinput["kollalab_run"] = self.run

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self._have_lab(item)
        with self._turn(item):
            return (yield)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        for failure in self.failures:
            terminalreporter.section("the lab is broken", red=True)
            kept = self.kept_logs.get(failure.log)
            terminalreporter.write_line(
                failure.text.replace(failure.log, str(kept)) if kept else failure.text
            )

    def _have_lab(self, item: pytest.Item) -> None:
        """Have what tests want of the worker's own lab, or go on with the first lab.

        Tests of a broken lab take no time: its worker would be given most of those that the other
        labs could run.
        """
        options = self.options
        if self._has_lab or FIXTURE not in fixture_names(item):
            return
        # Once, before any fixture knows the lab: all that any test of the session wants.
        self._has_lab = True
        names = {name for each in item.session.items for name in fixture_names(each)}
        wanted = next((stage for name, stage in STAGE_OF.items() if name in names), "")
        if self.refused or options.labs == 1 or not options.clone_of or not wanted:
            return
        from pytest_kollalab.plugin import hooks

        self.config.stash[hooks.used_key] = True
        self.use()
        lab = hooks.make_lab(self.config)
        try:
            lab.ensure(min(wanted, options.until, key=configuration.STAGES.index))
        except Exception as error:  # noqa: BLE001 - whatever it is, the other lab may be whole
            failure = lab.session.fail(error)
            for each in filter(None, (lab, lab.base)):
                each.lease.release()
            first = configuration.first_lab(options)
            self.say(f"lab {lab.name}: {failure.line}; its tests go on in lab {first.name}")
            hooks.use_lab(self.config, first)
            self._of(first)

    @contextmanager
    def _turn(self, item: pytest.Item) -> Iterator[None]:
        names = fixture_names(item)
        if self.refused or FIXTURE not in names:
            yield
            return
        if item.get_closest_marker(MARKER) is not None or FRESH in names:
            with self.rwlock.alone(lambda: self.say(f"{item.name}: waits for the other tests")):
                yield
        else:
            with self.rwlock.together(
                lambda: self.say(f"{item.name}: waits for one that disrupts")
            ):
                yield

    def _follow(self) -> None:
        for line in self.session.lines():
            # Workers make the folder when they use the lab; without this process among its owners
            # it would be a leftover as soon as they have ended.
            self.session.join()
            if line is not None:
                self._say(f"[{line.who}] {line.text}")
            elif self._done.is_set():
                return
            else:
                self._done.wait(POLL)

    def _handle_signals(self) -> None:
        command, name = "kollalab down", self.options.name
        if name != configuration.Options.name:
            command += f" --name {name}"
        capture = self.config.pluginmanager.getplugin("capturemanager")
        shown = capture.global_and_fixture_disabled() if capture is not None else nullcontext()
        with shown:
            # What pytest captures later is not what a user sees.
            handle = os.dup(2)
        after = {
            "always": f"; lab {name} is kept",
            "failed": f", then removing lab {name} if none has failed",
            "never": f", then removing lab {name}",
        }
        self.signals = Signals(
            f"ending the tests{after[self.options.keep]}",
            f"Lab {name} is removed by: {command}",
            handle=handle,
            pass_on=self._pass_on,
            used=self.session.is_used,
        )
        self.signals.install()

    def _pass_on(self, number: int) -> None:
        # A terminal sends Ctrl-C to the workers too, any other sender not.
        if number == signal.SIGTERM:
            for pid in self.session.users():
                if pid != os.getpid():
                    with suppress(OSError):
                        os.kill(pid, signal.SIGINT)


def fixture_names(item: pytest.Item) -> Sequence[str]:
    """The fixtures that a test uses; what other plugins collect may have none."""
    return getattr(item, "fixturenames", ())


def show(config: pytest.Config, text: str) -> None:
    """Show a line on the terminal of this process now, whatever pytest captures."""
    reporter = config.pluginmanager.getplugin("terminalreporter")
    capture = config.pluginmanager.getplugin("capturemanager")
    if reporter is None:
        return
    watching = config.stash.get(watcher_key, None)
    if watching is not None and watching.line(text):
        return
    shown = capture.global_and_fixture_disabled() if capture is not None else nullcontext()
    with shown:
        reporter.ensure_newline()
        if config.get_terminal_writer().width_of_current_line:
            # The results of workers stand in a line that the reporter does not count as begun.
            reporter.write_line("")
        reporter.write_line(text)
        # Into a pipe nothing would be seen until the stage is over.
        reporter.flush()


def watcher(config: pytest.Config) -> Watcher | None:
    """Who watches the stages of this process; made once. A worker has no terminal to watch from."""
    from pytest_kollalab.report import live

    if hasattr(config, "workerinput"):
        return None
    if watcher_key not in config.stash:
        capture = config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled() if capture is not None else nullcontext():
            # What pytest captures later is not what a user sees.
            handle = os.dup(1)
        terminal = os.fdopen(handle, "w", encoding="utf-8", errors="replace")
        config.add_cleanup(terminal.close)
        config.stash[watcher_key] = live.watcher(terminal, config.get_verbosity())
    return config.stash[watcher_key]
