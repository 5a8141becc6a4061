"""The verb `doctor`: what the host has and lacks."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

import click

from pytest_kollalab.cli.frame import EXIT_HOST, json_option, make_lab, verb

COLOURS = {"ok": "green", "note": "yellow", "problem": "red"}


@verb
@json_option
def doctor(as_json: bool, **given: Any) -> None:
    """Check whether the host can run a lab, and show how to fix what it lacks.

    Exits with 3 when a lab cannot run here.
    """
    from pytest_kollalab.lab.doctor import examine, is_fit

    lab = make_lab((), **given)
    findings = examine(lab.config, lab.options, lab.paths)
    if as_json:
        listed = [asdict(finding) for finding in findings]
        click.echo(json.dumps({"fit": is_fit(findings), "findings": listed}, indent=2))
    else:
        width = max(len(finding.what) for finding in findings)
        for finding in findings:
            mark = click.style(f"{finding.status:<8}", fg=COLOURS[finding.status])
            click.echo(f"{mark} {finding.what:<{width}}  {finding.found}")
            if finding.fix:
                click.echo(f"{'':<8} {'':<{width}}  what now: {finding.fix}")
        missing = "a lab cannot run here yet; `kollalab bootstrap` installs and starts what it can"
        click.echo("a lab can run here" if is_fit(findings) else missing)
    if not is_fit(findings):
        sys.exit(EXIT_HOST)
