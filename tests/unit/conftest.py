"""Fixtures of the unit tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_kollalab.system.paths import Paths


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Folders of the test's own, for caches and for state; neither is there yet."""
    return Paths(cache=tmp_path / "cache", state=tmp_path / "state")
