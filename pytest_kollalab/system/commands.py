"""The commands that messages recommend, with the options that they need to mean the same lab."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

# The verbs that are about one lab.
VERBS = "up|down|destroy|plan|show|ssh|logs|save|rollback|clear|topology|upgrade|push|pull|replay"
COMMAND = re.compile(rf"\bkollalab ({VERBS})\b(?P<rest>[^;,`\n]*)")


def carrying(text: str, options: Mapping[str, object]) -> str:
    """Add options to each command in a text that does not have them yet.

    Args:
        text: A message, such as "remove it with: kollalab down".
        options: Values by option, such as `--name`. Empty ones are left out.
    """
    given = {option: str(value) for option, value in options.items() if value}

    def put(found: re.Match[str]) -> str:
        more = [
            f" {option} {shlex.quote(value)}"
            for option, value in given.items()
            if not re.search(rf"{option}\b", found["rest"])
        ]
        return f"kollalab {found[1]}{''.join(more)}{found['rest']}"

    return COMMAND.sub(put, text) if given else text
