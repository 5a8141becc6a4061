"""What the documents name is there: commands, options, settings, environments, paths, words."""

from __future__ import annotations

import configparser
import importlib.util
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import pytest

from pytest_kollalab.cli import frame
from pytest_kollalab.extensions import hookspecs
from pytest_kollalab.features.base import Feature
from pytest_kollalab.features.bgpvpn.reflector import Reflector
from pytest_kollalab.features.bgpvpn.site import Site
from pytest_kollalab.features.bgpvpn.vpn import Membership, Vpn
from pytest_kollalab.features.bgpvpn.words import Bgpvpn
from pytest_kollalab.features.opendaylight.words import OpenDaylight
from pytest_kollalab.features.sfc.chain import Chain
from pytest_kollalab.features.sfc.function import Function
from pytest_kollalab.features.sfc.group import Group
from pytest_kollalab.features.sfc.words import Sfc
from pytest_kollalab.features.skydive.words import Skydive
from pytest_kollalab.features.tacker.vnf import Vnf
from pytest_kollalab.features.tacker.words import Tacker
from pytest_kollalab.providers.base import Provider
from pytest_kollalab.releases import releases
from pytest_kollalab.sdn.probe.probe import Probe
from pytest_kollalab.sdn.tenant.server import Server
from pytest_kollalab.sdn.tenant.tenant import Tenant
from pytest_kollalab.sdn.topology.topology import Collector, Topology
from pytest_kollalab.settings.config import Config, Invocation, Options
from pytest_kollalab.settings.declare import plain_settings

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").rglob("README.md")),
]
SETTINGS = plain_settings(Invocation, Config, Options)
# The rest of a command, up to a comment or to the second column of a block.
REST = r"((?: (?!#)[^\s`|]+)*)"
COMMAND = re.compile(rf"\bkollalab(?: -[vq])? ([a-z]+){REST}")
KINDS: dict[str, Any] = {
    "tenant": Tenant, "probe": Probe, "server": Server, "sfc": Sfc, "chain": Chain,
    "group": Group, "function": Function, "bgpvpn": Bgpvpn, "vpn": Vpn, "membership": Membership,
    "site": Site, "opendaylight": OpenDaylight, "skydive": Skydive, "tacker": Tacker, "vnf": Vnf,
    "collector": Collector, "topology": Topology, "reflector": Reflector,
}  # fmt: skip
# `tacker.txt` is a file and no word.
ENDINGS = ("py", "txt", "svg", "conf", "yml", "md")
IN_TEXT = re.compile(r"(?<![\w./-])((?:scenarios|tests|examples|benchmarks)/[\w./-]*\w)")
MS = re.MULTILINE | re.DOTALL
ELLIPSIS = re.escape("...")
WORD = re.compile(rf"(?<![\w./-])({'|'.join(KINDS)})\.(\w+)(?:\(([^()]*)\))?")


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


def code(text: str) -> Iterator[str]:
    """What is written as code: in blocks and in lines."""
    yield from re.findall(r"^```\w*\n(.*?)^```", text, MS)
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=MS))


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_options_of_pytest_and_their_other_names_exist(page: Path) -> None:
    text = page.read_text()
    flags = {setting.flag for setting in SETTINGS.values()}
    assert set(re.findall(r"--kollalab-[\w-]+", text)) - flags == set()
    known = {f"kollalab_{name}" for name in SETTINGS}
    named = set(re.findall(r"\bkollalab_(\w+) = ", text))
    assert {f"kollalab_{name}" for name in named} - known == set()


def test_options_of_pytest_itself_exist() -> None:
    command = [sys.executable, "-m", "pytest", "--help"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    named = {
        option
        for page in PAGES
        for snippet in code(page.read_text())
        for line in re.findall(rf"\bpytest{REST}", snippet)
        for option in re.findall(r"(?<= )--?[a-zA-Z][\w-]*", line)
    }
    assert {"-n", "--kollalab-keep"} <= named
    assert {option for option in named if not re.search(rf"(?<!\S){option}\b", told)} == set()


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_variables_of_the_environment_are_read(page: Path) -> None:
    read = "".join(path.read_text() for path in (ROOT / "pytest_kollalab/system").glob("*.py"))
    read += (ROOT / "pytest_kollalab/stages/images/upstream.py").read_text()
    settings = {setting.variable for setting in SETTINGS.values()}
    for name in re.findall(r"\bKOLLALAB_[A-Z_]+[A-Z]\b", page.read_text()):
        assert name in settings or f'"{name}"' in read, name


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_verbs_and_their_options_exist(page: Path) -> None:
    for snippet in code(page.read_text()):
        for verb, rest in COMMAND.findall(snippet):
            command = frame.main.get_command(click.Context(frame.main), verb)
            assert command is not None, verb
            known = {option for each in command.params for option in each.opts}
            if verb != "ssh":
                assert set(re.findall(r"(?<= )--?[a-z][\w-]*", rest)) <= known, rest


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_environments_and_modules_exist(page: Path) -> None:
    text = page.read_text()
    tox = configparser.ConfigParser()
    tox.read(ROOT / "tox.ini")
    environments = {name.removeprefix("testenv:") for name in tox.sections()} | {"py"}
    assert set(re.findall(r"\btox -e ([\w-]+)", text)) <= environments
    for module in re.findall(r"\bpython -m ([\w.]+)", text):
        assert importlib.util.find_spec(module) is not None, module


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_paths_exist(page: Path) -> None:
    places = (ROOT, ROOT / "pytest_kollalab", page.parent)
    tops = {path.name for place in places for path in place.iterdir()}
    for path in code(page.read_text()):
        if re.fullmatch(r"[\w.-]+(/[\w.-]+)+/?", path) and path.split("/")[0] in tops:
            assert any((place / path).exists() for place in places), path
    for path in IN_TEXT.findall(page.read_text()):
        assert (ROOT / path).exists() or (page.parent / path).exists(), path
    for path, test in re.findall(r"\b(scenarios/[\w./]+)::(\w+)", page.read_text()):
        assert f"def {test}(" in (ROOT / path).read_text(), test


def attributes(kind: type[Any]) -> set[str]:
    """What an object of a class has: what the class has, and what `__init__` gives it."""
    sources = [inspect.getsource(each) for each in kind.__mro__ if each is not object]
    own = re.findall(r"\bself\.(\w+)(?::[^=\n]+)? = ", "".join(sources))
    return {*dir(kind), *getattr(kind, "__dataclass_fields__", ()), *own}


def arguments(function: Any) -> set[str]:
    """The names of what a function takes; the keys of a TypedDict count as such."""
    found = set()
    for each in inspect.signature(function).parameters.values():
        options = re.fullmatch(r"Unpack\[(\w+)\]", str(each.annotation))
        found |= {each.name, *(function.__globals__[options[1]].__annotations__ if options else ())}
    return found


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_words_exist(page: Path) -> None:
    for snippet in code(page.read_text()):
        for noun, word, given in WORD.findall(snippet):
            if word in ENDINGS:
                continue
            assert word in attributes(KINDS[noun]), f"{noun}.{word}"
            named = set(re.findall(r"\b(\w+)=", given))
            if named:
                assert named <= arguments(getattr(KINDS[noun], word)), f"{noun}.{word}({given})"


@pytest.mark.parametrize("page", sorted((ROOT / "docs/scenarios").glob("*.md")), ids=ids)
def test_scenarios_that_a_page_tells_of_exist(page: Path) -> None:
    modules = [*(ROOT / "scenarios").rglob("test_*.py")]
    tests = re.findall(r"^def (test_\w+)\(", "".join(map(Path.read_text, modules)), re.MULTILINE)
    text = page.read_text()
    assert set(re.findall(r"\btest_\w+\.py\b", text)) <= {path.name for path in modules}
    for section in re.findall(r"^##+ [^\n]*(?:test|What is)[^\n]*\n(.*?)(?=^##? |\Z)", text, MS):
        for name in re.findall(r"`((?:[a-z]\w*|\.\.\.)_[\w.]+)`", section):
            if name.endswith(".py"):
                continue
            pattern = re.compile(f"{re.escape(name).replace(ELLIPSIS, '.*')}")
            assert any(pattern.fullmatch(test.removeprefix("test_")) for test in tests), name


def test_one_spelling() -> None:
    for page in [*PAGES, *(ROOT / "pytest_kollalab").rglob("*.py"), *ROOT.glob("tests/**/*.py")]:
        if page != Path(__file__):
            assert "artefact" not in page.read_text().lower(), page


def column(page: str, head: str, number: int) -> list[str]:
    """The cells of a column of the first table behind a line of a page."""
    rows = (ROOT / page).read_text().partition(head)[2].strip().split("\n\n")[0].splitlines()
    return [row.split(" | ")[number].strip("| ") for row in rows if " | " in row]


def test_every_part_of_a_feature_and_every_hook_has_its_row() -> None:
    cells = " ".join(column("docs/extending.md", "The fields of `Feature`:\n", 0))
    assert set(re.findall(r"`(\w+)`", cells)) == {each.name for each in fields(Feature)} - {"name"}
    cells = " ".join(column("docs/extending.md", "## The hooks\n", 0))
    hooks = {name for name in vars(hookspecs) if name.startswith("pytest_kollalab_")}
    assert set(re.findall(r"`(\w+)\(", cells)) == hooks


def test_what_a_provider_may_have_is_named() -> None:
    text = (ROOT / "docs/design.md").read_text().partition("\n## Providers\n")[2]
    for name in vars(Provider):
        assert name.startswith("_") or f"`{name}`" in text or f"`provider.{name}`" in text, name


@pytest.mark.parametrize("name", sorted(releases.RELEASES))
def test_the_versions_of_a_release(name: str) -> None:
    text = (ROOT / "docs/releases.md").read_text()
    rows = [row.strip("| ").split(" | ") for row in text.splitlines() if row.startswith("| 20")]
    row = next(row for row in rows if row[0].startswith(name))
    data = releases.get(name)
    tools = (data.data / "tools.txt").read_text()
    assert all(f"\n{project}=={row[1]}" in f"\n{tools}" for project in ("kolla", "kolla-ansible"))
    (neutron,) = (each for each in data.sources if each.project == "neutron")
    assert row[2] == neutron.version
    assert row[3].endswith(f"Python {data.python}")
    assert row[4] == f"{data.tools_python} or newer"
