"""The snippets of README and docs: each is run, or read by what would read it."""

from __future__ import annotations

import configparser
import importlib
import importlib.util
import os
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import jinja2
import pytest
import yaml

from pytest_kollalab.cli import frame
from pytest_kollalab.engine.engine import BUILD, FETCH, REUSE, Step
from pytest_kollalab.extensions.extensions import NOTHING, Extension, Extensions
from pytest_kollalab.features import BUILT_IN, base
from pytest_kollalab.releases.releases import RELEASES
from pytest_kollalab.settings.config import STAGES
from pytest_kollalab.settings.read import check_tables, read
from pytest_kollalab.stages.states import goldens
from pytest_kollalab.system.paths import default_paths

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "other-project"
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "examples/ci/README.md")),
    EXAMPLE / "README.md",
    *(page for page in sorted((ROOT / "docs").rglob("*.md")) if "_build" not in page.parts),
]
BLOCK = re.compile(r"^```([\w{}:-]*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
# The programs by which a block of commands is known, and what stands before them.
PROGRAMS = ("kollalab", "pytest", "tox", "python", "python3", "pip", "openstack", "./bootstrap")
BEFORE = ("export", "mkdir", "cd", ".", ".ci/run")
HEAD = re.compile(
    r"^lab lab: ([\w ]+); release ([\d.]+), network backend ovs, provider docker$", re.MULTILINE
)
STEP = re.compile(r"^(\w+) +(\w+) +([0-9a-f]{12})  (.+)$", re.MULTILINE)
REASONS = ("unchanged since 20", "not built yet", "to the golden state of 20")
# What is fetched.
FETCHED = ("from registry.example/", "golden state of 20")
# What a page shows of what a program prints, of files, or of a picture.
PRINTED = (
    "lab lab: ",
    "nodes   rollback ",
    "tools   build ",
    "E  ",
    "feature ",
    ".../",
    "the cloud was deployed but",
)
DRAWN = ("DIR/", "other-project/", "options, environment", "bootstrap   ", " ", "here#", "FROM ")
# Tables of other files than kollalab.toml.
OTHER_TOML = ("[tool.pytest]", "[project.entry-points", "[[runners]]")


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


def is_shell(snippet: Snippet) -> bool:
    return snippet.text.startswith((*(f"{name} " for name in PROGRAMS), "export ", "tox\n"))


def shell() -> list[tuple[str, list[str]]]:
    """The commands of all pages as words, with where they are."""
    told = []
    for snippet in filter(is_shell, of("")):
        for number, line in enumerate(snippet.text.splitlines(), snippet.line + 1):
            where = f"{snippet.page.relative_to(ROOT)}:{number}"
            words = shlex.split(line, comments=True)
            while "&&" in words:
                end = words.index("&&")
                told.append((where, words[:end]))
                words = words[end + 1 :]
            told.append((where, words))
    return told


def of_program(name: str) -> list[Any]:
    found = [(where, words[1:]) for where, words in shell() if words[0] == name]
    return [pytest.param(words, id=f"{where}-{' '.join(words)}") for where, words in found]


def test_there_are_snippets() -> None:
    assert len(of("python")) > 10
    assert len(of("toml")) > 8
    assert len(shell()) > 40


def test_every_block_is_looked_at() -> None:
    # Those in braces are Sphinx's, which builds the pages with warnings as errors.
    languages = {"python", "toml", "yaml", ""}
    known = [each for each in found() if not each.language.startswith("{")]
    other = [str(each) for each in known if each.language not in languages]
    for each in (each for each in of("") if not is_shell(each)):
        other += [] if each.text.startswith((*PRINTED, *DRAWN)) else [str(each)]
    assert other == []


def test_every_command_is_of_a_known_program() -> None:
    known = {*PROGRAMS, *BEFORE}
    assert [(where, words) for where, words in shell() if words[0] not in known] == []


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
        assert tomllib.loads(snippet.text)
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


@pytest.mark.parametrize("snippet", [x for x in of("") if x.text.startswith("FROM ")], ids=str)
def test_a_dockerfile_is_a_template(snippet: Snippet) -> None:
    blocks = jinja2.Environment(autoescape=True).parse(snippet.text).find_all(jinja2.nodes.Block)
    assert {block.name for block in blocks} >= {"labels"}


@pytest.mark.parametrize("snippet", [x for x in of("") if STEP.search(x.text)], ids=str)
def test_a_plan_is_one_of_ours(snippet: Snippet) -> None:
    for stage, action, key, reason in STEP.findall(snippet.text):
        assert str(Step(stage, action, reason, key)) in snippet.text.splitlines()
        assert stage in STAGES
        assert action in (BUILD, REUSE, FETCH, goldens.ROLLBACK)
        assert reason.startswith((*REASONS, *FETCHED, "greeter of ")), reason
    for features, release in HEAD.findall(snippet.text):
        assert {*features.split()} <= {*BUILT_IN, "greeter"}
        assert release in RELEASES


@pytest.mark.parametrize("words", of_program("kollalab"))
def test_commands_have_such_options(words: list[str]) -> None:
    words = words[1:] if words[0] in ("-v", "-q") else words
    verb = frame.main.get_command(click.Context(frame.main), words[0])
    assert verb is not None
    verb.make_context(words[0], words[1:])


def collected(words: list[str], folder: Path) -> None:
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--collect-only", "-q"]
    if "greeter" in words:
        argv += ["-p", "greeter.feature"]
    path = os.pathsep.join((str(ROOT), str(EXAMPLE)))
    environment = {**os.environ, "PYTHONPATH": path, "DOCKER_HOST": "tcp://127.0.0.1:1"}
    done = subprocess.run(
        [*argv, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("words", of_program("pytest"))
def test_pytest_finds_what_is_named(words: list[str], tmp_path: Path) -> None:
    folder = ROOT if "scenarios" in " ".join(words) else tmp_path
    # The test of the tour, and that of the example.
    (test,) = (x.text for x in of("python") if x.page == ROOT / "README.md")
    (tmp_path / "test_first.py").write_text(test)
    # Nothing is built for a plan either, but what is there is looked at.
    collected([word for word in words if word != "--kollalab-plan"], folder)


def is_environment(words: list[str]) -> bool:
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    if not words:
        return True
    return words[0] == "-e" and (words[1] == "py" or tox.has_section(f"testenv:{words[1]}"))


@pytest.mark.parametrize("words", of_program("tox"))
def test_tox_has_such_environments(words: list[str]) -> None:
    assert is_environment(words)
    if "--" in words:
        named = words[words.index("--") + 1 :]
        assert [word for word in named if "/" in word and not (ROOT / word).exists()] == []


@pytest.mark.parametrize("words", [*of_program("python"), *of_program("python3")])
def test_modules_are_there(words: list[str]) -> None:
    assert words[0] == "-m"
    assert importlib.util.find_spec(words[1]) is not None


@pytest.mark.parametrize("words", of_program("pip"))
def test_what_pip_installs_is_this_project(words: list[str]) -> None:
    project = (ROOT / "pyproject.toml").read_text()
    assert words[0] == "install"
    url = re.fullmatch(r"git\+(https://\S+)", words[-1])
    assert f'"{url[1]}"' in project if url else words[-1] in (".", "pytest_kollalab-*.whl")


def test_credentials_are_where_the_pages_say(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("KOLLALAB_STATE", "XDG_STATE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    said = [words[1:] for _, words in shell() if words[0] == "export"]
    there = default_paths().lab("lab") / "cloud" / "clouds.yaml"
    assert len(said) > 1
    for file, cloud in said:
        assert Path(file.partition("=")[2]).expanduser() == there
        assert cloud == "OS_CLOUD=kollalab-lab"
