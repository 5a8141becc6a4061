"""Checks of what a lab is asked to be, before anything is built."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_kollalab.engine.engine import BUILD, Engine, Step
from pytest_kollalab.extensions.extensions import Extensions
from pytest_kollalab.features.backend import OVN, NetworkBackend
from pytest_kollalab.features.base import Feature
from pytest_kollalab.lab import kept
from pytest_kollalab.settings.config import FILE, Config, ImagesConfig, NodesConfig, Options
from pytest_kollalab.system.errors import ConfigError, HostError
from pytest_kollalab.system.nearest import nearest

if TYPE_CHECKING:
    from pytest_kollalab.providers.base import Provider


def check_features(
    features: Sequence[Feature], extensions: Extensions, backend: NetworkBackend, release: str
) -> None:
    """Raise ConfigError when features cannot be in one lab, or ask for unknown nodes."""
    from pytest_kollalab.features.base import nodes as own_nodes
    from pytest_kollalab.providers.base import NODES
    from pytest_kollalab.stages.cloud import catalogue, health, inventory, own_playbooks

    extensions.registry.check_conflicts({each.name: () for each in features}, backend)
    nodes = (*NODES, *own_nodes(features))
    health.check_groups(features, nodes)
    if any(feature.playbooks for feature in features):
        groups = {*catalogue.of_release(release).groups, *inventory.groups(nodes)}
        own_playbooks.check(features, {*groups, *nodes})


def check_variables(
    config: Config, features: Sequence[Feature], extensions: Extensions, backend: NetworkBackend
) -> None:
    """Raise ConfigError for a variable that is unknown or fixed, or switches what is not there."""
    from pytest_kollalab.stages.cloud import assumed, catalogue, services, variables

    source = f"{config.file or FILE}: globals"
    hooks = {f"hook of {each.name}": each.globals for each in extensions.layers}
    assumed.check([*hooks.items(), (source, config.globals)], backend)
    switched = dict(item for layer in (*hooks.values(), config.globals) for item in layer.items())
    if not switched:
        return
    known = catalogue.of_release(config.release)
    # Features may define variables for their own playbooks.
    own = {name for feature in (*features, *extensions.layers) for name in feature.globals}
    variables.check((n for n in config.globals if n not in own), known, config.release)
    registry = extensions.registry
    offered = registry.resolve(registry.names(), config.release, backend)
    services.check(switched, known, features, offered)


def check_stock(config: Config, backend: NetworkBackend, provider: Provider) -> None:
    """Raise ConfigError for a stock deploy of OVN on nodes whose switch is in user space."""
    from pytest_kollalab.stages.cloud import kolla_variables as kolla

    if not config.stock or backend != OVN:
        return
    if kolla.is_userspace({**provider.globals(), **config.globals}):
        raise ConfigError(
            f"a stock deploy cannot have the network backend {backend.name} on nodes whose Open "
            "vSwitch forwards in user space",
            details="Kolla-Ansible makes OVN's bridge for the kernel's datapath; the patch that "
            "changes this is left out of a stock deploy",
            hint="leave out `stock`, or make the nodes with the provider libvirt",
        )


def check_settings(config: Config) -> None:
    """Raise ConfigError for settings without effect, and for a suite that cannot be used."""
    from pytest_kollalab.stages.cloud import catalogue

    where, default = config.file or FILE, ImagesConfig()
    for name in ("source", "tag", "overrides"):
        if config.images.mode == "build" and getattr(config.images, name) != getattr(default, name):
            raise ConfigError(
                f"{where}: images.{name} does not count, because images are built here",
                details='images.mode is "build"',
                hint='set images.mode = "pull", or take it out',
            )
    if config.nodes.suite != NodesConfig.suite:
        suites = catalogue.of_release(config.release).suites
        if config.nodes.suite not in suites:
            raise ConfigError(
                f"{where}: nodes.suite: nodes cannot be of the Debian suite {config.nodes.suite!r}",
                details=f"Kolla-Ansible of {config.release} runs on {' and '.join(suites)}",
                hint=nearest(config.nodes.suite, suites),
            )


def check_golden(options: Options) -> None:
    """Raise ConfigError when no place can be named as `golden_registry` is, or none is named."""
    from pytest_kollalab.stages.golden import place_at

    place_at.check(options.golden_registry)
    if options.push != "never" and not options.golden_registry:
        raise ConfigError(
            f'push is "{options.push}", and no golden_registry says where to',
            hint="set golden_registry under [run] in kollalab.toml",
        )


def check_clone(options: Options, state: Path) -> None:
    """Raise ConfigError when the lab that is to be cloned does not exist.

    In a session with several labs, the first one is built if it does not exist yet.
    """
    if not options.clone_of or options.labs > 1 or options.clone_of in (there := kept.names(state)):
        return
    raise ConfigError(
        f"there is no lab {options.clone_of} to clone",
        details=f"lab {options.name} would be made from its golden state",
        hint=nearest(options.clone_of, there) if there else "build it first, or leave clone_of out",
    )


def check_sources(engine: Engine, steps: Sequence[Step]) -> None:
    """Ask for what the stages that are built are built from, such as the Debian mirror.

    Raises:
        StageError: It cannot be had.
    """
    for step in steps:
        if step.action == BUILD:
            # Without docker nobody knows what is there already.
            with suppress(HostError):
                engine.stages[step.stage].check_sources()


def ineffective(config: Config, provider: str) -> Iterator[str]:
    """A line for each setting without effect that another provider would heed."""
    sized = NodesConfig(suite=config.nodes.suite)
    if provider == "docker" and config.nodes != sized:
        yield "of [nodes] only suite counts here: the rest is for virtual machines"
