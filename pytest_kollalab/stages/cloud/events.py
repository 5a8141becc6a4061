"""Turns the events of an Ansible run into progress, failures and timings, without any I/O."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_kollalab.engine.progress import clock

MESSAGE_LINES = 4
MESSAGE_WIDTH = 300
# After this many seconds without a line, the current task is shown: CI ends jobs without output.
SILENCE = 60.0

# The prefix of module warnings that are shown to the user.
OURS = "kollalab: "
_STARTS = ("playbook_on_task_start", "playbook_on_handler_task_start")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_FAILS = ("runner_on_failed", "runner_on_unreachable")


@dataclass(frozen=True)
class TaskFailure:
    """A task that failed on a host. Its message has at most MESSAGE_LINES lines."""

    host: str
    task: str
    role: str
    message: str

    def __str__(self) -> str:
        where = f"{self.role} : {self.task}" if self.role else self.task
        return "\n".join([f"{self.host}: {where}", *(f"  {s}" for s in self.message.splitlines())])


@dataclass(frozen=True)
class Timing:
    """The duration of a task on all hosts.

    Attributes:
        play: The name of the play.
        role: The name of the role, or an empty string.
        task: The name of the task.
        seconds: How long the task took.
        began: Seconds from the beginning of the first run to that of the task.
        at: When the task began, in seconds since 1970.
    """

    play: str
    role: str
    task: str
    seconds: float
    began: float = 0.0
    at: float = field(default=0.0, compare=False)


class Tally:
    """The progress of several runs of one deploy.

    Attributes:
        step: Called with the play and the task when a task begins.
        what: What runs, in front of each line and step. Empty for the deploy itself.
        tasks: The number of tasks that have begun.
        began: When the first run began, in Unix time.
        since: When the stage began, in Unix time: lines tell the time since then. By default that
            of the first run.
        shown: When a line was last shown, in Unix time.
    """

    def __init__(
        self,
        step: Callable[[str], None] = lambda _: None,
        what: str = "",
        since: float | None = None,
    ) -> None:
        self.step = step
        self.what = what
        self.tasks = 0
        self.began: float | None = None
        self.since = since
        self.shown = 0.0
        self.warned: set[str] = set()


class PlayProgress:
    """Reads the events of one run. Pass every event to `read`, in order.

    Attributes:
        tally: The progress of all runs of the deploy.
        failures: The tasks that ended the run.
        timings: The duration of each task.
    """

    def __init__(self, tally: Tally | None = None) -> None:
        self.tally = tally or Tally()
        self.failures: list[TaskFailure] = []
        self.timings: list[Timing] = []
        self._play = ""
        self._shown_play = ""
        self._task: tuple[str, str, str, float] | None = None
        self._items: dict[tuple[str, str], list[str]] = {}

    def read(self, event: Mapping[str, Any]) -> str | None:
        """Read one event.

        Returns:
            A line to show when a play begins, after SILENCE, or for a new warning with the prefix
            OURS. Otherwise None.
        """
        kind = event.get("event", "")
        data = event.get("event_data") or {}
        at = _seconds(event.get("created", ""))
        if self.tally.began is None and at:
            self.tally.began = at
        if kind == "playbook_on_play_start":
            self._finish(at)
            self._play = data.get("name") or data.get("play") or ""
        elif kind in _STARTS:
            self._finish(at)
            self.tally.tasks += 1
            what = ": ".join(filter(None, (self.tally.what, self._play, data.get("task", ""))))
            self.tally.step(what)
            self._task = (self._play, data.get("role", ""), data.get("task", ""), at)
            # A play without matching hosts starts no task and is not shown.
            if self._play != self._shown_play:
                self._shown_play = self._play
                return self._line(": ".join(filter(None, (self.tally.what, self._play))), at)
            if at - self.tally.shown >= SILENCE:
                return self._line(what, at)
        elif kind == "playbook_on_stats":
            self._finish(at)
            self._forget_rescued(data)
        elif kind == "runner_item_on_failed":
            place = (data.get("host", ""), data.get("task_uuid", ""))
            self._items.setdefault(place, []).append(message(_result(event)))
        elif kind == "runner_on_ok":
            return self._warning(_result(event))
        elif kind in _FAILS and not data.get("ignore_errors"):
            self._fail(event)
        return None

    def _warning(self, result: Mapping[str, Any]) -> str | None:
        for text in result.get("warnings") or ():
            if text.startswith(OURS) and text not in self.tally.warned:
                self.tally.warned.add(text)
                return str(text.removeprefix(OURS))
        return None

    def _line(self, what: str, at: float) -> str:
        self.tally.shown = at
        since = self.tally.since if self.tally.since is not None else self.tally.began or at
        return f"{what}, {clock(max(0.0, at - since))}"

    def _fail(self, event: Mapping[str, Any]) -> None:
        data = event["event_data"]
        place = (data.get("host", ""), data.get("task_uuid", ""))
        said = message(_result(event))
        items = list(dict.fromkeys(self._items.get(place, [])))
        if items:
            said = "\n".join(items)
        self.failures.append(
            TaskFailure(
                data.get("host", ""), data.get("task", ""), data.get("role", ""), _short(said)
            )
        )

    def _forget_rescued(self, stats: Mapping[str, Any]) -> None:
        """Keep only the failures that Ansible counts for each host, without rescued tasks."""
        kept: list[TaskFailure] = []
        for kind in ("failures", "dark"):
            for host, count in (stats.get(kind) or {}).items():
                kept += [each for each in self.failures if each.host == host][-int(count) :]
        self.failures = [each for each in self.failures if each in kept]

    def _finish(self, at: float) -> None:
        if self._task is not None:
            play, role, task, began = self._task
            start = began - (self.tally.began or began)
            seconds = round(at - began, 2)
            self.timings.append(Timing(play, role, task, seconds, round(start, 2), began))
            self._task = None


def _result(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """The result of a failed task.

    ansible-runner empties results that are longer than MAX_EVENT_RES (ansible-runner 2.4.3,
    awx_display.py, event_context). Such a result is read from Ansible's output.
    """
    if found := event["event_data"].get("res"):
        return dict(found)
    shown = _COLOUR.sub("", event.get("stdout") or "")
    _, arrow, text = shown.partition("=> ")
    try:
        parsed = json.loads(text)
    except ValueError:
        return {"msg": text if arrow else shown}
    return parsed if isinstance(parsed, dict) else {"msg": text}


def message(result: Mapping[str, Any]) -> str:
    """The messages of a failed result, the most useful one first."""
    parts = [result.get("msg"), result.get("stderr"), result.get("module_stderr")]
    if result.get("module_stderr") or not any(parts[1:]):
        parts += [result.get("stdout"), result.get("module_stdout")]
    texts = [str(part).strip() for part in parts if part]
    # Leave out Ansible's standard phrases if there is another message.
    telling = [text for text in texts if not text.startswith(("non-zero return code", "MODULE FA"))]
    return "\n".join(dict.fromkeys(telling or texts)) or "no message"


def totals(timings: Iterable[Timing], by: str = "play") -> list[tuple[str, float, int]]:
    """The seconds and the number of tasks of each `play`, `role` or `task`, the longest first."""
    sums: dict[str, tuple[float, int]] = {}
    for timing in timings:
        name = str(getattr(timing, by)) or "-"
        seconds, count = sums.get(name, (0.0, 0))
        sums[name] = (seconds + timing.seconds, count + 1)
    rows = [(name, round(seconds, 1), count) for name, (seconds, count) in sums.items()]
    return sorted(rows, key=lambda row: -row[1])


def _short(text: str) -> str:
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    if len(lines) > MESSAGE_LINES:
        # Keep the end of a traceback, which names the exception.
        lines = [lines[0], *lines[-(MESSAGE_LINES - 1) :]]
    return "\n".join(
        line if len(line) <= MESSAGE_WIDTH else f"{line[:MESSAGE_WIDTH]}..." for line in lines
    )


def _seconds(created: str) -> float:
    return datetime.datetime.fromisoformat(created).timestamp() if created else 0.0
