"""JUnit: the builds of stages are test cases of their own, and not part of the first test."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest

BUILT = "built"


def add_builds(
    config: pytest.Config,
    rows: Iterable[Mapping[str, Any]],
    failure: Callable[[], str],
) -> None:
    """Add a test case to pytest's JUnit file for each build of a stage.

    Args:
        config: pytest's configuration. Nothing happens if no JUnit file is asked for.
        rows: The lines of the history with the builds of this session.
        failure: Returns what is known of failed builds.
    """
    xml: Any = next((each for each in config.pluginmanager.get_plugins() if _is_junit(each)), None)
    if xml is None:
        return
    for row in rows:
        good = row["outcome"] == BUILT
        name = f"build of {row['stage']}"
        for when in ("setup", "call", "teardown"):
            called = when == "call"
            report = pytest.TestReport(
                nodeid=f"kollalab::{row.get('lab', 'lab')}::{name}",
                location=("kollalab", None, name),
                keywords={},
                outcome="passed" if good or not called else "failed",
                longrepr=None if good or not called else f"{row['outcome']}: {failure()}",
                when=when,
                duration=float(row["seconds"]) if called else 0.0,
                user_properties=[("kollalab_reason", row["reason"])] if when == "teardown" else [],
            )
            xml.pytest_runtest_logreport(report)


def _is_junit(plugin: object) -> bool:
    return type(plugin).__name__ == "LogXML" and hasattr(plugin, "pytest_runtest_logreport")
