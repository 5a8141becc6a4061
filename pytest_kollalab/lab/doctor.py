"""Checks whether the host has what a lab needs, and names commands that fix problems."""

from __future__ import annotations

import os
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pytest_kollalab.providers import addresses, capabilities
from pytest_kollalab.providers.docker import host as docker_host
from pytest_kollalab.providers.docker import layers, whose
from pytest_kollalab.providers.docker.host import MEMORY
from pytest_kollalab.providers.libvirt import host as libvirt_host
from pytest_kollalab.providers.libvirt import probe
from pytest_kollalab.providers.libvirt.host import LibvirtHost
from pytest_kollalab.providers.libvirt.provider import EMULATED
from pytest_kollalab.providers.libvirt.storage import Storage
from pytest_kollalab.releases import releases
from pytest_kollalab.settings.config import Config, Options, uris
from pytest_kollalab.stages import room, tools_python
from pytest_kollalab.stages.cloud import known
from pytest_kollalab.system import daemon, files
from pytest_kollalab.system.errors import HostError, KollalabError, if_writable
from pytest_kollalab.system.paths import Paths

CORES = 2
PYTHON = (3, 11)
NET_TIMEOUT = 5.0
DOCKER_TIMEOUT = 20

# The package of each program by family of distributions, if the names differ.
PACKAGES: dict[str, dict[str, str]] = {
    "docker": {"debian": "docker.io", "fedora": "moby-engine", "suse": "docker", "arch": "docker"},
    "ssh": {"debian": "openssh-client", "fedora": "openssh-clients", "suse": "openssh-clients",
            "arch": "openssh"},
    "ip": {"debian": "iproute2", "fedora": "iproute", "suse": "iproute2", "arch": "iproute2"},
    "qemu-img": {"debian": "qemu-utils", "fedora": "qemu-img", "suse": "qemu-tools",
                 "arch": "qemu-img"},
    "virsh": {"debian": "libvirt-clients", "fedora": "libvirt-client", "suse": "libvirt-client",
              "arch": "libvirt"},
    # The keys come with it as a recommended package only.
    "mmdebstrap": {"debian": "mmdebstrap debian-archive-keyring"},
    "xorriso": {"arch": "libisoburn"},
    "busybox": {"debian": "busybox-static", "suse": "busybox-static"},
}  # fmt: skip
LEAN = "--no-install-recommends"
INSTALL = {
    "debian": f"apt-get install {LEAN}",
    "fedora": "dnf install",
    "suse": "zypper install",
    "arch": "pacman -S --needed",
}
# The required programs and what they are needed for.
PROGRAMS = {
    "docker": "images are copied with it",
    "mmdebstrap": "it makes the base of images and nodes",
    "ssh": "it reaches the nodes",
    "ip": "it finds free addresses",
    "git": "kolla-build asks it for its version",
    "patch": "Kolla-Ansible is patched with it",
}
# What it means that a host does not give a capability to nodes.
MEANS = {"SYS_RESOURCE": "labs work; services get no higher limits, of open files for example"}
FOR_SERVERS = ("busybox", "cpio", "xorriso")
FOR_LIBVIRT = ("virsh", "qemu-img", "xorriso")


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        what: What was checked.
        status: `ok`, `note` (a lab works without it) or `problem`.
        found: What was found.
        fix: The command that fixes the problem.
    """

    what: str
    status: str
    found: str
    fix: str = ""


def examine(config: Config, options: Options, paths: Paths) -> list[Finding]:
    """Run all checks at the same time, without changing anything."""
    checks: list[Callable[[], Iterator[Finding]]] = [
        _python,
        lambda: _tools_python(config),
        _cores,
        _programs,
        lambda: _docker(paths),
        lambda: _docker_elsewhere(options),
        _kernel,
        lambda: _addresses(options),
        lambda: _folders(paths),
        lambda: _mirror(options.mirror, config.nodes.suite),
        lambda: _machines(options, paths),
        lambda: _shortcuts(config),
        lambda: _layers(config),
    ]
    with ThreadPoolExecutor(len(checks)) as pool:
        return [finding for found in pool.map(_found, checks) for finding in found]


def _found(check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """What a check finds. A folder that it cannot write to is the finding of another check."""
    findings: list[Finding] = []
    with if_writable():
        findings.extend(check())
    return findings


def is_fit(findings: list[Finding]) -> bool:
    """Whether a lab can run here."""
    return not any(finding.status == "problem" for finding in findings)


def family(os_release: str) -> str:
    """The family of the distribution with this /etc/os-release, or an empty string if unknown."""
    table = dict(line.split("=", 1) for line in os_release.splitlines() if "=" in line)
    words = f"{table.get('ID', '')} {table.get('ID_LIKE', '')}".replace('"', "").split()
    for name, members in {
        "debian": {"debian", "ubuntu"},
        "fedora": {"fedora", "rhel", "centos"},
        "suse": {"suse", "opensuse", "sles"},
        "arch": {"arch"},
    }.items():
        if any(word in members or word.split("-")[0] in members for word in words):
            return name
    return ""


def install(program: str, system: str) -> str:
    """The command that installs a program on a family of distributions."""
    package = PACKAGES.get(program, {}).get(system, program)
    if system not in INSTALL:
        return f"install {program} with your package manager"
    command = INSTALL[system]
    if program == "docker" and system == "debian":
        # Debian 13 has the command in a package of its own, which the daemon's recommends.
        command = command.replace(LEAN, "--install-recommends")
        package = "docker-cli" if shutil.which("dockerd") else package
    return f"{_sudo()}{command} {package}"


def memory_finding(total: int, what: str = "memory") -> Finding:
    """Check whether this many bytes of memory are enough."""
    found = f"{total / room.GIB:.1f} GiB"
    if total < MEMORY:
        return Finding(
            what, "problem", f"{found}, a lab needs {MEMORY / room.GIB:.0f}", "use a larger host"
        )
    return Finding(what, "ok", found)


def on_hosts(options: Options) -> list[Options]:
    """The options of a lab for each of the hosts that they name."""
    return [replace(options, provider_uri=uri) for uri in dict.fromkeys(uris(options))]


def room_finding(what: str, folder: Path, need: int, fix: str) -> Finding:
    """Check whether `need` bytes are free for a folder that may not exist yet."""
    free = shutil.disk_usage(files.existing(folder)).free
    found = f"{free / room.GIB:.0f} GiB free for {folder}"
    if free < need:
        return Finding(what, "problem", f"{found}, {need / room.GIB:.0f} are needed", fix)
    return Finding(what, "ok", found)


def _sudo() -> str:
    if os.geteuid() == 0:
        return ""
    return "sudo " if shutil.which("sudo") else "as root: "


def _system() -> str:
    path = Path("/etc/os-release")
    return family(path.read_text(encoding="utf-8")) if path.is_file() else ""


def _python() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    good = sys.version_info >= PYTHON
    wanted = ".".join(map(str, PYTHON))
    yield Finding(
        "Python", "ok" if good else "problem", version, "" if good else f"install Python {wanted}"
    )


def _tools_python(config: Config) -> Iterator[Finding]:
    """Say which Python the tools run with if it is not that of this process."""
    if why := tools_python.reason(releases.get(config.release)):
        yield Finding("Python of the tools", "ok", why)


def _cores() -> Iterator[Finding]:
    count = len(os.sched_getaffinity(0))
    if count < CORES:
        yield Finding("cores", "note", f"{count}: builds will be slow", "use a host with more")
    else:
        yield Finding("cores", "ok", str(count))


def _programs() -> Iterator[Finding]:
    system = _system()
    for program, reason in PROGRAMS.items():
        path = shutil.which(program)
        if path is None:
            yield Finding(program, "problem", f"not installed; {reason}", install(program, system))
        else:
            yield Finding(program, "ok", path)
    missing = [name for name in FOR_SERVERS if shutil.which(name) is None]
    for program in missing:
        yield Finding(
            program, "note", "not installed; it makes the servers' image", install(program, system)
        )


def _docker(paths: Paths) -> Iterator[Finding]:
    try:
        which = daemon.resolve()
        client = which.client(DOCKER_TIMEOUT)
        info: dict[str, Any] = client.info()
    except KollalabError as error:
        start = "systemctl start docker" if Path("/run/systemd/system").is_dir() else "dockerd &"
        fix = error.hint
        if "Permission denied" in error.details:
            fix = f"{_sudo()}usermod --append --groups docker $(id --user --name), then log in anew"
        elif isinstance(error, HostError) and which.named == daemon.DEFAULT:
            fix = f"{_sudo()}{start}" if shutil.which("dockerd") else install("docker", _system())
        yield Finding("docker daemon", "problem", f"{error.brief}: {error.details}", fix)
        return
    yield Finding("docker daemon", "ok", f"{_version(info)} at {which}")
    for problem in whose.examine(client, which, paths.cache):
        yield Finding("docker for labs", "problem", problem.what, problem.fix)
    yield memory_finding(info["MemTotal"])
    root = Path(info["DockerRootDir"])
    if root.is_dir():
        fix = "kollalab gc --yes; docker image prune"
        yield room_finding("room for docker", root, room.WHOLE[room.DOCKER], fix)


def _docker_elsewhere(options: Options) -> Iterator[Finding]:
    """Check the docker daemons on other hosts that the options name."""
    for uri in filter(None, map(docker_host.uri_of, on_hosts(options))):
        what = f"docker of {uri}"
        try:
            info = daemon.connect(DOCKER_TIMEOUT, uri).info()
        except KollalabError as error:
            yield Finding(what, "problem", f"{error.brief}: {error.details}", error.hint)
        else:
            yield Finding(what, "ok", _version(info))
            yield memory_finding(info["MemTotal"], f"memory of {uri}")


def _version(info: Mapping[str, Any]) -> str:
    return f"{info['ServerVersion']} with {info['Driver']}"


def _kernel() -> Iterator[Finding]:
    if Path("/sys/class/misc/tun").exists():
        yield Finding("tun device", "ok", "/sys/class/misc/tun")
    else:
        yield Finding(
            "tun device", "problem", "Open vSwitch cannot forward in user space without it",
            f"{_sudo()}modprobe tun",
        )  # fmt: skip
    missing = capabilities.missing_here()
    if "SYS_ADMIN" in missing or "NET_ADMIN" in missing:
        yield Finding(
            "capabilities", "problem", f"this host does not grant {', '.join(missing)}",
            "run on a virtual machine, or in a container with --privileged",
        )  # fmt: skip
    elif missing:
        told = [f"{name} ({MEANS[name]})" if name in MEANS else name for name in missing]
        yield Finding("capabilities", "note", f"nodes do not have {', '.join(told)}")
    else:
        yield Finding("capabilities", "ok", "all")


def _addresses(options: Options) -> Iterator[Finding]:
    try:
        block = addresses.pick(options.name, addresses.in_use(), options.addresses)
    except KollalabError as error:
        yield Finding("addresses", "problem", f"{error.brief}: {error.details}", error.hint)
    else:
        yield Finding("addresses", "ok", f"{block} and others are free")


def _folders(paths: Paths) -> Iterator[Finding]:
    fix = "kollalab gc --yes, or set KOLLALAB_CACHE to a larger place"
    yield room_finding("room for the cache", paths.cache, room.WHOLE[room.CACHE], fix)
    for what, folder in {"cache": paths.cache, "state": paths.state}.items():
        there = files.existing(folder)
        if not os.access(there, os.W_OK):
            fix = f"set KOLLALAB_{what.upper()} to a folder of yours"
            yield Finding(f"{what} folder", "problem", f"{there} cannot be written", fix)


def _mirror(mirror: str, suite: str) -> Iterator[Finding]:
    url = f"{mirror.rstrip('/')}/dists/{suite}/InRelease"
    fix = "check the network and proxies, or name another `mirror` under [run] in kollalab.toml"
    try:
        request = urllib.request.Request(url, method="HEAD")
        with urllib.request.urlopen(request, timeout=NET_TIMEOUT):
            yield Finding("Debian mirror", "ok", mirror)
    except (OSError, ValueError, urllib.error.URLError) as error:
        # The mirror is not needed if all images exist.
        yield Finding("Debian mirror", "note", f"{url}: {error}", fix)


def _shortcuts(config: Config) -> Iterator[Finding]:
    """Check the shortcuts that use private parts of Ansible against the versions of a lab."""
    release = releases.get(config.release)
    found = [(known.MITOGEN, known.in_tools(release))]
    if config.images.mode == "build":
        found.append((known.TOOLBOX, known.in_images(release)))
    for shortcut, versions in [] if config.stock else found:
        why = shortcut.unfit(versions)
        fits = ", ".join(f"{name} {versions.get(name)}" for name in shortcut.versions)
        yield Finding(shortcut.name, "note" if why else "ok", why or fits)


def _layers(config: Config) -> Iterator[Finding]:
    """Check whether nodes of the docker provider can start with images that others pulled."""
    from docker.errors import DockerException

    try:
        why = layers.unfit(daemon.connect(DOCKER_TIMEOUT), config.nodes.suite)
    except (DockerException, KollalabError):
        # A missing daemon is reported by another check.
        return
    if why is not None:
        yield Finding("layers of images", "note", f"{why}; each node pulls its own images")


def _machines(options: Options, paths: Paths) -> Iterator[Finding]:
    """Check the libvirt provider, which is optional."""
    system = _system()
    for program in FOR_LIBVIRT:
        path = shutil.which(program)
        if path is None:
            found = "not installed; the libvirt provider needs it"
            yield Finding(program, "note", found, install(program, system))
        else:
            yield Finding(program, "ok", path)
    for uri in dict.fromkeys(map(libvirt_host.uri_of, on_hosts(options))):
        yield from _libvirt(LibvirtHost(uri), options, paths)


def _libvirt(host: LibvirtHost, options: Options, paths: Paths) -> Iterator[Finding]:
    troubles = host.problems()
    for trouble in troubles:
        if options.provider == "libvirt":
            yield Finding("libvirt", "problem", trouble.what, trouble.fix)
        else:
            yield Finding("libvirt", "note", f"{trouble.what}; nodes are containers", trouble.fix)
    if troubles:
        return
    yield Finding("libvirt", "ok", host.uri)
    try:
        why = probe.kvm_trouble(host, Storage(host), paths.cache)
    except KollalabError as error:
        yield Finding("KVM", "note", f"{error.brief}: {error.details}", error.hint)
        return
    if why is None:
        yield Finding("KVM", "ok", "it ran a guest")
    else:
        fix = f"{_sudo()}modprobe kvm_intel (or kvm_amd), on a host with virtualization"
        if "ermission denied" in why:
            fix = f"{_sudo()}chgrp kvm /dev/kvm && {_sudo()}chmod 660 /dev/kvm"
        yield Finding(
            "KVM", "note", f"{why}; machines are emulated, some {EMULATED:.0f} times slower", fix
        )
