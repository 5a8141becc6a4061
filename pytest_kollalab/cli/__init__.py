"""The command line: `kollalab`, the lab's verbs for a person at a terminal."""

from __future__ import annotations

from pytest_kollalab.cli import host, logs, saves, topology, verbs
from pytest_kollalab.cli.frame import main

__all__ = ["host", "logs", "main", "saves", "topology", "verbs"]
