"""Saved states are removed only with the user's consent."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from pytest_kollalab.stages.states.consent import Consent
from pytest_kollalab.stages.states.saves import DEPLOY, Save
from pytest_kollalab.system.errors import SavedStatesError

ANEW = "building the nodes anew"


def saved(folder: Path, name: str, by: str = "another-run", made: str = "2026-11-30") -> None:
    path = folder / "saves" / f"{name}.abc123.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(asdict(Save(name, path.stem, made, "run", by=by))))


class User:
    """Somebody at a terminal who answers."""

    def __init__(self, answer: bool) -> None:
        self.answer = answer
        self.asked: list[str] = []

    def __call__(self, question: str) -> bool:
        self.asked.append(question)
        return self.answer


def test_what_a_user_saved_is_refused_where_nobody_can_be_asked(tmp_path: Path) -> None:
    saved(tmp_path, "first", made="2026-11-29")
    saved(tmp_path, "second")
    consent = Consent("lab", tmp_path, "this-run")
    with pytest.raises(SavedStatesError) as caught:
        consent.ask(ANEW)
    assert str(caught.value).splitlines() == [
        "building the nodes anew would remove the saved states first and second of lab lab",
        "  nothing has been changed",
        (
            "  what now: kollalab rollback second --name lab goes back to the latest; "
            "--discard-saved (of pytest: --kollalab-discard-saved) removes them"
        ),
    ]
    with pytest.raises(SavedStatesError):
        consent.check(ANEW)
    with pytest.raises(SavedStatesError) as caught:
        consent.check("removing the lab", removes=True)
    assert caught.value.hint.startswith("--discard-saved")


def test_the_answer_counts_for_what_was_named_in_the_question(tmp_path: Path) -> None:
    saved(tmp_path, "first")
    user = User(answer=True)
    consent = Consent("lab", tmp_path, "this-run", confirm=user)
    consent.ask(ANEW)
    consent.check(ANEW)
    assert user.asked == ["Building the nodes anew removes the saved state first. Go on?"]
    # Saved by another process since the question was answered.
    saved(tmp_path, "late")
    with pytest.raises(SavedStatesError, match="the saved state late of"):
        consent.check(ANEW)


def test_a_no_keeps_them(tmp_path: Path) -> None:
    saved(tmp_path, "first")
    with pytest.raises(SavedStatesError):
        Consent("lab", tmp_path, "this-run", confirm=User(answer=False)).ask(ANEW)


def test_nobody_is_asked_about_what_no_user_saved(tmp_path: Path) -> None:
    saved(tmp_path, "golden", DEPLOY)
    saved(tmp_path, "mine", "this-run")
    user = User(answer=False)
    consent = Consent("lab", tmp_path, "this-run", confirm=user)
    consent.ask(ANEW)
    consent.check(ANEW)
    assert user.asked == []
    # A golden state of an older version, which did not note who saved it.
    saved(tmp_path, "golden", "")
    consent.check(ANEW)
    saved(tmp_path, "golden", "somebody")
    with pytest.raises(SavedStatesError):
        consent.check(ANEW)


def test_a_state_whose_file_is_damaged_is_not_removed_either(tmp_path: Path) -> None:
    saved(tmp_path, "first")
    (tmp_path / "saves" / "first.abc123.json").write_text("{")
    with pytest.raises(SavedStatesError, match="the saved state first"):
        Consent("lab", tmp_path, "this-run").check(ANEW)


def test_consent_can_be_given_beforehand(tmp_path: Path) -> None:
    saved(tmp_path, "first")
    consent = Consent("lab", tmp_path, "this-run", given=True)
    consent.ask(ANEW)
    consent.check(ANEW)


def test_a_name_is_used_again_only_if_the_user_wants_that(tmp_path: Path) -> None:
    saved(tmp_path, "first")
    Consent("lab", tmp_path, "this-run").ask_to_replace("second")
    with pytest.raises(SavedStatesError, match="has a saved state first already"):
        Consent("lab", tmp_path, "this-run").ask_to_replace("first")
    user = User(answer=True)
    Consent("lab", tmp_path, "this-run", confirm=user).ask_to_replace("first")
    assert user.asked == ["Lab lab has a saved state first of 2026-11-30. Replace it?"]
    # A run may replace what it saved itself.
    Consent("lab", tmp_path, "another-run").ask_to_replace("first")
