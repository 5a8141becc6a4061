"""A process that file modes bind, whoever runs the tests: the superuser is told to heed them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

NOBODY = 65534
PRIVILEGES = "-dac_override,-dac_read_search,-fowner"


def heeding(*argv: str) -> list[str]:
    """The command, run as a user whom others can deny something."""
    if os.geteuid() != 0:
        return list(argv)
    return ["setpriv", f"--bounding-set={PRIVILEGES}", f"--inh-caps={PRIVILEGES}", *argv]


def close(path: Path, mode: int = 0) -> Path:
    """Have a file or folder that such a process may not write."""
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY)
    path.chmod(mode if stat.S_ISSOCK(path.stat().st_mode) else 0o555)
    return path
