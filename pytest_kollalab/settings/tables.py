"""The tables of settings in the documentation, made from the declared settings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pytest_kollalab.settings.config import Config, Invocation, Options
from pytest_kollalab.settings.declare import Setting, description, plain_settings, settings
from pytest_kollalab.settings.read import RUN
from pytest_kollalab.system import environment
from pytest_kollalab.system.errors import ConfigError

BEGIN = "<!-- made from the code: {name} -->"
END = "<!-- end -->"


def of_file(tables: Mapping[str, type[Any]]) -> str:
    """What can stand in kollalab.toml: a section for each table.

    Args:
        tables: The classes of settings of features and providers, by their names.
    """
    simple = [each for each in settings(Config).values() if each.table is None]
    found = [*_rows(simple)]
    sections = {name: each.table for name, each in settings(Config).items() if each.table}
    for name, kind in {**sections, **tables, RUN: Options}.items():
        found += ["", f"### [{name}]", "", description(kind), ""]
        found += _rows(_flat(kind))
    return "\n".join(found)


def of_options() -> str:
    """The options of pytest."""
    rows = ["| option | meaning |", "|---|---|"]
    for each in plain_settings(Invocation, Config, Options).values():
        shown = f"{each.flag} {each.metavar}".strip()
        rows.append(f"| `{shown}` | {_meaning(each.help, each)} |")
    return "\n".join(rows)


def of_environment() -> str:
    """The variables of the environment that are passed on to child processes."""
    rows = ["| variables | for |", "|---|---|"]
    for names, what in environment.PASSED.items():
        rows.append(f"| {', '.join(f'`{name}`' for name in names)} | {what} |")
    return "\n".join(rows)


def put(text: str, name: str, made: str) -> str:
    """Put a table between its marks in the text of a page.

    Raises:
        ConfigError: The page has no such marks.
    """
    begin = BEGIN.format(name=name)
    place = re.compile(f"(?<={re.escape(begin)}\n).*?(?={re.escape(END)})", re.DOTALL)
    found, count = place.subn(lambda _: f"{made}\n", text, count=1)
    if not count:
        raise ConfigError(f"a page has no place for {name}", hint=f"write {begin} and {END} there")
    return found


def _flat(kind: type[Any], prefix: str = "") -> Iterator[Setting]:
    for name, each in settings(kind).items():
        if each.table is not None:
            yield from _flat(each.table, f"{prefix}{name}.")
        else:
            yield Setting(f"{prefix}{name}", each.kind, each.default, each.about)


def _rows(found: Iterable[Setting]) -> Iterator[str]:
    yield "| setting | value | default | meaning |"
    yield "|---|---|---|---|"
    for each in found:
        value = ", ".join(f"`{choice}`" for choice in each.choices) or each.word
        if each.choices and each.many:
            value = f"list of {value}"
        default = str(each.default).lower() if each.kind is bool else each.default
        default = "" if default in ("", (), {}, None) else f"`{default}`"
        yield f"| `{each.name}` | {value} | {default} | {_meaning(each.about.help, each)} |"


def _meaning(text: str, each: Setting) -> str:
    return f"{text} ([more]({each.about.more}))" if each.about.more else text
