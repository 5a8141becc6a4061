"""The command line `kollalab`: one verb a module."""

from __future__ import annotations

from pytest_kollalab.cli import (
    clear,
    doctor,
    down,
    gc,
    logs,
    plan,
    rollback,
    save,
    schema,
    show,
    ssh,
    topology,
    up,
)
from pytest_kollalab.cli.frame import main

__all__ = [
    "clear",
    "doctor",
    "down",
    "gc",
    "logs",
    "main",
    "plan",
    "rollback",
    "save",
    "schema",
    "show",
    "ssh",
    "topology",
    "up",
]
