"""The tests in README and docs: a type checker finds every word in them."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from pytest_kollalab.plugin import hooks

ROOT = Path(__file__).parents[2]
TEST = re.compile(r"^```python\n((?:(?!^```).*\n)*?def test_(?:(?!^```).*\n)*)```", re.MULTILINE)
PAGES = [ROOT / "README.md", ROOT / "docs/scenarios.md", *(ROOT / "docs/scenarios").glob("*.md")]
# What tests of the docs have from fixtures of their own.
OWN = {
    "source": "pytest_kollalab.sdn.probe.probe.Probe",
    "target": "pytest_kollalab.sdn.probe.probe.Probe",
    "firewall": "pytest_kollalab.features.sfc.function.Function",
    "ends": "pytest_kollalab.features.bgpvpn.words.Ends",
    "vpn": "pytest_kollalab.features.bgpvpn.vpn.Vpn",
    "site": "pytest_kollalab.features.bgpvpn.site.Site",
    "guards": "pytest_kollalab.sdn.tenant.guards.Guards",
    "network": "pytest_kollalab.sdn.tenant.network.Network",
    "client": "pytest_kollalab.sdn.probe.probe.Probe",
}


def returned(name: str) -> dict[str, str]:
    """What the fixtures of a module return, as the path of the class."""
    tree = ast.parse(Path(import_module(name).__file__ or "").read_text())
    imports = {
        alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.returns]
    kinds = {node.name: ast.unparse(node.returns or node) for node in functions}
    names = {name: re.sub(r"^Iterator\[(.*)\]$", r"\1", kind) for name, kind in kinds.items()}
    return {name: imports[kind] for name, kind in names.items() if kind in imports}


FIXTURES = OWN | {k: v for name in hooks.FIXTURE_MODULES for k, v in returned(name).items()}


def annotated(text: str) -> str:
    """A test with types, as a project with a type checker writes it."""

    def put(found: re.Match[str]) -> str:
        names = [name.strip() for name in found[2].split(",")]
        given = ", ".join(f"{name}: {FIXTURES[name].rpartition('.')[2]}" for name in names)
        return f"def {found[1]}({given}) -> None:"

    body = re.sub(r"def (test_\w+)\((.*?)\):", put, text)
    imports = {path for name, path in FIXTURES.items() if re.search(rf"\b{name}\b", text)}
    lines = [f"from {p.rpartition('.')[0]} import {p.rpartition('.')[2]}" for p in sorted(imports)]
    return "\n".join(lines) + "\n\n" + body


def test_words_in_the_tests_of_the_docs_have_types(pytester: pytest.Pytester) -> None:
    texts = {page: TEST.findall(page.read_text()) for page in PAGES}
    files = [
        pytester.path / f"test_{page.stem}_{number}.py"
        for page, found in texts.items()
        for number, text in enumerate(found)
    ]
    assert len(files) >= 4
    every = iter(files)
    for found in texts.values():
        for text in found:
            next(every).write_text(annotated(text))
    checked = [sys.executable, "-m", "mypy", "--strict", f"--config-file={ROOT / 'pyproject.toml'}"]
    done = subprocess.run(
        [*checked, f"--cache-dir={ROOT / '.mypy_cache'}", *files],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
