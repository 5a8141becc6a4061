"""The user's consent to lose saved states: asked for before anything removes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pytest_kollalab.stages.states.saves import Save, of_user
from pytest_kollalab.system.errors import SavedStatesError

ROLLS_BACK = "kollalab rollback {state} --name {lab} goes back to the latest; "
GOES_ON = "--discard-saved (of pytest: --kollalab-discard-saved) removes them"


def refuse(_question: str) -> bool:
    """The answer where nobody can be asked."""
    return False


class Consent:
    """Whether the saved states of a lab may be removed.

    States that were saved by the same run, and golden states of a deploy, need no consent.

    Args:
        lab: Name of the lab.
        folder: The state folder of the lab.
        run: The identifier of this run.
        given: Whether consent was given beforehand, by `--discard-saved`.
        confirm: Asks the user a question; returns whether the answer is yes.
    """

    def __init__(
        self,
        lab: str,
        folder: Path,
        run: str,
        *,
        given: bool = False,
        confirm: Callable[[str], bool] = refuse,
    ) -> None:
        self._lab = lab
        self._folder = folder
        self._run = run
        self._given = given
        self._confirm = confirm
        self._agreed: set[str] = set()

    def at_stake(self) -> list[Save]:
        """The saved states that need consent to be removed, oldest first."""
        return [save for save in of_user(self._folder) if save.by != self._run]

    def ask(self, what: str, *, removes: bool = False) -> None:
        """Ask before something that removes all saved states of the lab.

        Args:
            what: What would be done, such as "building the nodes anew".
            removes: Whether the lab itself would be removed.

        Raises:
            SavedStatesError: The answer is no, or nobody can be asked.
        """
        lost = self._unsettled()
        question = f"{what[0].upper()}{what[1:]} removes {listed(lost)}. Go on?" if lost else ""
        if lost and not self._confirm(question):
            raise self._refusal(what, lost, removes=removes)
        self._agreed |= {save.label for save in lost}

    def check(self, what: str, *, removes: bool = False) -> None:
        """Check, while the lab is locked, that every saved state may be removed.

        Raises:
            SavedStatesError: The user has not agreed to lose one of them.
        """
        lost = self._unsettled()
        if lost:
            raise self._refusal(what, lost, removes=removes)

    def ask_to_replace(self, name: str) -> None:
        """Ask before a saved state is replaced by a newer one of its name.

        Raises:
            SavedStatesError: The answer is no, or nobody can be asked.
        """
        older = [save for save in self.at_stake() if save.name == name]
        if not older:
            return
        lab, made = self._lab, older[-1].made
        if not self._confirm(f"Lab {lab} has a saved state {name} of {made}. Replace it?"):
            raise SavedStatesError(
                f"lab {lab} has a saved state {name} already",
                details=f"it is of {made}",
                hint="choose another name, or replace it with --yes",
            )

    def _unsettled(self) -> list[Save]:
        if self._given:
            return []
        return [save for save in self.at_stake() if save.label not in self._agreed]

    def _refusal(self, what: str, lost: list[Save], *, removes: bool) -> SavedStatesError:
        lab = self._lab
        back = "" if removes else ROLLS_BACK.format(state=lost[-1].name, lab=lab)
        return SavedStatesError(
            f"{what} would remove {listed(lost)} of lab {lab}",
            details="nothing has been changed",
            hint=f"{back}{GOES_ON}",
        )


def listed(saves: Sequence[Save]) -> str:
    """Saved states in words, such as "the saved states before and after"."""
    names = [save.name for save in saves]
    if len(names) == 1:
        return f"the saved state {names[0]}"
    return f"the saved states {', '.join(names[:-1])} and {names[-1]}"
