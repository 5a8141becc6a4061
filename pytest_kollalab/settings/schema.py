"""The JSON schema of kollalab.toml, made from the dataclasses of the configuration."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from importlib import resources
from pathlib import Path
from typing import Any

from pytest_kollalab.releases import releases
from pytest_kollalab.settings import config as configuration

FILE = "kollalab.schema.json"
VALUES: dict[str, tuple[str, ...]] = {
    "release": tuple(releases.RELEASES),
    "images.mode": configuration.IMAGE_MODES,
    "run.keep": configuration.KEEP,
    "run.golden": configuration.GOLDEN,
    "run.until": configuration.STAGES,
    "run.workarounds": configuration.WORKAROUNDS,
    "run.fresh": configuration.STAGES,
}
SIMPLE = {str: "string", int: "integer", bool: "boolean", float: "number"}


def schema() -> dict[str, Any]:
    """The schema: JSON Schema 2020-12, which editors use to check and complete TOML too."""
    made = _table(configuration.Config, "")
    made["properties"]["run"] = _table(configuration.Options, "run.")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": configuration.FILE,
        **made,
    }


def text() -> str:
    """The schema as the shipped file has it."""
    return json.dumps(schema(), indent=2) + "\n"


def shipped() -> str:
    """The text of the shipped file."""
    return (resources.files("pytest_kollalab.settings") / FILE).read_text(encoding="utf-8")


def _table(kind: type[Any], prefix: str) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    properties = {}
    for field in dataclasses.fields(kind):
        found = _value(hints[field.name], f"{prefix}{field.name}")
        default = _default(field)
        properties[field.name] = found if default is None else {**found, "default": default}
    doc = (kind.__doc__ or "").split("\n\n")
    return {
        "type": "object",
        "description": " ".join(" ".join(doc).replace("`", "").split()),
        "properties": properties,
        "additionalProperties": False,
    }


def _value(hint: Any, name: str) -> dict[str, Any]:
    if dataclasses.is_dataclass(hint):
        return _table(typing.cast("type[Any]", hint), f"{name}.")
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    allowed = {"enum": list(VALUES[name])} if name in VALUES else {}
    if origin is typing.Literal:
        hint, origin = str, None
    if origin is tuple:
        return {"type": "array", "items": {"type": "string", **allowed}}
    if origin is not None and origin is not types.UnionType:
        # A value of Any has no type to name.
        value = {"type": SIMPLE[arguments[1]]} if arguments[1] in SIMPLE else {}
        return {"type": "object", "additionalProperties": value or True}
    return {"type": SIMPLE[hint], **allowed}


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default is dataclasses.MISSING:
        return None
    return list(field.default) if isinstance(field.default, tuple) else field.default


if __name__ == "__main__":
    (Path(__file__).parent / FILE).write_text(text(), encoding="utf-8")
