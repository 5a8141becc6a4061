"""The verb `plan`: what each stage would do."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import click

from pytest_kollalab.cli.frame import (
    BUILD,
    GOLDEN,
    feature_option,
    json_option,
    lab_to_build,
    read_settings,
    setting_options,
    verb,
)


@verb
@setting_options(*BUILD, *GOLDEN)
@feature_option
@click.option("--explain", "explained", is_flag=True, help="Show every setting and its origin.")
@json_option
def plan(features: tuple[str, ...], explained: bool, as_json: bool, **given: Any) -> None:
    """Show what each stage would do and why; change nothing."""
    from pytest_kollalab.lab.explain import explain

    said = read_settings(**given)
    lab = lab_to_build(said, features)
    settings = explain(lab, said) if explained else []
    if as_json:
        told: dict[str, Any] = {**lab.about(), "stages": [asdict(step) for step in lab.plan()]}
        if explained:
            told["settings"] = [asdict(setting) for setting in settings]
        click.echo(json.dumps(told, indent=2))
        return
    for line in lab.plan_lines():
        click.echo(line)
    width = max((len(setting.name) for setting in settings), default=0)
    for setting in settings:
        click.echo(f"{setting.name:<{width}}  {json.dumps(setting.value)}  ({setting.source})")
