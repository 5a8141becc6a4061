"""Extensions: what plugins add to labs through the hooks, as plain data."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pluggy

from pytest_kollalab.engine.made import Made
from pytest_kollalab.extensions import entry_points, hookspecs
from pytest_kollalab.features import image_folders
from pytest_kollalab.features.base import Feature
from pytest_kollalab.features.registry import FeatureRegistry, kolla_images
from pytest_kollalab.settings.config import Config
from pytest_kollalab.settings.declare import settings as core_settings
from pytest_kollalab.settings.read import RUN, keyed
from pytest_kollalab.system.errors import ConfigError

if TYPE_CHECKING:
    from pytest_kollalab.features.image_folders import Folder, Given
    from pytest_kollalab.providers.choice import Factory

# The project's name in pluggy. It lets implementations use pytest.hookimpl.
PROJECT = "pytest"
PREFIX = "pytest_kollalab_"

Watch = Callable[[str, str, str, Made], None]


def _nobody(lab: str, stage: str, action: str, made: Made) -> None:
    pass


@dataclass(frozen=True)
class Extension:
    """What one plugin adds. The other attributes are the results of the hooks of these names.

    Attributes:
        source: The name of the plugin, for people.
        place: The folder of the plugin's module, or the module's file if it is in no package.
    """

    source: str
    place: Path | None = None
    providers: Mapping[str, Factory] = field(default_factory=dict)
    features: tuple[Feature, ...] = ()
    globals: Mapping[str, Any] = field(default_factory=dict)
    images: tuple[Path, ...] = ()
    artifacts: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, type[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Extensions:
    """All extensions of a session.

    Attributes:
        given: The extensions.
        watch: Called with lab, stage, action and result when a stage is ready.
    """

    given: tuple[Extension, ...] = ()
    watch: Watch = _nobody

    @cached_property
    def registry(self) -> FeatureRegistry:
        """All features that tests can request.

        Raises:
            ConfigError: Two features have the same name.
        """
        registry = FeatureRegistry()
        for extension in self.given:
            for feature in extension.features:
                registry.add(feature)
        return registry

    @cached_property
    def providers(self) -> Mapping[str, Factory]:
        """The added providers, by name.

        Raises:
            ConfigError: Two providers have the same name.
        """
        found: dict[str, Factory] = {}
        for extension in self.given:
            for name, factory in extension.providers.items():
                if name in found:
                    raise ConfigError(
                        f"there are two providers named {name!r}",
                        hint=f"leave out {extension.source}, or the other one",
                    )
                found[name] = factory
        return found

    @cached_property
    def tables(self) -> Mapping[str, type[Any]]:
        """The settings classes of features and providers, by the names of their tables.

        Raises:
            ConfigError: Two tables have the same name, or a class is not a dataclass.
        """
        features = map(self.registry.get, self.registry.names())
        found = [(each.name, each.settings) for each in features if each.settings is not None]
        found += [item for extension in self.given for item in extension.settings.items()]
        taken = {RUN, *core_settings(Config)}
        for name, kind in found:
            if name in taken:
                raise ConfigError(
                    f"there are two tables named [{name}]",
                    hint="give the feature or the provider that a plugin adds another name",
                )
            if not is_dataclass(kind):
                raise ConfigError(
                    f"the settings of {name} are no dataclass", hint=f"it is {kind!r}"
                )
            taken.add(name)
        return dict(found)

    def providers_for(self, config: Config) -> Mapping[str, Factory]:
        """The added providers with their settings from the configuration, by name."""
        declared = {name: each for given in self.given for name, each in given.settings.items()}
        return {
            name: partial(factory, settings=config.table(name, declared[name]))
            if name in declared
            else factory
            for name, factory in self.providers.items()
        }

    def keyed(self, config: Config, provider: str) -> dict[str, Any]:
        """The settings of an added provider that enter the key of the nodes."""
        for given in self.given:
            if provider in given.settings:
                return keyed(config.table(provider, given.settings[provider]))
        return {}

    @property
    def layers(self) -> tuple[Feature, ...]:
        """The globals of each extension as a feature, so that they can be merged like features."""
        return tuple(Feature(each.source, globals=each.globals) for each in self.given)

    def artifacts(self, features: Iterable[Feature]) -> dict[str, str]:
        """The commands to run on each node when a test has failed, by the name of the output file.

        Later extensions replace commands of the same name.
        """
        found: dict[str, str] = {}
        for feature in features:
            found.update(feature.artifacts)
        for extension in self.given:
            found.update(extension.artifacts)
        return found

    def fixtures(self) -> dict[str, list[tuple[str, Path]]]:
        """The features that fixtures request, by the name of the fixture.

        Each feature comes with the folder or file in which the fixture must be defined. Another
        project's fixture of the same name requests nothing.
        """
        found: dict[str, list[tuple[str, Path]]] = {}
        for each in self.given:
            if each.place is None:
                continue
            for feature in each.features:
                for name in feature.fixtures:
                    found.setdefault(name, []).append((feature.name, each.place))
        return found

    def folders(self, features: Iterable[Feature], config: Config) -> tuple[Folder, ...]:
        """The added image folders of a lab with these features.

        Raises:
            ConfigError: A folder is not valid, or two of them have an image of the same name.
        """
        paths: dict[Path, list[Given]] = {path: [] for each in self.given for path in each.images}
        for feature in features:
            for path in feature.images_from:
                files = feature.given(config) if feature.given else ()
                paths.setdefault(path, []).extend(files)
        found = tuple(image_folders.read(path, files) for path, files in paths.items())
        if found:
            image_folders.check_apart(found, kolla_images(config.release))
        return found

    def describe(self, features: Iterable[Feature]) -> list[str]:
        """A line for everything that extensions add to a lab with these features."""
        there = {feature.name for feature in features}
        return [
            f"{what}, from {extension.source}"
            for extension in self.given
            for what in _described(extension, there)
        ]


NOTHING = Extensions()


class Hooks(pluggy.PluginManager):
    """A plugin manager for the hooks that works without pytest.

    As in pytest, a function implements a hook if it has the hook's name.
    """

    def __init__(self) -> None:
        super().__init__(PROJECT)
        self.add_hookspecs(hookspecs)

    def parse_hookimpl_opts(self, plugin: object, name: str) -> pluggy.HookimplOpts | None:
        """The options of an implementation, which need not be marked."""
        if not name.startswith(PREFIX):
            return None
        unmarked = pluggy.HookimplOpts(
            wrapper=False,
            hookwrapper=False,
            optionalhook=False,
            tryfirst=False,
            trylast=False,
            specname=None,
        )
        return super().parse_hookimpl_opts(plugin, name) or unmarked

    def parse_hookspec_opts(self, module_or_class: object, name: str) -> pluggy.HookspecOpts | None:
        """The options of a hook, the same for all hooks."""
        if not name.startswith(PREFIX):
            return None
        return pluggy.HookspecOpts(
            firstresult=False, historic=False, warn_on_impl=None, warn_on_impl_args=None
        )


def gather(
    manager: pluggy.PluginManager, release: str, name: Callable[[str], str] = str
) -> Extensions:
    """Call the hooks of all plugins and collect the results.

    Args:
        manager: The plugin manager.
        release: The OpenStack release of the lab.
        name: Turns the name of a plugin into one for people.

    Raises:
        ConfigError: A hook returned a value of the wrong type.
    """
    asked = [getattr(manager.hook, hook) for hook in hookspecs.NAMES]
    plugins = {impl.plugin_name: impl.plugin for hook in asked for impl in hook.get_hookimpls()}
    given = []
    for plugin_name, plugin in plugins.items():
        others = [other for other_name, other in plugins.items() if other_name != plugin_name]

        def ask(what: str, others: Sequence[Any] = others, **arguments: Any) -> list[Any]:
            caller = manager.subset_hook_caller(f"{PREFIX}{what}", others)
            return list(caller(**arguments))

        place = _place(plugin)
        source = name(plugin_name.removeprefix(entry_points.PREFIX))
        given.append(replace(_extension(source, ask, release), place=place))

    def watch(lab: str, stage: str, action: str, made: Made) -> None:
        manager.hook.pytest_kollalab_stage_done(lab=lab, stage=stage, action=action, made=made)

    return Extensions(tuple(sorted(given, key=lambda extension: extension.source)), watch)


def installed(release: str) -> Extensions:
    """The extensions of installed packages with entry points in the group `kollalab`."""
    hooks = Hooks()
    entry_points.load(hooks)
    return gather(hooks, release)


def _place(plugin: object) -> Path | None:
    module = plugin if isinstance(plugin, ModuleType) else sys.modules.get(type(plugin).__module__)
    file = getattr(module, "__file__", None)
    if module is None or file is None:
        return None
    path = Path(file)
    # A conftest applies to its folder, even if that is not a package.
    return path.parent if module.__package__ or path.name == "conftest.py" else path


def _extension(source: str, ask: Callable[..., list[Any]], release: str) -> Extension:
    def mapping(what: str, of: type[Any] = object, **arguments: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for answer in ask(what, **arguments):
            if not isinstance(answer, Mapping):
                raise _wrong(source, what, answer, "a mapping")
            for name, value in answer.items():
                if not (isinstance(name, str) and isinstance(value, of)):
                    raise _wrong(source, what, {name: value}, f"a {of.__name__} for each name")
            found.update(answer)
        return found

    def listed(what: str, kind: type[Any], **arguments: Any) -> tuple[Any, ...]:
        found: list[Any] = []
        for answer in ask(what, **arguments):
            items = [answer] if isinstance(answer, kind) else answer
            if isinstance(answer, str) or not isinstance(items, Iterable):
                raise _wrong(source, what, answer, f"{kind.__name__} objects")
            for item in items:
                if not isinstance(item, kind):
                    raise _wrong(source, what, item, f"{kind.__name__} objects")
                found.append(item)
        return tuple(found)

    return Extension(
        source,
        providers=mapping("providers"),
        features=listed("features", Feature),
        globals=mapping("globals", release=release),
        images=listed("images", Path, release=release),
        artifacts=mapping("artifacts", str),
        settings=mapping("settings", type),
    )


def _wrong(source: str, what: str, answer: object, wanted: str) -> ConfigError:
    return ConfigError(
        f"the hook {PREFIX}{what} of {source} returned a value of the wrong type",
        details=f"{answer!r}, a {type(answer).__name__}",
        hint=f"return {wanted}",
    )


def _described(extension: Extension, there: set[str]) -> Iterator[str]:
    for name in sorted(extension.providers):
        yield f"provider {name}"
    for feature in extension.features:
        if feature.name in there:
            parts = [f"image {name}" for path in feature.images_from for name in _names(path)]
            parts += [f"playbook {path.name}" for path in feature.playbooks]
            parts += [f"variable {name}" for name in sorted(feature.globals)]
            parts += [f"file {name}" for name in sorted(feature.config)]
            parts += [f"health check: {check.what}" for check in feature.health]
            yield f"feature {feature.name}" + (f" ({', '.join(parts)})" if parts else "")
    for name, value in sorted(extension.globals.items()):
        yield f"variable {name} = {value!r}"
    for path in extension.images:
        yield from (f"image {name}" for name in _names(path))
    for name in sorted(extension.artifacts):
        yield f"artifact {name}"


def _names(path: Path) -> tuple[str, ...]:
    return image_folders.read(path).names
