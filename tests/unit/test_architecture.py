"""The cut of the code is the one of docs/design.md: imports go down its list, and in no circle."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pytest_kollalab"
MODULES = sorted(PACKAGE.rglob("*.py"))
# These run on nodes or in containers like them, and have nothing but what is there.
ON_NODES = {
    PACKAGE / "stages" / "cloud" / "on_nodes",
    PACKAGE / "sdn" / "on_nodes",
    PACKAGE / "providers" / "docker" / "in_helpers",
}
STARTS_PROCESSES = {"subprocess", "pty", "multiprocessing"}
STARTING_CALLS = re.compile(r"os\.(system|popen|exec\w+|spawn\w+|posix_spawn\w*|fork\w*)\(")


def dotted(path: Path) -> str:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return name.removesuffix(".__init__")


NAMES = {dotted(path): path for path in MODULES}


@functools.cache
def ranks() -> dict[str, int]:
    """Each package below ours, and its line in the tree of docs/design.md."""
    text = (ROOT / "docs" / "design.md").read_text()
    block = text.split("\npytest_kollalab/\n", 1)[1].split("\nscenarios/", 1)[0]
    names = [re.match(r"  (\w+)/ ", line) for line in block.splitlines()]
    return {name[1]: rank for rank, name in enumerate(names) if name is not None}


@functools.cache
def imports(path: Path) -> frozenset[str]:
    """What a module imports, wherever in it: in functions and behind TYPE_CHECKING as well."""
    return frozenset(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in NAMES else node.module


def part(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def circles(edges: Mapping[str, frozenset[str]]) -> list[list[str]]:
    """The groups of modules that import each other, by whatever way."""

    def reached(start: str) -> set[str]:
        found: set[str] = set()
        todo = [*edges[start]]
        while todo:
            name = todo.pop()
            if name in edges and name not in found:
                found.add(name)
                todo += edges[name]
        return found

    reach = {name: reached(name) for name in edges}
    inside = {name: {o for o in reach[name] if name in reach[o]} for name in edges}
    groups = {frozenset(group) for name, group in inside.items() if name in reach[name]}
    return sorted(sorted(group) for group in groups)


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_module_keeps_the_house_rules(path: Path) -> None:
    text = path.read_text()
    doc = ast.get_docstring(ast.parse(text))
    assert doc, "the first line of a module says which noun it owns"
    if dotted(path) != "pytest_kollalab.system.run" and path.parent not in ON_NODES:
        assert not STARTS_PROCESSES & imports(path), "only system/run.py starts processes"
        assert not STARTING_CALLS.search(text), "only system/run.py starts processes"


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_imports_go_down_the_list(path: Path) -> None:
    mine = part(dotted(path))
    if not mine:
        return
    assert mine in ranks(), f"{mine} has no place in the tree of docs/design.md"
    for module in imports(path):
        if module.startswith("pytest_kollalab.") and (other := part(module)) != mine:
            assert other in ranks(), f"{other} has no place in the tree of docs/design.md"
            assert ranks()[other] >= ranks()[mine], f"{module} stands above {dotted(path)}"


def test_no_two_modules_import_each_other() -> None:
    found = circles({name: imports(path) - {name} for name, path in NAMES.items()})
    assert found == []


def test_a_circle_is_seen() -> None:
    edges = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set(), "e": {"a"}}
    assert circles({k: frozenset(v) for k, v in edges.items()}) == [["b", "c"]]


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_only_the_pytest_layer_imports_pytest(path: Path) -> None:
    names = {module.split(".")[0] for module in imports(path)}
    own = part(dotted(path)) == "plugin"
    if not own and not (part(dotted(path)) == "features" and path.name == "fixtures.py"):
        assert "pytest" not in names
        assert "_pytest" not in names


def test_every_name_in_the_tree_exists() -> None:
    there = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert there == set(ranks())


def test_no_two_files_of_tests_have_one_name() -> None:
    # Without packages pytest takes the second for the first, and stops.
    names = [path.name for path in (ROOT / "tests").glob("*/test_*.py")]
    assert sorted(set(names)) == sorted(names)
