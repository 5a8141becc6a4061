"""A disk that is nearly full: told before anything is started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

KOLLALAB = Path(sys.executable).with_name("kollalab")
# A cache of 16 MB, which nobody but this process and its children sees.
SMALL = 'mount -t tmpfs -o size=16m none "$KOLLALAB_CACHE" && exec "$@"'


def test_the_need_is_computed_before_anything_starts(tmp_path: Path) -> None:
    cache, state = tmp_path / "cache", tmp_path / "state"
    cache.mkdir()
    (tmp_path / ".git").mkdir()
    environment = {**os.environ, "KOLLALAB_CACHE": str(cache), "KOLLALAB_STATE": str(state)}
    argv = ["unshare", "--mount", "sh", "-c", SMALL, "sh", str(KOLLALAB), "up", "--name", "full"]
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
