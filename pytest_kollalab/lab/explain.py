"""Explains the settings of a lab: each effective value and its source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_kollalab.lab.lab import Lab
from pytest_kollalab.settings.declare import settings
from pytest_kollalab.settings.read import RUN, Settings
from pytest_kollalab.stages.cloud import kolla_variables as kolla

DEFAULT = "default"
MISSING = object()


@dataclass(frozen=True)
class Effective:
    """The effective value of a setting and its source.

    Attributes:
        name: The name as in kollalab.toml, including its table.
        value: The effective value.
        source: The file, option or environment variable that it comes from, or `default`.
    """

    name: str
    value: Any
    source: str


def explain(lab: Lab, said: Settings) -> list[Effective]:
    """All settings of a lab: its own, those of its features, provider and run, and globals.

    Args:
        lab: The lab that was made from the settings.
        said: The settings as they were read, with their sources.
    """
    tables = {name: lab.config.table(name, kind) for name, kind in lab.tables.items()}
    found = [*_fields(lab.config, said.origins, "")]
    for name, table in {**tables, RUN: lab.options}.items():
        found += _fields(table, said.origins, f"{name}.")
    return [*found, *_variables(lab, str(said.file or ""))]


def layered(layers: list[tuple[str, Mapping[str, Any]]], name: str, value: Any) -> str:
    """The source of a value: the last layer with this value, or all layers joined in a list."""
    who = [source for source, layer in layers if name in layer]
    exact = [source for source, layer in layers if layer.get(name, MISSING) == value]
    if exact:
        return exact[-1]
    return " and ".join(who) or DEFAULT


def _fields(table: Any, origins: Mapping[str, str], prefix: str) -> Iterator[Effective]:
    for name, each in settings(type(table)).items():
        value, full = getattr(table, name), f"{prefix}{name}"
        if each.table is not None:
            yield from _fields(value, origins, f"{full}.")
        elif full != "globals":  # those are among the variables
            yield Effective(full, value, origins.get(full, DEFAULT))


def _variables(lab: Lab, where: str) -> Iterator[Effective]:
    provider = lab.provider.globals()
    layers: list[tuple[str, Mapping[str, Any]]] = [(DEFAULT, kolla.DEFAULTS)]
    layers += [(f"hook of {each.name}", each.globals) for each in lab.extensions.layers]
    layers += [(f"feature {each.name}", each.globals) for each in lab.features]
    layers += [(f"provider {lab.provider.name}", provider), (where, lab.config.globals)]
    sources = [*lab.extensions.layers, *lab.features]
    merged = kolla.merge_globals(sources, provider, lab.config.globals)
    for name, value in sorted(merged.items()):
        yield Effective(f"globals.{name}", value, layered(layers, name, value))
