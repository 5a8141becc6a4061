"""The way in from pytest: options, fixtures, hooks of others, and the LabSession for the rest."""

from __future__ import annotations

import importlib
import sys

import pytest

from pytest_kollalab import features
from pytest_kollalab.extensions import hookspecs
from pytest_kollalab.plugin import markers, options
from pytest_kollalab.plugin.session import LabSession, session_key
from pytest_kollalab.system.errors import KollalabError

# Ours, and those of the features, each from the feature's own folder. Registered by hand: what is
# named in `pytest_plugins` must not have been imported before.
FIXTURE_MODULES = ("pytest_kollalab.plugin.fixtures", *features.fixture_modules())


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options and their ini twins."""
    options.add(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Add our hooks and fixtures, and the packages that bring something by an entry point."""
    for name in FIXTURE_MODULES:
        pluginmanager.register(importlib.import_module(name), name)
    pluginmanager.add_hookspecs(hookspecs)
    pluginmanager.load_setuptools_entrypoints(hookspecs.GROUP)


def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Remove the labs and stop, if that was asked for."""
    if not options.is_asked(config, "destroy"):
        return None
    # pytest has not been configured yet: neither is there a terminal reporter to speak through.
    try:
        for name in LabSession(config, options.settings_of(config)).destroy():
            sys.stdout.write(f"kollalab: lab {name} is gone\n")
    except KollalabError as error:
        raise pytest.UsageError(str(error)) from None
    return 0


def pytest_configure(config: pytest.Config) -> None:
    """Make the LabSession, which does the rest."""
    try:
        settings = options.settings_of(config)
        plan = options.is_asked(config, "plan")
        session = LabSession(config, settings, plan=plan)
    except KollalabError as error:
        raise pytest.UsageError(str(error)) from None
    if plan and hasattr(config.option, "dist"):
        # Workers would run the tests, and the controller knows none: no plan could be said.
        config.option.dist = "no"
    config.stash[session_key] = session
    config.pluginmanager.register(session, "kollalab-session")
    # A project that says nothing of labs need not have them: `smoke` is no name of ours there.
    speaks_of_labs = settings.file is not None or bool(settings.origins) or plan
    session.foreign_markers = markers.register(config, old=speaks_of_labs)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    """A worker is given a test before it can say that it runs none."""
    return True if item.config.stash[session_key].processes.refused else None
