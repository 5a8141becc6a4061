"""Telling never stops the work."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from pytest_kollalab.system.telling import is_read, lenient

# Tells more than a buffer takes, to a pipe that nobody reads.
UNREAD = """
import sys
from pytest_kollalab.system.telling import redirect, telling
for number in range(20000):
    with telling():
        print(number)
redirect(1)
print("the end")
"""
TELLS = """
from pytest_kollalab.cli.frame import tell
for number in range(3):
    tell(str(number))
open("done", "w").close()
"""


def unread(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program whose standard output is a pipe without a reader."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        return subprocess.run(
            [sys.executable, "-c", program],
            check=False, cwd=folder, stdout=writing, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    finally:
        os.close(writing)


def test_what_is_told_last_goes_to_standard_error_if_nobody_reads(tmp_path: Path) -> None:
    done = unread(UNREAD, tmp_path)
    assert done.returncode == 0
    assert done.stderr.endswith("the end\n")


def test_a_verb_goes_on_without_a_reader(tmp_path: Path) -> None:
    done = unread(TELLS, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "done").exists()


def test_a_lenient_file_loses_what_cannot_be_written_and_stays_open(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        file = lenient(full)
        assert file.write("x" * 100000) == 100000
        file.flush()
        assert lenient(file) is file
        # Nobody uses it any more: the file itself is still open.
        del file
        assert not full.closed
        # What is left in its buffer cannot be written either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())


def test_pipes_and_files_are_read_or_not(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    assert is_read(writing)
    os.close(reading)
    assert not is_read(writing)
    os.close(writing)
    with (tmp_path / "file").open("w") as file:
        assert is_read(file.fileno())
