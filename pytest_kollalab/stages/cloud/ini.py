"""Parses, merges and compares INI files as oslo.config and Kolla-Ansible read them.

An option may occur several times. Any line that begins with white space continues the value before
it, until a blank line or the next option (oslo.config 10, iniparser.py, BaseParser.parse).
"""

from __future__ import annotations

import re

from pytest_kollalab.system.errors import ConfigError

# The values of each option in each section. Continued values contain line breaks.
Sections = dict[str, dict[str, list[str]]]

_SECTION = re.compile(r"\[(?P<name>[^\]]+)\]\s*")
_OPTION = re.compile(r"(?P<name>[^\s=:#;\[][^=:]*?)\s*[=:]\s*(?P<value>.*)")


def parse(text: str) -> Sections | None:
    """The sections, options and values of a text, or None if it is not an INI file."""
    sections, stray = _read(text)
    return None if stray else sections


def _read(text: str) -> tuple[Sections, str]:
    """The sections, and the first line that is not valid in an INI file ("" for none)."""
    sections: Sections = {}
    options: dict[str, list[str]] | None = None
    values: list[str] | None = None
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.rstrip()
        stray = f"line {number}: {line}"
        if not line:
            values = None
        elif line[0] in " \t":
            if values is None:
                return sections, stray
            values[-1] = f"{values[-1]}\n{line.strip()}"
        elif line[0] in "#;":
            values = None
        elif (section := _SECTION.fullmatch(line)) is not None:
            options, values = sections.setdefault(section["name"], {}), None
        else:
            option = _OPTION.fullmatch(line)
            if option is None or options is None:
                return sections, stray
            values = options.setdefault(option["name"], [])
            values.append(option["value"])
    return sections, ""


def render(sections: Sections) -> str:
    """The text of an INI file."""
    blocks = []
    for name, options in sections.items():
        lines = [_line(option, value) for option, values in options.items() for value in values]
        blocks.append("\n".join([f"[{name}]", *lines]) + "\n")
    return "\n".join(blocks)


def _line(option: str, value: str) -> str:
    first, *more = value.split("\n")
    return "\n".join([f"{option} = {first}", *(f"    {line}" for line in more)])


def merge(base: str, over: str, name: str = "a file") -> str:
    """Merge two texts option by option. If `base` is not INI, the result is `over`.

    Args:
        base: The first text, "" for none.
        over: The text whose options win.
        name: The name of the file, for errors.

    Raises:
        ConfigError: `base` is an INI file and `over` is not.
    """
    below, above = parse(base), parse(over)
    if not base or below is None:
        return over
    if above is None:
        raise ConfigError(
            f"{name} is an INI file, but the text to merge into it is not",
            details=_read(over)[1],
            hint="write sections and options; only a continued value begins with white space",
        )
    for section, options in above.items():
        below.setdefault(section, {}).update(options)
    return render(below)


def difference(first: str, second: str) -> tuple[str, str, str] | None:
    """The first conflict between two texts: place, first value, second value. None if none."""
    left, right = parse(first), parse(second)
    if left is None or right is None:
        return None if first == second else ("its text", first, second)
    for name, options in right.items():
        for option, values in options.items():
            old = left.get(name, {}).get(option, values)
            if old != values:
                return f"[{name}] {option}", ", ".join(old), ", ".join(values)
    return None
