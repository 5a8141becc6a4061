"""Runs kolla-build and reports its progress and failures."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pytest_kollalab.stages.images import render
from pytest_kollalab.system import daemon, temporary
from pytest_kollalab.system.crash_points import point
from pytest_kollalab.system.environment import no_proxy
from pytest_kollalab.system.errors import CommandError, StageError
from pytest_kollalab.system.run import run

LINE = re.compile(r"^[A-Z]+:kolla\.common\.utils\.(?P<image>[\w-]+):(?P<text>.*)$")
TOOK = re.compile(r"^Built at .* \(took (?P<h>\d+):(?P<m>\d+):(?P<s>[\d.]+)\)$")
TAIL = 20
NOT_PROXIED = ("127.0.0.1", "localhost")
# States of images that were not tried (kolla 22, kolla/image/utils.py, Status).
UNTRIED = frozenset({"matched", "parent_error", "unprocessed"})


@dataclass
class BuildProgress:
    """Reads kolla-build's output and reports each image that is started or built.

    Attributes:
        total: The number of images to build, in all rounds.
        say: Called with each line of progress.
        step: Called with the name of each image that is started.
        before: The number of images that were built in earlier rounds.
        seconds: How long each built image took.
        started: The images that were started.
    """

    total: int
    say: Callable[[str], None]
    step: Callable[[str], None] = lambda _: None
    before: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    started: set[str] = field(default_factory=set)

    def __call__(self, line: str) -> None:
        match = LINE.match(line)
        if match is None:
            return
        image, text = match["image"], match["text"]
        if text.startswith("Building started at ") and image not in self.started:
            self.started.add(image)
            self.say(f"{image}: building")
            self.step(image)
            point("images:building")
        elif took := TOOK.match(text):
            seconds = int(took["h"]) * 3600 + int(took["m"]) * 60 + float(took["s"])
            self.seconds[image] = round(seconds, 1)
            done = self.before + len(self.seconds)
            self.say(f"{image}: built in {seconds:.0f} s ({done} of {self.total})")


def build(
    venv: Path, conf: Path, names: Sequence[str], total: int, logs: Path, work: Path, log: Path,
    say: Callable[[str], None], step: Callable[[str], None] = lambda _: None, before: int = 0,
) -> dict[str, float]:  # fmt: skip
    """Build images and their parents, except those that docker already has.

    Each image's log is written to the folder `logs`. `total` is the number of images to build
    in all rounds, `before` that of earlier rounds.

    Returns:
        The seconds that each image took.

    Raises:
        StageError: An image failed.
    """
    logs.mkdir(parents=True, exist_ok=True)
    summary = logs / "summary.json"
    summary.unlink(missing_ok=True)
    progress = BuildProgress(total, say, step, before)
    argv: list[str | Path] = [venv / "bin" / "kolla-build", "--config-file", conf]
    argv += ["--skip-existing", "--logs-dir", logs, "--work-dir", work, "--format", "json"]
    argv += ["--summary-json-file", summary, *render.patterns(names)]
    render.clean(work)
    docker = daemon.resolve()
    try:
        with temporary.scratch(work.parent, "docker") as folder:
            # A relay for packages is on this host.
            env = docker.environment() | no_proxy(NOT_PROXIED)
            env |= daemon.without_logins(Path(folder))
            run(argv, env=env, log_file=log, on_line=progress)
    except CommandError as error:
        if not summary.is_file():
            raise StageError("kolla-build failed", details=error.details, log=log) from error
    finally:
        render.clean(work)
    check(json.loads(summary.read_text(encoding="utf-8")), logs)
    point("images:built")
    return progress.seconds


def check(summary: dict[str, list[dict[str, str]]], logs: Path) -> None:
    """Check kolla-build's summary for failed images.

    Raises:
        StageError: An image failed. The details have the last lines of its log.
    """
    failed = summary.get("failed", [])
    if not failed:
        return
    # kolla-build also lists images as failed that it did not try because another one failed.
    causes = [entry["name"] for entry in failed if entry.get("status") not in UNTRIED]
    first = (causes or [failed[0]["name"]])[0]
    others = [entry["name"] for entry in failed if entry["name"] != first]
    path = logs / f"{first}.log"
    details = tail(path)
    if others:
        details += f"\nnot built either: {', '.join(others)}"
    raise StageError(
        f"image {first} could not be built",
        details=details,
        hint="run the same command again: the images that were built are kept, "
        "and the build goes on with this one",
        log=path,
    )


def tail(path: Path, lines: int = TAIL) -> str:
    """The last lines of an image's log, without the name of the logger."""
    if not path.is_file():
        return "it left no log"
    text = path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
    return "\n".join(match["text"] if (match := LINE.match(line)) else line for line in text)
