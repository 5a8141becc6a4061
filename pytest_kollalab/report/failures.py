"""Failures of tests: collects artifacts, links them in reports, and masks secrets in reports."""

from __future__ import annotations

import copy
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pytest_kollalab.engine import records
from pytest_kollalab.providers.base import NodesMade
from pytest_kollalab.report.masking import Redactor, lab_secrets, secret_files
from pytest_kollalab.sdn import workarounds
from pytest_kollalab.system.errors import KollalabError

if TYPE_CHECKING:
    from pytest_kollalab.features.base import Feature
    from pytest_kollalab.providers.base import Provider
    from pytest_kollalab.report import artifacts
    from pytest_kollalab.stages.cloud.made import CloudMade
    from pytest_kollalab.system.ssh import Ssh

PROPERTY = "kollalab_artifacts"
LINK = "kollalab artifacts"
# What reports are found and sorted by: it is of the code, and never masked.
PLAIN = frozenset(("nodeid", "location", "keywords", "outcome", "when"))
# At most this much is kept of the end of a stage's log.
LOG_CHARACTERS = 2_000_000


class Scene(Protocol):
    """Where tests run: knows the secrets, and collects information about a span of time."""

    def redactor(self) -> Redactor:
        """Masks the current secrets."""

    def collect(self, began: float, ended: float) -> artifacts.Collected:
        """Collect information about a span (seconds since 1970)."""


class LabScene:
    """A lab in which tests run.

    Args:
        folder: The lab's state folder.
        ssh: Returns what runs commands on the nodes.
        provider: Returns the provider of the nodes.
        commands: Further shell commands for each node, by the name of the file for their output.
        features: The features of the lab, which know lines of logs.
    """

    def __init__(
        self,
        folder: Path,
        ssh: Callable[[], Ssh],
        provider: Callable[[], Provider],
        commands: Mapping[str, str] | None = None,
        features: Sequence[Feature] = (),
    ) -> None:
        self.folder = folder
        self.ssh = ssh
        self.provider = provider
        self.commands = commands or {}
        self.features = tuple(features)
        self._redactor = Redactor()
        self._known: tuple[tuple[str, int], ...] = ()

    def redactor(self) -> Redactor:
        """Masks the lab's secrets, including those of a cloud that was just deployed."""
        known = tuple((str(path), path.stat().st_mtime_ns) for path in secret_files(self.folder))
        # The secrets of a removed lab are still masked.
        if known and known != self._known:
            self._known = known
            self._redactor = Redactor(lab_secrets(self.folder))
        return self._redactor

    def collect(self, began: float, ended: float) -> artifacts.Collected:
        """Collect from the nodes and the logs of stages about a span (seconds since 1970)."""
        from pytest_kollalab.report import artifacts
        from pytest_kollalab.sdn.capture.recordings import RECORDINGS

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
        cloud = self._cloud()
        if cloud is not None:
            title = f"lab {lab} at {moment(ended)}"
            asked["the picture of the network"] = lambda: _drawn(ssh, nodes, cloud, title)
        told = artifacts.collect(asked)
        # The span excludes the packets of the collection itself.
        captures = RECORDINGS.during(began, ended)
        return artifacts.Collected(
            {**told.files, **logs},
            told.problems,
            captures,
            usual=[line for feature in self.features for line in feature.usual],
            telling=[line for feature in self.features for line in feature.telling],
        )

    def _cloud(self) -> CloudMade | None:
        """The cloud, if it is deployed."""
        from pytest_kollalab.stages.cloud.made import CloudMade

        try:
            record = records.load(self.folder / "cloud.json")
            return record.result(CloudMade) if record is not None else None
        except KollalabError:
            return None


@dataclass(frozen=True)
class FailedTest:
    """A failed test.

    Attributes:
        test: Its node id.
        phase: `setup`, `call` or `teardown`.
        began: When it began, in seconds since 1970.
        ended: When it failed, in seconds since 1970.
        text: The failure and what the test printed.
        workarounds: The entries of the workarounds that it used or was refused.
        ports: The ids of the ports of its process; empty if it had none.
    """

    test: str
    phase: str
    began: float
    ended: float
    text: str
    workarounds: str = ""
    ports: frozenset[str] = frozenset()


class ExternalCloudScene:
    """An external cloud: its secrets are masked, and nothing is collected from it."""

    def __init__(self, secrets: Callable[[], tuple[str, ...]]) -> None:
        self._secrets = secrets
        self._redactor: Redactor | None = None

    def redactor(self) -> Redactor:
        """Masks the passwords for the cloud."""
        if self._redactor is None:
            self._redactor = Redactor(self._secrets())
        return self._redactor

    def collect(self, began: float, ended: float) -> artifacts.Collected:
        """Collect nothing, and say why."""
        from pytest_kollalab.report import artifacts

        return artifacts.Collected({}, ("an external cloud: its nodes are not asked",))


class Failures:
    """Collects artifacts once for each failed test of a session.

    Args:
        site: Where the tests run.
        folder: The folder for the artifacts; None to collect none.
    """

    def __init__(self, site: Scene, folder: Path | None) -> None:
        self.site = site
        self.folder = folder
        self._began: dict[str, float] = {}
        self._done: set[str] = set()
        self._parts: Counter[str] = Counter()
        self._extras: list[Mapping[str, Any]] = []

    def see(
        self, report: Any, item: Any, *, began: float, ended: float, uncollected: str | None
    ) -> None:
        """Mask the secrets in pytest's report of a phase, and collect artifacts if it failed.

        Args:
            report: The report.
            item: The test.
            began: When the phase began, in seconds since 1970.
            ended: When it ended.
            uncollected: Why no artifacts are collected if it failed, as for a lab whose failure
                was told before. Empty if nobody expects any; None if they are collected.
        """
        if report.when == "setup":
            self._began[item.nodeid] = began
        self.hide(report)
        if report.failed and item.nodeid not in self._done:
            if uncollected is None:
                self._done.add(item.nodeid)
                self._collect(report, item, item.nodeid, self._began.get(item.nodeid, began), ended)
            else:
                self._leave(report, uncollected)
        if report.when == "call" and self._extras:
            # pytest-html has one row for a test and its subtests, made of the test's own report.
            report.extras = [*getattr(report, "extras", []), *self._extras]
        if report.when == "teardown":
            self._began.pop(item.nodeid, None)
            self._done.discard(item.nodeid)
            self._parts.clear()
            self._extras.clear()

    def see_part(self, report: Any, item: Any, *, uncollected: str | None) -> None:
        """Mask the secrets in the report of a subtest, and collect artifacts if it failed.

        Args:
            report: The report, which pytest makes out of the one that `see` masked.
            item: The test.
            uncollected: As for `see`.
        """
        self.hide(report)
        if not report.failed:
            return
        if uncollected is not None:
            self._leave(report, uncollected)
            return
        name = f"{item.nodeid} {part_of(report)}"
        self._parts[name] += 1
        if (number := self._parts[name]) > 1:
            name += f" #{number}"
        self._collect(report, item, name, report.start, report.stop)
        self._extras += [each for each in getattr(report, "extras", []) if each.get("name") == LINK]

    def hide(self, report: Any) -> None:
        """Mask the secrets in a report of pytest, whoever added them."""
        mask = self.site.redactor()
        for name, value in list(vars(report).items()):
            if name in PLAIN:
                continue
            if name == "longrepr":
                masked = mask.tree(value)
            elif name == "context":
                masked = _hidden_context(value, mask)
            elif name == "extras":
                masked = [each if _is_picture(each) else mask.data(each) for each in value]
            else:
                masked = mask.data(value)
            if masked is not value:
                setattr(report, name, masked)

    def _leave(self, report: Any, why: str) -> None:
        """Say in a report why it has no artifacts, if somebody expects some."""
        if self.folder is not None and why:
            report.sections.append((LINK, f"none: {why}"))

    def _collect(self, report: Any, item: Any, test: str, began: float, ended: float) -> None:
        if self.folder is None:
            return
        from pytest_kollalab.report import artifacts, mine

        # The report of a broken lab has the whole message in its properties.
        said = [*report.user_properties, *report.sections]
        text = f"{report.longreprtext}\n" + "".join(f"\n-- {a}\n{b}" for a, b in said)
        used = workarounds.told(report.user_properties)
        failure = FailedTest(test, report.when, began, ended, text, used, mine.own_ports())
        name = artifacts.slug(failure.test)
        try:
            summary = self.keep(failure, self.folder / name)
        except OSError as error:
            report.sections.append((LINK, f"could not be written: {error}"))
            return
        # A relative path, because report and folder may be moved together. Both lists, because the
        # report of this phase has a copy, and JUnit uses the report of the last phase.
        link = (PROPERTY, name)
        item.user_properties.append(link)
        if link not in report.user_properties:
            report.user_properties.append(link)
        report.sections.append((LINK, summary))
        if item.config.pluginmanager.hasplugin("html"):
            page = item.config.getoption("htmlpath", None)
            start = Path(item.config.invocation_params.dir, page or "").resolve()
            extra = html_extra(self.folder / name, start.parent if page else start)
            report.extras = [*getattr(report, "extras", []), extra]

    def keep(self, failure: FailedTest, folder: Path) -> str:
        """Collect the artifacts of one failure into a folder; returns a summary of them."""
        from pytest_kollalab.report import artifacts, mine

        started = time.monotonic()
        told = self.site.collect(failure.began, failure.ended)
        files = dict(told.files)
        if merged := artifacts.merged(files, told.usual, told.telling):
            files["timeline"] = merged
        files["failure"] = failure.text
        if failure.workarounds:
            files["workarounds"] = failure.workarounds
        # A new redactor, because the failed deploy may have created the passwords.
        names = artifacts.write(folder, files, mask := self.site.redactor(), told.captures)
        seconds = round(time.monotonic() - started, 1)
        # Sessions side by side use one lab, and the logs of its nodes have what each of them does.
        telling = any(mine.can_be_of(line, failure.ports) for line in merged.splitlines())
        first = open_first(names, failure.phase, timeline=telling)
        about = {
            "test": failure.test,
            "phase": failure.phase,
            "began": moment(failure.began),
            "ended": moment(failure.ended),
            "seconds": seconds,
            "problems": list(told.problems),
            "open_first": first,
            "files": names,
        }
        text = json.dumps(about, indent=2) + "\n"
        (folder / "about.json").write_text(mask(text), encoding="utf-8")
        problems = "".join(f"\nnot collected: {mask(problem)}" for problem in told.problems)
        return (
            f"open first: {folder / first}\n{folder}: {len(names)} files in {seconds} s{problems}"
        )


def open_first(names: Sequence[str], phase: str, *, timeline: bool = True) -> str:
    """The file of a failure's folder that tells most.

    Args:
        names: The names of the files.
        phase: The phase that failed. What fails in the setup is often a stage that was being built.
        timeline: Whether the timeline has something that can be of the test.
    """
    stages = [name for name in names if name.startswith("stages/")] if phase == "setup" else []
    timelines = [name for name in names if timeline and name.startswith("timeline")]
    pictures = [name for name in names if name == "topology.svg"]
    return next(iter([*reversed(stages), *timelines, *pictures]), "failure.txt")


def part_of(report: Any) -> str:
    """What distinguishes a subtest in its test, as pytest writes it: `[message] (name=value)`."""
    context = getattr(report, "context", None)
    message = getattr(context, "msg", None)
    given = getattr(context, "kwargs", None) or {}
    parts = [f"[{message}]"] if message is not None else []
    if given:
        parts.append(f"({', '.join(f'{name}={value}' for name, value in given.items())})")
    return " ".join(parts) or "(<subtest>)"


def _hidden_context(context: Any, mask: Redactor) -> Any:
    # Of pytest or of pytest-subtests. It is frozen; the arguments may be any objects.
    given = {
        name: value if (masked := mask(text := str(value))) == text else masked
        for name, value in context.kwargs.items()
    }
    hidden = copy.copy(context)
    object.__setattr__(hidden, "msg", mask.data(context.msg))
    object.__setattr__(hidden, "kwargs", given)
    return hidden


def _is_picture(extra: Any) -> bool:
    # In Base64, in which a pattern may be found by chance.
    return isinstance(extra, dict) and extra.get("format_type") in ("image", "video")


def _drawn(ssh: Ssh, nodes: Sequence[str], cloud: CloudMade, title: str) -> Mapping[str, str]:
    from pytest_kollalab.report import drawn

    return drawn.drawn(ssh, nodes, cloud, title)


def _pulled() -> Mapping[str, str]:
    from pytest_kollalab.sdn.capture.recordings import RECORDINGS

    for each in list(RECORDINGS.running):
        each.pull()
    return {}


def stage_logs(folder: Path, began: float) -> dict[str, str]:
    """The logs of stages that were written since a time, by file names below `stages/`."""
    return {
        f"stages/{path.name}": path.read_text(encoding="utf-8", errors="replace")[-LOG_CHARACTERS:]
        for path in sorted(folder.glob("*.log"))
        if path.stat().st_mtime >= began
    }


def html_extra(folder: Path, start: Path) -> Mapping[str, Any]:
    """A link for pytest-html to a folder, relative to the folder of its page."""
    from pytest_html import extras

    link: Mapping[str, Any] = extras.url(os.path.relpath(folder, start), name=LINK)
    return link


def moment(seconds: float) -> str:
    """A time in seconds since 1970 as ISO 8601 in UTC."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
