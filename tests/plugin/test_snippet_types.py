"""The tests in README and docs: a type checker finds every word in them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEST = re.compile(r"^```python\n((?:(?!^```).*\n)*?def test_(?:(?!^```).*\n)*)```", re.MULTILINE)
PAGES = [ROOT / "README.md", ROOT / "docs/scenarios.md", *(ROOT / "docs/scenarios").glob("*.md")]
# What fixtures return, with import paths as the API reference has them.
FIXTURES = {
    "tenant": "pytest_kollalab.sdn.tenant.tenant.Tenant",
    "sfc": "pytest_kollalab.features.sfc.words.Sfc",
    "bgpvpn": "pytest_kollalab.features.bgpvpn.words.Bgpvpn",
    "skydive": "pytest_kollalab.features.skydive.words.Skydive",
    "tacker": "pytest_kollalab.features.tacker.words.Tacker",
    "source": "pytest_kollalab.sdn.probe.probe.Probe",
    "target": "pytest_kollalab.sdn.probe.probe.Probe",
    "firewall": "pytest_kollalab.features.sfc.function.Function",
}


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
