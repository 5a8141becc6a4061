"""A session of pytest as seen from outside: started, waited for, stopped, and what it said."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "other-project"
# A whole deploy, with room for a busy host.
TIMEOUT = 3600.0
POLL = 0.2
# With a region of its own, for whatever counts on Kolla-Ansible's RegionOne.
ALL_FEATURES = 'features = ["compute", "sfc"]\n\n[globals]\nopenstack_region_name = "north"\n'


@dataclass
class Session:
    """A running or ended session; its output is in a file, so that orphans hold no pipe."""

    process: subprocess.Popen[bytes]
    log: Path
    began: float

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def end(self, timeout: float = TIMEOUT) -> int:
        return self.process.wait(timeout)

    def signal(self, kind: signal.Signals) -> None:
        """Send a signal to all of its processes, as a terminal does."""
        os.killpg(self.process.pid, kind)


@dataclass
class Sessions:
    """Starts sessions at one lab, whose state is below `state`."""

    folder: Path
    state: Path
    name: str
    started: list[Session] = field(default_factory=list)

    def start(self, *words: str, cwd: Path = ROOT, **environment: str) -> Session:
        argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-ra", *words]
        log = self.folder / f"session-{len(self.started)}.log"
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
        # The package under test is the one beside these tests, wherever the session is started.
        own = {"KOLLALAB_STATE": str(self.state), "PYTHONPATH": str(ROOT)}
        with log.open("wb") as sink:
            process = subprocess.Popen(
                argv,
                cwd=cwd,
                env={**inherited, **own, **environment},
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        session = Session(process, log, time.time())
        self.started.append(session)
        return session

    def at_the_lab(
        self, *words: str, keep: str = "always", cwd: Path = ROOT, toml: str = ALL_FEATURES
    ) -> Session:
        config = self.folder / f"kollalab-{len(self.started)}.toml"
        config.write_text(toml)
        given = {"name": self.name, "keep": keep, "config": str(config)}
        return self.start(*(f"--kollalab-{k}={v}" for k, v in given.items()), *words, cwd=cwd)

    def stop(self) -> None:
        """End what still runs."""
        for session in self.started:
            if session.process.poll() is None:
                session.signal(signal.SIGKILL)
                session.process.wait()


def passed(session: Session, words: Sequence[str] = ()) -> str:
    """Wait for the session, which has to end well; returns what it said."""
    code = session.end()
    said = session.said
    assert code == pytest.ExitCode.OK, said[-20_000:]
    for word in words:
        assert word in said, said
    return said


def await_it(what: str, session: Session, probe: Callable[[], bool]) -> None:
    """Wait while the session runs until something of it is to be seen."""
    deadline = time.monotonic() + TIMEOUT
    while not probe():
        assert session.process.poll() is None, f"it ended before {what}:\n{session.said}"
        assert time.monotonic() < deadline, f"no {what}:\n{session.said}"
        time.sleep(POLL)


class ProcessList:
    """Looks at the arguments of every process of this host, as any of its users may.

    Args:
        secrets: Returns what must not be among them.
    """

    def __init__(self, secrets: Callable[[], Iterable[str]]) -> None:
        self._secrets = secrets
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.looks = 0
        self.found: set[str] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        known: set[tuple[str, int]] = set()
        secrets: list[bytes] = []
        while not self._over.wait(0.02):
            if self.looks % 200 == 0:
                secrets = [secret.encode() for secret in self._secrets()]
            self.looks += 1
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    words = path.read_bytes()
                except OSError:
                    continue
                if (seen := (path.parent.name, hash(words))) in known:
                    continue
                known.add(seen)
                for secret in secrets:
                    if secret in words:
                        text = words.replace(secret, b"(a secret)").replace(b"\0", b" ")
                        self.found.add(text.decode(errors="replace")[:300])
