"""OpenStack's INI files: parsed, merged and compared; an option may stand there several times."""

from __future__ import annotations

import re

Sections = dict[str, dict[str, list[str]]]

_SECTION = re.compile(r"\[(?P<name>[^\]]+)\]\s*")
_OPTION = re.compile(r"(?P<name>[^\s=:#;\[][^=:]*?)\s*[=:]\s*(?P<value>.*)")


def parse(text: str) -> Sections | None:
    """The sections, options and values of a text; None when it is not an INI file."""
    sections: Sections = {}
    options: dict[str, list[str]] | None = None
    for raw in text.splitlines():
        line = raw.strip()
        if not line or line.startswith(("#", ";")):
            continue
        section = _SECTION.fullmatch(line)
        if section is not None:
            options = sections.setdefault(section["name"], {})
            continue
        option = _OPTION.fullmatch(line)
        if option is None or options is None:
            return None
        options.setdefault(option["name"], []).append(option["value"])
    return sections


def render(sections: Sections) -> str:
    """The text of an INI file."""
    blocks = []
    for name, options in sections.items():
        lines = [f"{option} = {value}" for option, values in options.items() for value in values]
        blocks.append("\n".join([f"[{name}]", *lines]) + "\n")
    return "\n".join(blocks)


def merge(base: str, over: str) -> str:
    """Lay one text over another: option by option when both are INI, else the later one."""
    below, above = parse(base), parse(over)
    if not base or below is None or above is None:
        return over
    for name, options in above.items():
        below.setdefault(name, {}).update(options)
    return render(below)


def difference(first: str, second: str) -> tuple[str, str, str] | None:
    """Where two texts want different things: (place, first's value, second's); None: nowhere."""
    left, right = parse(first), parse(second)
    if left is None or right is None:
        return None if first == second else ("its text", first, second)
    for name, options in right.items():
        for option, values in options.items():
            old = left.get(name, {}).get(option, values)
            if old != values:
                return f"[{name}] {option}", ", ".join(old), ", ".join(values)
    return None
