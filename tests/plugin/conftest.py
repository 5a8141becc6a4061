"""Each test runs pytest in a process of its own, where nothing of a lab may be touched."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def nowhere(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker points nowhere; cache and state are the test's own."""
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    monkeypatch.setenv("KOLLALAB_CACHE", str(pytester.path / "cache"))
    monkeypatch.setenv("KOLLALAB_STATE", str(pytester.path / "state"))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    # What the outer run was told is not for the inner one.
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
