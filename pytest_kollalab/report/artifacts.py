"""The artifacts of a failure: what nodes know about a span of time, masked, in a folder."""

from __future__ import annotations

import base64
import binascii
import io
import re
import shlex
import shutil
import tarfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from itertools import takewhile
from pathlib import Path

from pytest_kollalab.features.log_lines import LogLine
from pytest_kollalab.report.asking import gather
from pytest_kollalab.report.beats import is_idle
from pytest_kollalab.report.window import Moment, Window, form, timeline, troubles, usual
from pytest_kollalab.sdn.capture.packets import Frame
from pytest_kollalab.sdn.capture.recordings import pcapng
from pytest_kollalab.system.errors import KollalabError
from pytest_kollalab.system.ssh import Ssh

# Seconds. A node has NODE_BUDGET to collect everything, and its answer may take DEADLINE. A late
# answer is reported and left out. With masking and writing, the whole takes less than 20 s.
NODE_BUDGET = 10.0
DEADLINE = 14.0
CLOCK_DEADLINE = 5.0
SCRIPT = Path(__file__).with_name("collect.sh")
# These come with what they said before the span. They are cut here, each by its own times.
CUT_HERE = ("kolla/", "containers/", "journal")
# The timeline has these; the journal has what containers print.
TOLD = re.compile(r"/(?:kolla/.*|journal)$")
# The messages that a node's logs had again and again before the span, and the timeline has not.
USUAL = "usual"
# The logs of a node that are left out, because in the span they said only what they always say.
IDLE = "idle"
LONGEST_NAME = 80

Mask = Callable[[str], str]
Source = Callable[[], Mapping[str, str]]


@dataclass(frozen=True)
class Collected:
    """What was collected.

    Attributes:
        files: The texts by the names of files.
        problems: A line for everything that could not be collected.
        captures: The frames of captures, by their names.
        usual: Lines of logs that the timeline leaves out.
        telling: Lines of logs that the timeline has though they are no warnings.
    """

    files: Mapping[str, str]
    problems: tuple[str, ...] = ()
    captures: Mapping[str, Sequence[Frame]] = field(default_factory=dict)
    usual: Sequence[LogLine] = ()
    telling: Sequence[LogLine] = ()


@dataclass(frozen=True)
class Span:
    """A span of time, in seconds since 1970 of this host's clock."""

    began: float
    ended: float


def sources(
    ssh: Ssh | None,
    nodes: Iterable[str],
    span: Span,
    *,
    last_words: Callable[[str], str] | None = None,
    commands: Mapping[str, str] | None = None,
) -> dict[str, Source]:
    """The sources of information about a span: each node, and its console.

    Args:
        ssh: Runs commands on the nodes; None if they are not reachable.
        nodes: The names of the nodes.
        span: The span.
        last_words: Returns the end of a node's console, if there is one.
        commands: Further shell commands for each node, by the name of the file for their output.

    Returns:
        For each source, a function that asks it.
    """
    asked: dict[str, Source] = {}
    for node in nodes:
        if ssh is not None:
            asked[node] = partial(ask_node, ssh, node, span, commands or {})
        if last_words is not None:
            asked[f"{node}'s console"] = partial(_console, node, last_words)
    return asked


def collect(asked: Mapping[str, Source], *, deadline: float = DEADLINE) -> Collected:
    """Ask all sources in parallel, for at most `deadline` seconds.

    If a source fails or is late, the result has a problem instead of its files.
    """
    told, problems = gather(asked, deadline=deadline)
    files = {name: text for answer in told.values() for name, text in answer.items()}
    return Collected(files, tuple(problems))


def ask_node(ssh: Ssh, node: str, span: Span, commands: Mapping[str, str]) -> dict[str, str]:
    """Ask a node about a span: texts by file, below a folder with the node's name."""
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
    """The seconds that a node's clock is ahead of this host's.

    It is 0 if the node's time lies between question and answer, because then the difference may be
    due to a slow connection.

    Args:
        clock: What the node's clock says, in seconds since 1970.
        asked: When it was asked.
        answered: When it had answered.

    Raises:
        KollalabError: `clock` is not a number.
    """
    try:
        theirs = float(clock)
    except ValueError as error:
        raise KollalabError(f"its clock says {clock.strip()!r}") from error
    return 0.0 if asked <= theirs <= answered else theirs - (asked + answered) / 2


def script(commands: Mapping[str, str]) -> str:
    """The script that a node runs, including further commands."""
    head, mark, tail = SCRIPT.read_text(encoding="utf-8").partition("# OTHERS\n")
    assert mark, "the script says where others come in"
    added = [
        shlex.join(["take", f"others/{_plain(name)}", "sh", "-c", line])
        for name, line in commands.items()
    ]
    return "".join([head, *(f"{line}\n" for line in added), tail])


def unpack(archive: str) -> dict[str, str]:
    """The texts in a node's archive, of which logs are cut to the span that the archive names.

    Logs that said nothing out of the ordinary in the span are left out; the text `idle` names them.

    Raises:
        KollalabError: It is not an archive.
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
        known: set[str] = set()
        idle: list[str] = []
        for name in sorted(name for name in texts if name.startswith(CUT_HERE)):
            text = texts[name]
            known |= usual(text, window)
            texts[name] = window.cut(text)
            if is_idle(text, window):
                idle.append(name)
                del texts[name]
        texts[USUAL] = "".join(f"{each}\n" for each in sorted(known))
        texts[IDLE] = "".join(f"{each}\n" for each in idle)
    return {name: text for name, text in texts.items() if text}


def parse_window(line: str) -> Window | None:
    """Parse the span as a node writes it: since, until, zone such as +0100. None if it is wrong."""
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
    """Write masked texts and captures into a folder, whose former contents are deleted.

    Returns:
        The names of the files.
    """
    shutil.rmtree(folder, ignore_errors=True)
    contents = {
        # Other names get .txt, so that a browser shows the file instead of saving it.
        name if name.endswith((".log", ".json", ".svg", ".txt")) else f"{name}.txt": mask(
            text
        ).encode("utf-8", errors="replace")
        for name, text in files.items()
    }
    for name, frames in (captures or {}).items():
        contents[f"captures/{name}.pcapng"] = pcapng(masked(frame, mask) for frame in frames)
    names = []
    for name, content in sorted(contents.items()):
        # A name from a node must not lead out of the folder.
        parts = [_plain(part) for part in name.split("/") if part not in ("", ".", "..")]
        path = folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        names.append(path.relative_to(folder).as_posix())
    return names


def masked(frame: Frame, mask: Mask) -> Frame:
    """The frame, cut off before the first secret in it."""
    text = frame.data.decode("latin-1")
    shown = mask(text)
    if shown == text:
        return frame
    alike = takewhile(lambda pair: pair[0] == pair[1], zip(text, shown, strict=False))
    return replace(frame, data=frame.data[: sum(1 for _ in alike)])


def merged(
    files: Mapping[str, str], usual: Sequence[LogLine] = (), telling: Sequence[LogLine] = ()
) -> str:
    """The warnings and errors in the logs of all nodes, in order of time.

    Left out are messages that the logs of a node had again and again before as well.

    Args:
        files: The texts by the names of files, each below a folder with the node's name.
        usual: Further lines to leave out.
        telling: Lines to have though they are no warnings; they are never left out.
    """
    found: list[Moment] = []
    # In UTC, the time zone of Kolla's containers, whatever the zone of the nodes is.
    window = Window(0.0, time.time())
    for name, text in files.items():
        if TOLD.search(name):
            node, _, log = name.partition("/")
            known = set(files.get(f"{node}/{USUAL}", "").splitlines())
            tells = partial(_covered, telling, log)
            found += (
                each
                for each in troubles(name, text, window, tells)
                if tells(each.line)
                or (form(each.line) not in known and not _covered(usual, log, each.line))
            )
    return timeline(found)


def slug(test: str) -> str:
    """A name for a test's folder: readable, portable and unique."""
    short = re.sub(r"\W+", "-", test.replace(".py", "")).strip("-")[-LONGEST_NAME:].strip("-")
    return f"{short}-{sha256(test.encode()).hexdigest()[:6]}"


def _covered(known: Iterable[LogLine], log: str, line: str) -> bool:
    return any(each.covers(log, line) for each in known)


def _console(node: str, last_words: Callable[[str], str]) -> dict[str, str]:
    return {f"{node}/console": last_words(node)}


def _plain(part: str) -> str:
    return re.sub(r"[^\w.@+=,-]", "_", part)
