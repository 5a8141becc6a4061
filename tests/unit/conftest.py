"""Fixtures of the unit tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_kollalab.sdn import figures
from pytest_kollalab.system.paths import Paths


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Folders of the test's own, for caches and for state; neither is there yet."""
    return Paths(cache=tmp_path / "cache", state=tmp_path / "state")


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the figures that the test has taken."""
    names: list[str] = []
    monkeypatch.setattr(figures, "record", lambda name, seconds: names.append(name))
    return names
