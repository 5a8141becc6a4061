"""Fixtures of the unit tests."""

from __future__ import annotations

import pytest

from pytest_kollalab.report import figures


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the figures that the test has taken."""
    names: list[str] = []
    monkeypatch.setattr(figures, "record", lambda name, seconds: names.append(name))
    return names
