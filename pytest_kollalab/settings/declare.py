"""The declaration of a setting: everything that is said of it is derived from here."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, cast

T = TypeVar("T")

PREFIX = "kollalab"
# What a value of these types is called; the key is the type or what it is made from.
WORDS = {
    str: "string",
    int: "whole number",
    float: "number with a point",
    bool: "boolean",
    tuple: "list of strings",
    list: "list",
    dict: "table",
}

_declared: dict[type[Any], Mapping[str, Setting]] = {}


@dataclass(frozen=True)
class About:
    """What a declaration says of a setting beside its type and default.

    Attributes:
        help: A phrase for help texts, the schema and the documentation.
        metavar: What stands for the value in a help text.
        path: The value is a path or a URL; a relative path counts from where it was written.
        place: The value may be a kind of place and a path, such as `oci:DIR`; the path is as above.
        key: The setting enters the key of the stage that uses it.
        known: Values that are known beforehand, where others may be added.
        least: The smallest number allowed.
        variable: There is an environment variable for it, where there is an option.
        more: The page of the documentation that says more.
        option: It has an option although it is in a table.
    """

    help: str = ""
    metavar: str = ""
    path: bool = False
    place: bool = False
    key: bool = True
    known: tuple[str, ...] = ()
    least: int | None = None
    variable: bool = True
    more: str = ""
    option: bool = False


@dataclass(frozen=True)
class Setting:
    """A declared setting: a field of a dataclass, with its type resolved.

    Attributes:
        name: The name of the field.
        kind: The type.
        default: The value when nobody says anything.
        about: What the declaration says beside these.
        inside: The table that it is in, for a setting of a table with an option.
    """

    name: str
    kind: Any
    default: Any
    about: About
    inside: str = ""

    @property
    def choices(self) -> tuple[str, ...]:
        """The values that are allowed, when the type names them."""
        kind = typing.get_args(self.kind)[0] if self.many else self.kind
        return typing.get_args(kind) if typing.get_origin(kind) is Literal else ()

    @property
    def many(self) -> bool:
        """Whether it is a list."""
        return typing.get_origin(self.kind) is tuple

    @property
    def table(self) -> type[Any] | None:
        """The class of the table that it is, if it is a table of settings."""
        return cast("type[Any]", self.kind) if dataclasses.is_dataclass(self.kind) else None

    @property
    def plain(self) -> bool:
        """Whether text can say it: an option, a line of an ini file, an environment variable."""
        return self.many or self.kind in (str, int, bool) or bool(self.choices)

    @property
    def word(self) -> str:
        """What its type is called."""
        return word(self.kind)

    @property
    def flag(self) -> str:
        """Its option of pytest."""
        return f"--{PREFIX}-{self.name.replace('_', '-')}"

    @property
    def ini(self) -> str:
        """Its name in pytest's ini file, and in the namespace of pytest's options."""
        return f"{PREFIX}_{self.name}"

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return f"{PREFIX}_{self.name}".upper()

    @property
    def metavar(self) -> str:
        """What stands for the value in a help text; empty for a boolean."""
        if self.kind is bool:
            return ""
        if self.choices and not self.many:
            return f"{{{','.join(self.choices)}}}"
        return self.about.metavar or ("NUMBER" if self.kind is int else "TEXT")

    @property
    def help(self) -> str:
        """Its help text, with the default."""
        said = [str(self.default)] if self.default and self.plain and not self.many else []
        notes = [f"default: {each}" for each in said] + ["may be repeated"] * self.many
        return f"{self.about.help} ({'; '.join(notes)})" if notes else self.about.help


def setting(
    default: T,
    help: str,
    *,
    metavar: str = "",
    path: bool = False,
    place: bool = False,
    key: bool = True,
    known: tuple[str, ...] = (),
    least: int | None = None,
    variable: bool = True,
    more: str = "",
    option: bool = False,
) -> T:
    """Declare a setting as a field of a frozen dataclass; its type is the field's annotation.

    Args:
        default: The value when nobody says anything.
        help: A phrase for help texts, the schema and the documentation.
        metavar: What stands for the value in a help text.
        path: The value is a path or a URL; a relative path counts from where it was written.
        place: The value may be a kind of place and a path, such as `oci:DIR`; the path is as above.
        key: The setting enters the key of the stage that uses it, in a table of a feature or a
            provider. False for what changes nothing of what is built.
        known: Values that are known beforehand, where others may be added.
        least: The smallest number allowed.
        variable: There is an environment variable for it, where there is an option.
        more: The page of the documentation that says more.
        option: It has an option although it is in a table. Its name is that of no other option.
    """
    about = About(help, metavar, path, place, key, known, least, variable, more, option)
    metadata = {PREFIX: about}
    if isinstance(default, dict):
        return cast("T", dataclasses.field(default_factory=dict, metadata=metadata))
    return dataclasses.field(default=default, metadata=metadata)


def settings(kind: type[Any]) -> Mapping[str, Setting]:
    """The settings that a dataclass declares, by name.

    Fields of any kind count in a class of somebody else's; in one with a declared setting, only
    the declared ones do.
    """
    if kind not in _declared:
        hints = typing.get_type_hints(kind)
        fields = dataclasses.fields(kind)
        declared = [field for field in fields if PREFIX in field.metadata] or fields
        _declared[kind] = {
            field.name: Setting(
                field.name, hints[field.name], _default(field), field.metadata.get(PREFIX, About())
            )
            for field in declared
        }
    return _declared[kind]


def plain_settings(*kinds: type[Any]) -> dict[str, Setting]:
    """Those that have an option, a twin in the ini file and, mostly, an environment variable."""
    found = [each for kind in kinds for each in _with_options(kind)]
    return {each.name: each for each in found}


def word(kind: Any) -> str:
    """What a type is called, or the type of a value."""
    origin = typing.get_origin(kind) or kind
    return WORDS.get(str if origin is Literal else origin, "table")


def is_mapping(kind: Any) -> bool:
    """Whether a type is that of a table with keys of the user's own."""
    return typing.get_origin(kind) in (dict, Mapping)


def description(kind: type[Any]) -> str:
    """What a class of settings says of itself: its docstring in one line."""
    return " ".join((kind.__doc__ or "").split()).replace("`", "")


def _with_options(kind: type[Any]) -> Iterator[Setting]:
    for each in settings(kind).values():
        if each.plain:
            yield each
        elif each.table is not None:
            for inner in settings(each.table).values():
                if inner.about.option:
                    yield dataclasses.replace(inner, inside=each.name)


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    factory = field.default_factory
    return factory() if factory is not dataclasses.MISSING else None
