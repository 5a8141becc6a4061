"""The choice of a provider: by name, by what made a lab, and whether this host suits it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_kollalab.engine import records
from pytest_kollalab.providers.base import Provider
from pytest_kollalab.settings.config import PROVIDERS, Options
from pytest_kollalab.system.errors import ConfigError, HostError
from pytest_kollalab.system.nearest import nearest
from pytest_kollalab.system.paths import Paths

# Called with options and paths; with `settings` too, where the provider has declared some.
Factory = Callable[..., Provider]


def choose(options: Options, paths: Paths, added: Mapping[str, Factory] | None = None) -> Provider:
    """Return the provider that the options name; `auto` is docker, which needs no KVM.

    `added` are those of others, by name. Raises ConfigError for a provider that is not there.
    """
    others = added or {}
    check(options.provider, others)
    if options.provider in others:
        made = others[options.provider](options, paths)
        if not isinstance(made, Provider):
            raise ConfigError(
                f"the provider {options.provider} is not one",
                details=f"its factory returned {made!r}",
                hint="return an object of a class derived from Provider (providers/base.py)",
            )
        return made
    if options.provider in ("auto", "docker"):
        from pytest_kollalab.providers.docker.host import uri_of
        from pytest_kollalab.providers.docker.provider import DockerProvider

        return DockerProvider(uri_of(options), options.mirror, paths, options.addresses)
    from pytest_kollalab.providers.libvirt.provider import LibvirtProvider

    return LibvirtProvider(options.provider_uri, options.mirror, paths, options.addresses)


def every(options: Options, paths: Paths, added: Mapping[str, Factory]) -> list[Provider]:
    """One provider of each kind: ours, docker's on this host, and those of other packages."""
    from pytest_kollalab.providers.docker.provider import DockerProvider
    from pytest_kollalab.providers.libvirt.host import uri_of
    from pytest_kollalab.providers.libvirt.provider import LibvirtProvider

    ours = [
        DockerProvider("", options.mirror, paths),
        LibvirtProvider(uri_of(options), options.mirror, paths),
    ]
    return [*ours, *(make(options, paths) for make in added.values())]


def of_lab(
    folder: Path, options: Options, paths: Paths, added: Mapping[str, Factory] | None = None
) -> Provider:
    """The provider of the lab with this folder: the one that made it, unless one is asked for."""
    if options.provider == "auto" or (options.hosts and not options.provider_uri):
        # The provider that made a lab also looks at it and removes it.
        record = records.load_if_whole(folder / "nodes.json")
        if record is not None and "provider" in record.inputs:
            return made_by(record.inputs, options, paths, added)
    return choose(options, paths, added)


def made_by(
    inputs: Mapping[str, Any],
    options: Options,
    paths: Paths,
    added: Mapping[str, Factory] | None = None,
) -> Provider:
    """The provider, and the host, that made the nodes with these inputs."""
    uri = str(inputs.get("uri", ""))
    there = replace(options, provider=str(inputs["provider"]), provider_uri=uri)
    return choose(there, paths, added)


def check(name: str, added: Iterable[str] = ()) -> None:
    """Raise ConfigError unless there is one provider of that name, with those added by others."""
    names = [*PROVIDERS, *added]
    if name not in names:
        raise ConfigError(f"provider: {name!r} is not known", hint=nearest(name, names))
    if names.count(name) > 1:
        raise ConfigError(
            f"there are two providers named {name!r}",
            hint="give the one that is not part of this package another name",
        )


def check_host(provider: Provider, cache: Path) -> None:
    """Raise HostError with everything that the host lacks, and how to fix it."""
    from pytest_kollalab.providers.docker import whose

    # Whatever the nodes are, images and registry are this host's.
    problems = list(dict.fromkeys([*provider.problems(), *whose.problems(cache)]))
    if problems:
        raise HostError(
            f"this host cannot run a lab with the provider {provider.name}",
            details="\n".join(problem.what for problem in problems),
            hint="; ".join(dict.fromkeys(problem.fix for problem in problems)),
        )
