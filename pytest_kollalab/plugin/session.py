"""The LabSession: the settings, labs, terminal, processes and reports of a pytest session."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_kollalab.extensions import hookspecs
from pytest_kollalab.lab.kept import is_kept
from pytest_kollalab.plugin import asked, markers, stages
from pytest_kollalab.plugin.external_cloud import ExternalCloud, Offer, OwnLab
from pytest_kollalab.plugin.reporter import Reporter
from pytest_kollalab.plugin.stages import BrokenLab
from pytest_kollalab.plugin.xdist import Processes, of_use, of_worker
from pytest_kollalab.sdn import figures, workarounds
from pytest_kollalab.settings import config as configuration
from pytest_kollalab.settings.declare import PREFIX
from pytest_kollalab.settings.read import Settings, check_tables
from pytest_kollalab.system.commands import carrying
from pytest_kollalab.system.errors import ConfigError, KollalabError, as_message
from pytest_kollalab.system.paths import check_writable, default_paths

if TYPE_CHECKING:
    from pytest_kollalab.extensions.extensions import Extensions
    from pytest_kollalab.features.backend import NetworkBackend
    from pytest_kollalab.lab.lab import Lab
    from pytest_kollalab.plugin.late_errors import LateErrors
    from pytest_kollalab.plugin.sources import Sources
    from pytest_kollalab.report.failures import Failures
    from pytest_kollalab.report.masking import Redactor
    from pytest_kollalab.report.summary import Summary

# The stage that a fixture needs, the latest first.
STAGE_OF = {"openstack_cloud": "cloud", "lab_nodes": "nodes", "kolla_images": "images"}

# The attribute of an exception that names the test for which artifacts were collected.
COLLECTED_FOR = "kollalab_collected_for"

# openstacksdk 4.22 warns about its own modules on every call, which would fail tests of projects
# that turn warnings into errors. The filter is by module, because a category must be imported.
SDK = r"openstack\..*"
# docker's SDK does not close a Unix socket that it could not connect. If its daemon is stopped and
# warnings are errors, there would be a traceback instead of a message.
DOCKER_WARNING = r"unclosed <socket\.socket fd=\d+, family=1"
FILTERS = (f"ignore::Warning:{SDK}", f"ignore:{DOCKER_WARNING}:ResourceWarning")


class LabSession:
    """The labs of one pytest process; registered as a plugin.

    It is created when pytest is configured. It does nothing until a test asks for a lab.

    Args:
        config: pytest's configuration.
        settings: The settings from files, the environment and the command line.
        plan: Whether to show the plan instead of running tests.
        replay: Features whose playbooks are replayed on a cloud that is there.

    Attributes:
        settings: The settings that describe labs.
        options: The options of this run. This is the only copy; in a worker of pytest-xdist they
            are those of its own lab.
        file: The configuration file in use, if there is one.
        features: The features that the selected tests ask for.
        used: Whether this process, or one of its workers, used a lab.
        kept_logs: Where the logs of failures are after their labs are removed, by their old paths.
        foreign_markers: The old names of markers that the project uses itself.
    """

    def __init__(
        self,
        config: pytest.Config,
        settings: Settings,
        *,
        plan: bool = False,
        replay: tuple[str, ...] = (),
    ) -> None:
        self.config = config
        self.reporter = Reporter(config)
        self.processes = Processes(config, self.reporter.show)
        self.settings = settings.config
        self.options = of_worker(settings.options, self.processes.number)
        self.file = settings.file
        # Options, ini values and variables count as well.
        self._is_configured = bool(settings.origins)
        self._features_by = settings.said_by("features")
        self.features: tuple[str, ...] = ()
        self.used = False
        self.figures = figures.Figures()
        self.workarounds = workarounds.UsedWorkarounds()
        workarounds.set_mode(self.options.workarounds)
        self.offer: Offer = ExternalCloud(self._is_first) if self.options.cloud else OwnLab()
        self.kept_logs: dict[str, Path] = {}
        self.foreign_markers: frozenset[str] = frozenset()
        self._goal = ""
        # Features of tests that the network backend of the lab cannot have, with the reasons.
        self._unsuited: dict[str, str] = {}
        self._plan = plan
        self._replay = replay
        self._tests_use_lab = False
        self._has_lab = False
        self._lab: Lab | None = None
        self._failures: Failures | None = None
        self._running: pytest.Item | None = None
        self._is_called = False
        # When the running test began, and why no artifacts are collected if it fails.
        self._began = 0.0
        self._uncollected: str | None = None
        self._sources: Sources | None = None
        self._late: LateErrors | None = None

    # The labs

    @property
    def lab(self) -> Lab:
        """The lab of this process; the object alone creates nothing."""
        if self._lab is None:
            self._lab = self._make(self.options)
        return self._lab

    def use(self) -> Lab:
        """The lab of this process, for a test. The session then removes or keeps it at its end."""
        self.used = True
        self._ignore_warnings()
        self.processes.use(self.options)
        lab = self.lab
        if self._sources is None:
            from pytest_kollalab.plugin.sources import Sources

            self._sources = Sources(self.config, self._redactor, lambda: self._running)
        return lab

    def labs(self) -> list[Lab]:
        """The labs of the session, the last one first: clones go before their original."""
        numbers = range(1, self.options.labs)
        more = [self._make(configuration.of_lab(self.options, number)) for number in numbers]
        return [*reversed(more), self.lab]

    def destroy(self) -> Iterator[str]:
        """Remove the labs, and yield a line for each of them. Raises KollalabError."""
        for lab in self.labs():
            yield lab.remove()

    @cached_property
    def extensions(self) -> Extensions:
        """The extensions by plugins and conftest files, collected once. Raises ConfigError."""
        from pytest_kollalab.extensions.extensions import gather

        root = self.config.rootpath

        def name(plugin: str) -> str:
            path = Path(plugin)
            return str(path.relative_to(root)) if path.is_relative_to(root) else plugin

        found = gather(self.config.pluginmanager, self.settings.release, name)
        if self.settings.tables:
            check_tables(self.settings, found.tables)
        return found

    @property
    def failures(self) -> Failures:
        """Masks secrets in the reports of this session, and collects artifacts of failed tests."""
        if self._failures is None:
            self._failures = self._make_failures()
        return self._failures

    def wanted_features(self, items: Iterable[pytest.Item]) -> dict[str, list[str]]:
        """The features that tests ask for through markers and fixtures.

        Returns:
            The names of the features, each with the node ids of the tests that ask for it.
        """
        wanted = asked.features(items, self._fixtures_of_features())
        if self.options.guests == "server" and "sfc" in wanted:
            # Service functions that are servers need Nova.
            wanted["compute"] = [*wanted.get("compute", ()), *wanted["sfc"]]
        return wanted

    # What the user sees

    def say(self, text: str) -> None:
        """Show a line to the user now, from any process and despite pytest's capturing."""
        self.processes.say(text)

    def tell(self, text: str) -> None:
        """Show a line unless pytest runs with `-q`."""
        if self.config.get_verbosity() >= 0:
            self.say(text)

    def mark(self, text: str) -> None:
        """Show a line that tells of minutes of work, unless pytest runs with `-qq`."""
        if self.config.get_verbosity() >= -1:
            self.say(text)

    def text_of(self, error: KollalabError) -> str:
        """An error as text, whose commands have the options that they need to mean the lab."""
        return carrying(str(error), configuration.options_of(self.options))

    def properties(self) -> list[tuple[str, Any]]:
        """What the running test recorded since the last call, as properties of its report.

        JUnit has these properties. They also reach the controller in the report of the teardown:
        `pytest_runtest_logreport` collects them there, `pytest_terminal_summary` shows them, and
        `complete` adds them to the JSON summary.
        """
        return [*figures.taken(), *workarounds.taken()]

    def complete(self, summary: Summary) -> Summary:
        """The summary of a lab with the figures and workarounds of the tests."""
        return replace(summary, figures=self.figures.rows, workarounds=self.workarounds.rows)

    # pytest's hooks, in the order in which they are called

    def pytest_report_header(self) -> str | None:
        """Show which lab a configured session is about, and which file says so."""
        if self.file is None and not self._is_configured:
            return None
        file = f", {self.file}" if self.file is not None else ""
        if self.options.cloud:
            return f"kollalab: cloud {self.options.cloud}{file}"
        features = " and ".join(filter(None, [" ".join(self.settings.features), "those of tests"]))
        return (
            f"kollalab: lab {self.options.name}, features: {features}; "
            f"release {self.settings.release}, "
            f"network backend {self.settings.network.backend}{file}"
        )

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Prepare a worker in the controller before it starts."""
        self.processes.add_worker(node, self.options)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Find out what the selected tests ask for, and check it."""
        try:
            self._settle(session.items)
        except KollalabError as error:
            self.processes.refuse(session, error)

    def pytest_runtestloop(self) -> bool | None:
        """Show the plan and stop, if requested."""
        if self._tests_use_lab:
            # Warning filters that were set during the collection end with it.
            self._ignore_warnings()
        if not self._plan:
            return None
        try:
            for line in self.lab.plan_lines(self._replay if self._goal == "cloud" else ()):
                self.say(line)
        except KollalabError as error:
            raise pytest.UsageError(self.text_of(error)) from None
        return True

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Run a test when it may use the lab."""
        self._have_lab(item)
        self._running = item
        try:
            with self.processes.turn(item, self.options.name):
                return (yield)
        finally:
            self._running = None
            if self.processes.is_interrupted:
                # Also if something in the test has caught the exception, or raised another one.
                item.session.shouldstop = "a signal"

    # Inside the wrappers of pytest's own plugins, so that they also end for a skipped test.
    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, object, object]:
        """Skip a test whose feature is not available, or whose fixture needs a lab."""
        __tracebackhide__ = True
        if asked.uses_lab(item):
            markers.warn_of_old(item, self.foreign_markers)
        if (why := self._unfit(item)) is not None:
            pytest.skip(why)
        if wanted := self.wanted_features([item]):
            self.offer.check(self.lab, wanted)
        try:
            return (yield from self.offer.guard())
        except KollalabError as error:
            if not self._is_of_us(error):
                raise
            raise stages.failed(str(error), self.options) from None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self) -> Generator[None, object, object]:
        """Skip a test that turns out to need a lab."""
        __tracebackhide__ = True
        self._is_called = True
        try:
            return (yield from self.offer.guard())
        finally:
            self._is_called = False

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self) -> Generator[None, object, object]:
        """Skip a test whose teardown turns out to need a lab."""
        __tracebackhide__ = True
        return (yield from self.offer.guard())

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, Any, Any]:
        """Add the test's properties, mask secrets, collect artifacts for a failure."""
        # Before the report is made, which copies the properties.
        item.user_properties += self.properties()
        if self.used and call.excinfo is not None:
            # Some reporters, such as Allure, show the exception instead of the report.
            self._redactor().error(call.excinfo.value)
            self._make_readable(call.excinfo.value)
        report = yield
        if seconds := stages.spent():
            # A build has test cases of its own in JUnit's file.
            report.duration = max(0.0, report.duration - seconds)
        if self.used and report.failed:
            self._shorten(report)
        failure = call.excinfo.value if call.excinfo is not None else None
        explained = isinstance(failure, BrokenLab) and failure.explained
        if isinstance(failure, BrokenLab) and not explained:
            # A machine-readable report has no terminal summary.
            item.user_properties.append(("kollalab_failure", failure.text))
            # pytest raises the failure of a session fixture again for every test that uses it.
            failure.explained = True
        if call.when == "setup":
            self._began = call.start
        self._uncollected = self._why_uncollected(item, call, is_told=explained)
        if self.used and self._is_called:
            # Of a subtest, whose report is complete only when it is logged.
            self.failures.hide(report)
        elif self.used:
            span = {"began": call.start, "ended": call.stop}
            self.failures.see(report, item, **span, uncollected=self._uncollected)
            if failure is not None and report.failed and self._uncollected is None:
                # pytest raises it again for each test that uses the fixture that failed.
                with suppress(AttributeError):  # of a class with slots
                    setattr(failure, COLLECTED_FOR, item.nodeid)
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Mask what was added to a report after it was made; collect what a test recorded.

        pytest reports a subtest while its test is called, and adds its output and arguments last.
        The controller of pytest-xdist runs no test, and gets reports that are masked.
        """
        if self.used and self._running is not None:
            if self._is_called:
                self.failures.see_part(report, self._running, uncollected=self._uncollected)
            else:
                self.failures.hide(report)
        self.figures.pytest_runtest_logreport(report)
        self.workarounds.pytest_runtest_logreport(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage) -> None:
        """Mask a warning."""
        text = str(warning_message.message)
        if self._sources is not None and (masked := self._redactor()(text)) != text:
            warning_message.message = masked

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Note in the controller that a worker has ended."""
        if self.processes.end_worker(node):
            self.used = True

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None]:
        """Set the exit code; remove or keep the labs after all workers have ended."""
        if self.processes.refused:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
        elif (
            session.exitstatus == pytest.ExitCode.OK
            and not self.processes.worker
            and self.processes.failures
        ):
            # No test has failed, because the tests of a broken lab ran in another one.
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if not self.processes.worker and self.processes.is_used:
            self._report_builds()
        try:
            yield
        except (Exception, pytest.fail.Exception) as error:
            if not self.processes.is_interrupted:
                raise
            # Fixtures are torn down in the middle of what they did. pytest would end with a
            # traceback, and without its summary.
            self.tell(self._redactor()(f"while the tests were ended: {_in_short(error)}"))
        finally:
            self._finish(failed=bool(session.testsfailed))

    def pytest_unconfigure(self) -> None:
        """Leave log records and Allure to themselves."""
        if self._sources is not None:
            self._sources.close()

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Show what tests recorded, and explain the first failure of each lab."""
        if self._late is not None:
            self._late.show(terminalreporter)
        self.figures.pytest_terminal_summary(terminalreporter)
        self.workarounds.pytest_terminal_summary(terminalreporter)
        for failure in self.processes.failures:
            broken = "the cloud cannot be used" if self.options.cloud else "the lab is broken"
            terminalreporter.section(broken, red=True)
            kept = self.kept_logs.get(failure.log)
            terminalreporter.write_line(
                failure.text.replace(failure.log, str(kept)) if kept else failure.text
            )

    # How it is done

    def _fixtures_of_features(self) -> asked.Added:
        hook = self.config.hook
        others = any(getattr(hook, name).get_hookimpls() for name in hookspecs.NAMES)
        return self.extensions.fixtures() if others else {}

    def _settle(self, items: list[pytest.Item]) -> None:
        asked.have_cloud(items, self._fixtures_of_features())
        wanted = self.wanted_features(items)
        if wanted and not self.options.cloud:
            self._unsuited = self._unsuited_of(wanted)
        # Nothing is built for tests that are skipped.
        fit = [item for item in items if self._unfit(item) is None]
        if len(fit) < len(items):
            items, wanted = fit, self.wanted_features(fit)
        self.features = tuple(sorted(wanted))
        kept = is_kept(default_paths().lab(self.options.name))
        self.options = of_use(self.options, items, kept=kept)
        self._tests_use_lab = any(map(asked.uses_lab, items))
        release = self.settings.release
        names = {name for item in items for name in asked.fixture_names(item)}
        self._goal = next((stage for name, stage in STAGE_OF.items() if name in names), "")
        if self._replay and (self.options.cloud or self.options.labs > 1):
            raise ConfigError(
                "playbooks are replayed on one lab of this project",
                hint="leave out --kollalab-replay, or --kollalab-cloud and --kollalab-labs",
            )
        if self._tests_use_lab:
            from pytest_kollalab.releases import releases

            self._ignore_warnings()
            releases.get(release)
            check_writable(default_paths().state, "KOLLALAB_STATE")
            configured = {name: [self._features_by] for name in self.settings.features}
            wanted = configured | wanted
        if wanted or self.settings.tables:
            registry = self.extensions.registry
            registry.check_known(wanted)
            registry.resolve(wanted, release)
            if self._tests_use_lab and not self.options.cloud:
                registry.check_conflicts(wanted, self._backend())
        if (provider := self.options.provider) not in configuration.PROVIDERS:
            from pytest_kollalab.providers.choice import check

            check(provider, self.extensions.providers)
        if self._replay and self._goal == "cloud":
            self._check_replay()

    def _check_replay(self) -> None:
        """Refuse a replay that would not make the lab what the tests want. Raises KollalabError."""
        by = [f"--{PREFIX}-replay"]
        self.extensions.registry.check_known(dict.fromkeys(self._replay, by))
        if self.config.option.collectonly or not self.lab.may_replay():
            return
        if self.lab.engine.is_built_elsewhere():
            return  # what it will be is not known yet
        self.lab.check_replay(self._replay)
        there = self.lab.cloud_features()
        lacks = [each.name for each in self.lab.features if each.name not in there]
        if lacks:
            raise ConfigError(
                f"lab {self.lab.name} has no {' '.join(lacks)}, which tests ask for",
                details=f"it has {' '.join(there)}, and would be built anew after the replay",
                hint="leave out --kollalab-replay, or select other tests",
            )

    def _have_lab(self, item: pytest.Item) -> None:
        """Build what tests need in the worker's own lab; if that fails, use the first lab.

        Otherwise the tests of a broken lab would fail so quickly that its worker would get most of
        the tests that other labs could run.
        """
        if self._has_lab or not asked.uses_lab(item) or self._unfit(item) is not None:
            return
        # Once, before any fixture uses the lab: the stage that all tests of the session need.
        self._has_lab = True
        options, wanted = self.options, self._goal
        if self._replay and wanted == "cloud" and not self.processes.refused:
            self._play_again()
        if self.processes.refused or options.labs == 1 or not options.clone_of or not wanted:
            return
        lab = self.use()
        try:
            lab.ensure(min(wanted, options.until, key=configuration.STAGES.index))
        except Exception as error:  # noqa: BLE001 - whatever it is, the other lab may be whole
            failure = lab.session.fail(error)
            for each in filter(None, (lab, lab.base)):
                each.lease.release()
            first = configuration.first_lab(options)
            self.say(f"lab {lab.name}: {failure.line}; its tests go on in lab {first.name}")
            # No fixture of the lab exists yet, so the lab can be replaced.
            self.options = first
            self._lab = self._failures = None

    def _play_again(self) -> None:
        """Replay playbooks on the cloud, if there is one. Tests are told of a failure."""
        lab = self.use()
        if not lab.may_replay() or lab.session.failure() is not None:
            return
        try:
            lab.replay(self._replay)
        except Exception as error:  # noqa: BLE001 - whatever it is, the lab is not what tests want
            lab.session.fail(as_message(error))

    def _backend(self) -> NetworkBackend:
        from pytest_kollalab.features.backend import named

        return named(self.settings.network.backend)

    def _unsuited_of(self, wanted: Mapping[str, Iterable[str]]) -> dict[str, str]:
        registry = self.extensions.registry
        registry.check_known(wanted)
        return registry.unsuited(wanted, self._backend())

    def _unfit(self, item: pytest.Item) -> str | None:
        """Why a test is skipped with the network backend of the lab, or None."""
        if self.options.cloud:
            return None
        for name in self.wanted_features([item]) if self._unsuited else ():
            if name in self._unsuited:
                return f"no feature {name}: {self._unsuited[name]}"
        return asked.unfit(item, self.settings.network.backend)

    def _make_readable(self, error: BaseException) -> None:
        from pytest_kollalab.report import reading

        if isinstance(error, KollalabError):
            error.hint = carrying(error.hint, configuration.options_of(self.options))
        if not self.config.getoption("fulltrace"):
            reading.hide_insides(error)

    def _is_first(self, what: str) -> bool:
        return self.processes.run.is_first(what)

    def _is_of_us(self, error: KollalabError) -> bool:
        """Whether an error comes from our fixtures alone, so that its message says all."""
        from pytest_kollalab.report import reading

        return not self.config.getoption("fulltrace") and reading.is_of_us(error)

    def _shorten(self, report: pytest.TestReport) -> None:
        from pytest_kollalab.report import reading

        reading.shorten(report)

    def _report_builds(self) -> None:
        # Before pytest writes its file.
        if not self.config.getoption("xmlpath", None):
            return
        from pytest_kollalab.engine import progress
        from pytest_kollalab.plugin import junit

        history = progress.read(default_paths().state / progress.HISTORY)
        run, failures = self.processes.run.name, self.processes.failures
        mine = [row for row in history if row.get("run") == run]
        # The whole message is a property of the first test that met it.
        told = "\n".join(each.brief for each in failures)
        junit.add_builds(self.config, mine, lambda: self._redactor()(told))

    def _why_uncollected(
        self, item: pytest.Item, call: pytest.CallInfo[None], *, is_told: bool
    ) -> str | None:
        """Why no artifacts are collected for a failure; empty if nobody expects any, else None.

        Args:
            item: The test.
            call: What was called.
            is_told: Whether it is the failure of a lab that was told of before.
        """
        failure = call.excinfo.value if call.excinfo is not None else None
        if is_told:
            return "the lab failed before; the folder of the first test that met it tells why"
        if call.when == "setup" and (first := getattr(failure, COLLECTED_FOR, "")):
            return f"the same failure of a fixture is in the folder of {first}"
        if not asked.uses_lab(item):
            return ""
        if not self._is_of_lab(item, call):
            return (
                "the test asked the lab for nothing until it failed; "
                "they are collected in any case for a test with the fixture lab_nodes"
            )
        return None

    def _is_of_lab(self, item: pytest.Item, call: pytest.CallInfo[None]) -> bool:
        """Whether a failure may have to do with the lab.

        Not if the test, which uses it, asked it for nothing, or lacks a fixture. What testinfra
        does on nodes is not known, so the tests with `lab_nodes` count.
        """
        failure = call.excinfo.value if call.excinfo is not None else None
        if isinstance(failure, pytest.FixtureLookupError):
            return False
        from pytest_kollalab.system import activity

        if isinstance(failure, KollalabError | pytest.fail.Exception) and call.when == "setup":
            return True  # of our own fixtures, whether they asked something or not
        if "lab_nodes" in asked.fixture_names(item):
            return True
        return activity.since(self._began) or bool(workarounds.told(item.user_properties))

    def _make(self, options: configuration.Options) -> Lab:
        from pytest_kollalab.lab.lab import Lab

        make = partial(
            Lab,
            self.settings,
            options,
            run_id=self.processes.run.name,
            say=self.tell,
            mark=self.mark,
            warn=self.say,
            extensions=self.extensions,
            watcher=self.reporter.watcher(self.mark),
            passing=True,
            goal=self._goal or configuration.STAGES[0],
        )
        lab = make(features=self.features)
        asks = self._tests_use_lab and not options.cloud
        more = self._features_to_keep(lab) if asks else ()
        return make(features=(*self.features, *more)) if more else lab

    def _features_to_keep(self, lab: Lab) -> tuple[str, ...]:
        """The features that a lab of `kollalab up` keeps when it is built anew with others."""
        if not lab.is_kept():
            return ()
        there, registry = lab.cloud_features(), self.extensions.registry
        if not set(there) <= set(registry.names()):
            return ()
        if {feature.name for feature in lab.features} <= set(there):
            # It has them all, and serves as it is.
            return ()
        try:
            registry.check_conflicts(dict.fromkeys((*lab.feature_names, *there), ()), lab.backend)
        except ConfigError:
            return ()
        return there

    def _make_failures(self) -> Failures:
        from pytest_kollalab.report.failures import ExternalCloudScene, Failures, LabScene, Scene
        from pytest_kollalab.stages.cloud import external

        lab = self.lab
        given = lab.options.artifacts
        folder = Path(self.config.invocation_params.dir, given).resolve() if given else None
        registry = lab.extensions.registry
        features = registry.resolve(lab.feature_names, lab.config.release, lab.backend)
        commands = lab.extensions.artifacts(features)
        scene: Scene = LabScene(lab.folder, lab.ssh, lambda: lab.provider, commands, features)
        if lab.options.cloud:
            scene = ExternalCloudScene(lambda: external.secrets(lab.options.cloud))
        return Failures(scene, folder)

    def _redactor(self) -> Redactor:
        return self.failures.site.redactor()

    def _finish(self, *, failed: bool) -> None:
        if self.processes.worker:
            self.processes.tell_controller(used=self.used)
            if self._lab is not None:
                self._lab.lease.release()
            return
        if self.used or self.processes.is_used:
            from pytest_kollalab.plugin.late_errors import LateErrors

            self._late = LateErrors()
            self.config.pluginmanager.register(self._late)
            self._leave_labs(failed=failed)
        self.processes.close()
        self.reporter.go_on()

    def _leave_labs(self, *, failed: bool) -> None:
        from pytest_kollalab.plugin.finish import Finish

        self._ignore_warnings()
        self.processes.begin_removal()
        failures = self.processes.failures
        finish = Finish(
            failed=failed or bool(failures),
            failures=failures,
            complete=self.complete,
            folder=self.config.invocation_params.dir,
            say=self.say,
            quiet=self.config.get_verbosity() < 0,
            kept_logs=self.kept_logs,
        )
        for lab in self.labs():
            if not lab.options.cloud and (lab.name == self.options.name or lab.exists()):
                finish.leave(lab)

    def _ignore_warnings(self) -> None:
        """Ignore warnings of libraries that a lab uses, in tests and outside of them."""
        known = self.config.getini("filterwarnings")
        for line in FILTERS:
            if line not in known:
                self.config.addinivalue_line("filterwarnings", line)
        warnings.filterwarnings("ignore", module=SDK)
        warnings.filterwarnings("ignore", DOCKER_WARNING, ResourceWarning)


session_key = pytest.StashKey[LabSession]()


def _in_short(error: BaseException) -> str:
    """The message of an exception; its type comes first unless it is a message by itself."""
    if isinstance(error, KollalabError | pytest.fail.Exception):
        return str(error)
    return f"{type(error).__name__}: {error}"
