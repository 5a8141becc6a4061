"""The command line `kollalab`."""

from __future__ import annotations

from pytest_kollalab.cli import host, logs, saves, topology, verbs
from pytest_kollalab.cli.frame import main

__all__ = ["host", "logs", "main", "saves", "topology", "verbs"]
