"""The table of the crash harness, at the end of its run and as a file for the documentation."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.crash.table import Table
from tests.crash.tools import KOLLALAB

table_key = pytest.StashKey[Table]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[table_key] = Table()
    config.addinivalue_line("markers", "short: part of the short form of the crash harness")


@pytest.fixture(scope="session")
def table(pytestconfig: pytest.Config) -> Table:
    return pytestconfig.stash[table_key]


@pytest.fixture(scope="session")
def images() -> None:
    """The images of a lab, which these tests use; they are built here if they are not there."""
    lab = ("--name", "crash-images")
    for verb in (("up", "--until", "images", "--feature", "sfc"), ("down",)):
        subprocess.run([str(KOLLALAB), *verb, *lab], check=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    table = terminalreporter.config.stash[table_key]
    if table.rows:
        terminalreporter.section("killed at each point")
        for line in table.lines():
            terminalreporter.write_line(line)
        if path := os.environ.get("CRASH_TABLE"):
            Path(path).write_text("\n".join(table.lines()) + "\n")
