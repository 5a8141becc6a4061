"""Workarounds: noted, forbidden, carried by reports, and a page of the docs made from the data."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from pytest_kollalab.sdn import workarounds
from pytest_kollalab.sdn.workarounds import (
    ALL,
    LOST_UPDATE,
    MISSED_PORT,
    REFUSED,
    USED,
    UsedWorkarounds,
    WorkaroundForbiddenError,
    WorkaroundRow,
)

PAGE = Path(__file__).parents[2] / "docs" / "workarounds.md"


@pytest.fixture(autouse=True)
def in_mode_report() -> Iterator[None]:
    yield
    workarounds.set_mode("report")


def test_a_use_is_noted_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    workarounds.use(LOST_UPDATE, "no group")
    assert workarounds.taken() == [(USED, LOST_UPDATE.id)]
    assert workarounds.taken() == []
    assert "sfc-lost-update" in caplog.text
    assert "no group" in caplog.text


def test_a_use_that_is_allowed_is_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    workarounds.set_mode("allow")
    workarounds.use(LOST_UPDATE, "no group")
    assert workarounds.taken() == []
    assert "sfc-lost-update" in caplog.text


def test_a_use_that_is_forbidden_fails_with_the_text_of_the_entry() -> None:
    workarounds.set_mode("forbid")
    with pytest.raises(WorkaroundForbiddenError) as caught:
        workarounds.use(LOST_UPDATE, "no group")
    for text in (LOST_UPDATE.id, LOST_UPDATE.bug, LOST_UPDATE.function, "seen: no group"):
        assert text in str(caught.value)
    assert workarounds.taken() == [(REFUSED, LOST_UPDATE.id)]
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_block_forbids_them_and_ends() -> None:
    with pytest.raises(WorkaroundForbiddenError), workarounds.forbidden():
        workarounds.use(LOST_UPDATE, "")
    workarounds.use(MISSED_PORT, "")
    assert workarounds.taken() == [(REFUSED, LOST_UPDATE.id), (USED, MISSED_PORT.id)]


@pytest.mark.parametrize("mode", ["allow", "report", "forbid"])
def test_clearing_up_after_a_failure_is_neither_forbidden_nor_counted(
    mode: workarounds.Mode,
) -> None:
    workarounds.set_mode(mode)
    with workarounds.clearing_up():
        workarounds.use(LOST_UPDATE, "")
    assert workarounds.taken() == []


def test_what_is_forbidden_is_waited_for_longer() -> None:
    assert workarounds.delay(10) == 10
    with workarounds.forbidden():
        assert workarounds.delay(10) == 30
        with workarounds.clearing_up():
            assert workarounds.delay(10) == 10


def test_what_is_left_is_removed_before_the_test_fails() -> None:
    done = []
    with workarounds.removing(LOST_UPDATE, ""):
        done.append("report")
    workarounds.set_mode("forbid")
    with pytest.raises(WorkaroundForbiddenError), workarounds.removing(LOST_UPDATE, ""):
        done.append("forbid")
    assert done == ["report", "forbid"]
    assert workarounds.taken() == [(USED, LOST_UPDATE.id), (REFUSED, LOST_UPDATE.id)]


def test_the_reports_of_a_session_make_rows_and_lines() -> None:
    used = UsedWorkarounds()
    properties = [(USED, LOST_UPDATE.id), (USED, LOST_UPDATE.id), ("other", 1)]
    for when in ("setup", "call", "teardown"):
        used.pytest_runtest_logreport(
            SimpleNamespace(when=when, nodeid="a.py::one", user_properties=properties)
        )
    # The reports of another process have lists in place of tuples.
    more = [[REFUSED, LOST_UPDATE.id]]
    used.pytest_runtest_logreport(
        SimpleNamespace(when="teardown", nodeid="a.py::two", user_properties=more)
    )
    assert used.rows == (WorkaroundRow(LOST_UPDATE.id, 2, 1, ("a.py::one", "a.py::two")),)
    assert workarounds.lines(used.rows) == [
        f"sfc-lost-update: {LOST_UPDATE.title}; used 2 times, refused once",
        "    a.py::one",
        "    a.py::two",
    ]
    assert workarounds.lines([]) == []


def test_the_text_of_a_failure_has_the_entries() -> None:
    text = workarounds.told([(USED, LOST_UPDATE.id), (USED, LOST_UPDATE.id), ("other", 1)])
    assert text == f"used 2 times: {LOST_UPDATE.text}\n"
    assert workarounds.told([("other", 1)]) == ""


def test_each_entry_has_an_id_of_its_own_and_says_everything() -> None:
    assert len({each.id for each in ALL}) == len(ALL)
    for each in ALL:
        assert all(vars(each).values()), each.id


def test_the_page_of_the_docs_is_made_from_the_entries() -> None:
    assert PAGE.read_text() == workarounds.page(), (
        "python -m pytest_kollalab.sdn.workarounds > docs/workarounds.md"
    )
