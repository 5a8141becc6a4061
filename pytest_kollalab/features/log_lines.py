"""Lines of logs that a feature knows: those that are always there, and those that tell much."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class LogLine:
    """Lines of a log that are known.

    Attributes:
        file: A regular expression that matches the name of the log: `journal`, or the path below
            `/var/log/kolla` with `kolla/` before it.
        text: A regular expression that matches the lines.
        reason: Why the lines are there, or what they tell.
    """

    file: str
    text: str
    reason: str

    def covers(self, file: str, line: str) -> bool:
        """Whether this is such a line of such a log."""
        return bool(re.search(self.file, file) and re.search(self.text, line))
