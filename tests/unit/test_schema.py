"""The JSON schema: what is shipped is what the dataclasses say, and it fits what we ship."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pytest_kollalab.cli import main
from pytest_kollalab.settings import config, schema
from pytest_kollalab.settings.config import Config, Options

ROOT = Path(__file__).parents[2]


def test_the_shipped_file_is_what_the_dataclasses_say() -> None:
    assert schema.shipped() == schema.text(), (
        "write it anew: python -m pytest_kollalab.settings.schema"
    )


def test_every_key_is_in_it_and_no_other() -> None:
    made = schema.schema()
    assert set(made["properties"]) == {f.name for f in dataclasses.fields(Config)} | {"run"}
    run = made["properties"]["run"]
    assert set(run["properties"]) == {f.name for f in dataclasses.fields(Options)}
    assert made["additionalProperties"] is False
    assert run["additionalProperties"] is False
    assert run["properties"]["keep"] == {
        "type": "string", "enum": list(config.KEEP), "default": "never",
    }  # fmt: skip
    assert made["properties"]["globals"]["additionalProperties"] is True


def test_the_defaults_are_those_of_the_dataclasses() -> None:
    for field in dataclasses.fields(Options):
        found = schema.schema()["properties"]["run"]["properties"][field.name]["default"]
        assert found == (list(field.default) if isinstance(field.default, tuple) else field.default)


def fits(value: Any, kind: dict[str, Any]) -> bool:
    """Enough of JSON Schema to check a configuration."""
    types = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}
    if "type" in kind and type(value) is not types[kind["type"]]:
        return False
    if "enum" in kind and value not in kind["enum"]:
        return False
    if isinstance(value, list):
        return all(fits(item, kind["items"]) for item in value)
    if isinstance(value, dict):
        known, more = kind.get("properties", {}), kind.get("additionalProperties", True)
        return all(
            fits(item, known[key]) if key in known
            else more is not False and (more is True or fits(item, more))
            for key, item in value.items()
        )  # fmt: skip
    return True


@pytest.mark.parametrize("path", sorted(ROOT.glob("**/kollalab.toml")), ids=str)
def test_our_own_files_fit(path: Path) -> None:
    assert fits(tomllib.loads(path.read_text()), schema.schema())


@pytest.mark.parametrize(
    "text",
    ["relase = '2026.1'", "release = '1999.1'", "[run]\nkeep = 'forever'", "[config]\na = 1"],
)
def test_what_we_refuse_does_not_fit(text: str) -> None:
    assert not fits(tomllib.loads(text), schema.schema())


def test_the_command_prints_it() -> None:
    assert CliRunner().invoke(main, ["schema"]).output == schema.shipped()
