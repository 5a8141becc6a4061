"""The JSON schema: what is shipped is what the settings declare, and it fits what we ship."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pytest_kollalab.cli import main
from pytest_kollalab.extensions.extensions import NOTHING
from pytest_kollalab.settings import schema
from pytest_kollalab.settings.config import Config, Options
from pytest_kollalab.settings.declare import setting, settings

ROOT = Path(__file__).parents[2]
MADE = schema.schema(NOTHING.tables)


@dataclass(frozen=True)
class GreeterConfig:
    """The greeter."""

    greeting: str = setting("hello", "what it says")


def test_every_key_is_in_it_and_no_other() -> None:
    assert set(MADE["properties"]) == {*settings(Config), "skydive", "run"}
    run = MADE["properties"]["run"]
    assert set(run["properties"]) == set(settings(Options))
    assert MADE["additionalProperties"] is False
    assert run["additionalProperties"] is False
    keep = run["properties"]["keep"]
    assert keep.pop("description")
    known = ["auto", "never", "failed", "always"]
    assert keep == {"type": "string", "enum": known, "default": "auto"}
    assert MADE["properties"]["globals"]["additionalProperties"] is True
    assert MADE["properties"]["nodes"]["properties"]["disk"]["minimum"] == 1


def test_the_defaults_are_those_of_the_declarations() -> None:
    for name, value in vars(Options()).items():
        found = MADE["properties"]["run"]["properties"][name]["default"]
        assert found == value


def test_the_table_of_a_plugin_is_in_it() -> None:
    made = json.loads(schema.text({**NOTHING.tables, "greeter": GreeterConfig}))
    assert made["properties"]["greeter"] == {
        "type": "object",
        "description": "The greeter.",
        "properties": {
            "greeting": {"type": "string", "description": "what it says", "default": "hello"}
        },
        "additionalProperties": False,
    }


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
    assert fits(tomllib.loads(path.read_text()), MADE)


@pytest.mark.parametrize(
    "text",
    ["relase = '2026.1'", "release = '1999.1'", "[run]\nkeep = 'forever'", "[config]\na = 1"],
)
def test_what_we_refuse_does_not_fit(text: str) -> None:
    assert not fits(tomllib.loads(text), MADE)


def test_the_command_prints_it() -> None:
    assert CliRunner().invoke(main, ["schema"]).output == schema.shipped().read_text()
