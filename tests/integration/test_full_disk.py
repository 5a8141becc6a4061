"""A disk that is nearly full: told before anything is started."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

KOLLALAB = Path(sys.executable).with_name("kollalab")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A cache of 16 MB. The docker daemon sees it too: else it would not be of this host."""
    cache = tmp_path / "cache"
    cache.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", cache], check=True)
    yield cache
    subprocess.run(["umount", cache], check=True)


def test_the_need_is_computed_before_anything_starts(tmp_path: Path, small: Path) -> None:
    (tmp_path / ".git").mkdir()
    state = tmp_path / "state"
    environment = {**os.environ, "KOLLALAB_CACHE": str(small), "KOLLALAB_STATE": str(state)}
    argv = [str(KOLLALAB), "up", "--name", "full"]
    result = subprocess.run(
        argv, check=False, capture_output=True, text=True, env=environment, cwd=tmp_path
    )
    text = result.stdout + result.stderr
    assert result.returncode == 3, text
    assert "error: the disk is too full: 0.0 GiB free" in text
    assert "GiB in cache" in text
    assert "what now: make room: `kollalab gc --yes`" in text
    assert "Traceback" not in text
    assert "tools: build" not in text
