"""How the command line is run and killed, and what it may say."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

KOLLALAB = Path(sys.executable).with_name("kollalab")
TIMEOUT = 300


def execute(argv: Sequence[str | Path], environment: dict[str, str], log: Path) -> tuple[int, int]:
    """Run a process and return its exit code and its number; all that is not a kill must be 0."""
    # Into a file and not a pipe: orphans would hold the other end.
    with log.open("w") as sink:
        process = subprocess.Popen(argv, env=environment, stdout=sink, stderr=subprocess.STDOUT)
        code = process.wait(TIMEOUT)
    if code not in (0, -signal.SIGKILL):
        pytest.fail(f"exit code {code} of {argv}:\n{log.read_text()}", pytrace=False)
    return code, process.pid
