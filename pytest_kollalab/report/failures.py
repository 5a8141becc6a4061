"""Failures of tests: their artifacts, where these are told of, and no secrets in any report."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pytest_kollalab.engine import records
from pytest_kollalab.providers.base import NodesMade
from pytest_kollalab.report import artifacts
from pytest_kollalab.report.masking import Redactor, lab_secrets, secret_files
from pytest_kollalab.sdn import workarounds
from pytest_kollalab.sdn.capture.recordings import RECORDINGS
from pytest_kollalab.system.errors import KollalabError

if TYPE_CHECKING:
    from pytest_kollalab.providers.base import Provider
    from pytest_kollalab.system.ssh import Ssh

PROPERTY = "kollalab_artifacts"
# Of a stage's log, at most so much of its end.
LOG_CHARACTERS = 2_000_000


class Scene(Protocol):
    """What a failed test had to do with: its secrets, and what it can tell of a span of time."""

    def redactor(self) -> Redactor:
        """What masks its secrets, as they are now."""

    def collect(self, began: float, ended: float) -> artifacts.Collected:
        """What can be told of a span (seconds since 1970)."""


class LabScene:
    """What of a lab is looked at: its state folder, and ways to its nodes as far as there are.

    `commands` maps file names to shell commands of others, which each node is asked too.
    """

    def __init__(
        self,
        folder: Path,
        ssh: Callable[[], Ssh],
        provider: Callable[[], Provider],
        commands: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.ssh = ssh
        self.provider = provider
        self.commands = commands or {}
        self._redactor = Redactor()
        self._known: tuple[tuple[str, int], ...] = ()

    def redactor(self) -> Redactor:
        """What masks the lab's secrets, those of a cloud that was just deployed too."""
        known = tuple((str(path), path.stat().st_mtime_ns) for path in secret_files(self.folder))
        # Without a lab that is still there, what was secret in it before stays so.
        if known and known != self._known:
            self._known = known
            self._redactor = Redactor(lab_secrets(self.folder))
        return self._redactor

    def collect(self, began: float, ended: float) -> artifacts.Collected:
        """What the nodes and the logs of the stages tell of a span (seconds since 1970)."""
        logs = stage_logs(self.folder / "logs", began)
        try:
            record = records.load(self.folder / "nodes.json")
            if record is None or record.status != records.READY:
                return artifacts.Collected(logs, ("the lab has no nodes",))
            nodes = list(record.read(NodesMade).nodes)
            ssh, provider, lab = self.ssh(), self.provider(), self.folder.name
        except KollalabError as error:
            return artifacts.Collected(logs, (error.brief,))

        def last_words(node: str) -> str:
            return provider.last_words(lab, node)

        span = artifacts.Span(began, ended)
        asked = artifacts.sources(ssh, nodes, span, last_words=last_words, commands=self.commands)
        asked["the captures that run"] = _pulled
        told = artifacts.collect(asked)
        # What captures see of the collecting itself is cut off by the span.
        captures = RECORDINGS.during(began, ended)
        return artifacts.Collected({**told.files, **logs}, told.problems, captures)


@dataclass(frozen=True)
class FailedTest:
    """A test that failed: its id, the phase (setup, call, teardown), the span, what it said.

    `workarounds` are the entries of those that it used or was refused.
    """

    test: str
    phase: str
    began: float
    ended: float
    text: str
    workarounds: str = ""


class ExternalCloudScene:
    """Somebody else's cloud: it has secrets that are masked, and nothing that is looked at."""

    def __init__(self, secrets: Callable[[], tuple[str, ...]]) -> None:
        self._secrets = secrets
        self._redactor: Redactor | None = None

    def redactor(self) -> Redactor:
        """What masks the passwords that the cloud is reached with."""
        if self._redactor is None:
            self._redactor = Redactor(self._secrets())
        return self._redactor

    def collect(self, began: float, ended: float) -> artifacts.Collected:
        """Nothing, and why."""
        return artifacts.Collected({}, ("the cloud is somebody else's: its nodes are not asked",))


class Failures:
    """Collects for each failed test of a session once; `folder` is where, None for nowhere."""

    def __init__(self, site: Scene, folder: Path | None) -> None:
        self.site = site
        self.folder = folder
        self._began: dict[str, float] = {}
        self._done: set[str] = set()

    def see(self, report: Any, item: Any, *, began: float, ended: float, explained: bool) -> None:
        """Look at pytest's report of a phase: mask its secrets, collect if it is a failure.

        A failure that was explained before, such as a broken lab's, is not collected for again.
        """
        if report.when == "setup":
            self._began[item.nodeid] = began
        mask = self.site.redactor()
        for name in ("longrepr", "sections", "user_properties"):
            setattr(report, name, mask.tree(getattr(report, name)))
        wanted = self.folder is not None and report.failed and not explained
        if wanted and item.nodeid not in self._done:
            self._done.add(item.nodeid)
            since = self._began.get(item.nodeid, began)
            # A broken lab's report has the whole message among its properties.
            said = [*report.user_properties, *report.sections]
            text = f"{report.longreprtext}\n" + "".join(f"\n-- {a}\n{b}" for a, b in said)
            used = workarounds.told(report.user_properties)
            failed = FailedTest(item.nodeid, report.when, since, ended, text, used)
            self._link(report, item, failed)
        if report.when == "teardown":
            self._began.pop(item.nodeid, None)
            self._done.discard(item.nodeid)

    def _link(self, report: Any, item: Any, failure: FailedTest) -> None:
        assert self.folder is not None
        name = artifacts.slug(failure.test)
        try:
            summary = self.keep(failure, self.folder / name)
        except OSError as error:
            report.sections.append(("kollalab artifacts", f"could not be written: {error}"))
            return
        # Relative: the report and the folder are carried elsewhere together. Both lists, because
        # the report of this phase has its own copy, and JUnit is made from the last phase's.
        link = (PROPERTY, name)
        item.user_properties.append(link)
        if link not in report.user_properties:
            report.user_properties.append(link)
        report.sections.append(("kollalab artifacts", summary))
        if item.config.pluginmanager.hasplugin("html"):
            page = item.config.getoption("htmlpath", None)
            start = Path(item.config.invocation_params.dir, page or "").resolve()
            extra = html_extra(self.folder / name, start.parent if page else start)
            report.extras = [*getattr(report, "extras", []), extra]

    def keep(self, failure: FailedTest, folder: Path) -> str:
        """Collect for one failure into a folder of its own; returns a line about it."""
        started = time.monotonic()
        told = self.site.collect(failure.began, failure.ended)
        files = dict(told.files)
        if merged := artifacts.merged(files):
            files["timeline"] = merged
        files["failure"] = failure.text
        if failure.workarounds:
            files["workarounds"] = failure.workarounds
        # Asked for again: the failure may be of the deploy that made the passwords.
        names = artifacts.write(folder, files, mask := self.site.redactor(), told.captures)
        seconds = round(time.monotonic() - started, 1)
        about = {
            "test": failure.test,
            "phase": failure.phase,
            "began": moment(failure.began),
            "ended": moment(failure.ended),
            "seconds": seconds,
            "problems": list(told.problems),
            "files": names,
        }
        text = json.dumps(about, indent=2) + "\n"
        (folder / "about.json").write_text(mask(text), encoding="utf-8")
        problems = "".join(f"\nnot had: {mask(problem)}" for problem in told.problems)
        return f"{folder}: {len(names)} files in {seconds} s{problems}"


def _pulled() -> Mapping[str, str]:
    for each in list(RECORDINGS.running):
        each.pull()
    return {}


def stage_logs(folder: Path, began: float) -> dict[str, str]:
    """The logs of the stages that were written to since a moment, below `stages/`."""
    return {
        f"stages/{path.name}": path.read_text(encoding="utf-8", errors="replace")[-LOG_CHARACTERS:]
        for path in sorted(folder.glob("*.log"))
        if path.stat().st_mtime >= began
    }


def html_extra(folder: Path, start: Path) -> Mapping[str, Any]:
    """A link for pytest-html to a folder, from the folder that its page is in."""
    from pytest_html import extras

    link: Mapping[str, Any] = extras.url(os.path.relpath(folder, start), name="kollalab artifacts")
    return link


def moment(seconds: float) -> str:
    """A time in seconds since 1970 as ISO 8601 in UTC."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
