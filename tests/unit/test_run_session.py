"""What the processes of one run tell each other."""

from __future__ import annotations

import itertools
from pathlib import Path

from pytest_kollalab.engine.runs import Line, SharedRun
from pytest_kollalab.system.errors import StageError
from pytest_kollalab.system.paths import Paths


def test_the_first_failure_is_that_of_every_process(paths: Paths) -> None:
    one, two = SharedRun(paths, "r"), SharedRun(paths, "r")
    one.open()
    failure = one.fail(StageError("nodes is full", details="much", log=Path("/log")))
    assert failure.line == "the lab is broken: nodes is full"
    assert two.failure() == failure
    assert two.fail(StageError("the lab is broken: nodes is full")) == failure
    assert "much" in failure.text
    assert failure.log == "/log"


def test_a_failure_of_another_run_is_none_of_ours(paths: Paths) -> None:
    one, two = SharedRun(paths, "r1"), SharedRun(paths, "r2")
    one.open()
    two.open()
    one.fail(StageError("nodes is full"))
    assert two.failure() is None


def test_a_single_process_needs_no_files(paths: Paths) -> None:
    session = SharedRun(paths, "r")
    session.fail(ValueError("no number\nat all"))
    session.use()
    session.tell(Line("gw0", "x"))
    failure = session.failure()
    assert failure is not None
    assert failure.brief == "ValueError: no number"
    assert not paths.state.exists()


def test_a_failure_is_remembered_when_the_folder_is_gone(paths: Paths) -> None:
    session = SharedRun(paths, "r")
    session.open()
    SharedRun(paths, "r").fail(StageError("nodes is full"))
    session.close()
    assert session.failure() is not None
    assert not session.folder.exists()


def test_lines_arrive_in_order_and_what_several_say_once(paths: Paths) -> None:
    session = SharedRun(paths, "r")
    session.open()
    lines = session.lines()
    assert next(lines) is None
    for who, text in [("gw0", "build"), ("gw1", "waiting"), ("gw2", "waiting"), ("gw1", "again")]:
        SharedRun(paths, "r").tell(Line(who, text))
    found = list(itertools.takewhile(lambda line: line is not None, lines))
    assert found == [Line("gw0", "build"), Line("gw1", "waiting"), Line("gw1", "again")]
    assert next(lines) is None


def test_a_half_written_line_waits_for_its_rest(paths: Paths) -> None:
    session = SharedRun(paths, "r")
    session.open()
    lines = session.lines()
    with (session.folder / "lines").open("w") as file:
        file.write('{"who": "gw0", ')
        file.flush()
        assert next(lines) is None
        file.write('"text": "x"}\n')
        file.flush()
        assert next(lines) == Line("gw0", "x")


def test_who_used_the_lab_is_known_without_its_word(paths: Paths) -> None:
    session = SharedRun(paths, "r")
    session.open()
    assert not session.is_used()
    SharedRun(paths, "r").use()
    assert session.is_used()
    assert len(session.users()) == 1


def test_what_is_said_once_is_said_by_one_process(paths: Paths) -> None:
    one, two = SharedRun(paths, "r"), SharedRun(paths, "r")
    one.open()
    assert [one.is_first("x"), two.is_first("x"), one.is_first("x"), two.is_first("y")] == [
        True, False, False, True,
    ]  # fmt: skip
    # A process alone has no folder.
    alone = SharedRun(paths, "alone")
    assert [alone.is_first("x"), alone.is_first("x")] == [True, False]
