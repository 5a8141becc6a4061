"""The end of a session: its labs removed or kept, and the summary."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_kollalab.plugin.fixtures import lab_key
from pytest_kollalab.plugin.hooks import (
    all_labs,
    figures_key,
    say,
    sharing_key,
    tell,
    used_key,
    workarounds_key,
)
from pytest_kollalab.report.masking import Redactor, lab_secrets
from pytest_kollalab.system import files
from pytest_kollalab.system.errors import BusyError, KollalabError

if TYPE_CHECKING:
    from pytest_kollalab.engine.runs import LabFailure
    from pytest_kollalab.lab.lab import Lab
    from pytest_kollalab.report.summary import Summary


def finish(session: pytest.Session) -> None:
    """Remove the labs or keep them, and say so; a worker leaves that to its controller."""
    config = session.config
    lab = config.stash.get(lab_key, None)
    used = lab is not None and config.stash.get(used_key, False)
    sharing = config.stash[sharing_key]
    if hasattr(config, "workeroutput"):
        config.workeroutput["kollalab_used"] = used
        if lab is not None:
            lab.lease.release()
        return
    # A worker that died could not say that it used the lab.
    if config.stash.get(used_key, False) or sharing.session.is_used():
        sharing.begin_removal()
        for each in all_labs(config):
            if each.name == sharing.options.name or each.exists():
                _leave(session, each)
    sharing.close()


def _leave(session: pytest.Session, lab: Lab) -> None:
    config = session.config
    if lab.options.cloud:
        return
    keep = lab.options.keep
    sharing = config.stash[sharing_key]
    failures = sharing.failures
    failed = bool(session.testsfailed or failures)
    kept = keep == "always" or (keep == "failed" and failed)
    try:
        summary = replace(
            lab.summary(kept=kept),
            figures=config.stash[figures_key].rows,
            workarounds=config.stash[workarounds_key].rows,
        )
        if kept:
            lab.lease.release()
        else:
            sharing.kept_logs |= _keep_logs(lab, failures)
            tell(config, f"kollalab: removing lab {lab.name}")
            started = time.monotonic()
            lab.destroy()
            summary = replace(summary, removed_in=round(time.monotonic() - started, 1))
        _summarize(config, lab, summary)
    except BusyError:
        say(config, f"kollalab: lab {lab.name} is used by another session, which will remove it")
    except KollalabError as error:
        say(config, f"kollalab: {error}")


def _keep_logs(lab: Lab, failures: Iterable[LabFailure]) -> dict[str, Path]:
    """Copy the logs that failures name out of a lab that is to go; returns old and new places."""
    logs = {failure.log for failure in failures if Path(failure.log).is_relative_to(lab.folder)}
    if not logs:
        return {}
    mask = Redactor(lab_secrets(lab.folder))
    kept = {}
    for log in logs:
        path = Path(log)
        there = lab.paths.state / "summaries" / lab.name / path.name
        with suppress(OSError):
            files.write(there, mask(path.read_text(encoding="utf-8", errors="replace")))
            kept[log] = there
    return kept


def _summarize(config: pytest.Config, lab: Lab, summary: Summary) -> None:
    folders = [lab.paths.state / "summaries" / lab.name]
    if lab.options.artifacts:
        folders.append(Path(config.invocation_params.dir, lab.options.artifacts).resolve())
    try:
        summary.write(*folders)
    except OSError as error:
        say(config, f"kollalab: the summary could not be written: {error}")
    # Who asked for quiet still has to know what is left on the host.
    for line in summary.lines() if config.get_verbosity() >= 0 else summary.kept_lines():
        say(config, f"kollalab: {line}")
