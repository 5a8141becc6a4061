"""The settings: Config says what the lab is (hashed), Options how this run behaves (never)."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from pytest_kollalab.releases import releases
from pytest_kollalab.settings.convert import Place, fill
from pytest_kollalab.settings.declare import setting
from pytest_kollalab.system import urls
from pytest_kollalab.system.errors import ConfigError

BackendName = Literal["ovs", "ovn"]
StageName = Literal["tools", "images", "nodes", "cloud"]
STAGES: tuple[str, ...] = get_args(StageName)
PROVIDERS = ("auto", "docker", "libvirt")
# Those whose labs can be spread over several hosts.
ON_HOSTS = ("docker", "libvirt")
FILE = "kollalab.toml"
# Of the block of addresses that a lab takes.
LONGEST_PREFIX = 22
NAME = re.compile(r"[a-z][a-z0-9-]{0,19}")

Table = TypeVar("Table")


@dataclass(frozen=True)
class MachineConfig:
    """The size of a virtual machine."""

    cpus: int = setting(2, "virtual CPUs", least=1)
    memory: int = setting(4096, "memory in MiB", least=1)


@dataclass(frozen=True)
class ControllerConfig(MachineConfig):
    """The size of the virtual machine with the controlling services."""

    memory: int = setting(8192, "memory in MiB", least=1)


@dataclass(frozen=True)
class NodesConfig:
    """The nodes. All but `suite` counts for virtual machines only."""

    suite: str = setting("trixie", "Debian suite of the nodes")
    image: str = setting(
        "", "cloud image by path or URL, instead of a Debian of our own", path=True
    )
    checksum: str = setting("", "SHA-256 of that image")
    disk: int = setting(40, "disk in GiB", least=1)
    controller: ControllerConfig = setting(ControllerConfig(), "size of the controller")
    compute: MachineConfig = setting(MachineConfig(), "size of each other node")


@dataclass(frozen=True)
class ImagesConfig:
    """The Kolla images: built here, or pulled from a registry."""

    mode: Literal["build", "pull"] = setting(
        "build", "build the images here, or pull them from a registry", more="images.md"
    )
    source: str = setting("quay.io/openstack.kolla", "registry and namespace to pull from")
    tag: str = setting("", "tag to pull; default: RELEASE-debian-SUITE")
    overrides: Mapping[str, str] = setting(
        {},
        "folder with a Dockerfile for each image that is built on top of the pulled one",
        path=True,
    )


@dataclass(frozen=True)
class NetworkConfig:
    """The network of the cloud."""

    backend: BackendName = setting(
        "ovs",
        "what implements Neutron's networks: the agents of ML2/OVS (ovs), or OVN (ovn)",
        more="features.md#network-backends",
        option=True,
    )


@dataclass(frozen=True)
class Config:
    """What the lab is. Each setting enters the keys of the stages that depend on it.

    Attributes:
        tables: What the file says in the tables of features and providers, by their names: as it
            was read, or as an object. `table` gives the object.
        file: The file that these tables are from.
    """

    release: str = setting(
        "2026.1",
        "OpenStack release; it pins Kolla, Kolla-Ansible and Ansible",
        metavar="RELEASE",
        known=tuple(releases.RELEASES),
    )
    features: tuple[str, ...] = setting(
        (), "feature of the cloud beside those that the selected tests ask for", metavar="FEATURE"
    )
    stock: bool = setting(False, "deploy what users of Kolla get, without our patches")
    network: NetworkConfig = setting(NetworkConfig(), "the network of the cloud")
    images: ImagesConfig = setting(ImagesConfig(), "the Kolla images", more="images.md")
    nodes: NodesConfig = setting(NodesConfig(), "the nodes")
    globals: Mapping[str, Any] = setting(
        {}, "Kolla-Ansible variables; they win over those of the provider and the features"
    )
    config: Mapping[str, str] = setting(
        {}, "texts of files by their path below Kolla's custom configuration folder"
    )
    tables: Mapping[str, Any] = field(default_factory=dict)
    file: Path | None = None

    def table(self, name: str, kind: type[Table]) -> Table:
        """The settings of a feature or a provider.

        Args:
            name: The name of the feature or provider, and of its table.
            kind: Its class of settings, a dataclass.

        Raises:
            ConfigError: What the file says there is wrong.
        """
        found = self.tables.get(name, {})
        if isinstance(found, kind):
            return found
        folder = self.file.parent if self.file is not None else None
        made: Table = fill(kind, found, Place(str(self.file or FILE), name, folder))
        return made


@dataclass(frozen=True)
class Options:
    """How this run behaves. Nothing here enters a key, except the mirror that images have."""

    name: str = setting("lab", "name of the lab", metavar="NAME", more="saves.md#several-labs")
    provider: str = setting(
        "auto",
        "source of nodes: auto, docker, libvirt, or one that a plugin adds",
        metavar="PROVIDER",
    )
    provider_uri: str = setting(
        "", "URI of libvirt, or context or endpoint of docker, that makes the nodes", metavar="URI"
    )
    keep: Literal["auto", "never", "failed", "always"] = setting(
        "auto",
        "keep the lab after the session: if it was there before (auto), if a test has failed or it "
        "was there before (failed), always, or never",
    )
    golden: Literal["none", "drop", "keep"] = setting(
        "drop",
        "state of the lab right after its deploy: saved not at all (none), until the lab goes "
        "(drop), or for the next lab, which starts from it (keep)",
        more="saves.md#a-golden-state-that-outlives-its-lab",
    )
    golden_registry: str = setting(
        "",
        "where golden states are fetched from and pushed to: a registry and a namespace in it, or "
        "a folder (oci:DIR) or file (oci-archive:FILE) in OCI's image layout",
        metavar="PLACE",
        place=True,
        more="golden.md",
    )
    golden_signers: str = setting(
        "",
        "file of allowed signers (ssh-keygen) of golden states; others are not fetched",
        metavar="FILE",
        path=True,
        more="golden.md#signatures",
    )
    golden_key: str = setting(
        "",
        "private key of SSH that signs golden states that are pushed",
        metavar="FILE",
        path=True,
        more="golden.md#signatures",
    )
    push: Literal["never", "ci", "always"] = setting(
        "never",
        "push the golden state after a healthy deploy: never, in CI only (the environment has CI), "
        "or always",
        more="golden.md",
    )
    labs: int = setting(
        1,
        "number of labs that the workers of pytest-xdist are spread over",
        least=1,
        more="saves.md#several-labs",
    )
    clone_of: str = setting(
        "",
        "lab whose golden state this one is made from",
        metavar="LAB",
        more="saves.md#several-labs",
    )
    hosts: tuple[str, ...] = setting(
        (),
        "URI of libvirt, or context of docker, on which these labs are made in turn",
        metavar="URI",
        more="saves.md#several-labs",
    )
    discard_saved: bool = setting(
        False,
        "remove saved states where a lab is built anew or removed, without asking",
        more="saves.md#saved-states-are-yours",
    )
    fresh: tuple[StageName, ...] = setting(
        (), "build this stage even if it could be reused", metavar="STAGE"
    )
    until: StageName = setting("cloud", "stop after this stage; tests that need more are skipped")
    mirror: str = setting(
        "http://deb.debian.org/debian",
        "Debian mirror for images and nodes; images keep the one that they were built from",
        metavar="URL",
    )
    addresses: tuple[str, ...] = setting(
        (),
        "range that labs take their networks from, such as 10.77.0.0/16, even if a wider route "
        "covers it; default: what is free of the private ranges",
        metavar="CIDR",
    )
    threads: int = setting(0, "number of images that are built at once; 0: Kolla's own", least=0)
    artifacts: str = setting(
        "",
        "folder for what the lab can tell of a failed test",
        metavar="DIR",
        path=True,
        more="artifacts.md",
    )
    cloud: str = setting("", "use this cloud of clouds.yaml, and no lab", metavar="NAME")
    registry_ca: str = setting(
        "",
        "certificate authorities of the registry that images are pulled from",
        metavar="FILE",
        path=True,
    )
    guests: Literal["probe", "server"] = setting(
        "probe", "what service functions are: network namespaces (probe) or Nova servers (server)"
    )
    workarounds: Literal["allow", "report", "forbid"] = setting(
        "report",
        "workarounds for defects of upstream: use them (allow), use and report them (report), or "
        "fail a test that needs one (forbid)",
    )


@dataclass(frozen=True)
class Invocation:
    """What one run of pytest is told beside the settings of the lab."""

    config: str = setting(
        "", f"configuration file; default: {FILE} beside the tests", metavar="FILE", path=True
    )
    plan: bool = setting(False, "print the plan and stop", variable=False)
    destroy: bool = setting(False, "destroy the lab and stop", variable=False)
    replay: tuple[str, ...] = setting(
        (),
        "replay the playbooks of this feature on the lab that is there; it is not built anew",
        metavar="FEATURE",
        variable=False,
        more="extending.md#a-playbook-that-is-being-written",
    )


def check(options: Options) -> Options:
    """Return the options, if they fit together. Raises ConfigError."""
    if options.hosts and options.provider not in ON_HOSTS:
        raise ConfigError(
            "hosts: the provider has to be named that makes labs on them",
            details=f"the provider is {options.provider}",
            hint=f"set provider to one of {', '.join(ON_HOSTS)}, or leave hosts out",
        )
    if not urls.WEB.match(options.mirror):
        raise ConfigError(
            f"mirror: {options.mirror!r} is no URL of a Debian mirror",
            details="apt asks it for packages, in images and nodes",
            hint=f"write it as in {Options.mirror}",
        )
    if urls.login(options.mirror):
        raise ConfigError(
            "mirror: the URL must not have a login",
            details="it would be in all images and nodes, where apt reads it",
            hint="let a proxy or a mirror of your own add the login",
        )
    for each in options.addresses:
        _check_range(each)
    if options.clone_of and options.clone_of == options.name:
        raise ConfigError(
            f"lab {options.name} cannot be its own clone", hint="give it another name"
        )
    for name in lab_names(options):
        if not NAME.fullmatch(name):
            raise ConfigError(
                f"{name!r} cannot be the name of a lab",
                details="it becomes part of host-wide resource names",
                hint="use a lower-case letter, then up to 19 lower-case letters, digits, hyphens",
            )
    return options


def _check_range(text: str) -> None:
    hint = "name a network such as 10.77.0.0/16: IPv4, with a prefix of at most 22"
    try:
        network = IPv4Network(text)
    except ValueError as error:
        raise ConfigError(
            f"addresses: {text!r} is no range", details=str(error), hint=hint
        ) from None
    if network.prefixlen > LONGEST_PREFIX:
        raise ConfigError(
            f"addresses: {text} is too small", details="a lab takes four networks of 256", hint=hint
        )
    if network.is_loopback or network.is_multicast or network.is_link_local:
        raise ConfigError(
            f"addresses: {text} cannot be used",
            details="these addresses have a meaning of their own",
            hint=hint,
        )


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


def options_of(options: Options) -> dict[str, str]:
    """The options with which a verb of the command line means the same lab, where it needs them."""
    told = {}
    if options.name != Options.name:
        told["--name"] = options.name
    if options.provider != Options.provider:
        told["--provider"] = options.provider
    return told


def first_lab(options: Options) -> Options:
    """The options of the lab that a clone is made from, or that stands in for it."""
    named = dataclasses.replace(options, name=options.clone_of, clone_of="")
    return of_lab(named, 0)
