"""The configuration: Config says what the lab is (hashed), Options how this run behaves (never)."""

from __future__ import annotations

import dataclasses
import re
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pytest_kollalab.system.errors import ConfigError
from pytest_kollalab.system.nearest import nearest

STAGES = ("tools", "images", "nodes", "cloud")
PROVIDERS = ("auto", "docker", "libvirt")
# Those whose labs can be spread over several hosts.
ON_HOSTS = ("docker", "libvirt")
KEEP = ("never", "failed", "always")
GOLDEN = ("none", "drop", "keep")
IMAGE_MODES = ("build", "pull")
WORKAROUNDS = ("allow", "report", "forbid")
FILE = "kollalab.toml"
# What TOML calls a value of these kinds.
WANTED = {
    str: "string",
    int: "whole number",
    float: "number with a point",
    bool: "boolean",
    tuple: "list of strings",
    list: "list",
    dict: "table",
}
SHA256 = re.compile(r"[0-9a-fA-F]{64}")
NAME = re.compile(r"[a-z][a-z0-9-]{0,19}")


@dataclass(frozen=True)
class MachineConfig:
    """How big a virtual machine is; `memory` in MiB."""

    cpus: int = 2
    memory: int = 4096


@dataclass(frozen=True)
class ControllerConfig(MachineConfig):
    """How big the machine with the controlling services is; `memory` in MiB."""

    memory: int = 8192


@dataclass(frozen=True)
class NodesConfig:
    """What the two nodes are.

    All but `suite` counts for virtual machines only. `image` is the path or the URL of a cloud
    image to use instead of a Debian of our own; `checksum` is its SHA-256. `disk` is in GiB.
    """

    suite: str = "trixie"
    image: str = ""
    checksum: str = ""
    disk: int = 40
    controller: ControllerConfig = field(default_factory=ControllerConfig)
    compute: MachineConfig = field(default_factory=MachineConfig)


@dataclass(frozen=True)
class ImagesConfig:
    """What the Kolla images are: built here, or pulled from a registry.

    With mode `pull`, `source` is a registry and a namespace in it, `tag` the tag there (default:
    the upstream one of the release). `overrides` maps an image to a folder with a Dockerfile that
    is built on top of the pulled one; a relative folder counts from the configuration file.
    """

    mode: str = "build"
    source: str = "quay.io/openstack.kolla"
    tag: str = ""
    overrides: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SkydiveConfig:
    """Where Skydive's binary comes from: built here, or brought.

    `binary` is a file or an address (a relative file counts from the configuration file) of a
    binary for Debian's release of the images, and `sha256` its checksum. Without one it is built
    from Go modules.
    """

    binary: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class Config:
    """What the lab is. Every field enters the keys of the stages that depend on it.

    `features` are deployed in addition to those that the selected tests ask for. `globals` are
    Kolla-Ansible variables and `config` maps a path below Kolla's custom configuration folder to
    a file's text; both win over what the provider and the features say. With `stock` the lab is
    what users of Kolla get, without our patches; it enters keys only when it is true.
    """

    release: str = "2026.1"
    features: tuple[str, ...] = ()
    stock: bool = False
    images: ImagesConfig = field(default_factory=ImagesConfig)
    nodes: NodesConfig = field(default_factory=NodesConfig)
    skydive: SkydiveConfig = field(default_factory=SkydiveConfig)
    globals: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Options:
    """How this run behaves. Nothing here enters a key.

    `mirror` is the Debian mirror that images and nodes are made from; `threads` is how many Kolla
    images are built at once (0: as many as Kolla does). `artifacts` is the folder for what is
    collected when a test fails; a relative one counts from where pytest was started. `cloud` is the
    name of an existing cloud that is used instead of a lab. `registry_ca` is a file with the
    certificate authorities of the registry that images are pulled from. `provider_uri` says which
    libvirt (default: qemu:///system) or docker (a context or an endpoint; default: the
    environment's) makes the nodes.
    `golden` says what becomes of a lab's state right after
    its deploy: none is saved, it goes with the lab, or (keep) the next lab starts from it.
    `labs` is how many labs the workers of pytest-xdist have between them, `clone_of` the lab whose
    golden state this one is made from. `hosts` are URIs of libvirt, or contexts of
    docker, on which these labs are made in turn.
    `workarounds` says what happens when a test cannot pass without a workaround for a defect of
    upstream: it is used, it is used and reported (report), or the test fails (forbid).
    """

    name: str = "lab"
    provider: str = "auto"
    provider_uri: str = ""
    keep: str = "never"
    golden: str = "drop"
    labs: int = 1
    clone_of: str = ""
    hosts: tuple[str, ...] = ()
    fresh: tuple[str, ...] = ()
    until: str = "cloud"
    mirror: str = "http://deb.debian.org/debian"
    threads: int = 0
    artifacts: str = ""
    cloud: str = ""
    registry_ca: str = ""
    workarounds: Literal["allow", "report", "forbid"] = "report"


def read(path: Path | None) -> tuple[Config, dict[str, Any]]:
    """Read a `kollalab.toml`: the Config, and what its `[run]` table says of the Options.

    Without a path the packaged defaults are the whole configuration. Raises ConfigError with
    the nearest known key for a key that nobody knows, and for broken TOML.
    """
    if path is None:
        return Config(), {}
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(
            f"there is no configuration file {path}", hint="check --kollalab-config"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} is not valid TOML", details=str(error), hint="mend the line that it names"
        ) from error
    run = table.pop("run", {})
    if not isinstance(run, dict):
        raise ConfigError(f"{path}: run must be a table", hint="write it as [run]")
    config = _fill(Config, table, str(path), "")
    known = [f.name for f in dataclasses.fields(Options)]
    for key in run:
        _check_known(key, known, str(path), "run.")
    _fill(Options, run, str(path), "run.")
    _check_choice(f"{path}: images.mode", config.images.mode, IMAGE_MODES)
    if config.skydive.binary and not SHA256.fullmatch(config.skydive.sha256):
        raise ConfigError(
            f"{path}: skydive.binary needs skydive.sha256",
            details=f"it is {config.skydive.sha256!r}",
            hint="write the 64 digits that `sha256sum` prints for the file",
        )
    if run.get("registry_ca"):
        run["registry_ca"] = str(path.parent.resolve() / run["registry_ca"])
    return _with_folders(config, path.parent.resolve()), run


def options(*layers: Mapping[str, Any]) -> Options:
    """Make Options from layers, later ones win; a value of None says nothing.

    Raises ConfigError for a value that is not one of those allowed.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        merged.update({key: value for key, value in layer.items() if value is not None})
    made: Options = _fill(Options, merged, "options", "")
    _check_choice("keep", made.keep, KEEP)
    _check_choice("golden", made.golden, GOLDEN)
    _check_choice("until", made.until, STAGES)
    _check_choice("workarounds", made.workarounds, WORKAROUNDS)
    for stage in made.fresh:
        _check_choice("fresh", stage, STAGES)
    if made.labs < 1:
        raise ConfigError(f"labs: {made.labs} is not possible", hint="1, or more")
    if made.hosts and made.provider not in ON_HOSTS:
        raise ConfigError(
            "hosts: the provider has to be named that makes labs on them",
            details=f"the provider is {made.provider}",
            hint=f"set provider to one of {', '.join(ON_HOSTS)}, or leave hosts out",
        )
    if made.clone_of and made.clone_of == made.name:
        raise ConfigError(f"lab {made.name} cannot be its own clone", hint="give it another name")
    for name in lab_names(made):
        if not NAME.fullmatch(name):
            raise ConfigError(
                f"{name!r} cannot be the name of a lab",
                details="it becomes part of host-wide resource names",
                hint="use a lower-case letter, then up to 19 lower-case letters, digits, hyphens",
            )
    return made


def whole_number(name: str, text: str | int) -> int:
    """The number that an option says, from wherever it comes. Raises ConfigError."""
    try:
        return int(text)
    except ValueError:
        raise ConfigError(f"{name}: {text!r} is no whole number", hint="write one") from None


def lab_names(options: Options) -> tuple[str, ...]:
    """The labs of a session: the one that is named, and those that are cloned from it."""
    more = range(2, options.labs + 1)
    return (options.name, *(f"{options.name}-{number}" for number in more))


def uris(options: Options) -> tuple[str, ...]:
    """Where the labs of a session are made, in turn."""
    return options.hosts or (options.provider_uri,)


def of_lab(options: Options, number: int) -> Options:
    """The options of one of these labs, counted from 0."""
    places = uris(options)
    options = dataclasses.replace(options, provider_uri=places[number % len(places)])
    name = lab_names(options)[number]
    return dataclasses.replace(options, name=name, clone_of=options.name) if number else options


def first_lab(options: Options) -> Options:
    """The options of the lab that a clone is made from, or that stands in for it."""
    named = dataclasses.replace(options, name=options.clone_of, clone_of="")
    return of_lab(named, 0)


def _with_folders(config: Config, folder: Path) -> Config:
    """The same with folders that count from the configuration file as full paths."""
    overrides = {name: str(folder / path) for name, path in config.images.overrides.items()}
    images = dataclasses.replace(config.images, overrides=overrides)
    nodes, skydive = config.nodes, config.skydive
    if nodes.image and "://" not in nodes.image:
        nodes = dataclasses.replace(nodes, image=str(folder / nodes.image))
    if skydive.binary and "://" not in skydive.binary:
        skydive = dataclasses.replace(skydive, binary=str(folder / skydive.binary))
    return dataclasses.replace(config, images=images, nodes=nodes, skydive=skydive)


def _check_choice(what: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"{what}: {value!r} is not known", hint=nearest(value, known))


def _check_known(key: str, known: list[str], where: str, prefix: str) -> None:
    if key not in known:
        raise ConfigError(f"{where}: unknown key {prefix}{key}", hint=nearest(key, known))


def _fill(kind: type[Any], table: Mapping[str, Any], where: str, prefix: str) -> Any:
    hints = typing.get_type_hints(kind)
    known = [f.name for f in dataclasses.fields(kind)]
    values: dict[str, Any] = {}
    for key, value in table.items():
        _check_known(key, known, where, prefix)
        values[key] = _convert(hints[key], value, where, f"{prefix}{key}")
    return kind(**values)


def _convert(hint: Any, value: Any, where: str, name: str) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return _fill(typing.cast("type[Any]", hint), value, where, f"{name}.")
    origin = typing.get_origin(hint)
    if origin is Literal:
        hint, origin = str, None
    if origin is tuple and isinstance(value, list | tuple):
        if all(isinstance(item, str) for item in value):
            return tuple(value)
    elif origin is not None and origin is not types.UnionType and isinstance(value, Mapping):
        for key, item in value.items():
            if typing.get_args(hint)[1] is str and not isinstance(item, str):
                _convert(str, item, where, f"{name}.{key}")
        return dict(value)
    elif hint in (str, int, bool) and type(value) is hint:
        return value
    wanted = WANTED.get(origin or hint, "table")
    raise ConfigError(
        f"{where}: {name} has the wrong type",
        details=f"it is {value!r}, a {WANTED.get(type(value), type(value).__name__)}",
        hint=f"write a {wanted}",
    )
