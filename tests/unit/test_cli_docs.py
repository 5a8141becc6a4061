"""The page on the command line names every verb, every exit code and every kind of garbage."""

from __future__ import annotations

import re
from pathlib import Path

from pytest_kollalab.cli import frame, main
from pytest_kollalab.lab.gc.find import KINDS

TEXT = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()


def test_every_verb_is_named() -> None:
    for verb in main.commands:
        assert re.search(rf"`{verb}\b", TEXT), verb


def test_the_readme_lists_the_verbs() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    told = re.search(r"`kollalab` has the verbs (.*)", readme)
    assert told is not None
    # `destroy` is another name of `down`.
    assert set(re.findall(r"`(\w+)`", told[1])) == {*main.commands} - {"destroy"}


def test_every_exit_code_is_in_both_tables() -> None:
    codes = [value for name, value in vars(frame).items() if re.fullmatch(r"EXIT_[A-Z]+", name)]
    for code in (code for code in codes if isinstance(code, int)):
        assert f"| {code} |" in TEXT
        assert re.search(rf"^  {code} +\w", frame.EXIT_CODES, re.MULTILINE)


def test_every_kind_of_garbage_is_explained() -> None:
    for kind in KINDS:
        assert f"| {kind} |" in TEXT
        assert re.search(rf"\b{kind}\b", main.commands["gc"].help or ""), kind
