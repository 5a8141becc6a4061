"""The artifacts of a failure: what the nodes can tell of a span of time, in a folder, masked."""

from __future__ import annotations

import base64
import binascii
import io
import re
import shlex
import shutil
import tarfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from itertools import takewhile
from pathlib import Path
from queue import Empty, SimpleQueue

from pytest_kollalab.report.window import Moment, Window, timeline, troubles
from pytest_kollalab.sdn.capture.packets import Frame
from pytest_kollalab.sdn.capture.recordings import pcapng
from pytest_kollalab.system.errors import KollalabError
from pytest_kollalab.system.ssh import Ssh

# A node is given NODE_BUDGET for everything at once, what asks it DEADLINE: what is late by then
# is told and left out. Together with masking and writing it stays below 20 s.
NODE_BUDGET = 10.0
DEADLINE = 14.0
CLOCK_DEADLINE = 5.0
SCRIPT = Path(__file__).with_name("collect.sh")
# Docker and journald cut to the span themselves; Kolla's logs each have times of their own.
CUT_HERE = "kolla/"
LONGEST_NAME = 80

Mask = Callable[[str], str]
Source = Callable[[], Mapping[str, str]]


@dataclass(frozen=True)
class Collected:
    """What was collected: text by file, and a line for everything that could not be had.

    `captures` are the frames of captures by the name of each.
    """

    files: Mapping[str, str]
    problems: tuple[str, ...] = ()
    captures: Mapping[str, Sequence[Frame]] = field(default_factory=dict)


@dataclass(frozen=True)
class Span:
    """From when to when, in seconds since 1970 of this host's clock."""

    began: float
    ended: float


@dataclass
class _Answers:
    files: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def sources(
    ssh: Ssh | None,
    nodes: Iterable[str],
    span: Span,
    *,
    last_words: Callable[[str], str] | None = None,
    commands: Mapping[str, str] | None = None,
) -> dict[str, Source]:
    """Who can be asked about a span: every node, and whoever hears its console.

    `commands` maps file names to shell commands whose output each node is asked for as well.
    """
    asked: dict[str, Source] = {}
    for node in nodes:
        if ssh is not None:
            asked[node] = partial(ask_node, ssh, node, span, commands or {})
        if last_words is not None:
            asked[f"{node}'s console"] = partial(_console, node, last_words)
    return asked


def collect(asked: Mapping[str, Source], *, deadline: float = DEADLINE) -> Collected:
    """Ask all sources at once, and wait no longer than the deadline (seconds) for them.

    A source that fails, or is late, costs what it would have told and nothing more.
    """
    answers: SimpleQueue[tuple[str, Mapping[str, str] | KollalabError]] = SimpleQueue()

    def ask(name: str, source: Source) -> None:
        try:
            answers.put((name, source()))
        except KollalabError as error:
            answers.put((name, error))
        except Exception as error:  # noqa: BLE001 - whatever it is, it hides no test's failure
            answers.put((name, KollalabError(repr(error))))

    for name, source in asked.items():
        # Daemons: what hangs does not keep the process from ending.
        threading.Thread(target=ask, args=(name, source), daemon=True).start()
    end = time.monotonic() + deadline
    missing = set(asked)
    had = _Answers()
    while missing:
        try:
            name, answer = answers.get(timeout=max(end - time.monotonic(), 0.01))
        except Empty:
            had.problems += [f"{name}: no answer within {deadline:.0f} s" for name in missing]
            break
        missing.discard(name)
        if isinstance(answer, KollalabError):
            had.problems.append(f"{name}: {answer.brief}")
        else:
            had.files.update(answer)
    return Collected(had.files, tuple(sorted(had.problems)))


def ask_node(ssh: Ssh, node: str, span: Span, commands: Mapping[str, str]) -> dict[str, str]:
    """Everything a node can tell of a span: file -> text, below a folder of its name."""
    asked = time.time()
    clock = ssh.run(node, ["date", "+%s.%N"], timeout=CLOCK_DEADLINE).stdout
    answered = time.time()
    ahead = skew(clock, asked, answered)
    times = [f"{moment + ahead:.3f}" for moment in (span.began, span.ended)]
    argv = ["sh", "-s", *times, f"{NODE_BUDGET:.0f}"]
    left = DEADLINE - 1 - (answered - asked)
    said = ssh.run(node, argv, input=script(commands), timeout=left).stdout
    return {f"{node}/{name}": text for name, text in unpack(said).items()}


def skew(clock: str, asked: float, answered: float) -> float:
    """How many seconds a node's clock is ahead of ours, from its answer and when that was had.

    As far as the answer may be the same time as ours, it is: half a slow connection is no skew.
    """
    try:
        theirs = float(clock)
    except ValueError as error:
        raise KollalabError(f"its clock says {clock.strip()!r}") from error
    return 0.0 if asked <= theirs <= answered else theirs - (asked + answered) / 2


def script(commands: Mapping[str, str]) -> str:
    """What a node runs, with the commands of others among its own."""
    head, mark, tail = SCRIPT.read_text(encoding="utf-8").partition("# OTHERS\n")
    assert mark, "the script says where others come in"
    added = [
        shlex.join(["take", f"others/{_plain(name)}", "sh", "-c", line])
        for name, line in commands.items()
    ]
    return "".join([head, *(f"{line}\n" for line in added), tail])


def unpack(archive: str) -> dict[str, str]:
    """The texts in a node's archive; logs that tell times are cut to the span that it names.

    Raises KollalabError when it is not an archive.
    """
    texts: dict[str, str] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(base64.b64decode(archive)), mode="r:gz") as tar:
            for member in tar:
                handle = tar.extractfile(member) if member.isfile() else None
                if handle is not None:
                    name = member.name.removeprefix("./")
                    texts[name] = handle.read().decode(errors="replace")
    except (tarfile.TarError, EOFError, OSError, binascii.Error) as error:
        raise KollalabError(f"what it sent is no archive ({error})") from error
    window = parse_window(texts.pop("window", ""))
    if window is not None:
        for name in [name for name in texts if name.startswith(CUT_HERE)]:
            texts[name] = window.cut(texts[name])
    return {name: text for name, text in texts.items() if text}


def parse_window(line: str) -> Window | None:
    """The span in a node's own words: since, until, zone such as +0100; None if it is not that."""
    found = re.fullmatch(r"([\d.]+) ([\d.]+) ([+-])(\d\d)(\d\d)\s*", line)
    if found is None:
        return None
    since, until, sign, hours, minutes = found.groups()
    offset = int(hours) * 3600 + int(minutes) * 60
    return Window(float(since), float(until), -offset if sign == "-" else offset)


def write(
    folder: Path,
    files: Mapping[str, str],
    mask: Mask,
    captures: Mapping[str, Sequence[Frame]] | None = None,
) -> list[str]:
    """Write texts and captures, masked, into a folder in place of what it had.

    Returns the names of the files.
    """
    shutil.rmtree(folder, ignore_errors=True)
    contents = {
        # Anything else than a log or JSON is text, which a browser shows instead of saving it.
        name if name.endswith((".log", ".json")) else f"{name}.txt": mask(text).encode(
            "utf-8", errors="replace"
        )
        for name, text in files.items()
    }
    for name, frames in (captures or {}).items():
        contents[f"captures/{name}.pcapng"] = pcapng(masked(frame, mask) for frame in frames)
    names = []
    for name, content in sorted(contents.items()):
        # Nothing that came from a node says where on this host something is written.
        parts = [_plain(part) for part in name.split("/") if part not in ("", ".", "..")]
        path = folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        names.append(path.relative_to(folder).as_posix())
    return names


def masked(frame: Frame, mask: Mask) -> Frame:
    """The frame, cut before the first secret in it, as if no more had been captured."""
    text = frame.data.decode("latin-1")
    shown = mask(text)
    if shown == text:
        return frame
    alike = takewhile(lambda pair: pair[0] == pair[1], zip(text, shown, strict=False))
    return replace(frame, data=frame.data[: sum(1 for _ in alike)])


def merged(files: Mapping[str, str]) -> str:
    """The warnings and errors of all nodes' logs in the order of their times."""
    found: list[Moment] = []
    # Whatever the zone of the nodes: UTC is what Kolla's containers have.
    window = Window(0.0, time.time())
    for name, text in files.items():
        if f"/{CUT_HERE}" in name or name.endswith("/journal"):
            found += troubles(name, text, window)
    return timeline(found)


def slug(test: str) -> str:
    """A name for a test's folder: readable, good for every file system, and unlike any other's."""
    short = re.sub(r"\W+", "-", test.replace(".py", "")).strip("-")[-LONGEST_NAME:].strip("-")
    return f"{short}-{sha256(test.encode()).hexdigest()[:6]}"


def _console(node: str, last_words: Callable[[str], str]) -> dict[str, str]:
    return {f"{node}/console": last_words(node)}


def _plain(part: str) -> str:
    return re.sub(r"[^\w.@+=,-]", "_", part)
