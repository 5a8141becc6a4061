"""The snippets of README and docs: each is run, or read by what would read it."""

from __future__ import annotations

import importlib
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from pytest_kollalab.cli import frame
from pytest_kollalab.extensions.extensions import NOTHING, Extension, Extensions
from pytest_kollalab.features import base
from pytest_kollalab.settings.read import check_tables, read

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "other-project"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), EXAMPLE / "README.md"]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^(kollalab(?: -[vq])? [a-z][^#\n]*)", re.MULTILINE)
# Tables of other files than kollalab.toml.
OTHER_TOML = ("[tool.pytest]", "[project.entry-points")


@dataclass(frozen=True)
class Snippet:
    """A block of a page."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def found() -> list[Snippet]:
    return [
        Snippet(page, text.count("\n", 0, match.start()) + 1, match[1], match[2])
        for page in PAGES
        for text in [page.read_text()]
        for match in BLOCK.finditer(text)
    ]


def of(language: str) -> list[Snippet]:
    return [each for each in found() if each.language == language]


def commands() -> list[tuple[str, str]]:
    return [
        (str(snippet), re.sub(r"\s{2,}.*", "", command).strip())
        for snippet in of("")
        for command in COMMAND.findall(snippet.text)
        if "[" not in command and "|" not in command
    ]


def test_there_are_snippets() -> None:
    assert len(of("python")) > 10
    assert len(of("toml")) > 8
    assert len(commands()) > 8


@pytest.mark.parametrize("snippet", of("python"), ids=str)
def test_python_runs(snippet: Snippet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLE))
    names: dict[str, Any] = {**vars(base), "pytest": pytest, "__name__": "snippet"}
    # Dataclasses look for their module.
    monkeypatch.setitem(sys.modules, "snippet", sys.modules[__name__])
    exec(compile(snippet.text, str(snippet), "exec"), names)


@pytest.mark.parametrize("snippet", of("toml"), ids=str)
def test_toml_is_read(snippet: Snippet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if snippet.text.startswith(OTHER_TOML):
        return
    monkeypatch.syspath_prepend(str(EXAMPLE))
    in_run = snippet.text.startswith("provider = ")
    (tmp_path / "kollalab.toml").write_text(
        ("[run]\n" if in_run else "") + snippet.text.replace("…", 64 * "0")
    )
    said = read(tmp_path / "kollalab.toml")
    greeter = importlib.import_module("greeter.feature").FEATURE
    known = Extensions((Extension("example", features=(greeter,)),))
    check_tables(said.config, known.tables if "[greeter]" in snippet.text else NOTHING.tables)


@pytest.mark.parametrize("snippet", of("yaml"), ids=str)
def test_yaml_is_read(snippet: Snippet) -> None:
    assert yaml.safe_load(snippet.text)


@pytest.mark.parametrize(("where", "command"), commands())
def test_commands_have_such_options(where: str, command: str) -> None:
    words = command.split()[1:]
    words = words[1:] if words[0] in ("-v", "-q") else words
    verb = frame.main.get_command(click.Context(frame.main), words[0])
    assert verb is not None, where
    verb.make_context(words[0], words[1:])
