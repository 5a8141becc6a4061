"""What a host is like apart from the files on it: to compare before a lab and after it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import docker.errors

from pytest_kollalab.system import wait
from pytest_kollalab.system.wait import NotYet

SYSCTLS = Path("/proc/sys")
# In seconds. A container of others that comes and goes within is none of what is compared.
A_WHILE = 1.0
# Docker tidies up after a container when it has said that it is gone, and the kernel takes network
# namespaces away, with the devices in them, when it has nothing else to do.
TIDY_WITHIN = 120
# What the kernel counts or draws; nobody sets it.
COUNTED = ("kernel/random/", "kernel/ns_last_pid", "net/netfilter/nf_conntrack_count")
CGROUPS = Path("/sys/fs/cgroup")
# In the paths of cgroups of containers and of virtual machines.
CONTAINED = ("docker", "kollalab", "machine")


@dataclass(frozen=True)
class State:
    """Lines by kind, and the words by which lines of other containers and networks are known.

    `seen` was there at least for a moment, `lasting` for a while.
    """

    seen: dict[str, frozenset[str]]
    lasting: dict[str, frozenset[str]]
    others: frozenset[str]


def look(*labs: str, more: Callable[[], set[str]] = set) -> State:
    """The state of this host now; `labs` are those whose things are not another's.

    `more` tells names of others' things that docker does not know.
    """
    # First and last: what others make in between is theirs.
    others = _others(labs, more())
    first = {name: frozenset(read()) for name, read in KINDS.items()}
    time.sleep(A_WHILE)
    second = {name: frozenset(read()) for name, read in KINDS.items()}
    lasting = {name: first[name] & second[name] for name in KINDS}
    lasting["cgroup"] -= _in_use()
    return State(
        {name: first[name] | second[name] for name in KINDS},
        lasting,
        frozenset(others | _others(labs, more())),
    )


def difference(before: State, after: State) -> list[str]:
    """What is not as it was, a line each: what has gone with `-`, what is new with `+`.

    What belongs to a container or network of others is left out: they come and go as they like.
    """
    others = before.others | after.others
    found = []
    for kind in KINDS:
        gone = before.lasting[kind] - after.seen[kind]
        new = after.lasting[kind] - before.seen[kind]
        for sign, changed in (("-", gone), ("+", new)):
            found += [
                f"{sign} {kind}: {line}"
                for line in sorted(changed)
                if not others.intersection(re.split(r"[^\w.:-]+", line))
                and not any(word in line for word in others if len(word) >= 12)
            ]
    return found


def await_same(before: State, *labs: str, more: Callable[[], set[str]] = set) -> None:
    """Wait until the host is as it was; the arguments are those of `look`.

    Raises:
        WaitError: It is not, with what is otherwise.
    """

    def same() -> bool | NotYet:
        found = difference(before, look(*labs, more=more))
        return NotYet("\n".join(found)) if found else True

    wait.until("the host is as it was", same, timeout=TIDY_WITHIN, interval=1)


def _sysctls() -> Iterator[str]:
    for folder, _, names in os.walk(SYSCTLS):
        for name in names:
            path = Path(folder, name)
            setting = str(path.relative_to(SYSCTLS))
            # What nobody may write, nobody has changed.
            if not path.stat().st_mode & 0o222 or setting.startswith(COUNTED):
                continue
            try:
                yield f"{setting} = {' '.join(path.read_text(errors='replace').split())}"
            except OSError:
                # Write-only, or of a device that has just gone.
                continue


def _parameters() -> Iterator[str]:
    for path in Path("/sys/module").glob("*/parameters/*"):
        if path.stat().st_mode & 0o222 and path.stat().st_mode & 0o444:
            try:
                yield f"{path} = {path.read_text(errors='replace').strip()}"
            except OSError:
                continue


def _said(*argv: str) -> Iterator[str]:
    # A host without the program has nothing that only this program makes.
    if shutil.which(argv[0]):
        said = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
        for line in said.splitlines():
            # Dates, and what packets count.
            if not line.startswith("#"):
                yield re.sub(r"\[\d+:\d+\]|packets \d+ bytes \d+", "", line).strip()


def _mounts() -> Iterator[str]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        # Numbers of mounts and devices are given anew.
        yield " ".join(line.split()[3:])


def _loops() -> Iterator[str]:
    for path in Path("/sys/block").glob("loop*/loop/backing_file"):
        yield path.read_text().strip()


def _cgroups() -> Iterator[str]:
    return (folder for folder, _, _ in os.walk(CGROUPS))


def _in_use() -> set[str]:
    """The cgroups of processes outside of containers: logins and commands of others come and go.

    A process that a lab leaves behind is found as such.
    """
    found: set[str] = set()
    for folder, _, _ in os.walk(CGROUPS):
        if not any(word in folder for word in CONTAINED):
            try:
                running = Path(folder, "cgroup.procs").read_text()
            except OSError:
                continue
            if running:
                found.add(folder)
    return found


def _modules() -> Iterator[str]:
    return (path.name for path in Path("/sys/module").iterdir())


KINDS: dict[str, Callable[[], Iterable[str]]] = {
    "sysctl": _sysctls,
    "parameter of a module": _parameters,
    "iptables": lambda: _said("iptables-save"),
    "ip6tables": lambda: _said("ip6tables-save"),
    "nft": lambda: _said("nft", "--stateless", "list", "ruleset"),
    "route": lambda: _said("ip", "route", "show", "table", "all"),
    "route of IPv6": lambda: _said("ip", "-6", "route", "show", "table", "all"),
    "rule": lambda: _said("ip", "rule"),
    "link": lambda: _said("ip", "-o", "-br", "link"),
    "address": lambda: _said("ip", "-o", "-br", "address"),
    "mount": _mounts,
    "loop device": _loops,
    "cgroup": _cgroups,
    "module": _modules,
}


def _others(labs: tuple[str, ...], more: set[str]) -> set[str]:
    """The words by which what other containers and networks have of the host is known."""
    client = docker.from_env()
    found = set(more)
    for each in client.api.containers(all=True):
        if (each["Labels"] or {}).get("kollalab.lab") in labs:
            continue
        try:
            found |= set(_of_container(client.api.inspect_container(each["Id"])))
        except docker.errors.NotFound:
            found.add(each["Id"])
    bridges = set(more)
    for each in client.api.networks():
        if (each["Labels"] or {}).get("kollalab.lab") in labs or each["Driver"] != "bridge":
            continue
        name = (each["Options"] or {}).get("com.docker.network.bridge.name")
        bridges.add(name or f"br-{each['Id'][:12]}")
        pools = [pool for pool in each["IPAM"]["Config"] or [] if pool.get("Subnet")]
        found |= {pool["Subnet"] for pool in pools}
    said = subprocess.run(["ip", "-j", "link"], check=True, capture_output=True, text=True).stdout
    links = json.loads(said)
    found |= {link["ifname"] for link in links if link.get("master") in bridges}
    client.close()
    return found | (bridges - {"docker0"})


def _of_container(details: dict[str, Any]) -> Iterator[str]:
    yield details["Id"]
    yield details["NetworkSettings"]["SandboxKey"].rpartition("/")[2]
    if merged := (details["GraphDriver"].get("Data") or {}).get("MergedDir"):
        yield Path(merged).parent.name
