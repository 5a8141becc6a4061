"""The cut of the code is the one of docs/design.md: imports go down its list."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pytest_kollalab"
MODULES = sorted(PACKAGE.rglob("*.py"))
# These run on nodes, and have nothing but what is there.
ON_NODES = PACKAGE / "cloud" / "on_nodes"
LONGEST = 400
STARTS_PROCESSES = {"subprocess", "pty", "multiprocessing"}
STARTING_CALLS = re.compile(r"os\.(system|popen|exec\w+|spawn\w+|posix_spawn\w*|fork\w*)\(")


def dotted(path: Path) -> str:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return name.removesuffix(".__init__")


@functools.cache
def ranks() -> dict[str, int]:
    """The first part of each module's name below the package, and its line in the tree."""
    text = (ROOT / "docs" / "design.md").read_text()
    block = text.split("\npytest_kollalab/\n", 1)[1].split("\nscenarios/", 1)[0]
    found: dict[str, int] = {}
    for rank, line in enumerate(block.splitlines()):
        names = line.strip().split()
        if names[0].endswith("/"):
            found[names[0].rstrip("/")] = rank
            continue
        for name in names:
            if not re.fullmatch(r"\w+\.py", name):
                break
            found[name.removesuffix(".py")] = rank
    return found


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            if node.module == "pytest_kollalab":
                names = [alias.name for alias in node.names if alias.name != "__version__"]
                yield from (f"pytest_kollalab.{name}" for name in names)
            else:
                yield node.module


def part(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_module_keeps_the_house_rules(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= LONGEST
    doc = ast.get_docstring(ast.parse(text))
    assert doc, "the first line of a module says which noun it owns"
    if dotted(path) != "pytest_kollalab.run" and path.parent != ON_NODES:
        assert not STARTS_PROCESSES & set(imports(path)), "only run.py starts processes"
        assert not STARTING_CALLS.search(text), "only run.py starts processes"


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_imports_go_down_the_list(path: Path) -> None:
    mine = part(dotted(path))
    if not mine:
        return
    assert mine in ranks(), f"{mine} has no place in the tree of docs/design.md"
    for module in imports(path):
        if module.startswith("pytest_kollalab.") and (other := part(module)) != mine:
            assert other in ranks(), f"{other} has no place in the tree of docs/design.md"
            assert ranks()[other] >= ranks()[mine], f"{mine} imports {other}, which stands above it"


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_only_the_pytest_layer_imports_pytest(path: Path) -> None:
    names = {module.split(".")[0] for module in imports(path)}
    if part(dotted(path)) not in {"plugin", "ending", "sharing", "lent", "fixtures"}:
        assert "pytest" not in names
        assert "_pytest" not in names


def test_every_name_in_the_tree_exists() -> None:
    for name in ranks():
        assert (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file(), name


def test_no_two_files_of_tests_have_one_name() -> None:
    # Without packages pytest takes the second for the first, and stops.
    names = [path.name for path in (ROOT / "tests").glob("*/test_*.py")]
    assert sorted(set(names)) == sorted(names)
