"""The entry point of the plugin: registers options, hooks, fixtures and the LabSession."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Generator

import pytest

from pytest_kollalab import features
from pytest_kollalab.extensions import entry_points, hookspecs
from pytest_kollalab.plugin import markers, options
from pytest_kollalab.plugin.session import LabSession, session_key
from pytest_kollalab.system.errors import KollalabError, as_message

# The fixtures of the plugin and of each feature. They are not in `pytest_plugins`, whose modules
# must not have been imported before.
FIXTURE_MODULES = ("pytest_kollalab.plugin.fixtures", *features.fixture_modules())


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options and their ini values."""
    options.add(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Add hooks and fixtures."""
    for name in FIXTURE_MODULES:
        pluginmanager.register(importlib.import_module(name), name)
    pluginmanager.add_hookspecs(hookspecs)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config,
) -> Generator[None, object, object]:
    """Load the packages that extend the plugin by an entry point, after all plugins of pytest."""
    try:
        entry_points.load(early_config.pluginmanager)
    except KollalabError as error:
        raise pytest.UsageError(str(error)) from None
    try:
        return (yield)
    except ValueError as error:
        if (twice := entry_points.named_twice(error)) is None:
            raise
        raise pytest.UsageError(str(twice)) from None


def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Remove the labs and stop, if requested."""
    # pytest is not configured yet, so there is no terminal reporter.
    try:
        if not options.is_asked(config, "destroy"):
            return None
        session = LabSession(config, options.settings_of(config))
    except KollalabError as error:
        raise pytest.UsageError(str(error)) from None
    try:
        for line in session.destroy():
            sys.stdout.write(f"kollalab: {line}\n")
    except Exception as error:
        told = as_message(error)
        if not isinstance(told, KollalabError):
            raise
        raise pytest.UsageError(session.text_of(told)) from None
    return 0


def pytest_configure(config: pytest.Config) -> None:
    """Create and register the LabSession."""
    try:
        settings = options.settings_of(config)
        plan = options.is_asked(config, "plan")
        replay = options.replayed(config)
        session = LabSession(config, settings, plan=plan, replay=replay)
    except KollalabError as error:
        raise pytest.UsageError(str(error)) from None
    if plan and hasattr(config.option, "dist"):
        # With workers the controller does not know the tests, so it could not show a plan.
        config.option.dist = "no"
    config.stash[session_key] = session
    config.pluginmanager.register(session, "kollalab-session")
    # In a project that does not configure labs, a marker such as `smoke` is the project's own.
    speaks_of_labs = settings.file is not None or bool(settings.origins) or plan
    session.foreign_markers = markers.register(config, old=speaks_of_labs)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    """Skip tests in a worker that was refused: it is given a test before it can report that."""
    return True if item.config.stash[session_key].processes.refused else None
