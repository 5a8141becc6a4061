"""The command line `kollalab`: one verb a module."""

from __future__ import annotations

from pytest_kollalab.cli import (
    bootstrap,
    clear,
    doctor,
    down,
    gc,
    logs,
    plan,
    pull,
    push,
    replay,
    rollback,
    save,
    schema,
    show,
    ssh,
    topology,
    up,
    upgrade,
)
from pytest_kollalab.cli.frame import main
from pytest_kollalab.cli.list import list_command

__all__ = [
    "bootstrap",
    "clear",
    "doctor",
    "down",
    "gc",
    "list_command",
    "logs",
    "main",
    "plan",
    "pull",
    "push",
    "replay",
    "rollback",
    "save",
    "schema",
    "show",
    "ssh",
    "topology",
    "up",
    "upgrade",
]
