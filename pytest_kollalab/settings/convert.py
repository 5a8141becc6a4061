"""The conversion of what somebody wrote into the value of a setting, and what is wrong with it."""

from __future__ import annotations

import shlex
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, time
from pathlib import Path
from typing import Any

from pytest_kollalab.settings.declare import Setting, is_mapping, settings, word
from pytest_kollalab.system.errors import ConfigError
from pytest_kollalab.system.nearest import nearest
from pytest_kollalab.system.paths import expanded

# What stands before a path where a value may be another kind of place as well.
PLACES = ("oci:", "oci-archive:")
TRUTH = {"true": True, "yes": True, "on": True, "1": True}
TRUTH |= {"false": False, "no": False, "off": False, "0": False}


@dataclass(frozen=True)
class Place:
    """Where a value was written.

    Attributes:
        source: The file, the option or the environment variable.
        key: What the value is called in a file.
        folder: Where a relative path counts from; None leaves it relative.
    """

    source: str
    key: str = ""
    folder: Path | None = None

    def __str__(self) -> str:
        return f"{self.source}: {self.key}" if self.key else self.source

    def inside(self, key: str) -> Place:
        """The place of a key in the table that was written here."""
        return replace(self, key=f"{self.key}.{key}" if self.key else key)


def convert(setting: Setting, value: Any, place: Place) -> Any:
    """Convert a value that has a type already, as in TOML.

    Raises:
        ConfigError: The value is of another type, or not one of those allowed.
    """
    if setting.table is not None and isinstance(value, Mapping):
        return fill(setting.table, value, place)
    if setting.many and isinstance(value, list | tuple):
        if all(isinstance(each, str) for each in value):
            return tuple(_one(setting, each, place) for each in value)
    elif is_mapping(setting.kind) and isinstance(value, Mapping):
        return _mapping(setting, value, place)
    elif type(value) is (str if setting.choices else setting.kind) and not setting.many:
        return _one(setting, value, place)
    raise _wrong_type(setting.kind, value, place)


def parse(setting: Setting, value: Any, place: Place) -> Any:
    """Convert a value that may be text: of an option, an ini file, an environment variable.

    A list is written as words, as for a shell. Raises what `convert` does.
    """
    return convert(setting, _parsed(setting, value, place), place)


def fill(kind: type[Any], table: Any, place: Place) -> Any:
    """Make an object of a class of settings from a table; what is not in it has its default.

    Raises:
        ConfigError: A key is not known, with the nearest one; a value is wrong; or the class
            refuses the values together.
    """
    if not isinstance(table, Mapping):
        raise _wrong_type(kind, table, place)
    known = settings(kind)
    values = {}
    for key, value in table.items():
        check_known(key, known, place)
        values[key] = convert(known[key], value, place.inside(key))
    try:
        return kind(**values)
    except ConfigError as error:
        brief = f"{place.source}: {error.brief}"
        raise ConfigError(brief, details=error.details, hint=error.hint) from None


def check_known(key: str, known: Iterable[str], place: Place) -> None:
    """Raise ConfigError with the nearest key, unless the key is known."""
    if key not in known:
        full = place.inside(key).key
        raise ConfigError(f"{place.source}: unknown key {full}", hint=nearest(key, known))


def full_path(value: str, folder: Path | None) -> str:
    """A path that counts from a folder as a full one; a URL or nothing at all as it is."""
    if not value or "://" in value:
        return value
    return str(folder / expanded(value) if folder is not None else expanded(value))


def full_place(value: str, folder: Path | None) -> str:
    """A place with a full path, if it is one with a path; any other one as it is."""
    for kind in PLACES:
        if value.startswith(kind):
            return kind + full_path(value.removeprefix(kind), folder)
    return value


def _one(setting: Setting, value: Any, place: Place) -> Any:
    if setting.choices and value not in setting.choices:
        raise ConfigError(f"{place}: {value!r} is not known", hint=nearest(value, setting.choices))
    least = setting.about.least
    if least is not None and value < least:
        raise ConfigError(f"{place}: {value} is not possible", hint=f"{least}, or more")
    if setting.about.place:
        return full_place(value, place.folder)
    return full_path(value, place.folder) if setting.about.path else value


def _mapping(setting: Setting, table: Mapping[str, Any], place: Place) -> dict[str, Any]:
    if typing.get_args(setting.kind)[1] is not str:
        for key, value in table.items():
            _check_plain(value, place.inside(key))
        return dict(table)
    for key, value in table.items():
        if not isinstance(value, str):
            raise _wrong_type(str, value, place.inside(key))
    return {key: _one(setting, value, place) for key, value in table.items()}


def _check_plain(value: Any, place: Place) -> None:
    """Raise ConfigError for a date or time of TOML, which neither JSON nor a key can have."""
    if isinstance(value, date | time):
        raise ConfigError(
            f"{place} has the wrong type", details=f"it is {value}, a date or time", hint="quote it"
        )
    parts = value.items() if isinstance(value, Mapping) else ()
    for key, part in enumerate(value, 1) if isinstance(value, list) else parts:
        _check_plain(part, place.inside(str(key)))


def _parsed(setting: Setting, text: Any, place: Place) -> Any:
    if not isinstance(text, str):
        return text
    try:
        if setting.many:
            return shlex.split(text)
        if setting.kind is int:
            return int(text)
        if setting.kind is bool:
            return TRUTH[text.strip().lower()]
    except (ValueError, KeyError):
        hint = {bool: "write true or false", int: "write one"}.get(setting.kind, "close the quotes")
        raise ConfigError(f"{place}: {text!r} is no {setting.word}", hint=hint) from None
    return text


def _wrong_type(kind: Any, value: Any, place: Place) -> ConfigError:
    found = "list" if isinstance(value, list | tuple) else word(type(value))
    return ConfigError(
        f"{place} has the wrong type",
        details=f"it is {value!r}, a {found}",
        hint=f"write a {word(kind)}",
    )
