"""The JSON schema of kollalab.toml, made from the declared settings."""

from __future__ import annotations

import json
import typing
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from pytest_kollalab.settings.config import FILE, Config, Options
from pytest_kollalab.settings.declare import Setting, description, is_mapping, settings
from pytest_kollalab.settings.read import RUN

SHIPPED = "kollalab.schema.json"
TYPES = {str: "string", int: "integer", bool: "boolean", float: "number"}


def schema(tables: Mapping[str, type[Any]]) -> dict[str, Any]:
    """The schema: JSON Schema 2020-12, which editors use to check and complete TOML too.

    Args:
        tables: The classes of settings of features and providers, by their names.
    """
    made = _table(Config)
    for name, kind in {**tables, RUN: Options}.items():
        made["properties"][name] = _table(kind)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": FILE,
        **made,
    }


def text(tables: Mapping[str, type[Any]]) -> str:
    """The schema as a file has it."""
    return json.dumps(schema(tables), indent=2) + "\n"


def shipped() -> Path:
    """The file in the package: the schema without what other packages add."""
    return Path(str(resources.files("pytest_kollalab.settings"))) / SHIPPED


def _table(kind: type[Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "description": description(kind),
        "properties": {name: _value(each) for name, each in settings(kind).items()},
        "additionalProperties": False,
    }


def _value(setting: Setting) -> dict[str, Any]:
    if setting.table is not None:
        return _table(setting.table)
    about = {"description": setting.about.help} if setting.about.help else {}
    if is_mapping(setting.kind):
        values = TYPES.get(typing.get_args(setting.kind)[1])
        # A value of Any has no type to name.
        return {
            "type": "object",
            **about,
            "additionalProperties": {"type": values} if values else True,
        }
    allowed = setting.choices or setting.about.known
    enum = {"enum": list(allowed)} if allowed else {}
    default = {} if setting.default is None else {"default": setting.default}
    if setting.many:
        return {"type": "array", **about, "items": {"type": "string", **enum}, **default}
    kind = "string" if setting.choices else TYPES[setting.kind]
    least = {"minimum": setting.about.least} if setting.about.least is not None else {}
    return {"type": kind, **about, **enum, **least, **default}
