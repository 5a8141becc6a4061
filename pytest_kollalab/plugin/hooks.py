"""The pytest plugin: options, features that the selected tests ask for, keep policy."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_kollalab.extensions import hookspecs
from pytest_kollalab.plugin import options as plugin_options
from pytest_kollalab.plugin.fixtures import (
    BrokenLab,
    bgpvpn,
    compute,
    fixture_features,
    fresh_cloud,
    kolla_images,
    kollalab,
    lab_key,
    lab_nodes,
    local_view,
    openstack_cloud,
    sfc,
    skydive,
    tenant,
)
from pytest_kollalab.plugin.xdist import (
    FIXTURE,
    Sharing,
    fixture_names,
    of_use,
    of_worker,
    show,
    watcher,
)
from pytest_kollalab.releases import releases
from pytest_kollalab.sdn import figures, workarounds
from pytest_kollalab.settings import config as configuration
from pytest_kollalab.settings.config import of_lab
from pytest_kollalab.settings.read import check_tables
from pytest_kollalab.system.errors import KollalabError
from pytest_kollalab.system.paths import check_writable, default_paths

if TYPE_CHECKING:
    from pytest_kollalab.extensions.extensions import Extensions
    from pytest_kollalab.lab.lab import Lab
    from pytest_kollalab.report.failures import Failures

__all__ = [
    "bgpvpn",
    "compute",
    "fresh_cloud",
    "kolla_images",
    "kollalab",
    "lab_nodes",
    "local_view",
    "openstack_cloud",
    "sfc",
    "skydive",
    "tenant",
]

features_key = pytest.StashKey[Iterable[str]]()
settings_key = pytest.StashKey[tuple[configuration.Config, configuration.Options]]()
extensions_key = pytest.StashKey["Extensions"]()
failures_key = pytest.StashKey["Failures"]()
used_key = pytest.StashKey[bool]()
file_key = pytest.StashKey["Path | None"]()
sharing_key = pytest.StashKey[Sharing]()
figures_key = pytest.StashKey[figures.Figures]()
workarounds_key = pytest.StashKey[workarounds.UsedWorkarounds]()

MARKER = "kollalab_feature"

# openstacksdk 4.22 warns of what its own modules do on every call: a project that turns warnings
# into errors could not use it. By module and not by category, which would have to be imported.
SDK = r"openstack\..*"
# docker's SDK forgets the Unix socket that it could not connect: with its daemon stopped, a session
# that turns warnings into errors would end in a traceback instead of our message.
DOCKER_WARNING = r"unclosed <socket\.socket fd=\d+, family=1"


def pytest_addoption(parser: pytest.Parser) -> None:
    plugin_options.add(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.add_hookspecs(hookspecs)
    pluginmanager.load_setuptools_entrypoints(hookspecs.GROUP)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", f"{MARKER}(name, ...): features that the lab must have for this test"
    )
    config.addinivalue_line("filterwarnings", f"ignore::Warning:{SDK}")
    config.addinivalue_line("filterwarnings", f"ignore:{DOCKER_WARNING}:ResourceWarning")
    # pytest has put its filters of what is outside any test in place already.
    warnings.filterwarnings("ignore", module=SDK)
    warnings.filterwarnings("ignore", DOCKER_WARNING, ResourceWarning)
    config.addinivalue_line("markers", "smoke: one test or two per feature, quick on a ready lab")
    config.addinivalue_line("markers", "disruptive: runs alone, no other test uses the lab then")
    try:
        config.stash[settings_key] = _settings(config)
    except KollalabError as error:
        raise pytest.UsageError(str(error)) from None
    sharing = Sharing(config, config.stash[settings_key][1], lambda text: show(config, text))
    config.stash[sharing_key] = sharing
    config.pluginmanager.register(sharing, "kollalab-sharing")
    config.stash[figures_key] = figures.Figures()
    config.pluginmanager.register(config.stash[figures_key], "kollalab-figures")
    workarounds.set_mode(config.stash[settings_key][1].workarounds)
    config.stash[workarounds_key] = workarounds.UsedWorkarounds()
    config.pluginmanager.register(config.stash[workarounds_key], "kollalab-workarounds")
    from pytest_kollalab.plugin.external_cloud import ExternalCloud, UnsupportedFeatures

    cloud = config.stash[settings_key][1].cloud
    given = (lambda items: wanted_features(items, config), lambda: make_lab(config))
    config.pluginmanager.register(
        ExternalCloud(cloud, *given) if cloud else UnsupportedFeatures(*given), "kollalab-lent"
    )


def pytest_report_header(config: pytest.Config) -> str | None:
    """Which file counts: it may be in a folder above, where nobody thinks of it."""
    file = config.stash.get(file_key, None)
    return f"kollalab: {file}" if file is not None else None


def pytest_cmdline_main(config: pytest.Config) -> int | None:
    if not plugin_options.is_asked(config, "destroy"):
        return None
    # pytest has not been configured yet: neither is there a terminal reporter to speak through.
    try:
        config.stash[settings_key] = _settings(config)
        for lab in all_labs(config):
            lab.destroy()
            sys.stdout.write(f"kollalab: lab {lab.name} is gone\n")
    except KollalabError as error:
        raise pytest.UsageError(str(error)) from None
    return 0


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    config = session.config
    try:
        wanted = wanted_features(session.items, config)
        config.stash[features_key] = wanted
        settings, options = config.stash[settings_key]
        config.stash[settings_key] = (settings, of_use(options, session.items))
        uses_lab = any(FIXTURE in fixture_names(item) for item in session.items)
        if uses_lab:
            releases.get(settings.release)
            wanted = (*wanted, *settings.features)
            check_writable(default_paths().state, "KOLLALAB_STATE")
        if wanted or settings.tables:
            registry = brought(config).registry
            registry.resolve(wanted, settings.release)
            if uses_lab and not options.cloud:
                configured = {name: ["the configuration"] for name in settings.features}
                registry.check_conflicts(configured | _askers(session.items, config))
        if (provider := options.provider) not in configuration.PROVIDERS:
            from pytest_kollalab.providers.choice import check

            check(provider, brought(config).providers)
    except KollalabError as error:
        config.stash[sharing_key].refuse(session, error)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    """A worker is given a test before it can say that it runs none."""
    return True if item.config.stash[sharing_key].refused else None


def pytest_runtestloop(session: pytest.Session) -> bool | None:
    if not plugin_options.is_asked(session.config, "plan"):
        return None
    try:
        for line in make_lab(session.config).plan_lines():
            say(session.config, line)
    except KollalabError as error:
        raise pytest.UsageError(str(error)) from None
    return True


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None]:
    try:
        yield
    finally:
        from pytest_kollalab.plugin.finish import finish

        finish(session)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    output = getattr(node, "workeroutput", {})
    if output.get("kollalab_used"):
        node.config.stash[used_key] = True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, Any, Any]:
    # Before the report is made, which copies the properties.
    item.user_properties += [*figures.taken(), *workarounds.taken()]
    report = yield
    failure = call.excinfo.value if call.excinfo is not None else None
    explained = isinstance(failure, BrokenLab) and failure.explained
    if isinstance(failure, BrokenLab) and not explained:
        # A report for machines has no summary at its end.
        item.user_properties.append(("kollalab_failure", failure.text))
        # pytest raises the one failure of a session fixture again for every test that uses it.
        failure.explained = True
    if item.config.stash.get(used_key, False):
        span = {"began": call.start, "ended": call.stop}
        watch_failures(item.config).see(report, item, **span, explained=explained)
    return report


def wanted_features(items: Iterable[pytest.Item], config: pytest.Config) -> tuple[str, ...]:
    """The features that tests ask for, by their markers and by the fixtures they use."""
    return tuple(sorted(_askers(items, config)))


def _askers(items: Iterable[pytest.Item], config: pytest.Config) -> dict[str, list[str]]:
    """The features that tests ask for, each with the node ids of these tests."""
    fixtures = fixture_features(config)
    if any(getattr(config.hook, name).get_hookimpls() for name in hookspecs.NAMES):
        fixtures = {**fixtures, **brought(config).fixtures()}
    found: dict[str, list[str]] = {}
    for item in items:
        names = [str(name) for mark in item.iter_markers(MARKER) for name in mark.args]
        for fixture in fixture_names(item):
            names += fixtures.get(fixture, ())
        for name in names:
            found.setdefault(name, []).append(item.nodeid)
    return found


def brought(config: pytest.Config) -> Extensions:
    """What plugins and conftest files bring; asked for once."""
    from pytest_kollalab.extensions.extensions import gather

    def name(plugin: str) -> str:
        path = Path(plugin)
        return str(path.relative_to(root)) if path.is_relative_to(root) else plugin

    if extensions_key not in config.stash:
        root = config.rootpath
        settings = config.stash[settings_key][0]
        found = gather(config.pluginmanager, settings.release, name)
        if settings.tables:
            check_tables(settings, found.tables)
        config.stash[extensions_key] = found
    return config.stash[extensions_key]


def make_lab(config: pytest.Config) -> Lab:
    """The lab of this process; touches nothing yet."""
    if lab_key not in config.stash:
        config.stash[lab_key] = _lab(config, config.stash[settings_key][1])
    return config.stash[lab_key]


def use_lab(config: pytest.Config, options: configuration.Options) -> None:
    """Go on with the lab of these options, before a test has any fixture of the one so far."""
    config.stash[settings_key] = (config.stash[settings_key][0], options)
    if lab_key in config.stash:
        del config.stash[lab_key]
    if failures_key in config.stash:
        del config.stash[failures_key]


def all_labs(config: pytest.Config) -> list[Lab]:
    """The labs of the session, last one first: those that are made from another go before it."""
    options = config.stash[settings_key][1]
    more = [_lab(config, of_lab(options, number)) for number in range(1, options.labs)]
    return [*reversed(more), make_lab(config)]


def _lab(config: pytest.Config, options: configuration.Options) -> Lab:
    from pytest_kollalab.lab.lab import Lab

    return Lab(
        config.stash[settings_key][0],
        options,
        features=config.stash.get(features_key, ()),
        run_id=config.stash[sharing_key].run if sharing_key in config.stash else None,
        say=lambda text: tell(config, text),
        extensions=brought(config),
        watcher=watcher(config),
    )


def watch_failures(config: pytest.Config) -> Failures:
    """What masks the reports of this session and collects for its failures."""
    from pytest_kollalab.report.failures import ExternalCloudScene, Failures, LabScene, Scene
    from pytest_kollalab.stages.cloud import external

    if failures_key not in config.stash:
        lab = make_lab(config)
        given = lab.options.artifacts
        folder = Path(config.invocation_params.dir, given).resolve() if given else None
        features = lab.extensions.registry.resolve(lab.feature_names, lab.config.release)
        commands = lab.extensions.artifacts(features)
        scene: Scene = LabScene(lab.folder, lab.ssh, lambda: lab.provider, commands)
        if lab.options.cloud:
            scene = ExternalCloudScene(lambda: external.secrets(lab.options.cloud))
        config.stash[failures_key] = Failures(scene, folder)
    return config.stash[failures_key]


def say(config: pytest.Config, text: str) -> None:
    """Show a line to the user now, whatever pytest captures and whichever process this is."""
    if sharing_key in config.stash:
        config.stash[sharing_key].say(text)


def tell(config: pytest.Config, text: str) -> None:
    """The same, unless the user asked for quiet."""
    if config.get_verbosity() >= 0:
        say(config, text)


def _settings(config: pytest.Config) -> tuple[configuration.Config, configuration.Options]:
    found = plugin_options.settings_of(config)
    config.stash[file_key] = found.file
    worker = getattr(config, "workerinput", {}).get("workerid", "")
    return found.config, of_worker(found.options, worker)
