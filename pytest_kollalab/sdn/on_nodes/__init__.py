"""Programs that are sent to nodes; they have nothing but what is there."""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def source(name: str) -> str:
    """The text of a program of this folder."""
    return Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
