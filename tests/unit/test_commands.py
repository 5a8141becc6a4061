"""Commands in messages: they have the options with which they mean the same lab."""

from __future__ import annotations

import pytest

from pytest_kollalab.cli import main
from pytest_kollalab.engine.runs import SharedRun
from pytest_kollalab.system.commands import VERBS, carrying
from pytest_kollalab.system.errors import StageError
from pytest_kollalab.system.paths import Paths

MINE = {"--name": "mine", "--provider": "libvirt", "--config": None}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kollalab up --fresh cloud", "kollalab up --name mine --provider libvirt --fresh cloud"),
        ("`kollalab down` removes it", "`kollalab down --name mine --provider libvirt` removes it"),
        ("kollalab up --name mine", "kollalab up --provider libvirt --name mine"),
        ("kollalab gc --yes, or kollalab doctor", "kollalab gc --yes, or kollalab doctor"),
        ("see lab kollalab-up", "see lab kollalab-up"),
    ],
)
def test_each_command_about_a_lab_has_its_options(text: str, expected: str) -> None:
    assert carrying(text, MINE) == expected
    assert carrying(text, {"--name": ""}) == text


def test_every_verb_about_one_lab_has_them() -> None:
    of_a_lab = {
        name for name, verb in main.commands.items() if any(p.name == "name" for p in verb.params)
    }
    # Two of them are about the host, whatever the lab is called.
    assert of_a_lab - {"doctor", "gc"} <= {*VERBS.split("|")}
    assert carrying("kollalab upgrade --to x first", {"--name": "mine"}) == (
        "kollalab upgrade --name mine --to x first"
    )


def test_of_several_commands_each_has_them() -> None:
    text = carrying("kollalab clear a; kollalab save a", {"--name": "x"})
    assert text == "kollalab clear --name x a; kollalab save --name x a"


def test_what_a_session_is_told_of_a_failure_names_its_lab(paths: Paths) -> None:
    error = StageError("it broke", hint="kollalab up --fresh cloud")
    assert SharedRun(paths, "run", "lab").fail(error).text.endswith("kollalab up --fresh cloud")
    failure = SharedRun(paths, "other", "mine").fail(error)
    assert failure.text == str(error)
    assert failure.text.endswith("what now: kollalab up --name mine --fresh cloud")
