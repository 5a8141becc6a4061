"""The explanation: each effective setting of a lab, and where it comes from."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_kollalab.lab.lab import Lab
from pytest_kollalab.settings.config import Config, Options
from pytest_kollalab.stages.cloud import kolla_variables as kolla

DEFAULT = "default"
MISSING = object()


@dataclass(frozen=True)
class Setting:
    """One setting: its name as in kollalab.toml, its value, and who said so."""

    name: str
    value: Any
    source: str


def explain(
    lab: Lab, table: Mapping[str, Any], file: Path | None, given: Mapping[str, str]
) -> list[Setting]:
    """All settings of a lab: those of the file, of a run, and the Kolla-Ansible variables.

    `table` is the text of `file` as it was read; `given` says who gave an option of the run.
    """
    where = str(file) if file is not None else ""
    found = list(_fields(lab.config, table, where, ""))
    for field in dataclasses.fields(Options):
        value = getattr(lab.options, field.name)
        if field.name in given:
            source = given[field.name]
        else:
            source = where if field.name in table.get("run", {}) else DEFAULT
        found.append(Setting(f"run.{field.name}", value, source))
    return [*found, *_variables(lab, where)]


def layered(layers: list[tuple[str, Mapping[str, Any]]], name: str, value: Any) -> str:
    """Who said it: the last layer that has this value, or all whose lists were joined to it."""
    who = [source for source, layer in layers if name in layer]
    exact = [source for source, layer in layers if layer.get(name, MISSING) == value]
    if exact:
        return exact[-1]
    return " and ".join(who) or DEFAULT


def _fields(config: Any, table: Mapping[str, Any], where: str, prefix: str) -> Iterator[Setting]:
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        said = table.get(field.name, MISSING)
        if dataclasses.is_dataclass(value):
            inner = said if isinstance(said, Mapping) else {}
            yield from _fields(value, inner, where, f"{prefix}{field.name}.")
        elif config.__class__ is Config and field.name == "globals":
            continue  # among the variables
        else:
            source = DEFAULT if said is MISSING else where
            yield Setting(f"{prefix}{field.name}", value, source)


def _variables(lab: Lab, where: str) -> Iterator[Setting]:
    provider = lab.provider.globals()
    layers: list[tuple[str, Mapping[str, Any]]] = [(DEFAULT, kolla.DEFAULTS)]
    layers += [(f"hook of {each.name}", each.globals) for each in lab.extensions.layers]
    layers += [(f"feature {each.name}", each.globals) for each in lab.features]
    layers += [(f"provider {lab.provider.name}", provider), (where, lab.config.globals)]
    sources = [*lab.extensions.layers, *lab.features]
    merged = kolla.merge_globals(sources, provider, lab.config.globals)
    for name, value in sorted(merged.items()):
        yield Setting(f"globals.{name}", value, layered(layers, name, value))
