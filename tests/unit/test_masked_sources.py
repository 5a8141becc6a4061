"""Log records and Allure's files are masked where they are made."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from pytest_kollalab.report.masking import Redactor
from pytest_kollalab.report.sources import AllureResults, MaskedRecords
from pytest_kollalab.system.run import MASK

REDACTOR = Redactor(["the-secret"])


@pytest.fixture
def masked() -> Iterator[MaskedRecords]:
    records = MaskedRecords(REDACTOR)
    records.install()
    yield records
    records.remove()


def test_a_record_has_no_secret_and_others_keep_their_arguments(
    masked: MaskedRecords, caplog: pytest.LogCaptureFixture
) -> None:
    log = logging.getLogger("x")
    log.warning("login with %s", "the-secret")
    log.warning("%s of %d", "one", 2)
    try:
        raise ValueError("the-secret")
    except ValueError:
        log.exception("broken")
    first, second, third = caplog.records
    assert (first.msg, first.args) == (f"login with {MASK}", ())
    assert (second.msg, second.args) == ("%s of %d", ("one", 2))
    assert third.exc_text is not None
    assert MASK in third.exc_text
    assert "the-secret" not in caplog.text


def test_a_wrong_format_stays_what_logging_says_of_it(masked: MaskedRecords) -> None:
    factory = logging.getLogRecordFactory()
    record = factory("x", logging.INFO, "x.py", 1, "%d", ("the-secret",), None)
    with pytest.raises(TypeError, match="format"):
        record.getMessage()


def test_what_the_masking_itself_logs_does_not_recurse() -> None:
    def mask(text: str) -> str:
        logging.getLogger("x").warning("masking")
        return REDACTOR(text)

    records = MaskedRecords(mask)
    records.install()
    try:
        assert records("x", 10, "", 1, "the-secret", (), None).getMessage() == MASK
    finally:
        records.remove()


def test_the_factory_before_is_back_unless_there_is_another(masked: MaskedRecords) -> None:
    before = logging.getLogRecordFactory()
    inner = MaskedRecords(REDACTOR)
    inner.install()
    inner.remove()
    assert logging.getLogRecordFactory() is before


def test_what_allure_has_is_masked_and_pictures_stay(tmp_path: Path) -> None:
    results = AllureResults(lambda: REDACTOR, tmp_path)
    step = SimpleNamespace(name="log in", parameters=[SimpleNamespace(value="'the-secret'")])
    result = SimpleNamespace(steps=[step], statusDetails=SimpleNamespace(message="the-secret"))
    results.report_result(result)
    assert (result.statusDetails.message, step.parameters[0].value) == (MASK, f"'{MASK}'")
    (tmp_path / "a.txt").write_text("body the-secret")
    (tmp_path / "b.png").write_bytes(picture := b"\x89PNG\xffthe-secret")
    for name in ("a.txt", "b.png", "not-there"):
        results.report_attached_data(name)
    assert (tmp_path / "a.txt").read_text() == f"body {MASK}"
    assert (tmp_path / "b.png").read_bytes() == picture
